"""What counts promise that are estimates: they never go back, and grow with what has been done."""

from __future__ import annotations

from engine_lab import CODE, HOLE, Lab, assemble

from bt.contract import EXIT_BUDGET, EXIT_SOFTINT, PERM_WRITE


def test_a_count_grows_by_one_at_least_where_something_completed(lab: Lab) -> None:
    before = lab.engine.icount()
    for code in ("nop", "inc eax; inc ebx", "mov ecx, 100; top: dec ecx; jnz top"):
        lab.finish(code)
        assert lab.engine.icount() > before
        before = lab.engine.icount()


def test_it_goes_on_from_where_it_is_told(lab: Lab) -> None:
    for count in (0, 1000, (1 << 32) - 2, 1 << 40, 5):
        lab.count = count
        lab.finish("inc eax; nop; nop")
        assert lab.engine.icount() > count


def test_a_loop_through_a_fault_counts(lab: Lab) -> None:
    """It comes back to the very same instruction with the very same registers."""
    lab.program(assemble("top: mov eax, [0x24000]; jmp top"))
    assert lab.run().address == HOLE
    lab.map(HOLE, 20, PERM_WRITE)
    before = lab.engine.icount()
    lab.engine.set_stops([CODE + len(assemble("mov eax, [0x24000]"))])
    lab.run(1000)
    assert lab.engine.icount() > before


def test_runs_with_any_budget_end_and_get_on(lab: Lab) -> None:
    end = lab.program("mov ecx, 1000; top: inc eax; dec ecx; jnz top")
    lab.set(eax=0)
    for budget in (1, 2, 3, 10, 100, 1000) * 600:
        exit_ = lab.run(budget)
        if exit_.reason != EXIT_BUDGET:
            break
    assert (exit_.reason, exit_.eip) == (EXIT_SOFTINT, end)
    assert lab.reg("eax") == 1000


def test_no_budget_is_no_run(lab: Lab) -> None:
    lab.program("ud2")
    before = lab.engine.icount()
    assert lab.run(0).reason == EXIT_BUDGET
    assert lab.ideal.eip == CODE
    assert lab.engine.icount() >= before

"""The virtual processor (vmm/virtual.py): budgets, pins, and what the ideal processor did."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from kernel_lab import (
    ACCESSED,
    CODE,
    DATA,
    Kernel,
    agree,
    assembled,
    descriptor,
    gate,
    make,
    raw,
    run,
)
from monitor_lab import ORIGIN, Lab, flat, lab, same_at_every_step
from patience import PATIENCE

from bt.contract import EXIT_BREAKPOINT, EXIT_BUDGET, EXIT_IO
from bt.interp.crossing import MOST_TURNS
from bt.interp.state import EXIT_HALT, EXIT_INTERRUPT, EXIT_NONE, EXIT_SHUTDOWN, EXIT_WATCHPOINT
from monitor.guests.small_kernel import TIMER
from monitor.settings.capabilities import X86_VMWARE_HYPERCALL

WINDOW = 0x180000


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
def test_a_page_is_marked_when_its_instruction_runs_and_not_before(ring: int, flags: int) -> None:
    """A budget that ends before an instruction ends before its page faults, too."""
    source = f"""
        jmp  {WINDOW:#x}
    back:
        mov  eax, [{WINDOW + 0x1000:#x}]
        mov  [{WINDOW + 0x2000:#x}], eax
        push dword ptr [{WINDOW + 0x3000:#x}]
        int  0x31
    """
    code = assembled(source, CODE)
    jump = (code.symbols["back"] - WINDOW - 5 & 0xFFFFFFFF).to_bytes(4, "little")
    kernel = Kernel(source, ring=ring, flags=flags, paging=True, memory={WINDOW: b"\xe9" + jump})
    same_at_every_step(kernel)


STUBS = {
    "popfd": "mov esp, {page} \n nop \n popfd",
    "pushfd": "mov esp, {page} \n nop \n pushfd",
    "ret": "mov esp, {page} \n nop \n ret",
    "ret 4": "mov esp, {page} \n nop \n ret 4",
    "call": "mov esi, {page} \n nop \n call [esi]",
    "call, its stack": "mov esp, {page} \n mov esi, next \n nop \n call esi",
    "jmp": "mov esi, {page} \n nop \n jmp [esi]",
}


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x3202)])
@pytest.mark.parametrize("name", STUBS)
def test_a_stub_whose_budget_is_over_marks_no_page(name: str, ring: int, flags: int) -> None:
    """The first instructions of a stub complete nothing: the engine is in them when it stops."""
    page = WINDOW + 0x800
    source = STUBS[name].format(page=page) + " \n nop \n next: int 0x31"
    target = Kernel(source).symbol("next").to_bytes(4, "little")
    memory = {page: b"\2\0\0\0" if name == "popfd" else target}
    same_at_every_step(Kernel(source, ring=ring, flags=flags, paging=True, memory=memory))


def test_an_interrupt_frame_over_translated_code_is_noticed_at_once() -> None:
    """Delivery writes memory, like any instruction: what it overwrites was translated."""
    source = "call target \n wait: jmp wait \n target: inc eax \n" + raw("40" * 15) + "\n ret"
    kernel = Kernel(source, idt={0x33: gate(CODE, 0x8E)})
    one = lab(kernel)
    one.step(20)
    target = kernel.symbol("target")
    assert target in one.blocks()
    one.machine.set_register("esp", target + 12)
    assert target in one.blocks()
    one.cpu.interrupt(0x33)
    assert target not in one.blocks()


def test_a_call_that_is_answered_by_a_fault_is_noticed_at_once() -> None:
    """The frame of that fault is written like any other."""
    kernel = Kernel("call target \n vmcall \n target: inc eax \n" + raw("40" * 15) + "\n ret",
                    idt={13: gate(CODE, 0x8E)})  # fmt: skip
    machine = make(kernel, "translate")
    machine.enable(X86_VMWARE_HYPERCALL, "all")
    assert machine.run(timeout=PATIENCE).kind == "vmware"
    one = Lab(machine)
    target, before = kernel.symbol("target"), one.cpu.count()
    machine.set_register("esp", target + 16)
    assert target in one.blocks()
    assert one.cpu.answer_call(13, 0, 0) == EXIT_NONE
    assert target not in one.blocks()
    assert (one.reg("eip"), one.cpu.count()) == (CODE, before)


def test_a_task_gate_changes_the_page_tables_at_once() -> None:
    """The shadows of the old task's pages go with the delivery, not with the next exit."""
    one = flat("here: jmp here")
    flushes = one.cpu.shadow.flushes
    one.cpu.ideal.flush()
    one.cpu.interrupt(0x33)
    assert one.cpu.shadow.flushes == flushes + 1


def test_a20_changes_what_is_mapped() -> None:
    source = """
        mov  al, 0xDF
        out  0x64, al
        mov  dword ptr [0x500], 0x11
        mov  dword ptr [0x100500], 0x22
        mov  ebx, [0x100500]
        mov  al, 0xDD
        out  0x64, al
        mov  ecx, [0x100500]
        mov  al, 0xDF
        out  0x64, al
        mov  edx, [0x100500]
        int  0x31
    """
    state = agree(source).translate.registers
    assert (state["ebx"], state["ecx"], state["edx"]) == (0x22, 0x11, 0x22)


@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
def test_a20_changes_which_code_runs(paging: bool) -> None:
    """Translated on both sides of the gate, one below 1 MiB and one above it."""
    source = """
        mov  al, 0xDF
        out  0x64, al
        mov  byte ptr [0x20000], 0x40
        mov  byte ptr [0x20001], 0xC3
        mov  byte ptr [0x120000], 0x43
        mov  byte ptr [0x120001], 0xC3
        mov  edi, 3
    again:
        mov  eax, 0
        mov  esi, 0x120000
        call esi
        push eax
        mov  al, 0xDD
        out  0x64, al
        mov  eax, 0
        call esi
        push eax
        mov  al, 0xDF
        out  0x64, al
        dec  edi
        jnz  again
        pop  eax
        pop  ecx
        int  0x31
    """
    state = agree(source, paging=paging).translate.registers
    assert (state["eax"], state["ecx"], state["ebx"]) == (1, 0, 3)


def test_the_a20_pin_flushes_the_shadows() -> None:
    one = flat("here: jmp here")
    flushes = one.cpu.shadow.flushes
    one.cpu.set_a20(False)
    assert one.cpu.shadow.flushes == flushes + 1


@pytest.mark.parametrize("ring", [0, 3])
def test_a_device_sees_the_instruction_count_of_each_access(ring: int) -> None:
    """Several reads of a counter in one block: each is at its own time."""
    wait = "\n".join(["nop"] * 240)
    read = f"{wait} \n in al, 0x40 \n mov ah, al \n in al, 0x40 \n push eax"
    source = f"""
        mov  al, 0x34
        out  0x43, al
        mov  al, 0
        out  0x40, al
        out  0x40, al
        {read}
        {read}
        pop  ebx
        pop  edx
        int  0x31
    """
    state = agree(source, ring=ring, flags=0x3202 if ring else 2).translate.registers
    assert state["ebx"] != state["edx"]


def test_a_device_learns_which_instruction_accesses_it() -> None:
    one = flat("mov al, 1", "out 0x80, al", "inc al", "out 0x80, al", "end: jmp end")
    places = []
    one.machine.board.on_access.append(lambda *_: places.append(one.cpu.io_place()))
    one.step(6)
    assert places == [ORIGIN + 2, ORIGIN + 6]


def test_the_same_where_the_access_is_emulated() -> None:
    one = lab(Kernel("mov al, 1 \n out 0x80, al \n here: jmp here", ring=3, flags=0x3202))
    places, counts = [], []
    one.machine.board.on_access.append(lambda *_: places.append(one.cpu.io_place()))
    one.machine.board.on_access.append(lambda *_: counts.append(one.cpu.io_count()))
    before = one.cpu.count()
    one.step(4)
    assert places == [CODE + 2]
    assert counts == [before + 1]


STRANGE = descriptor(0, 0xFFFFE, 0xC09B)  # not flat: its code is emulated


@pytest.mark.parametrize("behind", ["nop \n nop \n nop \n cli", "cli", "nop \n cli"])
def test_emulated_code_opens_itself_to_an_interrupt_that_waits(behind: str) -> None:
    source = f"""
        {TIMER}
        mov  ecx, 1000
    wait:
        loop wait
        jmp  far 0x38:strange
    strange:
        sti
        {behind}
        mov  al, 0xff
        out  0x21, al
        sti
        mov  ecx, 5000
    on:
        loop on
        cli
        jmp  far 0x08:back
    back:
        int  0x31
    """
    done = agree(source, gdt={0x38: STRANGE})
    assert done.bare.vectors.count(0x20) == (0 if behind == "cli" else 1)


def test_an_interrupt_shadow_is_over_when_an_instruction_has_run() -> None:
    """Whoever ran it: the shadow is the ideal processor's, the instruction the cache's."""
    one = flat("sti", "mov eax, ss", "mov ss, eax", "nop", "nop", "here: jmp here")
    seen = []
    for _ in range(6):
        one.step()
        seen.append(one.cpu.interruptible())
    assert seen == [False, True, False, True, True, True]


def test_a_delivery_happens_at_the_guests_count() -> None:
    one = lab(Kernel("nop \n nop \n nop \n here: jmp here", idt={0x33: gate(CODE, 0x8E)}))
    one.step(4)
    assert one.cpu.interrupt(0x33) == EXIT_NONE
    assert one.cpu.ideal.icount() == one.cpu.count()


def test_a_delivery_that_shuts_the_processor_down_says_so() -> None:
    assert flat("nop").cpu.interrupt(0x33) == EXIT_SHUTDOWN


def test_a_watchpoint_ends_at_the_monitors_region() -> None:
    """What lies there, the guest reaches by the ideal processor only."""
    top = 0xFF800000
    asked: list[list[tuple[int, int, int]]] = []
    one = flat("here: jmp here")
    one.cpu.engine = SimpleNamespace(set_watchpoints=lambda points, _spaces: asked.append(points))
    one.cpu.set_watchpoints([(top - 4, top - 1, 1), (top - 2, top + 1, 2), (top, top + 3, 3)])
    assert asked == [[(top - 4, top - 1, 1), (top - 2, top - 1, 2)]]


@pytest.mark.parametrize("place", [0x20000, 0xFF7FFFFE, 0xFF800000])
def test_watchpoints_see_accesses_on_both_sides_of_the_region(place: int) -> None:
    page = place & -0x1000
    pages = {page: 0x110007, page + 0x1000 & 0xFFFFFFFF: 0x111007}
    source = f"nop \n mov dword ptr [{place:#x}], 5 \n mov eax, [{place:#x}] \n here: jmp here"
    stops = []
    for mode in ("bare", "translate", "trap"):
        one = lab(Kernel(source, paging=True, pages=pages), mode)
        one.machine.debug.add_watchpoint(place, 4, "write")
        before = one.machine.instructions
        assert one.machine.run(max_instructions=100).kind == "watchpoint"
        stops.append((one.machine.instructions - before, one.reg("eip")))
        assert one.machine.run(max_instructions=100).kind == "instructions"
    assert stops[0] == stops[1] == stops[2]


@pytest.mark.parametrize("flag", [0x10000, 0x100], ids=["RF", "TF"])
def test_rf_and_tf_are_passed_by_one_emulated_instruction(flag: int) -> None:
    """They suit no engine; the code behind is the cache's again."""
    source = f"""
        pushfd
        or   dword ptr [esp], {flag:#x}
        push cs
        push here
        iretd
    here:
        and  eax, eax
        pushfd
        and  dword ptr [esp], 0xFFFFFEFF
        popfd
        mov  ecx, 500
    again:
        inc  eax
        loop again
        int  0x31
    """
    done = agree(source)
    assert done.translate.kinds["emulated"] < 100
    assert done.translate.kinds["translated"] > 1000


def test_emulated_code_runs_in_long_stretches() -> None:
    """Not one instruction at a time, which would count as a turn each."""
    one = lab(Kernel("jmp far 0x38:on \n on: inc eax \n jmp on", gdt={0x38: STRANGE}))
    one.step()
    assert one.cpu.run(20_000) == EXIT_BUDGET
    assert one.reg("eax") == 10_000
    assert one.machine.statistics()["by_kind"]["emulated"] >= 20_000


@pytest.mark.parametrize("mode", ["bare", "translate", "trap"])
@pytest.mark.parametrize("code", ["pushfd", "push cs", "sgdt [{0:#x}]", "mov [{0:#x}], ds"])
def test_watchpoints_see_critical_instructions(mode: str, code: str) -> None:
    """Whoever runs them: the witness of trap mode, a stub, the ideal processor."""
    place = 0x8800
    source = f"mov esp, {place + 4:#x} \n nop \n {code.format(place)} \n nop \n here: jmp here"
    one = lab(Kernel(source), mode)
    one.machine.debug.add_watchpoint(place, 4, "write")
    before = one.machine.instructions
    assert one.machine.run(max_instructions=0).kind == "instructions"
    assert one.cpu.run(100) == EXIT_WATCHPOINT
    assert one.machine.instructions == before + 3


# --- the loop -----------------------------------------------------------------------------------


def test_the_budget_is_kept_in_every_way_to_run() -> None:
    for ring, flags in ((0, 2), (3, 0x202), (3, 0x3202), (0, 0x3002)):
        one = lab(Kernel("here: inc eax \n nop \n jmp here", ring=ring, flags=flags))
        for budget in (1, 2, 5, 4095, 4096, 4097, 9000):
            before = one.cpu.count()
            assert one.cpu.run(budget) == EXIT_BUDGET
            assert one.cpu.count() == before + budget


def test_no_budget_no_instruction() -> None:
    one = flat("inc eax", "here: jmp here")
    assert one.cpu.run(0) == EXIT_BUDGET
    assert (one.cpu.count(), one.reg("eax")) == (0, 0)


def test_run_comes_back_when_somebody_asks_for_it() -> None:
    """notice(), from an exit's listener: before the budget is over."""
    one = flat("again: mov eax, cr0", "mov cr0, eax", "jmp again")
    one.cpu.listeners.append(lambda event: one.cpu.notice())
    assert one.cpu.run(1000) == EXIT_IO
    assert one.cpu.count() < 10
    assert one.cpu.run(1000) == EXIT_IO, "the next run starts afresh"
    assert 0 < one.cpu.count() < 20


def test_only_a_port_access_may_stop_the_engine_at_once() -> None:
    """From elsewhere, as another thread, it might be in the middle of a stub."""
    one = flat("nop")
    for in_engine, in_access, stops in ((1, 0, 0), (0, 1, 0), (0, 0, 0), (1, 1, 1)):
        one.cpu._in_engine, one.machine.board.counter.in_access = bool(in_engine), bool(in_access)
        one.cpu.engine.recheck = one.cpu.ideal.recheck = 0
        one.cpu.notice()
        assert (one.cpu.engine.recheck, one.cpu.ideal.recheck) == (stops, 1)


def test_run_comes_back_after_many_exits() -> None:
    """So that a time limit holds for a guest that only exits."""
    one = flat("again: mov eax, cr0", "mov cr0, eax", "jmp again")
    assert one.cpu.run(1_000_000) == EXIT_IO
    assert 0 <= sum(one.machine.statistics()["exits"].values()) - MOST_TURNS <= 12


def test_an_interrupt_waits_for_the_flag_and_for_the_shadow() -> None:
    one = flat("mov ecx, 3", "again: loop again", "sti", "nop", "here: jmp here")
    one.cpu.set_intr(True)
    assert one.cpu.run(100) == EXIT_INTERRUPT
    assert one.reg("eip") == one.machine.registers["eip"]
    assert one.cpu.count() == 1 + 3 + 2
    assert one.machine.statistics()["exits"]["interrupt shadow"] == 1
    one.cpu.set_intr(False)
    assert one.cpu.run(100) == EXIT_BUDGET


def test_a_halt_comes_through() -> None:
    one = flat("nop", "hlt")
    assert one.cpu.run(100) == EXIT_HALT
    assert one.cpu.count() == 2


# --- breakpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["translate", "trap"])
@pytest.mark.parametrize("ring", [0, 3])
def test_a_breakpoint_stops_once_each_time(mode: str, ring: int) -> None:
    kernel = Kernel("again: nop \n inc eax \n jmp again", ring=ring)
    one = lab(kernel, mode)
    stop = CODE + 1
    one.cpu.set_breakpoints({stop})
    for rounds in range(4):
        assert one.cpu.run(1000) == EXIT_BREAKPOINT
        assert (one.reg("eip"), one.reg("eax")) == (stop, rounds)
    one.cpu.set_breakpoints(set())
    assert one.cpu.run(1000) == EXIT_BUDGET


def test_a_breakpoint_in_emulated_code_stops_once_each_time() -> None:
    kernel = Kernel("jmp far 0x38:on \n on: nop \n inc eax \n jmp on", gdt={0x38: STRANGE})
    one = lab(kernel)
    stop = kernel.symbol("on") + 1
    one.cpu.set_breakpoints({stop})
    for rounds in range(4):
        assert one.cpu.run(1000) == EXIT_BREAKPOINT
        assert (one.reg("eip"), one.reg("eax")) == (stop, rounds)
        assert one.cpu.run(1) == EXIT_BUDGET
        assert one.reg("eip") == stop + 1


def test_breakpoints_that_stay_cost_no_translation() -> None:
    one = flat("again: inc eax", "jmp again")
    one.cpu.set_breakpoints({ORIGIN + 0x100})
    flushes = one.figures()["flushes"]
    one.cpu.set_breakpoints({ORIGIN + 0x100})
    assert one.figures()["flushes"] == flushes
    one.cpu.set_breakpoints(set())
    assert one.figures()["flushes"] == flushes + 1


def test_a_breakpoint_is_a_linear_address() -> None:
    """With a code segment that begins elsewhere, EIP and linear address differ."""
    source = """
        jmp  far 0x38:0x10
        .align 16
        inc  eax
        inc  eax
        int  0x31
    """
    one = lab(Kernel(source, gdt={0x38: descriptor(CODE, 0xFFFFF, 0xC09B)}))
    one.cpu.set_breakpoints({CODE + 0x11})
    assert one.cpu.run(1000) == EXIT_BREAKPOINT
    assert (one.reg("eip"), one.reg("eax")) == (0x11, 1)


def test_emulation_waits_for_a_budget() -> None:
    one = flat("inc eax", "here: jmp here")
    one.cpu._end = one.cpu.total
    assert one.cpu.emulate("test") == EXIT_NONE
    assert one.reg("eax") == 0
    assert "test" not in one.machine.statistics()["exits"]


def test_recent_exits_are_told_with_place_and_count() -> None:
    one = flat("nop", "mov eax, cr0", "mov cr0, eax", "here: jmp here")
    one.step(4)
    assert any(
        line.startswith("emulate") and f"{ORIGIN + 4:08x}" in line and line.endswith("after 2")
        for line in one.machine.debug.recent_exits()
    ), one.machine.debug.recent_exits()


def test_accessed_bits_of_the_window() -> None:
    """The lab itself: a page that nobody touches is not marked."""
    done = run(Kernel("int 0x31", paging=True), "translate")
    assert done.dword(0x41000 + (WINDOW >> 10)) & ACCESSED == 0
    assert done.dword(0x41000 + (CODE >> 10)) & ACCESSED
    assert DATA

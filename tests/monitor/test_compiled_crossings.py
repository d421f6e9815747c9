"""Crossings in compiled code (bt/interp/crossing.py) and in Python: one monitor in two halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from monitor_lab import Lab, flat
from patience import PATIENCE

from bt import vcpu_page
from bt.cache import TranslatedBlock
from bt.interp import crossing
from bt.interp.crossing_state import PLACE_AFTER_STI, PLACE_EMULATE, PLACE_KNOWN
from bt.interp.state import EXIT_IO
from monitor.lockstep.cpu_state import state_of
from monitor.lockstep.subjects import embedded_guest
from monitor.vmm.crossings import Crossings
from monitor.vmm.shadow import HIDDEN_BASE
from monitor.vmm.translating import TranslatingProcessor

LOOP = ("mov ecx, 50", "again: mov eax, cr0", "mov cr0, eax", "loop again", "hlt")


def crossings(one: Lab) -> Crossings:
    found = one.cpu.crossings
    assert isinstance(found, Crossings)
    return found


def in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crossings, "ready", lambda self: False)


def life(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> tuple[Any, ...]:
    """What the embedded guest came to, and all figures of the monitor's."""
    with monkeypatch.context() as patch:
        if not compiled:
            in_python(patch)
        machine = embedded_guest("translate")
        assert machine.run(timeout=PATIENCE).kind == "exit"
        processor = machine.processor
        assert isinstance(processor, TranslatingProcessor)
        assert bool(processor.crossing.noted) == compiled
        figures = machine.statistics()
        said = [figures[name] for name in ("by_kind", "exits", "shadow", "patches", "tc")]
        return said, processor.recent_exits(), state_of(machine)


def test_both_halves_come_to_the_same_and_count_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert life(monkeypatch, True) == life(monkeypatch, False)


def test_the_slots_and_masks_are_those_of_the_translator() -> None:
    for name in ("SAVE_EAX", "SAVE_ECX", "SAVE_ESI", "TARGET", "STI_BEFORE"):
        assert getattr(crossing, f"PAGE_{name}") == getattr(vcpu_page, name)
    for name in ("EAX", "ECX", "ESI", "TARGET", "TARGET_ECX"):
        assert getattr(crossing, f"CROSS_UNDO_{name}") == getattr(vcpu_page, f"UNDO_{name}")


def test_the_common_exits_need_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fifty rounds, the first ones teach."""
    one = flat(*LOOP)
    steps: list[int] = []
    right = TranslatingProcessor.leave_translated

    def leave(self: TranslatingProcessor, reason: int, context: Any) -> int:
        steps.append(self.total)
        return right(self, reason, context)

    monkeypatch.setattr(crossings(one)._written, "_all", {})
    monkeypatch.setattr(TranslatingProcessor, "leave_translated", leave)
    assert one.machine.run(timeout=PATIENCE).kind == "stuck"
    assert one.machine.statistics()["exits"]["emulate"] == 51
    assert len(steps) < 10


def replaced(one: Lab) -> None:
    one.cpu.emulate = one.cpu.emulate


def of_another_class(one: Lab) -> None:
    class Other(TranslatingProcessor):
        def leave_by(self, exit_: Any, at: int, context: int) -> int:
            return super().leave_by(exit_, at, context)

    one.cpu.__class__ = Other


def another_walk(one: Lab) -> None:
    walk = one.cpu.ideal.translation
    one.cpu.shadow.walk = lambda *args: walk(*args)


def listened_to(one: Lab) -> None:
    one.cpu.listeners.append(lambda event: None)


def with_a_stop(one: Lab) -> None:
    one.machine.debug.add_breakpoint(0x20000)


def watched(one: Lab) -> None:
    one.cpu.set_watchpoints([(0x20000, 0x20003, 2)])


def recorded(one: Lab) -> None:
    one.cpu.record(100)


OTHERWISE = (
    replaced, of_another_class, another_walk, listened_to, with_a_stop, watched, recorded
)  # fmt: skip


@pytest.mark.parametrize("how", OTHERWISE)
def test_where_somebody_looks_or_has_a_say_it_is_python_that_runs(
    how: Callable[[Lab], None],
) -> None:
    one = flat(*LOOP)
    how(one)
    assert one.machine.run(timeout=PATIENCE).kind == "stuck"
    assert one.cpu.crossing.noted == 0
    assert one.machine.statistics()["exits"]["emulate"] == 51


def test_a_guest_that_only_exits_comes_back_for_who_waits() -> None:
    one = flat("again: mov cr0, eax", "jmp again")
    one.machine.set_register("eax", 0x11)
    assert one.cpu.run(1_000_000) == EXIT_IO
    assert one.cpu.crossing.turns == crossing.MOST_TURNS


def test_a_block_that_is_gone_is_not_found_again() -> None:
    """The instruction behind an exit changes: what was translated of it must not run."""
    one = flat(
        "mov ebx, 0", "mov ecx, 3",
        "again: mov eax, cr0", "mov cr0, eax", "change: inc ebx",
        "mov byte ptr [change], 0x90", "mov byte ptr [change + 1], 0x90", "loop again", "hlt",
    )  # fmt: skip
    assert one.machine.run(timeout=PATIENCE).kind == "stuck"
    assert one.reg("ebx") == 1


def test_two_blocks_of_one_line_of_the_table_do_not_meet() -> None:
    one = flat("nop", "hlt")
    first = TranslatedBlock(0x1000, 0x1000, 1, HIDDEN_BASE + 0x100, HIDDEN_BASE + 0x110, 0)
    other = next(
        TranslatedBlock(eip, eip, 1, HIDDEN_BASE + 0x200, HIDDEN_BASE + 0x210, 0)
        for eip in range(0x1001, 0x100000)
        if crossing.line_of(eip, 0) == crossing.line_of(0x1000, 0)
    )
    table = crossings(one)
    line = crossing.line_of(0x1000, 0)
    table.found(first)
    table.found(other)
    table.lost(first)  # it was not there any more
    assert table._keys[line] == 1 << 32 | other.eip
    table.lost(other)
    assert table._keys[line] == 0


def test_an_emptied_cache_knows_no_places_and_no_blocks() -> None:
    one = flat(*LOOP)
    one.step(20)
    table = crossings(one)
    used = one.cache.used
    assert any(table._places[:used])
    assert any(table._keys)
    one.cpu.forget_translations()
    assert not any(table._places[:used])
    assert not any(table._keys)


def test_what_is_learned_of_a_place_behind_sti() -> None:
    """Its interrupt shadow counts only where STI found IF clear, which the stub has noted."""
    one = flat(
        "mov ecx, 4", "again: cli", "sti", "mov cr0, eax", "mov cr0, eax", "loop again", "hlt"
    )
    one.machine.set_register("eax", 0x11)
    assert one.machine.run(timeout=PATIENCE).kind == "stuck"
    behind = {at - HIDDEN_BASE for at in one.cache.after_sti}
    places = crossings(one)._places
    learned = {at: places[at] for at in range(one.cache.used) if places[at] & PLACE_EMULATE}
    assert {at for at, known in learned.items() if known & PLACE_AFTER_STI} == behind & set(learned)
    assert behind & set(learned)
    assert all(known & PLACE_KNOWN for known in learned.values())

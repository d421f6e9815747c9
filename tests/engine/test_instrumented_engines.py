"""Engines that note and count what they run, for those who watch."""

from __future__ import annotations

import pytest
from engine_lab import CEILING, CODE, HOLE, MONITOR, Lab, assemble
from marked_code import cached as cached

from bt.contract import (
    EXIT_EXCEPTION,
    EXIT_SOFTINT,
    MARK_COUNTS,
    MARK_ENTRY,
    MARK_LOOKUP,
    MARK_RECORD,
    MARK_STUB,
)

pytestmark = pytest.mark.engine("instruments", "runs_directly")


def test_lookups_are_counted_apart(cached: Lab) -> None:
    """Each completion of a marked indirect jump, and nothing else."""
    table = CEILING + 0x100
    code = assemble(f"start: jmp [{table}]; dec ecx; jnz start; int3", CEILING)
    cached.write(MONITOR, code)
    cached.write(MONITOR + 0x100, (CEILING + 6).to_bytes(4, "little"))
    marks = bytes([MARK_COUNTS | MARK_LOOKUP]) + bytes(5) + bytes([MARK_COUNTS] * 2) + bytes(8)
    cached.engine.mark(CEILING, marks)
    cached.set(eip=CEILING, ecx=5)
    assert cached.run(100, 0xFFFFFFFF).count == 15
    assert cached.engine.lookups == 5
    assert cached.engine.stubs_done == 0


def test_entries_are_counted_where_they_are_marked(cached: Lab) -> None:
    """Also together with the other marks, and anew where the marks are written anew."""
    cached.engine.count_entries()
    cached.engine.count_entries()  # again: what was counted stays
    code = assemble("start: inc eax; nop; dec ecx; jnz start; int3", CEILING)
    cached.write(MONITOR, code)
    stub = MARK_COUNTS | MARK_STUB | MARK_ENTRY
    marks = bytes([stub, 0, MARK_COUNTS | MARK_ENTRY, MARK_COUNTS, 0])
    cached.engine.mark(CEILING, marks)
    assert cached.engine.marks_at(CEILING, len(marks)) == marks
    cached.set(eip=CEILING, ecx=5)
    assert cached.run(100, 0xFFFFFFFF).count == 15
    assert [cached.engine.entries(CEILING + i) for i in range(5)] == [5, 0, 5, 0, 0]
    assert cached.engine.stubs_done == 5
    cached.engine.mark(CEILING, bytes([stub]))
    assert [cached.engine.entries(CEILING + i) for i in range(3)] == [0, 0, 5]


def test_entries_are_counted_though_they_fault_or_look_up(cached: Lab) -> None:
    cached.engine.count_entries()
    table = CEILING + 0x100
    code = assemble(f"jmp [{table}]; mov eax, [{HOLE}]", CEILING)
    cached.write(MONITOR, code)
    cached.write(MONITOR + 0x100, (CEILING + 6).to_bytes(4, "little"))
    lookup = MARK_COUNTS | MARK_LOOKUP | MARK_ENTRY
    cached.engine.mark(CEILING, bytes([lookup]) + bytes(5) + bytes([MARK_COUNTS | MARK_ENTRY]))
    cached.set(eip=CEILING)
    exit_ = cached.run(100, 0xFFFFFFFF)
    assert (exit_.reason, exit_.count) == (EXIT_EXCEPTION, 1)
    assert [cached.engine.entries(CEILING + i) for i in (0, 6)] == [1, 1]
    assert cached.engine.lookups == 1


def test_nothing_is_counted_unless_it_was_asked_for(cached: Lab) -> None:
    assert cached.engine.entries(CEILING) == 0


def test_every_instruction_that_is_begun_can_be_noted(lab: Lab) -> None:
    """In order, with its count and ring; one that faults too."""
    lab.frames.record(64)
    lab.program(f"mov ecx, 2; top: dec ecx; jnz top; mov eax, [{HOLE}]")
    exit_ = lab.run()
    assert (exit_.reason, exit_.count) == (EXIT_EXCEPTION, 5)
    notes = lab.frames.take_record()
    assert [count for _, _, count, *_ in notes] == list(range(6))
    assert notes[-1][0] & 0xFFFFFFFF == exit_.eip
    assert {place >> 32 & 3 for place, *_ in notes} == {3}
    assert notes[0][3].to_bytes(8, "little")[:5] == assemble("mov ecx, 2")
    assert lab.frames.take_record() == []
    lab.frames.record(0)
    lab.finish("inc eax")
    assert lab.frames.take_record() == []


def test_notes_that_find_no_room_are_lost(lab: Lab) -> None:
    lab.frames.record(4)
    assert lab.finish("nop; " * 10 + "inc eax").count == 11
    assert len(lab.frames.take_record()) == 4
    lab.finish("inc eax")
    assert len(lab.frames.take_record()) == 2  # the INT that ends it, too
    lab.frames.record(0)


def test_in_the_cache_marked_instructions_are_noted(cached: Lab) -> None:
    cached.frames.record(64)
    cached.engine.count_entries()
    code = assemble("inc eax; nop; dec ecx; int3", CEILING)
    cached.write(MONITOR, code)
    begin = MARK_COUNTS | MARK_RECORD
    cached.engine.mark(CEILING, bytes([begin | MARK_STUB, 0, begin | MARK_ENTRY, MARK_RECORD]))
    cached.set(eip=CEILING)
    assert cached.run(100, 0xFFFFFFFF).count == 2
    notes = cached.frames.take_record()
    assert [(place & 0xFFFFFFFF, count) for place, _, count, *_ in notes] == [
        (CEILING, 0), (CEILING + 2, 1), (CEILING + 3, 2)
    ]
    assert cached.engine.stubs_done == 1
    assert cached.engine.entries(CEILING + 2) == 1
    cached.frames.record(0)


def test_code_is_decoded_once(lab: Lab) -> None:
    """However often it runs, and wherever it is come from."""
    before = lab.ram.statistics()
    assert set(before) == {"decoded", "invalidated", "flushes", "ops", "blocks"}
    lab.finish(
        "mov ecx, 50; top: call sub; call sub; mov esi, sub; call esi; dec ecx; jnz top; jmp out;"
        "sub: inc eax; ret; out: nop"
    )
    after = lab.ram.statistics()
    decoded = after["decoded"] - before["decoded"]
    assert 11 <= decoded <= 24
    assert after["ops"] - before["ops"] >= decoded
    lab.set(eip=CODE)
    assert lab.run().reason == EXIT_SOFTINT
    assert lab.ram.statistics()["decoded"] == after["decoded"]

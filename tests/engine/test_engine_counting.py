"""Budgets and counts: a run ends behind exactly so many guest instructions."""

from __future__ import annotations

import pytest
from engine_lab import CEILING, CODE, DATA, HOLE, MONITOR, PF, Lab, assemble

from bt.contract import (
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    MARK_COUNTS,
    MARK_ENTRY,
    MARK_LOOKUP,
    MARK_STUB,
    MARK_TRACE,
    PERM_EXEC,
    PERM_PINNED,
    PERM_WRITE,
)

LOOP = "mov ecx, 3; top: add eax, ecx; nop; dec ecx; jnz top; inc ebx"
STRAIGHT = (
    "inc eax; inc ebx; push eax; pop edx; add edx, ebx; call next; next: pop esi; xor esi, esi"
)
CALLS = "call sub; call sub; jmp over; sub: inc eax; ret; over: mov esi, sub; call esi"
STRING = (
    "mov ecx, 40; mov edi, 0x20000; rep stosb; mov ecx, 3; mov edi, 0x20100; rep stosb; inc eax"
)
PROGRAMS = {"loop": LOOP, "straight": STRAIGHT, "calls": CALLS, "string": STRING}
programs = pytest.mark.parametrize("name", PROGRAMS)


def path(lab: Lab, name: str) -> list[tuple[int, list[int], int]]:
    """EIP, registers and flags after every instruction, one at a time."""
    lab.program(PROGRAMS[name])
    found = []
    while True:
        exit_ = lab.run(1)
        if exit_.reason != EXIT_BUDGET:
            assert (exit_.reason, exit_.arg) == (EXIT_SOFTINT, 0x20)
            return found
        found.append((exit_.eip, lab.regs(), int(lab.ideal.flags())))


@programs
def test_any_budget_ends_where_single_steps_do(lab: Lab, name: str) -> None:
    start = lab.regs()
    steps = path(lab, name)
    assert lab.count == len(steps)
    for budget in range(len(steps) + 1):
        for i, value in enumerate(start):
            lab.ideal.set_reg(i, value)
        lab.set(eip=CODE, flags=0x202)
        exit_ = lab.run(budget)
        assert exit_.reason == EXIT_BUDGET
        here = (exit_.eip, lab.regs(), int(lab.ideal.flags()))
        assert here == (steps[budget - 1] if budget else (CODE, start, 0x202))


@programs
@pytest.mark.parametrize("chunk", [2, 3, 7])
def test_resuming(lab: Lab, name: str, chunk: int) -> None:
    start = lab.regs()
    steps = path(lab, name)
    for i, value in enumerate(start):
        lab.ideal.set_reg(i, value)
    lab.set(eip=CODE, flags=0x202)
    done = lab.count
    while lab.run(chunk).reason == EXIT_BUDGET:
        pass
    assert lab.count - done == len(steps)
    assert lab.regs() == steps[-1][1]


def test_an_empty_budget_does_nothing(lab: Lab) -> None:
    lab.program("ud2")
    guest = lab.guest()
    assert lab.run(0).reason == EXIT_BUDGET
    assert lab.guest() == guest


def test_a_budget_that_ends_before_a_fault(lab: Lab) -> None:
    """The instruction that would fault is not begun."""
    lab.program("inc eax; mov eax, [0x24000]")
    assert lab.run(1).reason == EXIT_BUDGET
    exit_ = lab.run(1)
    assert (exit_.vector, exit_.count, exit_.address) == (PF, 1, HOLE)


def test_counts_go_on_from_where_they_are_told(lab: Lab) -> None:
    for count in (0, 1000, (1 << 32) - 2, 1 << 40, 5):
        lab.count = count
        lab.finish("inc eax; nop; nop")
        assert lab.engine.icount() == count + 3


def test_rdtsc_shows_the_count(lab: Lab) -> None:
    """The guest's clock: instructions completed, plus the ideal processor's offset."""
    lab.count = 500
    lab.ideal.tsc_offset = 1 << 33
    lab.finish("nop; nop; rdtsc")
    assert (lab.reg("edx") << 32 | lab.reg("eax")) == (1 << 33) + 502


@pytest.mark.parametrize("size", [0x2000, 70_000])
def test_a_repeated_instruction_counts_once(lab: Lab, size: int) -> None:
    """However long it takes; a budget of 1 is enough for all of it."""
    for page in range(DATA, DATA + size + 0x1000, 0x1000):
        lab.map(page, 20, PERM_WRITE)
    lab.program(bytes.fromhex("f3aa"))
    lab.set(edi=DATA, ecx=size)
    exit_ = lab.run(1)
    while exit_.reason == EXIT_IO:  # it may come up for air, and tells how far it is
        assert (exit_.eip, exit_.count) == (CODE, 0)
        assert 0 < lab.reg("ecx") < size and lab.reg("edi") == DATA + size - lab.reg("ecx")
        exit_ = lab.run(1)
    assert (exit_.reason, exit_.eip, exit_.count) == (EXIT_BUDGET, CODE + 2, 1)
    assert (lab.reg("ecx"), lab.reg("edi")) == (0, DATA + size)


def test_an_endless_loop_costs_its_budget(lab: Lab) -> None:
    lab.program("top: jmp top")
    exit_ = lab.run(12_345)
    assert (exit_.reason, exit_.count, exit_.eip) == (EXIT_BUDGET, 12_345, CODE)


# --- a region where only marked instructions count ------------------------------------------------

PLAIN, COUNTS, STUB = 0, MARK_COUNTS, MARK_COUNTS | MARK_STUB
SIZE = 0x2000

#: Instructions of a translation cache, each with its mark.
CACHE = (
    ("inc eax", COUNTS), ("inc ebx", COUNTS),
    ("lea esp, [esp - 4]", PLAIN), ("lea esp, [esp + 4]", PLAIN), ("lea edx, [edx + 1]", STUB),
    ("inc esi", PLAIN), ("jmp next", COUNTS),
    ("inc edi", COUNTS),
    ("mov ecx, 2", STUB),
    ("nop", PLAIN), ("nop", PLAIN),
)  # fmt: skip


@pytest.fixture
def cached(lab: Lab) -> Lab:
    """CACHE in the region at CEILING, run with a ceiling above it."""
    lab.engine.set_count_region(CEILING, SIZE)
    for page in range(0, SIZE, 0x1000):
        lab.map(CEILING + page, MONITOR + page >> 12, PERM_EXEC | PERM_PINNED)
    code, marks = bytearray(), bytearray()
    for text, mark in CACHE:
        here = CEILING + len(code)
        source = f"jmp {here + 2:#x}" if "next" in text else text
        data = assemble(source, here)
        code += data
        marks += bytes([mark]) + bytes(len(data) - 1)
    lab.engine.mark(CEILING, bytes(marks) + bytes(16))
    lab.write(MONITOR, bytes(code) + b"\xcc")
    return lab


def test_only_marked_instructions_count(cached: Lab) -> None:
    cached.set(eip=CEILING)
    exit_ = cached.run(100, 0xFFFFFFFF)
    marked = [mark for _, mark in CACHE if mark]
    assert (exit_.reason, exit_.arg) == (EXIT_SOFTINT, 3)
    assert exit_.count == len(marked)
    assert cached.engine.stubs_done == sum(mark == STUB for mark in marked)


@pytest.mark.parametrize("budget", range(7))
def test_a_budget_ends_behind_a_marked_instruction(cached: Lab, budget: int) -> None:
    ends = [CEILING]
    for (text, mark), at in zip(CACHE, offsets(), strict=True):
        if mark:
            ends.append(CEILING + at)
        assert text
    cached.set(eip=CEILING)
    exit_ = cached.run(budget, 0xFFFFFFFF)
    if budget < len(ends):
        assert (exit_.reason, exit_.count, exit_.eip) == (EXIT_BUDGET, budget, ends[budget])


def offsets() -> list[int]:
    """Where each instruction of CACHE ends."""
    ends, at = [], 0
    for text, _ in CACHE:
        at += 2 if "next" in text else len(assemble(text))
        ends.append(at)
    return ends


def test_outside_of_the_region_all_count(cached: Lab) -> None:
    assert cached.finish("inc eax; nop; nop").count == 3
    assert cached.engine.stubs_done == 0


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


def test_a_fault_in_unmarked_code(cached: Lab) -> None:
    """It is told where it happens; what was marked before it has counted."""
    code = assemble("inc eax; nop; mov eax, [0x24000]")
    cached.write(MONITOR, code)
    cached.engine.mark(CEILING, bytes([COUNTS]) + bytes(len(code)))
    cached.set(eip=CEILING)
    exit_ = cached.run(100, 0xFFFFFFFF)
    assert (exit_.reason, exit_.eip, exit_.count) == (EXIT_EXCEPTION, CEILING + 2, 1)


def test_new_marks_hold_for_code_that_is_looked_at_anew(cached: Lab) -> None:
    cached.set(eip=CEILING)
    cached.run(100, 0xFFFFFFFF)
    before = cached.count
    cached.engine.mark(CEILING, bytes(64))
    cached.frames.written(MONITOR, 64)
    cached.set(eip=CEILING)
    assert cached.run(100, 0xFFFFFFFF).count == before


# --- traces -------------------------------------------------------------------------------------


def test_every_instruction_that_is_begun_can_be_noted(lab: Lab) -> None:
    """In order, with its count and ring; one that faults too."""
    lab.frames.trace(64)
    lab.program(f"mov ecx, 2; top: dec ecx; jnz top; mov eax, [{HOLE}]")
    exit_ = lab.run()
    assert (exit_.reason, exit_.count) == (EXIT_EXCEPTION, 5)
    notes = lab.frames.take_trace()
    assert [count for _, _, count, *_ in notes] == list(range(6))
    assert notes[-1][0] & 0xFFFFFFFF == exit_.eip
    assert {place >> 32 & 3 for place, *_ in notes} == {3}
    assert notes[0][3].to_bytes(8, "little")[:5] == assemble("mov ecx, 2")
    assert lab.frames.take_trace() == []
    lab.frames.trace(0)
    lab.finish("inc eax")
    assert lab.frames.take_trace() == []


def test_notes_that_find_no_room_are_lost(lab: Lab) -> None:
    lab.frames.trace(4)
    assert lab.finish("nop; " * 10 + "inc eax").count == 11
    assert len(lab.frames.take_trace()) == 4
    lab.finish("inc eax")
    assert len(lab.frames.take_trace()) == 2  # the INT that ends it, too
    lab.frames.trace(0)


def test_in_the_cache_marked_instructions_are_noted(cached: Lab) -> None:
    cached.frames.trace(64)
    cached.engine.count_entries()
    code = assemble("inc eax; nop; dec ecx; int3", CEILING)
    cached.write(MONITOR, code)
    begin = MARK_COUNTS | MARK_TRACE
    cached.engine.mark(CEILING, bytes([begin | MARK_STUB, 0, begin | MARK_ENTRY, MARK_TRACE]))
    cached.set(eip=CEILING)
    assert cached.run(100, 0xFFFFFFFF).count == 2
    notes = cached.frames.take_trace()
    assert [(place & 0xFFFFFFFF, count) for place, _, count, *_ in notes] == [
        (CEILING, 0), (CEILING + 2, 1), (CEILING + 3, 2)
    ]
    assert cached.engine.stubs_done == 1
    assert cached.engine.entries(CEILING + 2) == 1
    cached.frames.trace(0)


# --- what is decoded ------------------------------------------------------------------------------


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

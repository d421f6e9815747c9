"""Engines with exact counts: a run ends behind exactly so many guest instructions."""

from __future__ import annotations

import pytest
from engine_lab import CEILING, CODE, DATA, GP, HOLE, MONITOR, PF, Lab, assemble
from marked_code import CACHE, COUNTS, STUB
from marked_code import cached as cached
from small_cache import CACHE as AT
from small_cache import Cache
from small_cache import cache as cache

from bt.contract import (
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    PERM_WRITE,
)

pytestmark = pytest.mark.engine("exact_counts", "runs_directly")

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
    """Instructions completed, plus the ideal processor's offset. Or it leaves."""
    lab.count = 500
    lab.ideal.tsc_offset = 1 << 33
    lab.program("nop; nop; rdtsc")
    exit_ = lab.run()
    if exit_.reason == EXIT_EXCEPTION:
        assert (exit_.vector, exit_.error, exit_.count) == (GP, 0, 502)
    else:
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


def test_only_marked_instructions_count(cached: Lab) -> None:
    cached.set(eip=CEILING)
    exit_ = cached.run(100, 0xFFFFFFFF)
    marked = [mark for _, mark in CACHE if mark]
    assert (exit_.reason, exit_.arg) == (EXIT_SOFTINT, 3)
    assert exit_.count == len(marked)
    if cached.engine.traits.instruments:
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


# --- out of the cache ---------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0, 1, 5])
def test_budgets_hold_in_the_cache(cache: Cache, budget: int) -> None:
    cache.put("top: inc eax; jmp top")
    exit_ = cache.run(budget)
    assert (exit_.reason, exit_.count, exit_.eip) == (EXIT_BUDGET, budget, AT + budget % 2)

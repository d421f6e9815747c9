"""Random worlds of rings, gates, tasks, paging and faults: here and under Bochs the same.

Ring 3 has the host's processor for an oracle (tests/oracle), ring 0 has Bochs.
tests/bochs/explained.py lists what may differ and why; a difference that no rule explains fails.
More worlds: `python -m tests.bochs.compare SEED COUNT`.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import pytest

from tests.bochs import layout as at
from tests.bochs import objects as the
from tests.bochs.bochs import MISSING, available, bochs_records
from tests.bochs.compare import both, compare, report
from tests.bochs.explained import AC, GP, PF, RULES, Case, explain
from tests.bochs.generate import START_FRAME, world
from tests.bochs.objects import template
from tests.bochs.ours import run_bare, run_machine
from tests.bochs.record import parse
from tests.bochs.world import World

SEED, PAE_SEED = "ci", "pae"
UD = 6
#: AM is set; everything else of the processor's state is plain.
START = {
    "cr0": 0x40031, "cr3": the.DIRECTORY, "cr4": 0, "dr7": 0, "ldtr": 0, "tr": the.TASK,
    "gdtr": the.GDT << 16 | the.GDT_LIMIT, "idtr": the.IDT << 16 | the.IDT_LIMIT,
    **dict.fromkeys(("ds", "es", "fs", "gs"), the.data_selector(3)),
}  # fmt: skip
needs_bochs = pytest.mark.skipif(not available(), reason=MISSING)


def packed(numbers: range, seed: str = SEED) -> list[bytes]:
    return [world(seed, number).pack(template()) for number in numbers]


@needs_bochs
@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED, PAE_SEED])
def test_worlds_agree_with_bochs(seed: str) -> None:
    result = compare(seed, 0, 400)
    assert not result.findings, report(result)
    assert not result.lost, report(result)
    assert result.compared >= 380


@needs_bochs
def test_a_few_worlds_agree_with_bochs() -> None:
    result = compare(SEED, 400, 12)
    assert not result.findings, report(result)
    assert not result.lost, report(result)
    assert result.compared >= 6


@needs_bochs
def test_a_difference_is_found() -> None:
    """No rule explains a register or a doubleword that is simply wrong."""
    numbers, ours, theirs = both(SEED, range(400, 412))
    number, one, other = next(
        each for each in zip(numbers, ours, theirs, strict=True) if each[1].vector < 0x100
    )
    assert other is not None
    wrong = one.registers["cr0"]
    assert isinstance(wrong, int)
    for damaged in (
        replace(one, registers=one.registers | {"cr0": wrong ^ 0x10000}),
        replace(one, memory=one.memory | {0x5010: 0x12345678}),
    ):
        case = Case(world(SEED, number), damaged, other)
        assert case.names
        assert explain(case)[1], "explained away"


def one_instruction(code: bytes, **state: int) -> World:
    """A world of ring 3 that executes this, with alignment checks and a DS as all have it."""
    made = World(bytearray(template()), world(SEED, 0).state | START | state)
    flat = the.data_selector(3)
    made.put(START_FRAME, struct.pack("<5I", 0x4000, the.CODE32 + 27, 0x40002, 0x3A00, flat))
    made.put(0x4000, code)
    return made


@pytest.mark.parametrize(
    ("code", "vector", "explained"),
    [
        (b"\xa7", AC, True),
        (b"\xf2\x66\xa7", AC, True),
        (b"\xa7", PF, True),
        (b"\xa7", UD, False),
        (b"\xa5", GP, False),  # MOVS: all read before they write
        (b"\x90\xa7", AC, False),
    ],
)
def test_either_operand_of_cmps_may_fault(code: bytes, vector: int, explained: bool) -> None:
    """ES is null, and ESI not aligned; what is not said of CMPS is found."""
    made = one_instruction(code, es=0, esi=0x5001, edi=0x5000)
    [ours] = parse(run_bare(template(), [made.pack(template())])[0])
    theirs = replace(ours, registers=ours.registers | {"vector": vector})
    if code[0] == 0x90:  # they stopped one instruction before
        top = ours.registers["esp"]
        assert isinstance(top, int)
        theirs = replace(theirs, memory=theirs.memory | {top + 4: 0x4000})
    case = Case(made, ours, theirs)
    assert case.names >= {"vector"}
    needed, left = explain(case)
    assert ("either_operand_of_cmps" in needed, "vector" not in left) == (explained, explained)


@needs_bochs
def test_cmps_reads_es_first_here_and_ds_first_there() -> None:
    made = one_instruction(b"\xa7", es=0, esi=0x5001, edi=0x5000).pack(template())
    [ours] = parse(run_bare(template(), [made])[0])
    [theirs] = bochs_records(template(), [made])
    assert theirs is not None
    assert (ours.vector, theirs.vector) == (GP, AC)


def test_worlds_are_repeatable_and_of_many_kinds() -> None:
    """They end in many ways, and most of them by themselves."""
    records, runaways = run_bare(template(), packed(range(120)))
    again, _ = run_bare(template(), packed(range(120)))
    assert records == again
    ends = Counter(record.vector for record in parse(records))
    assert len(runaways) < 12
    assert len(ends) >= 6, ends


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED, PAE_SEED])
def test_worlds_come_out_the_same_translated(seed: str) -> None:
    """The whole monitor on the worlds, to the last accessed bit."""
    batch = packed(range(150), seed)
    _, runaways = run_bare(template(), batch)
    ending = [raw for number, raw in enumerate(batch) if number not in runaways]
    bare = list(parse(run_machine(template(), ending, "bare")))
    translated = list(parse(run_machine(template(), ending, "translate")))
    assert len(bare) == len(translated) == len(ending)
    assert [n for n in range(len(bare)) if bare[n] != translated[n]] == []


def test_every_rule_has_the_manuals_words() -> None:
    for rule in RULES:
        assert rule.source.startswith("SDM vol. "), rule.name
        assert len(rule.words) > 20, rule.name
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_runaways_are_left_out() -> None:
    """A world that jumps to itself is noticed, and the next one runs all the same."""
    endless = world(SEED, 0)
    endless.put(0x4000, b"\xeb\xfe" * 64)
    endless.put(
        0x33C0, (0x4000).to_bytes(4, "little") + at.KCODE.to_bytes(4, "little") + b"\2\0\0\0"
    )
    endless.state["dr7"] = 0
    records, runaways = run_bare(template(), [endless.pack(template()), *packed(range(3, 4))])
    assert 0 in runaways
    assert len(list(parse(records))) == 2


def test_exceptions_without_end_are_left_out() -> None:
    """A handler that faults at its first instruction, on a stack where there is no memory."""
    endless = one_instruction(b"\xbc\0\0\0\x80\x0f\x0b")  # MOV ESP, 80000000h; UD2
    endless.put(START_FRAME, struct.pack("<3I", 0x4000, at.KCODE, 2))
    endless.put(the.IDT + 8 * UD, the.gate(0xE, at.KCODE, 0x4005))
    records, runaways = run_bare(template(), [endless.pack(template()), *packed(range(3, 4))])
    assert runaways == {0}
    assert len(list(parse(records))) == 2

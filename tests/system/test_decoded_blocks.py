"""Decoded code, what is written over it, and where it ends: no block stays that should go."""

from __future__ import annotations

import pytest
from system_lab import CODE, CODE0, CS, EAX, EBX, ECX, EXIT_HALT, GP, Lab

EXIT_BUDGET = 1
ONE, NEXT = 0x50000, 0x51000  # two pages, one behind the other
HLT, INC_EAX, INC_EBX, INC_ECX, RET = (bytes([code]) for code in (0xF4, 0x40, 0x43, 0x41, 0xC3))


def test_the_page_behind_is_watched_as_before(lab: Lab) -> None:
    """The only code of a page is rewritten; that at the beginning of the next one later."""
    lab.memory[ONE : ONE + 2] = INC_EBX + RET
    lab.memory[NEXT : NEXT + 2] = INC_EAX + RET
    for register in (EAX, EBX, ECX):
        lab.cpu.set_reg(register, 0)
    lab.run(
        f"call {NEXT}; call {ONE}; mov byte ptr [{ONE}], 0x41; call {ONE};"
        f"mov byte ptr [{NEXT}], 0x43; call {NEXT}"
    )
    assert [lab.reg(register) for register in (EAX, EBX, ECX)] == [1, 2, 1]


def run_at(lab: Lab, place: int) -> int:
    """How many instructions had to be decoded for it."""
    before = lab.ram.statistics()["decoded"]
    lab.cpu.eip = place
    assert lab.cpu.run(10) == EXIT_HALT
    return lab.ram.statistics()["decoded"] - before


@pytest.mark.parametrize("gone", range(3))
def test_blocks_of_one_hash_chain_go_one_by_one(lab: Lab, gone: int) -> None:
    """Places whose blocks the hash puts together (smc.py: block_hash)."""
    places = [0x50000, 0x60018, 0x70010]
    assert len({(pa ^ pa >> 13) & 0xFFFF for pa in places}) == 1
    for place in places:
        lab.memory[place : place + 2] = INC_EAX + HLT
        assert run_at(lab, place) == 2
        assert run_at(lab, place) == 0
    lab.memory[places[gone]] = INC_EBX[0]
    lab.ram.written(places[gone], 1)
    lab.cpu.set_reg(EBX, 0)
    assert [run_at(lab, place) for place in places] == [2 * (i == gone) for i in range(3)]
    assert [run_at(lab, place) for place in places] == [0, 0, 0]
    assert lab.reg(EBX) == 2


@pytest.mark.parametrize("offset", range(12))
def test_all_bytes_that_were_written_from_outside_count(lab: Lab, offset: int) -> None:
    place = ONE + offset
    lab.memory[place] = HLT[0]
    assert run_at(lab, place) == 1
    lab.ram.written(ONE, offset)
    lab.ram.written(place + 1, 8)
    assert run_at(lab, place) == 0
    lab.ram.written(ONE, 12)
    assert run_at(lab, place) == 1


# --- where code ends --------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 100])
@pytest.mark.parametrize(
    ("code", "where"), [(b"\x90\x90", 2), (b"\x66\x90", 2), (b"\x90\xeb\x00", 1)]
)
def test_code_that_runs_over_the_end_of_its_segment(
    lab: Lab, code: bytes, where: int, step: int
) -> None:
    """#GP(0) of the instruction that would begin there, but of a branch that would go there."""
    end = CODE + len(code)
    lab.cpu.set_segment(CS, CODE0, 0, end - 1, 0x409B)
    stop = lab.run(code, budget=step)
    while stop.reason == EXIT_BUDGET:
        stop = lab.go_on(step)
    assert (stop.vector, stop.error, stop.frame[1]) == (GP, 0, CODE + where)


@pytest.mark.parametrize("head", range(1, 5))
def test_an_instruction_that_goes_on_in_physical_page_0(lab: Lab, head: int) -> None:
    """Its linear page is another; the bytes at physical 0 are code like any others."""
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 7)
    lab.dword(0x80000, 0x81007)
    lab.dword(0x81000 + (NEXT >> 12) * 4, 7)
    lab.cpu.cr3 = 0x80000
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()
    code = b"\xb8\x11\x22\x33\x44\xf4"  # MOV EAX, 44332211h; HLT
    lab.memory[NEXT - head : NEXT] = code[:head]
    lab.memory[0 : len(code) - head] = code[head:]
    for _ in range(2):
        lab.cpu.set_reg(EAX, 0)
        lab.cpu.eip = NEXT - head
        assert lab.cpu.run(10) == EXIT_HALT
        assert lab.reg(EAX) == 0x44332211

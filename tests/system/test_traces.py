"""What the processor notes of each instruction while Ram.record() is on, with its own privilege."""

from __future__ import annotations

import pytest
from system_lab import CODE, DATA, EAX, Lab

from bt.interp.state import RECORD_CODE, RECORD_PAGING, RECORD_RING_SHIFT, RECORD_WIDE, TRACE_V86

Note = tuple[int, int, int, bytes]  # flags of the place, EIP, root, the first bytes of the code


def notes(lab: Lab, code: bytes, bits: int = 32) -> list[Note]:
    lab.ram.record(16)
    lab.run(code, bits, budget=2)
    found = lab.ram.take_record()
    lab.ram.record(0)
    return [
        (place >> 32, place & 0xFFFFFFFF, root, (low | high << 64).to_bytes(16, "little"))
        for place, root, _, low, high in found
    ]


INC_NOP = b"\x40\x90"
HAS_CODE = RECORD_CODE >> 32


@pytest.mark.parametrize("cpl", [0, 3])
def test_flat_code(lab: Lab, cpl: int) -> None:
    found = notes(lab.ring(cpl), INC_NOP)
    place = HAS_CODE | cpl << RECORD_RING_SHIFT - 32
    assert [note[:3] for note in found] == [
        (place, CODE, RECORD_WIDE), (place, CODE + 1, RECORD_WIDE)
    ]  # fmt: skip
    assert found[0][3][:2] == INC_NOP and found[1][3][:1] == b"\x90"
    assert lab.reg(EAX) == 1


def test_real_mode_has_a_base_and_16_bits(lab: Lab) -> None:
    found = notes(lab.real_mode(), INC_NOP, 16)
    root = CODE << 32
    assert [note[:3] for note in found] == [(HAS_CODE, 0, root), (HAS_CODE, 1, root)]
    assert found[0][3][:2] == INC_NOP


def test_virtual_8086_mode_is_told(lab: Lab) -> None:
    found = notes(lab.v86(), INC_NOP, 16)
    place = (RECORD_CODE | TRACE_V86 | 3 << RECORD_RING_SHIFT) >> 32
    assert [note[:3] for note in found] == [(place, 0, CODE << 32), (place, 1, CODE << 32)]


def test_the_root_has_the_page_tables(lab: Lab) -> None:
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 7)
    lab.dword(0x80000, 0x81007)
    lab.cpu.cr3 = 0x80018
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()
    assert {note[2] for note in notes(lab, INC_NOP)} == {0x80000 | RECORD_PAGING | RECORD_WIDE}


def test_the_bytes_of_the_longest_instruction(lab: Lab) -> None:
    store = b"\xc7\x05" + DATA.to_bytes(4, "little") + b"\x01\x02\x03\x04"
    found = notes(lab, b"\x3e" * 5 + store + b"\x90")
    assert found[0][3] == b"\x3e" * 5 + store + b"\0"
    assert lab.peek(DATA) == 0x04030201


def test_bytes_are_noted_as_far_as_the_page_goes(lab: Lab) -> None:
    end = CODE + 0x1000
    lab.memory[end - 3 : end + 16] = INC_NOP + b"\xb8" + b"\xee" * 16  # MOV EAX, EEEEEEEEh
    lab.cpu.eip = end - 3
    lab.ram.record(16)
    lab.cpu.run(3)
    codes = [low | high << 64 for _, _, _, low, high in lab.ram.take_record()]
    assert codes == [0xB89040, 0xB890, 0xB8]
    assert lab.reg(EAX) == 0xEEEEEEEE

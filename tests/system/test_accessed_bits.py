"""The accessed bit of a segment's descriptor is set when the segment is loaded, and only then.

SDM vol. 3, 3.4.5.1: the processor sets it "whenever it loads a segment selector for the segment
into a segment register". An instruction that faults after it has looked at a descriptor has not
loaded it.
"""

from __future__ import annotations

import struct

import pytest
from system_lab import (
    CODE3,
    CONFORMING,
    DATA1,
    DATA3,
    ESP,
    FREE,
    GP,
    STACK3,
    TS,
    TSS_MAIN,
    Lab,
    descriptor,
    gate,
)

IRET, RETF = b"\xcf", b"\xcb"
JMP, CALL = 0xEA, 0x9A
TARGET = 0x10800
INT = b"\xcd\x2f"
SHORT = FREE  # code that ends before TARGET
BAD_STACK = 0x58  # a code segment


def _far(opcode: int, selector: int, offset: int = TARGET) -> bytes:
    return bytes([opcode]) + struct.pack("<IH", offset, selector)


def _accessed(lab: Lab, *selectors: int) -> list[int]:
    return [lab.attr(selector) & 1 for selector in selectors]


@pytest.mark.parametrize(("code", "words"), [(IRET, 3), (RETF, 2)])
def test_outward_return_without_a_stack(lab: Lab, code: bytes, words: int) -> None:
    frame = [*[TARGET, CODE3, 2][:words], STACK3, BAD_STACK | 3]
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, *frame)
    assert lab.run(code).vector == GP
    assert _accessed(lab, CODE3) == [0]


@pytest.mark.parametrize(("code", "words"), [(IRET, 3), (RETF, 2)])
def test_outward_return_marks_both(lab: Lab, code: bytes, words: int) -> None:
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, *[TARGET, CODE3, 2][:words], STACK3, DATA3)
    lab.run(code, budget=1)
    assert _accessed(lab, CODE3, DATA3) == [1, 1]


@pytest.mark.parametrize("code", [IRET, RETF, _far(JMP, SHORT), _far(CALL, SHORT)])
def test_eip_beyond_the_limit(lab: Lab, code: bytes) -> None:
    lab.describe(SHORT, descriptor(0, 0xFFFF, 0x409A))
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, TARGET, SHORT, 2)
    stop = lab.run(code)
    assert (stop.vector, stop.error) == (GP, 0)
    assert _accessed(lab, SHORT) == [0]


@pytest.mark.parametrize("code", [IRET, RETF, _far(JMP, CONFORMING), _far(CALL, CONFORMING)])
def test_same_level_marks(lab: Lab, code: bytes) -> None:
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, TARGET, CONFORMING, 2)
    lab.run(code, budget=1)
    assert lab.cpu.eip == TARGET
    assert _accessed(lab, CONFORMING) == [1]


def _inward(lab: Lab, code: bytes, offset: int, limit: int) -> None:
    """Ring 3 calls ring 1 through a gate to a segment with that limit."""
    lab.describe(SHORT, descriptor(0, limit, 0x40BA))
    lab.describe(FREE + 8, gate(0xC, SHORT | 1, offset, 3))
    lab.idt(0x2F, gate(0xE, SHORT | 1, offset, 3))
    lab.ring(3)


@pytest.mark.parametrize("code", [_far(CALL, FREE + 8), INT])
def test_gate_beyond_the_limit(lab: Lab, code: bytes) -> None:
    _inward(lab, code, TARGET, 0xFFFF)
    assert lab.run(code).vector == GP
    assert _accessed(lab, SHORT, DATA1) == [0, 0]


@pytest.mark.parametrize("code", [_far(CALL, FREE + 8), INT])
def test_gate_without_a_stack(lab: Lab, code: bytes) -> None:
    _inward(lab, code, TARGET, 0xFFFFF)
    lab.dword(TSS_MAIN + 16, BAD_STACK | 1)
    stop = lab.run(code)
    assert (stop.vector, stop.error & ~1) == (TS, BAD_STACK)
    assert _accessed(lab, SHORT) == [0]


@pytest.mark.parametrize("code", [_far(CALL, FREE + 8), INT])
def test_gate_marks_both(lab: Lab, code: bytes) -> None:
    _inward(lab, code, TARGET, 0xFFFFF)
    lab.run(code, budget=1)
    assert lab.cpu.cpl == 1
    assert _accessed(lab, SHORT, DATA1) == [1, 1]

"""IN and OUT: privilege, the I/O permission bitmap, the clock (SDM vol. 1, ch. 19)."""

from __future__ import annotations

import pytest
from system_lab import (
    CODE,
    DATA,
    DATA0,
    DS,
    EAX,
    ECX,
    EDX,
    ES,
    EXIT_IO,
    GP,
    STACK0,
    TR,
    TSS_MAIN,
    UD,
    Lab,
)

BITMAP = TSS_MAIN + 104


def deny(lab: Lab, *ports: int) -> None:
    """A bitmap for ports 0 to 0x3FF, all open but these; the byte after it all ones."""
    lab.memory[BITMAP : BITMAP + 0x81] = bytes(0x80) + b"\xff"
    for port in ports:
        lab.memory[BITMAP + port // 8] |= 1 << port % 8


def test_sizes_and_registers(lab: Lab) -> None:
    lab.ports.values = {0x60: 0xABCDEF, 0x1234: 0x89ABCDEF}
    lab.cpu.set_reg(EAX, 0xFFFFFFFF)
    lab.run("in al, 0x60")
    assert lab.reg(EAX) == 0xFFFFFFEF
    lab.run("in ax, 0x60")
    assert lab.reg(EAX) == 0xFFFFCDEF
    lab.run("mov edx, 0xffff1234; in eax, dx")
    assert lab.reg(EAX) == 0x89ABCDEF
    lab.run("out 0x80, al; out 0x81, ax; out dx, eax")
    assert lab.ports.written == [(0x80, 1, 0xEF), (0x81, 2, 0xCDEF), (0x1234, 4, 0x89ABCDEF)]


@pytest.mark.parametrize(
    ("cpl", "iopl", "allowed"), [(0, 0, True), (3, 3, True), (3, 2, False), (1, 1, True)]
)
def test_iopl(lab: Lab, cpl: int, iopl: int, allowed: bool) -> None:
    deny(lab, 0x60)
    lab.ring(cpl).cpu.set_flags(iopl << 12 | 2)
    stop = lab.run("in al, 0x60", budget=1 if allowed else 10)
    if allowed:
        assert lab.cpu.eip == CODE + 2
    else:
        assert (stop.vector, stop.error) == (GP, 0)
        assert lab.ports.seen == []


@pytest.mark.parametrize(
    ("code", "port", "denied", "allowed"),
    [
        ("in al, dx", 0x3F8, (), True),
        ("in al, dx", 0x3F8, (0x3F8,), False),
        ("in al, dx", 0x3F8, (0x3F7, 0x3F9), True),
        ("out dx, ax", 0x3F7, (0x3F8,), False),  # the second port, in the next byte
        ("out dx, eax", 0x3F0, (0x3F3,), False),
        ("out dx, eax", 0x3F0, (0x3F4,), True),
        ("in al, dx", 0x3FF, (), True),
        ("in ax, dx", 0x3FF, (), False),  # the byte after the bitmap forbids
        ("in al, dx", 0x400, (), False),
        ("in al, dx", 0xFFFF, (), False),
    ],
)
@pytest.mark.parametrize("mode", ["ring 3", "v86"])
def test_bitmap(
    lab: Lab, mode: str, code: str, port: int, denied: tuple[int, ...], allowed: bool
) -> None:
    deny(lab, *denied)
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, 104 + 0x80, 0x8B)
    if mode == "v86":
        lab.v86(iopl=3)  # IOPL does not matter there
    else:
        lab.ring(3)
    lab.cpu.set_reg(EDX, port)
    stop = lab.run(code, bits=16 if mode == "v86" else 32, budget=1 if allowed else 10)
    if allowed:
        assert len(lab.ports.seen) == 1
    else:
        assert (stop.vector, stop.error) == (GP, 0)


def test_two_bytes_of_bitmap_are_always_read(lab: Lab) -> None:
    deny(lab)
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, 104 + 0x7F, 0x8B)  # no byte after the bitmap
    lab.ring(3).cpu.set_reg(EDX, 0x3F8)
    assert lab.run("in al, dx").vector == GP


def test_16_bit_tss_has_no_bitmap(lab: Lab) -> None:
    deny(lab)
    lab.word(TSS_MAIN + 2, STACK0, DATA0)
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, 0xFFF, 0x83)
    assert lab.ring(3).run("in al, 0x60").vector == GP


def test_ins_and_outs_ask_too(lab: Lab) -> None:
    deny(lab, 0x60)
    lab.ring(3)
    for code in ("insb", "outsb"):
        lab.cpu.set_reg(EDX, 0x60)
        lab.cpu.set_reg(7, DATA)
        stop = lab.ring(3).run(code)
        assert (stop.vector, stop.error) == (GP, 0)


@pytest.mark.parametrize("code", ["rep insb", "rep insd", "rep outsb", "rep outsd"])
@pytest.mark.parametrize(("denied", "vector"), [((0x60,), GP), ((), UD)])
@pytest.mark.parametrize("mode", ["ring 3", "v86"])
def test_rep_ins_and_outs_of_nothing_ask_too(
    lab: Lab, mode: str, code: str, denied: tuple[int, ...], vector: int
) -> None:
    """Processors do before they look at the count (tests/oracle/test_host.py asks the host's).

    Nothing else happens: the memory operand would fault.
    """
    deny(lab, *denied)
    if mode == "v86":
        lab.v86()
    else:
        lab.ring(3)
    for seg in (ES, DS):
        lab.cpu.set_segment(seg, 0, 0, 0, 0xF0)
    lab.cpu.set_reg(EDX, 0x60)
    lab.cpu.set_reg(ECX, 0x10000 if mode == "v86" else 0)  # CX is what counts there
    registers = lab.regs()
    stop = lab.run(code, bits=16 if mode == "v86" else 32)
    assert stop.vector == vector
    assert lab.ports.seen == []
    assert lab.regs()[:4] + lab.regs()[5:] == registers[:4] + registers[5:]


def test_callback_sees_where_and_when(lab: Lab) -> None:
    lab.run("nop; nop; in al, 0x60; nop; out 0x60, al")
    assert lab.ports.seen == [(CODE + 2, 2), (CODE + 5, 4)]
    assert lab.cpu.icount() == 6


def test_a_device_gets_the_loop(lab: Lab) -> None:
    lab.ports.interrupt_on = 0x61
    stop = lab.run("nop; out 0x60, al; in al, 0x61; nop; nop")
    assert (stop.reason, stop.eip, lab.cpu.icount()) == (EXIT_IO, CODE + 5, 3)
    stop = lab.go_on()
    assert stop.eip == CODE + 8
    assert lab.cpu.icount() == 6

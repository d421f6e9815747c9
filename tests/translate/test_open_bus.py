"""Physical addresses without RAM: ones where nobody answers, a device where one does."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_lab import DATA, PRESENT, WRITE, Kernel, agree, look, make

MODES = ("bare", "translate")
END_OF_RAM = 4 << 20  # of the small kernel's machine


class Cells:
    """A device of four bytes of memory."""

    name = "cells"

    def __init__(self) -> None:
        self.cells = bytearray(b"\x11\x22\x33\x44")

    def read_memory(self, offset: int, size: int) -> int:
        return int.from_bytes(self.cells[offset : offset + size], "little")

    def write_memory(self, offset: int, size: int, value: int) -> None:
        self.cells[offset : offset + size] = value.to_bytes(size, "little")


READS = """
    movzx eax, byte ptr [{at}]
    mov  [DATA], eax
    movzx eax, word ptr [{at}]
    mov  [DATA + 4], eax
    mov  eax, [{at}]
    mov  [DATA + 8], eax
    mov  dword ptr [{at}], 0x12345678
    add  byte ptr [{at}], 3
    mov  eax, [{at}]
    mov  [DATA + 12], eax
    mov  ecx, 16
    mov  esi, {at}
    mov  edi, DATA + 16
    cld
    rep  movsb
    int  0x31
"""


@pytest.mark.parametrize("at", [0xA0000, 0xFFFF0, END_OF_RAM, END_OF_RAM + 0x900000, 0xFEC00000])
@pytest.mark.parametrize("paging", [False, True])
def test_reads_are_ones_and_writes_vanish(at: int, paging: bool) -> None:
    pages = {at & -4096: at & -4096 | PRESENT | WRITE} if at >= END_OF_RAM else {}
    done = agree(Kernel(READS.format(at=at), paging=paging, pages=pages)).bare
    assert [done.dword(DATA + i) for i in (0, 4, 8, 12)] == [0xFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF]
    assert done.machine.memory.read(DATA + 16, 16) == b"\xff" * 16


def test_the_edge_of_ram() -> None:
    source = "mov eax, [0x9fffe] \n mov [DATA], eax \n mov dword ptr [0x9ffff], 0 \n int 0x31"
    done = agree(Kernel(source, memory={0x9FFFC: b"\x01\x02\x03\x04"})).bare
    assert done.dword(DATA) == 0xFFFF0403
    assert done.machine.memory.read(0x9FFFC, 4) == b"\x01\x02\x03\x00"


def test_page_tables_on_the_open_bus() -> None:
    """A directory entry of ones is present and large, with reserved bits set."""
    source = f"mov eax, {END_OF_RAM} \n mov cr3, eax \n int 0x31"
    agree(Kernel(source, paging=True), ends=None)


def test_code_on_the_open_bus() -> None:
    """FF FF is no instruction: #UD, there."""
    source = "mov dword ptr [RESUME], after \n jmp far 0x08:0xb0000 \n after: int 0x31"
    (line,) = agree(Kernel(source)).bare.log
    assert (line.vector, line.eip) == (6, 0xB0000)


@pytest.mark.parametrize("mode", MODES)
def test_the_bus_is_not_asked(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests look through hundreds of KiB for ROMs that are not there."""
    source = "mov esi, 0xc0000 \n again: lodsd \n cmp esi, 0x100000 \n jb again \n int 0x31"
    machine = make(Kernel(source), mode)
    asked: list[int] = []
    monkeypatch.setattr(machine.board.bus, "read_memory", lambda at, _size: asked.append(at) or 0)
    done = look(machine, machine.run(max_instructions=1_000_000))
    assert done.outcome.kind == "exit"
    assert asked == []


def with_device(source: str, mode: str, at: int) -> tuple[Any, Cells]:
    device = Cells()
    machine = make(Kernel(source), mode)
    machine.board.bus.claim_memory(at, 4, device)
    return machine, device


@pytest.mark.parametrize("mode", MODES)
def test_a_device_between_the_open_bus(mode: str) -> None:
    source = """
    mov  eax, [0xd0000]
    mov  [DATA], eax
    mov  eax, [0xd0004]
    mov  [DATA + 4], eax
    mov  eax, [0xd0006]
    mov  [DATA + 8], eax
    mov  word ptr [0xd0005], 0xabcd
    int  0x31
    """
    machine, device = with_device(source, mode, 0xD0004)
    done = look(machine, machine.run(max_instructions=1_000_000))
    words = [done.dword(DATA + i) for i in (0, 4, 8)]
    assert words == [0xFFFFFFFF, 0x44332211, 0xFFFF4433]
    assert device.cells == b"\x11\xcd\xab\x44"


@pytest.mark.parametrize("mode", MODES)
def test_a_device_that_comes_where_the_bus_was_open(mode: str) -> None:
    source = """
    mov  eax, [0xd0004]
    mov  [DATA], eax
    out  0x80, al
    mov  eax, [0xd0004]
    mov  [DATA + 4], eax
    int  0x31
    """
    machine = make(Kernel(source), mode)
    while machine.memory.read(DATA, 4) != b"\xff" * 4:
        machine.run(max_instructions=1)
    machine.board.bus.claim_memory(0xD0004, 4, Cells())
    done = look(machine, machine.run(max_instructions=1_000_000))
    assert [done.dword(DATA), done.dword(DATA + 4)] == [0xFFFFFFFF, 0x44332211]

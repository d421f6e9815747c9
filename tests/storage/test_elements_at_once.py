"""REP INS and OUTS move many elements at once, and nobody can tell: time, deadlines, memory."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest
from storage_lab import CD_AT, DISK_AT, boot, cd, iso, modes, out, pio, run, sectors

from devices.bus import Bus
from devices.errors import BadRange
from monitor.vmm.board import Board
from monitor.watch.trace_model import TraceEvent

DISK, CD = sectors(4096, salt=3), iso()
DRIVES = {"hda": DISK, "cdrom": CD}
IDT, NOTES = 0x7000, 0x60000
# Counter 0 interrupts every 51 us, five times a sector, and how far the REP is by then is noted.
TICKS = (
    out(0x20, 0x11) + out(0x21, 0x20, 4, 1, 0xFE) + out(0x43, 0x34) + out(0x40, 61, 0)
    + f""" call begin
note:
 mov ebx, [{NOTES:#x}]
 mov [ebx], ecx
 mov [ebx + 4], edi
 mov [ebx + 8], esi
 add dword ptr [{NOTES:#x}], 12
 push eax
 mov al, 0x20
 out 0x20, al
 pop eax
 iretd
begin:
 mov dword ptr [{NOTES:#x}], {NOTES + 4:#x}
 pop eax
 mov [{IDT + 0x100:#x}], ax
 mov [{IDT + 0x104:#x}], eax
 mov word ptr [{IDT + 0x102:#x}], cs
 mov word ptr [{IDT + 0x104:#x}], 0x8E00
 push {IDT:#x}
 push 0x7FF0000
 lidt [esp + 2]
 sti
"""
)
AT_END = " rdtsc\n mov ebx, eax\n in al, 0x40\n"  # where time has come to
SOURCE = TICKS + pio(0x20, 1000, 3, DISK_AT + 0xE81) + pio(0x30, 8, 2, DISK_AT) + AT_END
PACKETS = TICKS + cd(20, 3, CD_AT) + AT_END


def life(mode: str, source: str) -> tuple[Any, ...]:
    """Everything that a guest, or somebody who looks at it, could tell."""
    machine = boot(mode, source, DRIVES)
    machine.write_physical(DISK_AT, sectors(4, salt=99))
    run(machine)
    memory = hashlib.sha256(machine.memory.map().tobytes()).hexdigest()
    notes = struct.unpack("<768I", machine.read_physical(NOTES + 4, 3072))
    assert sum(0 < ecx < 256 for ecx in notes[::3]) > 4
    disk = machine.storage["hda"].unit.medium.read(8 * 512, 1024)
    return (machine.instructions, machine.registers, machine.clock.now(), memory, disk,
            machine.board.snapshot(), machine.board.accesses)  # fmt: skip


@modes
@pytest.mark.parametrize("source", [SOURCE, PACKETS], ids=["disk", "cd"])
def test_nobody_can_tell(monkeypatch: pytest.MonkeyPatch, mode: str, source: str) -> None:
    calls = []
    real = Board.read_port, Board.write_port

    def read(board: Board, port: int, size: int) -> int:
        calls.append(port)
        return real[0](board, port, size)

    def write(board: Board, port: int, size: int, value: int) -> None:
        calls.append(port)
        real[1](board, port, size, value)

    monkeypatch.setattr(Board, "read_port", read)
    monkeypatch.setattr(Board, "write_port", write)
    at_once = life(mode, source)
    few = sum(port in (0x1F0, 0x170) for port in calls)
    calls.clear()
    monkeypatch.setattr(Bus, "read_ports", lambda *_args: b"")
    monkeypatch.setattr(Bus, "write_ports", lambda *_args: 0)
    assert life(mode, source) == at_once
    many = sum(port in (0x1F0, 0x170) for port in calls)
    assert many >= 5 * 256 and few < many // 8


@modes
def test_who_listens_hears_each(mode: str) -> None:
    machine = boot(mode, pio(0x20, 1000, 1, DISK_AT), DRIVES)
    heard: list[TraceEvent] = []
    with machine.watch.trace("device", sink=heard.append):
        run(machine)
    assert sum(event.text.startswith("in 0x1f0") for event in heard) == 256


def test_an_exception_of_a_device_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> bytes:
        raise BadRange("broken")

    monkeypatch.setattr(Bus, "read_ports", broken)
    machine = boot("bare", pio(0x20, 1000, 1, DISK_AT), DRIVES)
    with pytest.raises(Exception, match="broken"):
        run(machine)

"""A guest that reads and writes drives by polling, and its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from devices.storage.ide_bus_master import BusMasterPorts
from monitor import Machine

MODES = ("bare", "trap", "translate")
modes = pytest.mark.parametrize("mode", MODES)
ORIGIN, STACK = 0x100000, 0x90000
MASTER = 0xC000
FLOPPY_AT, DISK_AT, MASTER_AT, CD_AT, TABLE = 0x20000, 0x30000, 0x40000, 0x50000, 0x8000


def sectors(number: int, size: int = 512, salt: int = 0) -> bytes:
    """Each begins with its number."""
    return b"".join(
        n.to_bytes(4, "little") + bytes([n * 7 + salt & 0xFF]) * (size - 4) for n in range(number)
    )


def iso(blocks: int = 40) -> bytes:
    """A CD with a volume descriptor and nothing to see."""
    data = bytearray(sectors(blocks, 2048))
    data[16 * 2048 : 17 * 2048] = bytes(2048)
    data[16 * 2048 : 16 * 2048 + 7] = b"\x01CD001\x01"
    data[16 * 2048 + 80 : 16 * 2048 + 84] = blocks.to_bytes(4, "little")
    return bytes(data)


def out(port: int, *values: int) -> str:
    return f" mov edx, {port:#x}\n" + "".join(
        f" mov al, {value:#x}\n out dx, al\n" for value in values
    )


def until(port: int, mask: int, value: int) -> str:
    """Poll a port until its bits are so."""
    return (
        f" mov edx, {port:#x}\npoll:\n in al, dx\n and al, {mask:#x}\n"
        f" cmp al, {value:#x}\n jne poll\n"
    )


def code(source: str) -> bytes:
    """Assembled, each poll with a label of its own."""
    first, *polls = source.split("poll:\n")
    whole = first + "".join(
        f"poll{i}:\n" + each.replace("jne poll\n", f"jne poll{i}\n") for i, each in enumerate(polls)
    )
    return assemble(whole, ORIGIN, bits=32)


def to_fdc(*command: int) -> str:
    return "".join(until(0x3F4, 0xC0, 0x80) + out(0x3F5, byte) for byte in command)


def fdc_result(number: int) -> str:
    return (until(0x3F4, 0xC0, 0xC0) + " mov edx, 0x3F5\n in al, dx\n") * number


def dma(mode: int, address: int, size: int) -> str:
    last = size - 1
    return (out(0x0A, 6) + out(0x0C, 0) + out(0x0B, mode)
            + out(0x04, address & 0xFF, address >> 8 & 0xFF) + out(0x81, address >> 16)
            + out(0x05, last & 0xFF, last >> 8) + out(0x0A, 2))  # fmt: skip


START_FLOPPY = (out(0xD6, 0xC0) + out(0xD4, 0) + out(0x3F2, 0x1C)
                + (to_fdc(0x08) + fdc_result(2)) * 4
                + out(0x3F7, 0) + to_fdc(0x03, 0xDF, 0x02))  # fmt: skip


def floppy(command: int, address: int, sector: int, number: int) -> str:
    mode = 0x4A if command == 0x45 else 0x46
    return (dma(mode, address, 512 * number)
            + to_fdc(command, 0, 0, 0, sector, 2, 18, 0x1B, 0xFF) + fdc_result(7))  # fmt: skip


def ata(code: int, lba: int, number: int, base: int = 0x1F0) -> str:
    registers = (6, 0xE0), (2, number), (3, lba & 0xFF), (4, lba >> 8 & 0xFF), (5, lba >> 16)
    return "".join(out(base + at, value) for at, value in (*registers, (7, code)))


def pio(code: int, lba: int, number: int, address: int) -> str:
    """READ or WRITE SECTORS with REP INSW or OUTSW."""
    register, move = ("edi", "rep insw") if code == 0x20 else ("esi", "rep outsw")
    one = until(0x1F7, 0x88, 0x08) + f" mov edx, 0x1F0\n mov ecx, 256\n {move}\n"
    return (
        ata(code, lba, number)
        + f" cld\n mov {register}, {address:#x}\n"
        + one * number
        + until(0x1F7, 0x88, 0x00)
    )


def master(code: int, lba: int, number: int, address: int) -> str:
    """READ or WRITE DMA with one region."""
    size = 512 * number | 0x80000000
    begin = (
        f" mov dword ptr [{TABLE:#x}], {address:#x}\n"
        f" mov dword ptr [{TABLE + 4:#x}], {size:#x}\n"
        f" mov edx, {MASTER + 4:#x}\n mov eax, {TABLE:#x}\n out dx, eax\n"
    )
    begin += out(MASTER + 2, 6) + ata(code, lba, number) + out(MASTER, 9 if code == 0xC8 else 1)
    return begin + until(MASTER + 2, 4, 4) + until(0x1F7, 0x88, 0x00) + out(MASTER, 0)


def cd(block: int, number: int, address: int) -> str:
    """READ(10), all of it in one piece; a first packet takes the news of the reset."""

    def packet(*raw: int) -> str:
        whole = bytes(raw).ljust(12, b"\0")
        words = [int.from_bytes(whole[i : i + 2], "little") for i in range(0, 12, 2)]
        return (out(0x176, 0xA0) + out(0x171, 0) + out(0x174, 0) + out(0x175, 0x80)
                + out(0x177, 0xA0) + until(0x177, 0x88, 0x08) + " mov edx, 0x170\n"
                + "".join(f" mov ax, {word:#x}\n out dx, ax\n" for word in words))  # fmt: skip

    read = packet(0x28, 0, *block.to_bytes(4, "big"), 0, *number.to_bytes(2, "big"))
    return (packet(0) + until(0x177, 0x88, 0x00) + read + until(0x177, 0x88, 0x08)
            + f" mov edx, 0x170\n cld\n mov edi, {address:#x}\n mov ecx, {number * 1024}\n"
            + " rep insw\n" + until(0x177, 0x88, 0x00))  # fmt: skip


def boot(mode: str, source: str, drives: Mapping[str, Any]) -> Machine:
    """A machine with this guest in it, and the bus master of its first channel at MASTER."""
    machine = Machine(memory_mb=4, mode=mode, drives=drives)
    fit_master(machine)
    machine.load_flat(code(source + "\n cli\n hlt\n"), ORIGIN, esp=STACK)
    return machine


def fit_master(machine: Machine) -> None:
    if "ide0" in machine.devices:
        engine = machine.devices["ide0"].bus_master
        ports = BusMasterPorts(engine, engine)
        machine.devices.plug(ports, ports=range(MASTER, MASTER + 16), name="bus-master-ports")
        del machine.board.devices._devices["bus-master-ports"]  # part of its channel


def run(machine: Machine, most: int = 3_000_000) -> None:
    outcome = machine.run(timeout=PATIENCE, max_instructions=most)
    assert outcome.kind == "stuck", outcome

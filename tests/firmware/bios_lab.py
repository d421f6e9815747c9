"""Small BIOSes, and machines that begin at the reset vector."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine, Outcome
from monitor.firmware.rom_files import find

SEGMENT = 0x10000  # the code of a small BIOS fills F0000 to FFFFF
MODES = ("bare", "translate")
SAY = "mov dx, 0x402\n out dx, al\n"
CONFIG = """
    mov  dx, 0xcf8
    mov  eax, {address:#x}
    out  dx, eax
    mov  dx, {port:#x}
    mov  {register}, {value:#x}
    out  dx, {register}
"""


def bios(source: str, size: int = 128 << 10) -> bytes:
    """16-bit code at F000:0000, which the reset vector jumps to."""
    code = assemble(source, 0, bits=16)
    jump = b"\xea\x00\x00\x00\xf0"
    return (b"\xff" * (size - SEGMENT) + code).ljust(size - 16, b"\xff") + jump.ljust(16, b"\xff")


def set_config(place: int, register: int, value: int, size: int = 1) -> str:
    """Code that writes a register of PCI's configuration; `place` is device * 8 + function."""
    address = 0x80000000 | place << 8 | register & 0xFC
    name = {1: "al", 2: "ax", 4: "eax"}[size]
    return CONFIG.format(address=address, port=0xCFC + register % 4, register=name, value=value)


def machine_with(image: bytes, mode: str = "bare", **options: object) -> Machine:
    """About to execute its first instruction."""
    machine = Machine(memory_mb=4, mode=mode, chipset="i440fx")
    machine.load_bios(image, **options)  # type: ignore[arg-type]
    return machine


def run(machine: Machine, most: int = 200_000) -> Outcome:
    """To the guest's own end."""
    return machine.run(max_instructions=most, timeout=PATIENCE)


def said(machine: Machine) -> bytes:
    """What its firmware told of itself."""
    return machine.firmware_log.output.tail


@cache
def seabios(name: str) -> Path | None:
    """A file of SeaBIOS's, if there is one here."""
    return find(name)

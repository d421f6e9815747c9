"""Disassembly for people: capstone, with names for the slots of the vCPU pages."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

import capstone

from bt import vcpu_page
from monitor.extensions.slots import SLOTS

SLOT = r"\b({}):\[(e[a-z]{{2}}\*4 \+ )?(0x[0-9a-f]+|\d+)?\]"


class CodeLine(NamedTuple):
    """One instruction."""

    address: int
    size: int
    text: str


def lines(code: bytes, address: int) -> Iterator[CodeLine]:
    """Disassemble; what is no instruction comes byte by byte as `.byte`."""
    for at, size, mnemonic, operands in _decoder().disasm_lite(code, address):
        yield CodeLine(at, size, f"{mnemonic} {operands}".rstrip())


def one(code: bytes, address: int, wide: bool = True) -> CodeLine:
    """The first instruction of some code, 32 or 16 bits."""
    for at, size, mnemonic, operands in _decoder(wide).disasm_lite(code, address, 1):
        return CodeLine(at, size, f"{mnemonic} {operands}".rstrip())
    return CodeLine(address, len(code), "?")


def with_slots(text: str, reserved: str) -> str:
    """`gs:[0x1000]` as `gs:[VSYS]`: for translated code only, which has this register reserved."""
    return re.sub(SLOT.format(reserved), _slot, text)


def _slot(match: re.Match[str]) -> str:
    value = int(match[3], 0) if match[3] else 0
    name = slot_names().get(value, hex(value))
    return f"{match[1]}:[{match[2] or ''}{name}]"


@functools.cache
def slot_names() -> dict[int, str]:
    """Offsets in the vCPU pages (bt/stubs.py) by name."""
    names = {getattr(vcpu_page, name): name for name in vcpu_page.SLOTS}
    names |= {slot.offset: name for name, slot in SLOTS.items()}
    for i in range(4):
        names[vcpu_page.READ_BOUNDS + 8 * i] = f"READ_BOUNDS_{1 << i}"
        names[vcpu_page.WRITE_BOUNDS + 8 * i] = f"WRITE_BOUNDS_{1 << i}"
    return names


@functools.cache
def _decoder(wide: bool = True) -> capstone.Cs:
    mode = capstone.CS_MODE_32 if wide else capstone.CS_MODE_16
    decoder = capstone.Cs(capstone.CS_ARCH_X86, mode)
    decoder.skipdata = True
    return decoder

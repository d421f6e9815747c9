"""`x`, `xp` and `print`: memory and values, in the format that gdb and QEMU share.

    x /FMT ADDRESS      FMT is a count, a format and a size: /8xw, /3i, /c
                        formats: x d u o c (characters) i (instructions); sizes: b h w g
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from monitor.console.command import Command, Context
from monitor.console.expressions import value
from monitor.vmm.errors import UserError
from monitor.watch import disassembly

SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
FORMATS = "xduoci"
FMT = re.compile(rf"(\d*)([{FORMATS}]?)([bhwg]?)|(\d*)([bhwg])([{FORMATS}])")
MOST = 1024  # items
LONGEST_INSTRUCTION = 15
ROW = 16  # bytes
MASK = 0xFFFFFFFF
DB = 0x4000  # a code segment's default size, in its rights

Read = Callable[[int, int], bytes]


class Format(NamedTuple):
    """How to show, and how much."""

    items: int
    shape: str
    size: int


def parse_format(text: str) -> tuple[Format, str]:
    """The `/FMT` that a text may begin with, and the rest. UserError."""
    if not text.startswith("/"):
        return Format(1, "x", 4), text
    word, _, rest = text[1:].partition(" ")
    match = FMT.fullmatch(word)
    if match is None:
        raise UserError(f"/{word}: a format is a count, one of {' '.join(FORMATS)} and a size of "
                        f"{' '.join(SIZES)}: /8xw")  # fmt: skip
    count, shape, size = match[1] or match[4], match[2] or match[6], match[3] or match[5]
    number = int(count) if count and len(count) < 9 else 1 if not count else MOST + 1
    if not 1 <= number <= MOST:
        raise UserError(f"/{word}: choose a count from 1 to {MOST}")
    shape = shape or "x"
    return Format(number, shape, SIZES[size] if size else 1 if shape == "c" else 4), rest


def shown(number: int, shape: str, size: int) -> str:
    """A value of `size` bytes in a format.

    >>> shown(0xFFFE, "d", 2), shown(10, "x", 1), shown(65, "c", 1)
    ('-2', '0x0a', "'A'")
    """
    number &= (1 << 8 * size) - 1
    if shape == "x":
        return f"0x{number:0{2 * size}x}"
    if shape == "o":
        return f"0{number:o}"
    if shape == "c":
        byte = number & 0xFF
        return repr(chr(byte)) if 32 <= byte < 127 else f"'\\x{byte:02x}'"
    return str(number - (1 << 8 * size) if shape == "d" and number >> 8 * size - 1 else number)


def named_values(context: Context) -> dict[str, int]:
    """What `$name` may be: every register, and `$pc`, where the next instruction is."""
    machine = context.machine
    system, registers = machine.system_registers, machine.registers
    return system | registers | {"pc": system["cs_base"] + registers["eip"] & MASK}


def _examine(context: Context, text: str, read: Read) -> str:
    how, rest = parse_format(text.strip())
    address = value(rest, named_values(context)) & MASK
    if how.shape == "i":
        return "\n".join(_code(context, read, address, how.items))
    return "\n".join(_rows(read, address, how))


def _rows(read: Read, address: int, how: Format) -> Iterator[str]:
    each = max(1, ROW // how.size)
    for first in range(0, how.items, each):
        at = address + first * how.size & MASK
        items = min(each, how.items - first)
        data = read(at, items * how.size)
        parts = (data[i : i + how.size] for i in range(0, len(data), how.size))
        cells = (shown(int.from_bytes(part, "little"), how.shape, how.size) for part in parts)
        yield f"{at:08x}: {' '.join(cells)}"


def _code(context: Context, read: Read, address: int, count: int) -> Iterator[str]:
    wide = bool(context.machine.system_registers["cs_rights"] & DB)
    for _ in range(count):
        line = disassembly.one(_readable(read, address), address, wide)
        yield f"{address:08x}: {line.text}"
        address = address + line.size & MASK


def _readable(read: Read, address: int) -> bytes:
    """Up to an instruction's bytes: less where a page ends that nothing follows."""
    for size in (LONGEST_INSTRUCTION, -address % 0x1000):
        try:
            return read(address, size or 1)
        except UserError:
            continue
    return read(address, 1)


def _print(context: Context, text: str) -> str:
    how, rest = parse_format(text.strip())
    number = value(rest, named_values(context))
    return shown(number, how.shape if how.shape != "i" else "x", 8 if number >> 32 else how.size)


COMMANDS = {
    "x": Command("/FMT ADDRESS", "memory, through the guest's page tables (x /8xw $esp)",
                 lambda c, text: _examine(c, text, c.machine.read_memory), looks=True),
    "xp": Command("/FMT ADDRESS", "physical memory",
                  lambda c, text: _examine(c, text, c.machine.read_physical), looks=True),
    "print": Command("/FMT EXPRESSION", "a value, with $registers (print $esp + 8)",
                     _print, looks=True),
}  # fmt: skip

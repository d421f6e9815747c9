"""A small translation cache: code of which only marked instructions count."""

from __future__ import annotations

import pytest
from engine_lab import CEILING, MONITOR, Lab, assemble

from bt.contract import MARK_COUNTS, MARK_STUB, PERM_EXEC, PERM_PINNED

PLAIN, COUNTS, STUB = 0, MARK_COUNTS, MARK_COUNTS | MARK_STUB


SIZE = 0x2000


#: Instructions of a translation cache, each with its mark.
CACHE = (
    ("inc eax", COUNTS), ("inc ebx", COUNTS),
    ("lea esp, [esp - 4]", PLAIN), ("lea esp, [esp + 4]", PLAIN), ("lea edx, [edx + 1]", STUB),
    ("inc esi", PLAIN), ("jmp next", COUNTS),
    ("inc edi", COUNTS),
    ("mov ecx, 2", STUB),
    ("nop", PLAIN), ("nop", PLAIN),
)  # fmt: skip


@pytest.fixture
def cached(lab: Lab) -> Lab:
    """CACHE in the region at CEILING, run with a ceiling above it."""
    lab.engine.set_count_region(CEILING, SIZE)
    for page in range(0, SIZE, 0x1000):
        lab.map(CEILING + page, MONITOR + page >> 12, PERM_EXEC | PERM_PINNED)
    code, marks = bytearray(), bytearray()
    for text, mark in CACHE:
        here = CEILING + len(code)
        source = f"jmp {here + 2:#x}" if "next" in text else text
        data = assemble(source, here)
        code += data
        marks += bytes([mark]) + bytes(len(data) - 1)
    lab.engine.mark(CEILING, bytes(marks) + bytes(16))
    lab.write(MONITOR, bytes(code) + b"\xcc")
    return lab

"""The child's world: its linear memory, the case and result records, the segments.

One memory file is mapped twice: whole in the parent (numpy views), and piece by piece in the child,
at fixed linear addresses below 4 GiB. A *case* is one record: registers, flags, selectors, x87
image, code bytes and the contents of two memory windows. A *result* is the same state afterwards,
with the fault, if any.

    0x10000000  driver (read, execute)          0x18000000  code page; cases start at 0x18000800
    0x10001000  control page, current case      0x20000000  data, two pages, then a hole
    0x10002000  signal stack                    0x20003000  a read-only page of zeros
    0x11000000  cases, 0x12000000 results

The *main window* lies across the boundary of the two data pages, the *edge window* ends where the
hole begins: operands may cross into a mapped and into an unmapped page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAGE = 0x1000

DRIVER = 0x1000_0000
CONTROL = 0x1000_1000
SIGNAL_STACK = 0x1000_2000
SIGNAL_STACK_SIZE = 0x1_0000
CODE_ALIAS = 0x1001_3000  # the code page again, writable
RECORDS = 0x1100_0000
RESULTS = 0x1200_0000
CODE_PAGE = 0x1800_0000
CODE_OFFSET = 0x800
CODE_ADDR = CODE_PAGE + CODE_OFFSET
DATA = 0x2000_0000
DATA_SIZE = 2 * PAGE
READ_ONLY_PAGE = 0x2000_3000

MAIN_WINDOW = DATA + 0xF00
MAIN_SIZE = 512
EDGE_WINDOW = DATA + 0x1F80
EDGE_SIZE = 128
MEM_SIZE = MAIN_SIZE + EDGE_SIZE
WINDOWS = ((MAIN_WINDOW, MAIN_SIZE), (EDGE_WINDOW, EDGE_SIZE))

CODE_MAX = 56  # bytes of code under test; the rest of the slot holds the jump back
SLOT = 64
CAPACITY = 8192  # cases per batch

# The control page. The current case's head is copied here, the result's head is built here.
CURRENT = CONTROL
OUT = CONTROL + 0x804  # so that XMM registers lie at multiples of 16: the code may check alignment
INDEX = CONTROL + 0x200
COUNT = CONTROL + 0x204
FLAT_SELECTOR = CONTROL + 0x208
PIPE_BYTE = CONTROL + 0x210
AFTER_FAULT_POINTER = CONTROL + 0x218  # m16:32
DRIVER_POINTER = CONTROL + 0x220  # m16:32
UNMAP_LIST = CONTROL + 0x280  # (address, length) pairs of u64, ends with length 0
FILTER_PROGRAM = CONTROL + 0x400  # struct sock_fprog, then the instructions
SCRATCH_STACK = CONTROL + 0x1000

# What both begin with: the registers.
STATE: list[tuple[str, str] | tuple[str, str, int]] = [
    ("regs", "<u4", 8),  # EAX ECX EDX EBX ESP EBP ESI EDI
    *((name, "<u4") for name in ("eflags", "eip", "cs", "es", "ss", "ds", "fs", "gs")),
    ("fpu", "u1", 108),  # 32-bit protected mode FNSAVE image
    ("xmm", "<u8", 16),  # XMM0 low and high, XMM1, ...
    ("mxcsr", "<u4"),
]

CASE = np.dtype(
    [
        *STATE,
        ("length", "<u4"),  # of the code under test
        ("code", "u1", SLOT),
        ("mem", "u1", MEM_SIZE),  # main window, then edge window
        ("target", "<u4"),  # linear address of the memory operand: a note, not used by the driver
        ("vectors", "<u4"),  # 1: xmm and mxcsr count; GS has to be flat then
        ("note", "<u4", 2),
    ]
)
HEAD_SIZE = CASE.fields["code"][1]  # type: ignore[index]

RESULT = np.dtype(
    [
        *STATE,
        ("signal", "<u4"),  # 0: the code ran to its end
        ("vector", "<u4"),
        ("error", "<u4"),
        ("cr2", "<u4"),
        ("si_code", "<u4"),
        ("spare", "<u4", 4),
        ("mem", "u1", MEM_SIZE),
    ]
)
OUT_SIZE = RESULT.fields["mem"][1]  # type: ignore[index]


def case_offset(field: str) -> int:
    """Offset of a field of the case record."""
    assert CASE.fields is not None
    return int(CASE.fields[field][1])


def result_offset(field: str) -> int:
    """Offset of a field of the result record."""
    assert RESULT.fields is not None
    return int(RESULT.fields[field][1])


# Selectors of Linux's GDT that ring 3 may load (arch/x86/include/asm/segment.h), and of our LDT.
SEL_CODE32 = 0x23
SEL_FLAT = 0x2B
SEL_CODE64 = 0x33


@dataclass(frozen=True)
class LdtSegment:
    """One LDT descriptor of the child, DPL 3 (SDM volume 3, 3.4.5)."""

    name: str
    selector: int
    base: int
    limit: int
    code: bool = False
    big: bool = True  # the D/B bit
    expand_down: bool = False
    writable: bool = True  # for code: readable
    present: bool = True
    pages: bool = False  # the G bit: the limit ends a page


def _ldt(index: int) -> int:
    return index << 3 | 7


#: Segments for 16-bit addressing, limit checks and descriptor kinds. An interpreter under test
#: gets the same table.
SEG_WINDOW = LdtSegment("window", _ldt(0), DATA, 0xFFFF)
SEG_STACK16 = LdtSegment("stack16", _ldt(1), DATA, 0xFFFF, big=False)
SEG_SHORT = LdtSegment("short", _ldt(2), DATA, 0x103F)  # ends inside the main window
SEG_DOWN = LdtSegment("down", _ldt(3), DATA, 0xFBF, expand_down=True)  # begins inside it
SEG_READ_ONLY = LdtSegment("read-only", _ldt(4), DATA, 0xFFFF, writable=False)
SEG_NOT_PRESENT = LdtSegment("not present", _ldt(5), DATA, 0xFFFF, present=False)
SEG_EXEC_ONLY = LdtSegment("execute-only", _ldt(6), DATA, 0xFFFF, code=True, writable=False)
SEG_CODE16 = LdtSegment("code16", _ldt(7), CODE_PAGE, 0xFFFF, code=True, big=False)
SEG_FLAT = LdtSegment("flat", _ldt(8), 0, 0xFFFF_FFFF, pages=True)
SEG_CODE = LdtSegment("code", _ldt(9), 0, 0x7FFF_FFFF, code=True, pages=True)
SEG_OTHER_CODE = LdtSegment("other code", _ldt(10), 0, 0x3FFF_FFFF, code=True, pages=True)
LDT = (
    SEG_WINDOW,
    SEG_STACK16,
    SEG_SHORT,
    SEG_DOWN,
    SEG_READ_ONLY,
    SEG_NOT_PRESENT,
    SEG_EXEC_ONLY,
    SEG_CODE16,
    SEG_FLAT,
    SEG_CODE,
    SEG_OTHER_CODE,
)


@dataclass(frozen=True)
class Piece:
    """A run of pages of the memory file and where the child sees it."""

    name: str
    address: int
    size: int
    offset: int
    protection: int


def _round(size: int) -> int:
    return (size + PAGE - 1) & ~(PAGE - 1)


READ, WRITE, EXECUTE = 1, 2, 4


def _pieces() -> tuple[Piece, ...]:
    """The file's contents in order; the code page appears twice, executable and writable."""
    rows = (
        ("driver", DRIVER, PAGE, READ | EXECUTE),
        ("control", CONTROL, PAGE, READ | WRITE),
        ("signal stack", SIGNAL_STACK, SIGNAL_STACK_SIZE, READ | WRITE),
        ("code", CODE_PAGE, PAGE, READ | EXECUTE),
        ("records", RECORDS, _round(CAPACITY * CASE.itemsize), READ),
        ("results", RESULTS, _round(CAPACITY * RESULT.itemsize), READ | WRITE),
        ("data", DATA, DATA_SIZE, READ | WRITE),
        ("read-only", READ_ONLY_PAGE, PAGE, READ),
    )
    pieces: list[Piece] = []
    offset = 0
    for name, address, size, protection in rows:
        pieces.append(Piece(name, address, size, offset, protection))
        if name == "code":
            pieces.append(Piece("code alias", CODE_ALIAS, size, offset, READ | WRITE))
        offset += size
    return tuple(pieces)


PIECES = _pieces()
FILE_SIZE = max(piece.offset + piece.size for piece in PIECES)


def piece(name: str) -> Piece:
    """The piece of that name."""
    return next(each for each in PIECES if each.name == name)


def gaps(top: int = 0x7FFF_FFFF_F000) -> list[tuple[int, int]]:
    """The (address, length) runs between the pieces: what the child must give up."""
    runs: list[tuple[int, int]] = []
    at = 0
    for each in sorted(PIECES, key=lambda each: each.address):
        if each.address > at:
            runs.append((at, each.address - at))
        at = each.address + each.size
    runs.append((at, top - at))
    return runs

"""Linux' own symbol table, kallsyms, found in guest memory (scripts/kallsyms.c, kernel/kallsyms.c).

A kernel built with CONFIG_KALLSYMS carries every name for its own oops messages. Five tables, from
Linux 4.6 to 6.3 in this order (later ones put the offsets last, and are not found here):

    offsets         num_syms x u32    address - relative_base, ascending
    relative_base   u32               of the kernel where it was loaded: KASLR is in it
    num_syms        u32
    names           for each symbol its length (two bytes from 128 on: low seven bits first) and so
                    many bytes, each a number of a token; the first character is the symbol's kind
    markers, and in some kernels seqs_of_names, which serve searching
    token_table     256 strings, each with a NUL behind it
    token_index     256 x u16         where each string begins in token_table

Worked example: with tokens 0x54 "T", 0x91 "start", 0x92 "_kernel" the bytes 03 54 91 92 are
"Tstart_kernel": code (T), start_kernel.

Nothing points to these tables from outside, so they are recognised by what they must contain: the
token of a digit is the digit itself, which gives the token table away.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitor.symbols.table import Symbol, SymbolTable
from monitor.vmm.errors import UserError

TOKENS = 256
LONGEST_TABLE = 1 << 14  # bytes of token_table
DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
FEWEST, MOST = 1000, 1 << 20  # symbols of a kernel
KERNEL_SPACE = 0x40000000  # the lowest address that Linux can be configured to begin at
LONG_NAME = 0x80
FEW = 32  # offsets of a table that are looked at first

Memory = NDArray[np.uint8]


def read_kallsyms(memory: Memory) -> SymbolTable:
    """The symbols of the Linux kernel in physical `memory`, an array of bytes.

    Raises UserError if there is none, or none yet: a kernel first has to be decompressed.
    """
    raw = memory.tobytes()
    for table, index in _token_tables(raw):
        tokens = [raw[table + at : raw.index(b"\0", table + at)] for at in index]
        for names, count in _names_before(memory, table):
            names_of = _names(raw, names, table, count, tokens)
            if names_of is not None:
                return SymbolTable(_symbols(raw, names, count, names_of))
    raise UserError("there is no Linux kernel with a symbol table (kallsyms) in guest memory")


def _token_tables(raw: bytes) -> Iterator[tuple[int, list[int]]]:
    """Where token_table may be, and the contents of token_index."""
    digits = raw.find(DIGITS)
    while digits >= 0:
        for at in range(digits & ~3, min(digits + LONGEST_TABLE, len(raw) - 2 * TOKENS), 4):
            index = np.frombuffer(raw, "<u2", TOKENS, at).tolist()
            if index[0] == 0 and index[-1] < LONGEST_TABLE and _fits(raw, digits, index):
                yield digits - index[ord("0")], index
        digits = raw.find(DIGITS, digits + 1)


def _fits(raw: bytes, digits: int, index: list[int]) -> bool:
    """Does a NUL end the string before each place that the index names?"""
    table = digits - index[ord("0")]
    ascending = all(one + 1 < other for one, other in pairwise(index))
    return table >= 0 and ascending and all(raw[table + at - 1] == 0 for at in index[1:])


def _names_before(memory: Memory, table: int) -> list[tuple[int, int]]:
    """Where names may begin: behind offsets, relative_base and num_syms that fit each other."""
    words = memory[: table & ~3].view("<u4")
    number = np.arange(len(words), dtype=np.uint32)
    # Every symbol has an offset before and at least two bytes behind, all before token_table.
    room = (words >= FEWEST) & (words <= MOST) & (words < number)
    room[1:] &= words[:-1] >= KERNEL_SPACE
    at = np.nonzero(room)[0][::-1]
    at = at[4 * at + 4 + 2 * words[at].astype(np.int64) <= table]
    at = at[words[at - 2] > 0]
    for part in range(FEW):  # of the offsets: this decides nearly all, and for all at once
        count = words[at].astype(np.int64)
        first = at - 1 - count + (count - 2) * part // (FEW - 1)
        at = at[words[first] <= words[first + 1]]
    return [(4 * number + 4, int(words[number])) for number in at.tolist()
            if _ascending(words[number - 1 - words[number] : number - 1])]  # fmt: skip


def _ascending(offsets: NDArray[np.uint32]) -> bool:
    """Are these offsets of symbols?"""
    return bool((offsets[1:] >= offsets[:-1]).all() and offsets[-1] > 0)


def _names(raw: bytes, at: int, end: int, count: int, tokens: list[bytes]) -> list[str] | None:
    """`count` names from `at` on, if that is what stands there."""
    names = []
    for _ in range(count):
        size = raw[at]
        at += 1
        if size & LONG_NAME:
            size = size & LONG_NAME - 1 | raw[at] << 7
            at += 1
        if size == 0 or at + size > end:
            return None
        names.append(b"".join([tokens[byte] for byte in raw[at : at + size]]).decode("latin-1"))
        at += size
    return names


def _symbols(raw: bytes, names_at: int, count: int, names: list[str]) -> Iterator[Symbol]:
    base = int.from_bytes(raw[names_at - 8 : names_at - 4], "little")
    offsets = np.frombuffer(raw, "<u4", count, names_at - 8 - 4 * count).tolist()
    for offset, name in zip(offsets, names, strict=True):
        yield Symbol(base + offset & 0xFFFFFFFF, name[0], name[1:])

"""An ELF file with nothing in it but symbols, as gdb's symbol-file reads (TIS ELF 1.2, book I).

Two sections without contents stand for where the guest has its code and its data, for gdb wants a
function to lie in a section that is executable.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from monitor.symbols.table import Symbol, SymbolTable

ET_EXEC, EM_386 = 2, 3
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 1, 2, 3, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
STT_OBJECT, STT_FUNC = 1, 2
STB_LOCAL, STB_GLOBAL = 0, 1
HEADER, SECTION_HEADER, SYMBOL = 52, 40, 16
PAGE = 4096
NAMES = ("", ".text", ".data", ".symtab", ".strtab", ".shstrtab")
TEXT, DATA, SYMTAB, STRTAB, SHSTRTAB = range(1, 6)


@dataclass
class _Section:
    kind: int = 0
    flags: int = 0
    address: int = 0
    size: int = 0
    link: int = 0
    info: int = 0
    align: int = 0
    entry: int = 0
    body: bytes = b""


def symbol_file(table: SymbolTable) -> bytes:
    """The file's contents."""
    symbols = [symbol for symbol in table if symbol.kind not in "aA"]
    symbols.sort(key=lambda symbol: symbol.kind.isupper())  # ELF wants local ones first
    code = [symbol for symbol in symbols if _is_code(symbol)]
    data = [symbol for symbol in symbols if not _is_code(symbol)]
    strings, entries = _symbol_table(table, symbols)
    section_names = b"".join(name.encode() + b"\0" for name in NAMES)
    local = sum(not symbol.kind.isupper() for symbol in symbols)
    sections = [
        _Section(),
        _spanning(code, SHF_ALLOC | SHF_EXECINSTR),
        _spanning(data, SHF_ALLOC | SHF_WRITE),
        _Section(SHT_SYMTAB, 0, 0, len(entries), STRTAB, local + 1, 4, SYMBOL, entries),
        _Section(SHT_STRTAB, size=len(strings), align=1, body=strings),
        _Section(SHT_STRTAB, size=len(section_names), align=1, body=section_names),
    ]
    return _file(sections)


def _is_code(symbol: Symbol) -> bool:
    return symbol.kind in "tTwW"


def _spanning(symbols: Sequence[Symbol], flags: int) -> _Section:
    """A section without contents, from the first symbol to the end of the last one's page."""
    addresses = [symbol.address for symbol in symbols] or [0]
    low, end = min(addresses), _page_end(max(addresses))
    return _Section(SHT_NOBITS, flags, low, end - low, align=1)


def _page_end(address: int) -> int:
    return (address | PAGE - 1) + 1


def _symbol_table(table: SymbolTable, symbols: Sequence[Symbol]) -> tuple[bytes, bytes]:
    """.strtab and .symtab. A symbol reaches to the next address that has one."""
    starts = sorted({symbol.address for symbol in table})
    following = dict(pairwise([*starts, _page_end(starts[-1] if starts else 0)]))
    strings = bytearray(b"\0")
    entries = bytearray(SYMBOL)
    for symbol in symbols:
        binding = STB_GLOBAL if symbol.kind.isupper() else STB_LOCAL
        kind, section = (STT_FUNC, TEXT) if _is_code(symbol) else (STT_OBJECT, DATA)
        size = following[symbol.address] - symbol.address
        entries += struct.pack("<IIIBBH", len(strings), symbol.address, size,
                               binding << 4 | kind, 0, section)  # fmt: skip
        strings += symbol.name.encode() + b"\0"
    return bytes(strings), bytes(entries)


def _file(sections: Sequence[_Section]) -> bytes:
    """Header, section headers, and the sections' contents behind them."""
    at = HEADER + SECTION_HEADER * len(sections)
    headers, bodies, name = b"", b"", 0
    for number, section in enumerate(sections):
        headers += struct.pack(
            "<10I", name, section.kind, section.flags, section.address, at + len(bodies),
            section.size, section.link, section.info, section.align, section.entry,
        )  # fmt: skip
        bodies += section.body
        name += len(NAMES[number]) + 1
    ident = b"\x7fELF" + bytes((1, 1, 1)) + bytes(9)
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH", ET_EXEC, EM_386, 1, 0, 0, HEADER, 0, HEADER, 0, 0,
        SECTION_HEADER, len(sections), SHSTRTAB,
    )  # fmt: skip
    return header + headers + bodies

"""The shared libraries an ELF file asks the dynamic linker for.

System V ABI, "Program Loading and Dynamic Linking": the segment PT_DYNAMIC is an array of tag and
value; DT_NEEDED holds the offset of a library's name in the string table that DT_STRTAB points to.
Reading it ourselves works on any host and runs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5

_HEADER = struct.Struct("<28xI10xHH6x")  # e_phoff, e_phentsize, e_phnum
_SEGMENT = struct.Struct("<IIIIIIII")  # p_type, p_offset, p_vaddr, p_paddr, p_filesz, ...


def is_elf32(data: bytes) -> bool:
    """A little-endian ELF file of 32 bits?"""
    return data[:6] == b"\x7fELF\1\1"


def needed(data: bytes) -> set[str]:
    """The names of the libraries, and of the dynamic linker itself if the file names one."""
    if not is_elf32(data):
        return set()
    names = {_name(data, string) for string in _strings(data)}
    return names | {path.rpartition("/")[2] for path in _interpreters(data)}


def _segments(data: bytes) -> list[tuple[int, ...]]:
    start, size, count = _HEADER.unpack_from(data)
    return [_SEGMENT.unpack_from(data, start + size * number) for number in range(count)]


def _interpreters(data: bytes) -> Iterator[str]:
    return (_name(data, at) for kind, at, *_ in _segments(data) if kind == PT_INTERP)


def _strings(data: bytes) -> Iterator[int]:
    """Where in the file the name of each DT_NEEDED stands."""
    entries = [entry for segment in _segments(data) if segment[0] == PT_DYNAMIC
               for entry in _dynamic(data, segment[1])]  # fmt: skip
    tables = [_offset(data, value) for tag, value in entries if tag == DT_STRTAB]
    return (tables[0] + value for tag, value in entries if tag == DT_NEEDED)


def _dynamic(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    while (entry := struct.unpack_from("<II", data, at))[0] != DT_NULL:
        yield entry
        at += 8


def _offset(data: bytes, address: int) -> int:
    """The file's byte that is loaded at an address."""
    for kind, offset, start, _, size, *_ in _segments(data):
        if kind == PT_LOAD and start <= address < start + size:
            return offset + address - start
    raise ValueError(f"no segment is loaded at {address:#x}")


def _name(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()

"""The ELF32 file format (System V ABI, chapter 4, and its i386 supplement), as far as we need it.

    52-byte header   class, byte order, machine, entry, where the two tables are
    program headers  32 bytes each: what to load where
    section headers  40 bytes each: what the parts are called (optional, debuggers and scanners)

`parse` checks every offset against the file's length, so a truncated file is an error here and
not a surprise later.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from monitor.loaders.packed import refuse_packed
from monitor.loaders.source import Image
from monitor.vmm.errors import UserError

MAGIC = b"\x7fELF"
HEADER_SIZE = 52
CLASS_64 = 2
LITTLE_ENDIAN = 1
EM_386 = 3
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
KINDS = {ET_REL: "an object file", ET_EXEC: "an executable", ET_DYN: "a shared object"}
PT_LOAD = 1
PF_X = 1
SHT_NULL, SHT_NOBITS = 0, 8
SHF_EXECINSTR = 4


@dataclass(frozen=True)
class Segment:
    """A program header."""

    kind: int
    offset: int
    vaddr: int
    paddr: int
    file_size: int
    memory_size: int
    flags: int


@dataclass(frozen=True)
class Section:
    """A section header with its name looked up."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int


@dataclass(frozen=True)
class ElfFile:
    """A parsed file; `data` is the whole of it."""

    name: str
    data: bytes
    kind: int
    entry: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]

    @property
    def loadable(self) -> list[Segment]:
        return [s for s in self.segments if s.kind == PT_LOAD and s.memory_size]

    @property
    def physical_entry(self) -> int:
        """The entry point with paging off: e_entry is virtual, so move it as its segment moves."""
        for segment in self.loadable:
            if segment.vaddr <= self.entry < segment.vaddr + segment.memory_size:
                return self.entry - segment.vaddr + segment.paddr
        return self.entry

    def contents(self, part: Segment | Section) -> bytes:
        """A segment's or section's bytes in the file."""
        size = part.file_size if isinstance(part, Segment) else part.size
        return self.data[part.offset : part.offset + size]


def parse(image: Image) -> ElfFile:
    """Read a 32-bit little-endian i386 ELF file. UserError if it is anything else."""
    data = image.data
    if data[:4] != MAGIC:
        refuse_packed(image)
        raise UserError(f"{image.name}: not an ELF file; give an i386 ELF executable")
    _check_header(image)
    kind, _, _, entry, phoff, shoff = struct.unpack_from("<HHIIII", data, 16)
    phentsize, phnum, shentsize, shnum, shstrndx = struct.unpack_from("<5H", data, 42)
    return ElfFile(
        image.name,
        data,
        kind,
        entry,
        _segments(image, phoff, phentsize, phnum),
        _sections(image, shoff, shentsize, shnum, shstrndx),
    )


def _check_header(image: Image) -> None:
    data, name = image.data, image.name
    if len(data) > 4 and data[4] == CLASS_64:
        raise UserError(f"{name}: a 64-bit ELF file; build it for 32 bits (gcc -m32)")
    if len(data) < HEADER_SIZE:
        raise UserError(f"{name}: truncated in the ELF header; copy or build the file again")
    if data[4] != 1 or data[5] != LITTLE_ENDIAN:
        raise UserError(f"{name}: not a 32-bit little-endian ELF file; build it for i386")
    machine = int.from_bytes(data[18:20], "little")
    if machine != EM_386:
        raise UserError(f"{name}: an ELF file for machine {machine}, not i386 (3); build for i386")


def _check_extent(image: Image, what: str, offset: int, size: int) -> None:
    if size and offset + size > len(image.data):
        raise UserError(
            f"{image.name}: truncated ({len(image.data)} bytes; {what} ends at {offset + size}); "
            "copy or build the file again"
        )


def _table(
    image: Image, what: str, offset: int, entry_size: int, count: int, form: str
) -> list[tuple[int, ...]]:
    """The fixed-size entries of one of the two tables."""
    if count and entry_size < struct.calcsize(form):
        raise UserError(
            f"{image.name}: damaged ({what} entries of {entry_size} bytes); build the file again"
        )
    _check_extent(image, what, offset, entry_size * count)
    return [struct.unpack_from(form, image.data, offset + entry_size * i) for i in range(count)]


def _segments(image: Image, offset: int, entry_size: int, count: int) -> tuple[Segment, ...]:
    segments = []
    entries = _table(image, "the program header table", offset, entry_size, count, "<8I")
    for number, (kind, start, vaddr, paddr, filesz, memsz, flags, _) in enumerate(entries):
        _check_extent(image, f"segment {number}", start, filesz)
        if kind == PT_LOAD and filesz > memsz:
            raise UserError(
                f"{image.name}: damaged (segment {number} has {filesz} bytes for {memsz} of "
                "memory); build the file again"
            )
        segments.append(Segment(kind, start, vaddr, paddr, filesz, memsz, flags))
    return tuple(segments)


def _sections(
    image: Image, offset: int, entry_size: int, count: int, names_index: int
) -> tuple[Section, ...]:
    entries = _table(image, "the section header table", offset, entry_size, count, "<10I")
    for number, entry in enumerate(entries):
        if entry[1] not in (SHT_NULL, SHT_NOBITS):
            _check_extent(image, f"section {number}", entry[4], entry[5])
    names = b""
    if names_index < len(entries):
        start, size = entries[names_index][4:6]
        names = image.data[start : start + size]
    return tuple(
        Section(_name(names, entry[0]), entry[1], entry[2], entry[3], entry[4], entry[5])
        for entry in entries
    )


def _name(names: bytes, offset: int) -> str:
    return names[offset:].split(b"\0", 1)[0].decode("ascii", "replace")

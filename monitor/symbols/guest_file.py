"""Symbols that come with a guest: those of its own ELF file, or of a file beside its kernel.

A bzImage has no symbols. What belongs to it is the `vmlinux` that it was made from, and its
`System.map` (nm's output); both lie beside it under the names that distributions and the kernel's
own Makefile give them, and a vmlinux with debugging information under /usr/lib/debug. A vmlinux is
taken only if its version is the kernel's ("Linux version 6.1.0-13-686 ...", in both).
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.loaders.elf_file import SHF_EXECINSTR, ElfFile, parse
from monitor.loaders.source import Image, open_image
from monitor.settings.config import BIOS, ImageConfig
from monitor.symbols.table import Symbol, SymbolTable
from monitor.vmm.errors import UserError

ELF_386 = struct.Struct("<4sBB12xH")  # magic, class, byte order, machine (System V ABI, chapter 4)
SYMBOL = struct.Struct("<IIIBBH")
SHT_SYMTAB = 2
STT_NOTYPE, STT_FUNC = 0, 2
STB_LOCAL = 0
KERNEL_VERSION = 0x20E  # in a bzImage: where its version stands, from 0x200 on (boot.rst)
MAP_LINE = re.compile(rb"([0-9a-f]{8}) ([a-zA-Z]) (\S+)\n")
DEBUG = Path("/usr/lib/debug")


@dataclass(frozen=True)
class CodeNames:
    """Names for code that lies in these ranges of linear addresses (end excluded)."""

    table: SymbolTable
    ranges: tuple[tuple[int, int], ...]

    def name(self, linear: int) -> str | None:
        """The function there; None outside, and before the first."""
        if not any(low <= linear < end for low, end in self.ranges):
            return None
        symbol = self.table.at(linear)
        return None if symbol is None else symbol.name


def names_in_elf(data: bytes) -> CodeNames | None:
    """The functions of an ELF executable; None if it is none, or stripped."""
    try:
        file = parse(Image("the guest", data))
    except UserError:
        return None
    table = SymbolTable(_elf_symbols(file))
    code = [part for part in file.sections if part.flags & SHF_EXECINSTR]
    ranges = tuple((part.address, part.address + part.size) for part in code)
    return CodeNames(table, ranges) if len(table) else None


def _elf_symbols(file: ElfFile) -> Iterator[Symbol]:
    strings = next((file.contents(part) for part in file.sections if part.name == ".strtab"), b"")
    for section in file.sections:
        if section.kind != SHT_SYMTAB:
            continue
        entries = file.contents(section)
        for at in range(0, len(entries) - SYMBOL.size + 1, SYMBOL.size):
            name_at, value, _, info, _, home = SYMBOL.unpack_from(entries, at)
            name = strings[name_at:].split(b"\0", 1)[0].decode("latin-1") if name_at else ""
            defined = 0 < home < len(file.sections)
            code = defined and file.sections[home].flags & SHF_EXECINSTR
            if name and code and info & 0xF in (STT_NOTYPE, STT_FUNC):
                yield Symbol(value, "t" if info >> 4 == STB_LOCAL else "T", name)


def names_in_map(text: bytes) -> CodeNames | None:
    """The functions of a System.map; None if there are none in it.

    >>> names = names_in_map(b"c1000000 T _stext\\nc1000040 t start\\nc1000100 T _etext\\n")
    >>> names.name(0xC1000044), names.name(0xC1000100)
    ('start', None)
    """
    symbols = [Symbol(int(address, 16), kind.decode(), name.decode("latin-1"))
               for address, kind, name in MAP_LINE.findall(text)]  # fmt: skip
    return names_of_linux(SymbolTable(symbols))


def names_of_linux(table: SymbolTable) -> CodeNames | None:
    """Its functions, by the symbols that say where Linux has code; modules lie elsewhere."""
    bounds = (("_stext", "_etext"), ("_sinittext", "_einittext"))
    ranges = tuple((table.address(low), table.address(end)) for low, end in bounds
                   if low in table and end in table)  # fmt: skip
    code = SymbolTable(symbol for symbol in table if symbol.kind in "tTwW")
    return CodeNames(code, ranges) if ranges and len(code) else None


def linux_version(kernel: bytes) -> str:
    """The version that a bzImage names, as 6.1.0-13-686; empty if it names none."""
    at = int.from_bytes(kernel[KERNEL_VERSION : KERNEL_VERSION + 2], "little")
    if kernel[0x202:0x206] != b"HdrS" or not at:
        return ""
    words = kernel[0x200 + at :].split(b"\0", 1)[0].decode("latin-1").split()
    return words[0] if words else ""


def file_for_gdb(image: ImageConfig) -> Path | None:
    """The file whose symbols are this guest's, for gdb; None if nobody knows one."""
    if image.kind == "kernel":
        return _vmlinux(image.path)
    if image.kind in ("flat", BIOS):
        return None
    with suppress(UserError):
        if names_in_elf(open_image(image.path, "guest").data) is not None:
            return image.path
    return None


def system_map(kernel: Path) -> Path | None:
    """The System.map beside a kernel."""
    return next((path for path in _beside(kernel, "System.map") if path.is_file()), None)


def _vmlinux(kernel: Path) -> Path | None:
    try:
        version = linux_version(open_image(kernel, "kernel").data)
    except UserError:
        return None
    if not version:
        return None
    candidates = [*_beside(kernel, "vmlinux"), DEBUG / "boot" / f"vmlinux-{version}",
                  DEBUG / "lib/modules" / version / "vmlinux"]  # fmt: skip
    return next((path for path in candidates if _is_vmlinux(path, version)), None)


def _beside(kernel: Path, name: str) -> list[Path]:
    """vmlinuz-6.1 has vmlinux-6.1 beside it, arch/x86/boot/bzImage has it at its build's root."""
    rest = kernel.name.partition("-")[2]
    named = [kernel.with_name(f"{name}-{rest}")] if rest else []
    folders = kernel.resolve().parents
    root = [folders[3] / name] if kernel.name == "bzImage" and len(folders) > 3 else []
    return [*named, kernel.with_name(name), *root]


def _is_vmlinux(path: Path, version: str) -> bool:
    """Is it an i386 ELF file that says it is of this version? It may be of any size."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if len(data) < ELF_386.size:
                return False
            if ELF_386.unpack_from(data) != (b"\x7fELF", 1, 1, 3):
                return False
            return data.find(f"Linux version {version} ".encode()) >= 0
    except (OSError, ValueError):  # not there, or empty
        return False

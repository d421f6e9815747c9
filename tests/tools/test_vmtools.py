"""The archive of open-vm-tools: which files go in, and where they go."""

from __future__ import annotations

import gzip
import stat
import struct
from pathlib import Path

import pytest
from test_initramfs import unpack

from monitor.guestbook import vmtools
from monitor.guestbook.apt import Apt, AptError, Package
from monitor.guestbook.elf_needed import needed

HEADERS, BASE = 0x34, 0x8000  # where the program headers stand, and where the file is loaded


def elf(*libraries: str, interpreter: str = "") -> bytes:
    """A program that is nothing but its headers, by the System V ABI."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in (*libraries, interpreter))
    strings_at = HEADERS + 3 * 32
    offsets = [strings.index(name.encode() + b"\0") for name in libraries]
    tags = [(5, BASE + strings_at), *((1, offset) for offset in offsets), (0, 0)]
    dynamic = b"".join(struct.pack("<II", *tag) for tag in tags)
    interpreter_at = strings_at + strings.rindex(interpreter.encode() + b"\0")
    size = strings_at + len(strings) + len(dynamic)
    segments = [(1, 0, BASE, size), (2, strings_at + len(strings), 0, len(dynamic)),
                (3 if interpreter else 0, interpreter_at, 0, len(interpreter) + 1)]  # fmt: skip
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1", 3, 3, 1, 0, HEADERS, 0, 0, 52, 32,
                         len(segments), 0, 0, 0)  # fmt: skip
    table = b"".join(struct.pack("<IIIIIIII", *row[:3], 0, row[3], row[3], 4, 4)
                     for row in segments)  # fmt: skip
    return header + table + strings + dynamic


class FakeApt(Apt):
    """Packages that are made up: file names and contents."""

    def __init__(self, cache: Path, packages: dict[str, dict[str, bytes]]) -> None:
        self.cache = cache
        self.packages = packages

    def resolve(self, name: str) -> dict[str, Package]:
        return {name: Package(name, "1", "i386") for name in self.packages}

    def download(self, *packages: Package) -> list[Path]:
        return [Path(package.name) for package in packages]

    def extract(self, archive: Path, folder: Path) -> None:
        for name, data in self.packages[archive.name].items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


LIBRARIES = vmtools.LIBRARIES
PROGRAM = elf("libvmtools.so.0", interpreter="/lib/ld-linux.so.2")
PACKAGES = {
    "open-vm-tools": {
        **{f"usr/bin/{name}": PROGRAM for name in vmtools.PROGRAMS},
        **{name: elf("libvmtools.so.0") for name in (*vmtools.PLUGINS, *vmtools.OPENED)},
        f"{LIBRARIES}/libvmtools.so.0": elf("libc.so.6"),
        f"{LIBRARIES}/libvgauth.so.0": elf("libcrypto.so.3"),
        "etc/vmware-tools/tools.conf": b"[logging]\n",
        "usr/share/doc/open-vm-tools/copyright": b"...",
    },
    "libc6": {
        "lib/ld-linux.so.2": elf(),
        "lib/i386-linux-gnu/libc.so.6": elf("ld-linux.so.2"),
    },
    "libssl3": {f"{LIBRARIES}/libcrypto.so.3": elf()},
    "perl": {"usr/bin/perl": elf()},
}


def test_needed_names_the_libraries_and_the_dynamic_linker() -> None:
    assert needed(PROGRAM) == {"libvmtools.so.0", "ld-linux.so.2"}
    assert needed(elf("a.so", "b.so")) == {"a.so", "b.so"}
    assert needed(b"#!/bin/sh\n") == set()


def test_archive_holds_what_the_programs_need_and_no_more(tmp_path: Path) -> None:
    archive, packages = vmtools.fetch(FakeApt(tmp_path, PACKAGES))
    entries = unpack(gzip.decompress(archive))
    files = {name for name, (mode, *_) in entries.items() if stat.S_ISREG(mode)}
    assert files == {
        *(f"bin/{name}" for name in vmtools.PROGRAMS),
        *vmtools.PLUGINS,
        *(f"lib/{name}" for name in ("libvmtools.so.0", "libc.so.6", "ld-linux.so.2")),
        "lib/libguestStoreClient.so.0",
        "etc/vmware-tools/tools.conf",
    }
    assert entries["bin/vmtoolsd"][1] == PROGRAM
    assert [package.name for package in packages] == ["libc6", "open-vm-tools"]
    assert "usr/lib/i386-linux-gnu/open-vm-tools/plugins" in entries


def test_missing_library_is_named(tmp_path: Path) -> None:
    without = {name: files for name, files in PACKAGES.items() if name != "libc6"}
    with pytest.raises(AptError, match=r"needs l\S+\.so\.\d, which no package"):
        vmtools.fetch(FakeApt(tmp_path, without))

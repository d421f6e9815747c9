"""ELF executables: where they go, where they start, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from loader_images import BUSYBOX, MIB, FakeMemory, elf, needs_busybox, refused

from monitor.loaders import elf as loader
from monitor.loaders import elf_file
from monitor.loaders.source import Image

TEXT = b"\xb8\x01\x00\x00\x00\xf4" * 10
HIGH = 0xC0100000


def test_segments_go_to_their_physical_addresses() -> None:
    memory = FakeMemory()
    image = elf(
        [(HIGH, 0x100000, TEXT, len(TEXT)), (HIGH + 0x1000, 0x101000, b"data", 100)], HIGH + 6
    )
    start = loader.load(memory, image, {"eax": 7, "esp": 0x80000})
    assert memory.read(0x100000, len(TEXT)) == TEXT
    assert memory.read(0x101000, 101) == b"data" + bytes(96) + b"\xcc"
    assert memory.read(0x100000 + len(TEXT), 1) == b"\xcc"
    assert start.eip == 0x100006  # the entry moves with its segment
    assert start.esp == 0x80000
    assert start.registers == {"eax": 7}
    assert start.protected and start.gdt is not None


def test_the_gdt_keeps_out_of_the_programs_way() -> None:
    memory = FakeMemory()
    start = loader.load(memory, elf([(0x9F000, 0x9F000, TEXT, 0x800)], 0x9F000))
    assert memory.read(0x9F000, len(TEXT)) == TEXT
    assert start.gdt is not None and start.gdt[0] >= 0x9F800


GOOD = [(0x100000, 0x100000, TEXT, 0x2000)]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"MZ" + bytes(100), "not an ELF"),
        (elf(GOOD, 0x100000, elf_class=2), "64-bit"),
        (elf(GOOD, 0x100000, order=2), "little-endian"),
        (elf(GOOD, 0x100000, elf_class=0), "32-bit"),
        (elf(GOOD, 0x100000, machine=40), "machine 40"),
        (elf(GOOD, 0x100000, kind=1), "object file"),
        (elf(GOOD, 0x100000, kind=3), "shared object"),
        (elf(GOOD, 0x100000, kind=9), "type 9"),
        (elf([], 0x100000), "nothing to load"),
        (elf([(0, 0x100000, TEXT, 4)], 0), "damaged"),
        (elf([(0, 0xA0000, TEXT, 0x100)], 0), "not all RAM"),
        (elf([(0, 0x3FFFF0, TEXT, 0x100)], 0), "at least 5 MiB"),
        (elf([(0, 0xFFFFFFF0, TEXT, 0xFFFFFFFF)], 0), "memory"),
        (elf([*GOOD, (0, 0x101000, TEXT, 0x100)], 0), "overlaps"),
    ],
)
def test_what_is_refused(image: bytes, words: str) -> None:
    assert words in refused(loader.load, FakeMemory(), image)


def test_truncated_anywhere() -> None:
    whole = elf(GOOD, 0x100000)
    for length in range(1, len(whole)):
        message = refused(loader.load, FakeMemory(1 * MIB), whole[:length])
        assert length < 4 or "ELF" in message or "truncated" in message


def test_unknown_start_registers() -> None:
    image = elf(GOOD, 0x100000)
    assert "rax" in refused(loader.load, FakeMemory(), image, {"rax": 1})
    assert "32 bits" in refused(loader.load, FakeMemory(), image, {"eax": 1 << 32})


def test_missing(tmp_path: Path) -> None:
    assert "gone" in refused(loader.load, FakeMemory(), tmp_path / "gone")


@needs_busybox
def test_busybox_has_its_sections() -> None:
    data = BUSYBOX.read_bytes()
    names = {section.name for section in elf_file.parse(Image("busybox", data)).sections}
    assert {".text", ".data", ".bss"} <= names
    message = refused(loader.load, FakeMemory(), BUSYBOX)
    assert "129 MiB" in message or "130 MiB" in message  # linked at 0x8048000


def test_a_segment_without_bytes_may_point_anywhere() -> None:
    """A linker puts the offset of .bss where its page would be, behind the end of the file."""
    image = bytearray(elf([(0x100000, 0x100000, b"\xf4", 1), (0x200000, 0x200000, b"", 16)],
                          0x100000))  # fmt: skip
    struct.pack_into("<I", image, 52 + 32 + 4, 0x1000)
    memory = FakeMemory()
    loader.load(memory, bytes(image))
    assert memory.read(0x200000, 16) == bytes(16)


def test_tables_without_entries_may_point_anywhere() -> None:
    image = bytearray(elf([(0x100000, 0x100000, b"\xf4", 1)], 0x100000))
    struct.pack_into("<I", image, 32, 0xFFFFFFF0)  # e_shoff, as left by a tool that strips sections
    loader.load(FakeMemory(), bytes(image))


def test_the_first_section_header_is_none() -> None:
    """SHT_NULL: its fields mean nothing (or, extended numbering)."""
    image = bytearray(elf([(0x100000, 0x100000, b"\xf4", 1)], 0x100000))
    struct.pack_into("<I", image, 32, len(image))
    struct.pack_into("<H", image, 48, 1)
    image += struct.pack("<10I", 0, 0, 0, 0, 0xFFFFFF00, 0x1000, 0, 0, 0, 0)
    loader.load(FakeMemory(), bytes(image))

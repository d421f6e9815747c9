"""Multiboot 1: header search, both ways to say where to load, the information structure."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from loader_images import MIB, FakeMemory, elf, multiboot_header, refused

from monitor.loaders import multiboot
from monitor.loaders.source import Image
from monitor.vmm.errors import UserError

CODE = bytes(range(1, 101))
ADDRESSES = 1 << 16
KERNEL = multiboot_header(3) + CODE
ELF = elf([(0xC0100000, 0x100000, KERNEL, 0x3000)], 0xC010000C)


def by_address(flags: int = ADDRESSES, before: bytes = b"", **change: int) -> bytes:
    fields = {"header": 0x100000 + len(before), "load": 0x100000, "end": 0, "bss": 0}
    fields |= {"entry": 0x100020} | change
    return before + multiboot_header(flags, *fields.values()) + CODE


def test_elf_kernel_with_modules() -> None:
    memory = FakeMemory()
    modules = [("disk one", b"D" * 5000), ("second", b"E")]
    start = multiboot.load(memory, ELF, "root=1 quiet", modules)
    assert start.eip == 0x10000C
    assert start.registers["eax"] == 0x2BADB002
    assert memory.read(0x100000, len(KERNEL)) == KERNEL
    assert memory.read(0x100000 + len(KERNEL), 1) == b"\0"
    info = start.registers["ebx"]
    assert info < 0xA0000
    assert memory.word(info) == 0b1001001101  # memory, command line, modules, map, loader name
    assert memory.word(info + 4) == 639
    assert memory.word(info + 8) == 3072
    assert memory.string(memory.word(info + 16)) == "root=1 quiet"
    assert memory.string(memory.word(info + 64)) == "Virtual Platform"
    assert memory.word(info + 20) == 2
    table = list(struct.iter_unpack("<4I", memory.read(memory.word(info + 24), 32)))
    for (begin, end, text, zero), (name, data) in zip(table, modules, strict=True):
        assert begin % 4096 == 0 and begin >= 0x103000 and zero == 0
        assert memory.read(begin, end - begin) == data
        assert memory.string(text) == name
    assert table[1][0] >= table[0][1]


def test_memory_map() -> None:
    memory = FakeMemory()
    info = multiboot.load(memory, ELF).registers["ebx"]
    length, address = memory.word(info + 44), memory.word(info + 48)
    entries = list(struct.iter_unpack("<IQQI", memory.read(address, length)))
    assert entries[0] == (20, 0, 0x9FC00, 1)
    assert entries[-1] == (20, MIB, 3 * MIB, 1)
    assert memory.word(info + 20) == 0  # no modules


@pytest.mark.parametrize("before", [b"", b"\0" * 8, b"\x02\xb0\xad\x1b" * 3, b"x" * 8156])
def test_address_fields(before: bytes) -> None:
    memory = FakeMemory()
    image = by_address(before=before, bss=0x104000)
    start = multiboot.load(memory, image)
    assert start.eip == 0x100020
    assert memory.read(0x100000, len(image)) == image
    assert memory.read(0x104000 - 1, 2) == b"\0\xcc"


def test_address_fields_load_only_a_part() -> None:
    memory = FakeMemory()
    multiboot.load(memory, by_address(before=bytes(16), load=0x100010, end=0x100040))
    assert memory.read(0x100010, 4) == b"\x02\xb0\xad\x1b"
    assert memory.read(0x100040, 1) == b"\xcc"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "empty"),
        (b"\0" * 20000, "no Multiboot header"),
        (b"x" + KERNEL, "no Multiboot header"),  # not aligned
        (bytes(8192) + KERNEL, "no Multiboot header"),  # too far in
        (KERNEL[:8] + b"\0\0\0\0" + CODE, "no Multiboot header"),  # checksum
        (KERNEL, "ELF"),
        (multiboot_header(0x8) + CODE, "0x8"),
        (by_address()[:31], "truncated"),
        (by_address(header=0xFF000), "contradict"),
        (by_address(header=0x100004), "contradict"),
        (by_address(load=0x100000, end=0x90000), "contradict"),
        (by_address(end=0x101000), "truncated"),
        (by_address(bss=0x500000), "at least 5 MiB"),
        (by_address(header=0xA0000, load=0xA0000), "not all RAM"),
    ],
)
def test_what_is_refused(image: bytes, words: str) -> None:
    assert words in refused(multiboot.load, FakeMemory(), image)


def test_truncated_anywhere() -> None:
    for whole in (ELF, by_address(end=0x100000 + 32 + len(CODE))):
        for length in range(1, len(whole)):
            refused(multiboot.load, FakeMemory(1 * MIB), whole[:length])


def test_modules_that_cannot_be(tmp_path: Path) -> None:
    memory = FakeMemory()
    assert "at least 5 MiB" in refused(multiboot.load, memory, ELF, "", [("big", bytes(3 * MIB))])
    assert "gone" in refused(multiboot.load, memory, ELF, "", [("m", tmp_path / "gone")])
    assert "empty" in refused(multiboot.load, memory, ELF, "", [("m", b"")])
    assert "NUL" in refused(multiboot.load, memory, ELF, "a\0")
    assert "room" in refused(multiboot.load, memory, ELF, "x" * (4 * MIB))


def test_a_module_goes_below_a_kernel_at_the_top() -> None:
    memory = FakeMemory()
    kernel = elf([(0x3FF000, 0x3FF000, KERNEL, 0x1000)], 0x3FF00C)
    start = multiboot.load(memory, kernel, "", [("m", b"module"), ("last", bytes(MIB))])
    table = memory.word(start.registers["ebx"] + 24)
    assert [memory.word(table + at) for at in (0, 4, 16, 20)] == [
        0x3FE000, 0x3FE006, 0x2FE000, 0x3FE000]  # fmt: skip
    assert memory.read(0x3FE000, 6) == b"module"
    assert "behind the kernel" in refused(
        multiboot.load, FakeMemory(), kernel, "", [("big", bytes(3 * MIB))]
    )


def test_information_goes_around_a_low_kernel() -> None:
    memory = FakeMemory()
    kernel = elf([(0x8000, 0x8000, KERNEL, 0x90000)], 0x800C)
    start = multiboot.load(memory, kernel)
    assert memory.read(0x8000, len(KERNEL)) == KERNEL
    assert start.registers["ebx"] >= 0x98000


def test_a_module_may_end_where_memory_ends() -> None:
    """The kernel's memory ends at 0x103000, and the module begins there."""
    room = 4 * MIB - 0x103000
    info = multiboot.load(memory := FakeMemory(), ELF, "", [("m", bytes(room))]).registers["ebx"]
    assert struct.unpack("<2I", memory.read(memory.word(info + 24), 8)) == (0x103000, 4 * MIB)
    words = refused(multiboot.load, FakeMemory(), ELF, "", [("m", bytes(room + 1))])
    assert "at least 5 MiB" in words and "behind the kernel" in words


def test_the_header_must_be_in_what_is_loaded() -> None:
    """load_addr may be the header's own address, and not beyond it."""
    memory = FakeMemory()
    assert multiboot.load(memory, by_address(before=bytes(16), load=0x100010)).eip == 0x100020
    assert memory.read(0x100010, 4) == b"\x02\xb0\xad\x1b"
    for load in (0x100011, 0x100014):
        words = refused(multiboot.load, FakeMemory(), by_address(before=bytes(16), load=load))
        assert "contradict" in words


def test_nothing_to_load_is_refused() -> None:
    image = by_address(before=bytes(16))
    words = refused(multiboot.load, FakeMemory(), by_address(before=bytes(16), end=0x100000))
    assert "contradict" in words
    assert multiboot.load(FakeMemory(), image).eip == 0x100020


def test_the_header_is_where_it_is_looked_for() -> None:
    """In the first 8,192 bytes, whole: twelve bytes, with addresses thirty-two."""
    plain = multiboot_header(3)[:12]
    found = multiboot.find_header(image_of(bytes(8180) + plain))
    assert (found.offset, found.flags, found.entry_addr) == (8180, 3, 0)
    assert "no Multiboot" in headerless(bytes(8184) + plain + bytes(9))
    whole = bytes(8160) + by_address()[:32]
    assert multiboot.find_header(image_of(whole)).entry_addr == 0x100020
    assert "truncated" in headerless(bytes(8164) + by_address())
    header = multiboot.find_header(image_of(plain))
    fields = (header.header_addr, header.load_addr, header.load_end_addr, header.bss_end_addr)
    assert fields == (0, 0, 0, 0)


def headerless(data: bytes) -> str:
    """What is said about a header that is none."""
    with pytest.raises(UserError) as caught:
        multiboot.find_header(image_of(data))
    return str(caught.value)


def image_of(data: bytes) -> Image:
    return Image("kernel", data)


@pytest.mark.parametrize("bit", range(16))
def test_every_flag_that_must_be_known_is_asked_for(bit: int) -> None:
    image = elf([(0x100000, 0x100000, multiboot_header(1 << bit) + CODE, 0x1000)], 0x10000C)
    if bit < 3:
        assert multiboot.load(FakeMemory(), image).eip == 0x10000C
    else:
        assert hex(1 << bit) in refused(multiboot.load, FakeMemory(), image)


def test_a_flag_above_sixteen_may_be_ignored() -> None:
    image = elf([(0x100000, 0x100000, multiboot_header(1 << 17) + CODE, 0x1000)], 0x10000C)
    assert multiboot.load(FakeMemory(), image).eip == 0x10000C


def test_a_checksum_counts_in_all_its_bits() -> None:
    for bit in (0, 31):
        wrong = bytearray(KERNEL)
        checksum = int.from_bytes(KERNEL[8:12], "little") + (1 << bit)
        wrong[8:12] = (checksum & 0xFFFFFFFF).to_bytes(4, "little")
        assert "no Multiboot" in headerless(bytes(wrong))


def test_the_state_at_the_entry() -> None:
    start = multiboot.load(FakeMemory(), ELF)
    assert start.esp == 0x90000
    assert start.protected


def test_a_kernel_without_addresses_that_is_no_elf_file() -> None:
    words = refused(multiboot.load, FakeMemory(), multiboot_header(3) + bytes(8000))
    assert "must be an ELF file" in words


def test_no_bss_is_no_bss() -> None:
    """bss_end_addr 0: the memory ends where the file does."""
    memory = FakeMemory()
    image = by_address(bss=0)
    multiboot.load(memory, image)
    assert memory.read(0x100000, len(image) + 1) == image + b"\xcc"

"""The Linux boot protocol, on kernels made for the test and on Debian's."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from loader_images import MIB, VMLINUZ, FakeMemory, bzimage, needs_kernel, refused

from monitor.loaders import linux
from monitor.loaders.setup_header import parse
from monitor.loaders.source import Image

CODE = bytes(range(256)) * 16


def loaded(kernel: bytes | None = None, **options: object) -> tuple[FakeMemory, dict[str, int]]:
    memory = FakeMemory()
    start = linux.load(memory, kernel or bzimage(CODE), **options)  # type: ignore[arg-type]
    assert start.protected and start.eip == 0x100000
    assert (start.code_selector, start.data_selector) == (0x10, 0x18)
    assert start.gdt is not None
    base, limit = start.gdt
    assert memory.read(base, limit + 1)[16:].hex() == "ffff0000009bcf00ffff00000093cf00"
    assert memory.read(0x100000, len(CODE)) == CODE
    return memory, start.registers


def test_the_zero_page() -> None:
    memory, registers = loaded(initrd=b"disk" * 100, cmdline="console=ttyS0 quiet")
    page = registers["esi"]
    header = bzimage(CODE)[0x1F1:0x26C]
    copied = bytearray(memory.read(page + 0x1F1, len(header)))
    assert copied[0x1F:0x20] == b"\xff"  # type_of_loader 0xFF
    address, size = struct.unpack_from("<II", copied, 0x27)
    assert size == 400
    assert memory.read(address, size) == b"disk" * 100
    assert address == memory.size - 4096  # as high as RAM allows
    assert memory.string(memory.word(page + 0x228)) == "console=ttyS0 quiet"
    copied[0x1F] = 0
    copied[0x27:0x2F] = bytes(8)
    copied[0x37:0x3B] = bytes(4)
    assert bytes(copied) == header  # everything else is the kernel's own
    assert memory.read(page, 2) == b"\0\0"
    assert memory.read(page + 6, 2) == bytes((3, 80))
    assert memory.read(page + 14, 4) == bytes((25, 1, 16, 0))
    assert memory.read(page + 0x290, 0x40) == bytes(0x40)


def test_the_memory_map() -> None:
    memory, registers = loaded()
    page = registers["esi"]
    assert memory.word(page + 0x1E0) == 3072
    assert memory.read(page + 2, 2) == struct.pack("<H", 3072)
    assert memory.data[page + 0x1E8] == 4
    entries = list(struct.iter_unpack("<QQI", memory.read(page + 0x2D0, 80)))
    assert entries == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0x400, 2),
        (0xF0000, 0x10000, 2),
        (0x100000, 3 * MIB, 1),
    ]


def test_without_an_initrd_its_fields_are_zero() -> None:
    memory, registers = loaded()
    assert memory.read(registers["esi"] + 0x218, 8) == bytes(8)


def test_an_initrd_stays_below_the_kernels_limit() -> None:
    memory, registers = loaded(bzimage(CODE, initrd_addr_max=0x37FFFF), initrd=b"x" * 5000)
    assert memory.word(registers["esi"] + 0x218) == 0x37E000


def test_an_initrd_keeps_out_of_the_decompressors_way() -> None:
    """Its working memory is 2 MiB to 4 MiB - 16 K here, so below is the highest place."""
    kernel = bzimage(CODE, init_size=2 * MIB - 0x4000)
    memory, registers = loaded(kernel, initrd=b"x" * 0x4001)
    assert memory.word(registers["esi"] + 0x218) == 0x200000 - 0x5000
    memory, registers = loaded(kernel, initrd=b"x" * 0x4000)
    assert memory.word(registers["esi"] + 0x218) == 4 * MIB - 0x4000


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"relocatable": 0, "pref_address": 0x180000}, 0x180000),
        ({"relocatable": 1, "pref_address": 0x300000}, 0x300000),
        ({"relocatable": 1, "pref_address": 0, "code32_start": 0x108000}, 0x110000),
        ({"version": 0x0209, "relocatable": 0}, 0x100000),
    ],
)
def test_where_the_kernel_unpacks_itself(options: dict[str, int], start: int) -> None:
    assert parse(Image("k", bzimage(**options))).runtime_start == start  # type: ignore[arg-type]


def test_defaults_of_an_old_protocol() -> None:
    header = parse(Image("k", bzimage(CODE, version=0x0202)))
    assert header.cmdline_size == 255
    assert header.initrd_addr_max == 0x37FFFFFF
    assert header.init_size == 0
    assert header.code_size == len(CODE)


@pytest.mark.parametrize(("version", "entry32"), [(0x0201, False), (0x0202, True)])
def test_the_32_bit_entry_came_with_the_pointer_to_the_command_line(
    version: int, entry32: bool
) -> None:
    assert parse(Image("k", bzimage(CODE, version=version))).entry32 is entry32


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (b"", "empty"),
        (b"#!/bin/sh\n", "too few"),
        (b"\x7fELF" + bytes(2000), "ELF"),
        (bytes(4096), "0xAA55"),
        (bytes(0x1FE) + b"\x55\xaa" + bytes(2000), "HdrS"),
        (bzimage(xloadflags=1), "64-bit"),
        (bzimage(code32_start=0x9E800), "boot GDT"),
        (bzimage(code32_start=0x9FFFF), "not all RAM"),
        (bzimage(CODE, pref_address=0x400000), "at least 5 MiB"),
        (bzimage(bytes(8 * MIB)), "at least 9 MiB"),
        (bzimage(code32_start=0x10000), "overlaps"),
    ],
)
def test_what_is_no_kernel_for_us(kernel: bytes, words: str) -> None:
    assert words in refused(linux.load, FakeMemory(), kernel)


def test_truncated_anywhere() -> None:
    whole = bzimage(CODE)
    lengths = [*range(1, 0x270), *range(0x270, len(whole) - 16, 101), len(whole) - 16]
    for length in lengths:
        refused(linux.load, FakeMemory(), whole[:length])


@pytest.mark.parametrize("missing", range(16))
def test_the_last_paragraph_need_not_be_full(missing: int) -> None:
    """`syssize` counts paragraphs of 16 bytes, and nobody pads a file to them."""
    kernel = bzimage(CODE)[: -missing or None]
    memory = FakeMemory()
    linux.load(memory, kernel)
    end = 0x100000 + len(CODE)
    assert memory.read(0x100000, len(CODE) - missing) == CODE[: len(CODE) - missing]
    assert memory.read(end - missing, missing) == b"\xcc" * missing  # not made up
    refused(linux.load, FakeMemory(), kernel[: -(16 - missing)])


@pytest.mark.parametrize("before", (b"", b"signed"))
def test_what_follows_the_kernel_is_not_loaded(before: bytes) -> None:
    """A signature, for one, stands behind what syssize counts."""
    memory = FakeMemory()
    linux.load(memory, bzimage(CODE) + before)
    assert memory.read(0x100000 + len(CODE), 6) == b"\xcc" * 6


def test_fields_of_zero_have_their_defaults() -> None:
    zeros = bzimage(CODE, code32_start=0, initrd_addr_max=0, cmdline_size=0, pref_address=0,
                    init_size=0, relocatable=0)  # fmt: skip
    header = parse(Image("k", zeros))
    assert header.load_address == header.pref_address == header.runtime_start == 0x100000
    assert header.initrd_addr_max == 0x37FFFFFF
    assert header.cmdline_size == 255
    assert header.code_size == len(CODE)


def test_no_alignment_is_a_page() -> None:
    kernel = bytearray(bzimage(CODE, code32_start=0x100800, pref_address=0))
    struct.pack_into("<I", kernel, 0x230, 0)
    assert parse(Image("k", bytes(kernel))).runtime_start == 0x101000


def test_no_setup_sectors_are_four() -> None:
    kernel = bytearray(bzimage(CODE))
    kernel[0x1F1] = 0
    assert parse(Image("k", bytes(kernel))).setup_size == 5 * 512
    loaded(bytes(kernel))


def test_no_size_is_all_of_the_file() -> None:
    kernel = bytearray(bzimage(CODE))
    struct.pack_into("<I", kernel, 0x1F4, 0)
    loaded(bytes(kernel))


def test_the_size_of_an_old_kernel_is_not_trusted() -> None:
    """Before 2.04 the field had 16 bits, and wrapped at a mebibyte."""
    kernel = bytearray(bzimage(CODE, version=0x0203))
    struct.pack_into("<I", kernel, 0x1F4, 0xFFFF0001)
    loaded(bytes(kernel))


def test_what_is_reserved_stays_free() -> None:
    taken = (("the firmware's", 0x10800, 16),)
    message = refused(linux.load, FakeMemory(), bzimage(CODE), reserved=taken)
    assert "overlaps the firmware's" in message


def test_command_line_at_the_limit() -> None:
    kernel = bzimage(CODE, cmdline_size=10)
    memory, registers = loaded(kernel, cmdline="0123456789")
    assert memory.string(memory.word(registers["esi"] + 0x228)) == "0123456789"
    message = refused(linux.load, FakeMemory(), kernel, None, "0123456789a")
    assert "11 bytes" in message and "10" in message
    assert "NUL" in refused(linux.load, FakeMemory(), kernel, None, "a\0b")
    huge = bzimage(CODE, cmdline_size=0xFFFFFFFF)
    assert "shorten" in refused(linux.load, FakeMemory(), huge, None, "x" * 0x90000)


def test_an_initrd_that_does_not_fit() -> None:
    kernel = bzimage(CODE)
    assert "at least 6 MiB" in refused(linux.load, FakeMemory(), kernel, bytes(2 * MIB))
    low = bzimage(CODE, initrd_addr_max=0x1FFFFF)
    assert "below 0x1fffff" in refused(linux.load, FakeMemory(), low, bytes(MIB))
    assert "initrd is empty" in refused(linux.load, FakeMemory(), kernel, b"")


def test_missing_files_are_named(tmp_path: Path) -> None:
    gone = tmp_path / "no-such-kernel"
    assert str(gone) in refused(linux.load, FakeMemory(), gone)
    assert str(tmp_path) in refused(linux.load, FakeMemory(), tmp_path)  # a folder
    assert "nul" in refused(linux.load, FakeMemory(), "a\0b").lower()
    file = tmp_path / "bzImage"
    file.write_bytes(bzimage(CODE))
    assert str(gone) in refused(linux.load, FakeMemory(), file, gone)
    file.write_bytes(bzimage(CODE)[:-16])
    assert str(file) in refused(linux.load, FakeMemory(), str(file))


@needs_kernel
def test_debians_kernel() -> None:
    memory = FakeMemory(64 * MIB)
    start = linux.load(memory, VMLINUZ, b"disk" * 1000, "console=ttyS0")
    assert start.eip == 0x100000
    code = VMLINUZ.read_bytes()[40 * 512 :]
    assert memory.read(0x100000, 1000) == code[:1000]
    assert memory.word(start.registers["esi"] + 0x218) == 64 * MIB - 4096
    message = refused(linux.load, FakeMemory(16 * MIB), VMLINUZ)
    assert "at least 33 MiB" in message and str(VMLINUZ) in message

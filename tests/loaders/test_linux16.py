"""Kernels that are entered at 16 bits: old ones, low ones, and those that name no 32-bit entry."""

from __future__ import annotations

import struct

import pytest
from loader_images import FakeMemory, bzimage, refused

from monitor.loaders import linux
from monitor.loaders.start import StartState

CODE = bytes(range(256)) * 16
SETUP = 5 * 512


def before_the_header(code: bytes = CODE, padding: int = 0) -> bytes:
    """A zImage of before 1.3.73, and what memtest86+ 5 looks like: a boot sector and its sizes."""
    image = bytearray(b"\x90" * SETUP)
    image[0x1F1] = 4
    struct.pack_into("<H", image, 0x1F4, -(-len(code) // 16))
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    return bytes(image) + code + bytes(padding)


def started(kernel: bytes, **options: object) -> tuple[FakeMemory, StartState]:
    memory = FakeMemory()
    return memory, linux.load(memory, kernel, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kernel", "segment", "address", "heap_end"),
    [
        (bzimage(CODE, code32_start=0), 0x1000, 0x100000, 0xE000),
        (bzimage(CODE, code32_start=0, version=0x0202), 0x1000, 0x100000, 0xE000),
        (bzimage(CODE, version=0x0201), 0x9000, 0x100000, 0x9800),
        (bzimage(CODE, version=0x0200), 0x9000, 0x100000, 0x9800),
        (bzimage(CODE, loadflags=0, code32_start=0x1000), 0x9000, 0x10000, 0x9800),
        (bzimage(CODE, loadflags=0, version=0x0200), 0x9000, 0x10000, 0x9800),
        (before_the_header(), 0x9000, 0x10000, 0x9800),
        (before_the_header(padding=511), 0x9000, 0x10000, 0x9800),
        (before_the_header(CODE[:-15]), 0x9000, 0x10000, 0x9800),
    ],
)
def test_where_everything_is(kernel: bytes, segment: int, address: int, heap_end: int) -> None:
    memory, start = started(kernel)
    assert not start.protected and start.gdt is None
    assert (start.registers["cs"], start.eip) == (segment + 0x20, 0)
    assert [start.registers[name] for name in ("ds", "es", "fs", "gs", "ss")] == [segment] * 5
    assert start.esp == heap_end
    assert "eflags" not in start.registers  # interrupts off
    code = kernel[SETUP : SETUP + len(CODE)]
    assert memory.read(address, len(code)) == code
    base = segment << 4
    assert memory.read(base, 0x20) == kernel[:0x20]
    assert memory.read(base + 0x24, 0x210 - 0x24) == kernel[0x24:0x210]
    assert memory.read(base + 0x22C, SETUP - 0x22C) == kernel[0x22C:SETUP]
    assert memory.read(base + SETUP, 0x8000 - SETUP) == bytes(0x8000 - SETUP)


def test_what_the_loader_fills_in() -> None:
    memory, _ = started(bzimage(CODE, code32_start=0), initrd=b"disk" * 100, cmdline="one two")
    assert memory.read(0x10210, 2) == bytes((0xFF, 0x81))  # loader, loaded high and heap
    assert memory.word(0x10214) == 0
    assert memory.read(0x10218, 8) == struct.pack("<II", memory.size - 4096, 400)
    assert memory.read(0x10224, 2) == b"\x00\xde"
    assert memory.word(0x10228) == 0x1E000
    assert memory.string(0x1E000) == "one two"
    assert memory.read(memory.size - 4096, 400) == b"disk" * 100


def test_the_command_line_of_old() -> None:
    memory, _ = started(bzimage(CODE, version=0x0201), cmdline="one two")
    assert memory.read(0x90020, 4) == b"\x3f\xa3\x00\x98"
    assert memory.string(0x99800) == "one two"
    assert memory.read(0x90212, 2) == struct.pack("<H", 0x9800 + 8)
    assert memory.read(0x90224, 2) == b"\x00\x96"
    assert memory.word(0x90228) == 0  # a field that 2.01 does not know
    memory, _ = started(bzimage(CODE, version=0x0200))
    assert memory.read(0x90211, 1) == b"\x01"  # nor 2.00 that bit
    assert memory.read(0x90224, 2) == bytes(2)


def test_a_low_kernel_with_the_new_command_line() -> None:
    memory, _ = started(bzimage(CODE, loadflags=0), cmdline="one two")
    assert memory.word(0x90228) == 0x99800
    assert memory.read(0x90211, 1) == b"\x80"
    assert memory.string(0x99800) == "one two"


def test_nothing_is_written_into_a_header_that_is_not_there() -> None:
    kernel = before_the_header()
    memory, _ = started(kernel, cmdline="one two")
    assert memory.read(0x90024, SETUP - 0x24) == kernel[0x24:SETUP]
    assert memory.string(0x99800) == "one two"


def test_the_room_for_a_command_line() -> None:
    kernel = bzimage(CODE, loadflags=0, cmdline_size=100_000)
    memory, _ = started(kernel, cmdline="x" * 2047)
    assert memory.string(0x99800) == "x" * 2047
    assert "at most 2047" in refused(linux.load, FakeMemory(), kernel, None, "x" * 2048)
    kernel = bzimage(CODE, code32_start=0, cmdline_size=100_000)
    assert "at most 8191" in refused(linux.load, FakeMemory(), kernel, None, "x" * 8192)


def test_half_a_mebibyte_fits_below() -> None:
    memory, _ = started(bzimage(CODE * 128, loadflags=0))
    assert memory.read(0x8FFF0, 16) == CODE[-16:]
    assert "overlaps" in refused(linux.load, FakeMemory(), bzimage(CODE * 128 + CODE, loadflags=0))


@pytest.mark.parametrize("version", (0x0200, 0x0203, 0x020F))
def test_a_low_kernel_that_is_cut_short(version: int) -> None:
    """Sixteen bits are enough for the size of what fits below 640 KiB, so they can be trusted."""
    kernel = bzimage(CODE, loadflags=0, version=version)
    assert "truncated" in refused(linux.load, FakeMemory(), kernel[:-16])
    started(kernel[:-15])


def test_what_is_refused() -> None:
    kernel = bytearray(bzimage(CODE * 9, code32_start=0, version=0x0203))
    kernel[0x1F1] = 64
    assert "setup part of 33280 bytes" in refused(linux.load, FakeMemory(), bytes(kernel))
    message = refused(linux.load, FakeMemory(), before_the_header(), b"disk")
    assert "takes no initrd" in message


@pytest.mark.parametrize(
    "image",
    [
        before_the_header(padding=512),
        before_the_header()[:-16],
        before_the_header()[:0x1F1] + b"\0" + before_the_header()[0x1F2:],
        before_the_header(b""),
        before_the_header()[:SETUP],
    ],
    ids=["too long", "too short", "no setup", "no size", "no code"],
)
def test_any_other_boot_sector_is_none(image: bytes) -> None:
    assert "no 'HdrS'" in refused(linux.load, FakeMemory(), image)

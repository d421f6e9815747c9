"""What the scanner is given of a file."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from loader_images import BUSYBOX, VMLINUZ, bzimage, elf, needs_busybox, needs_kernel

from monitor.loaders.images import Region, code_regions
from monitor.vmm.errors import UserError

TEXT = b"\x9c\xfa\x9d\xf4"
VMLINUX = elf([(0xC1000000, 0x1000000, TEXT, 4)], 0xC1000000)


def gzipped(data: bytes) -> bytes:
    """Without the time in its header: a test's parameter is the same whenever it is made."""
    return gzip.compress(data, mtime=0)


def bzimage_with(packed: bytes) -> bytes:
    head, size = b"\x90" * 64, len(VMLINUX).to_bytes(4, "little")
    return bzimage(head + packed + size + b"\xf4" * 32, payload=(64, len(packed) + 4))


def test_raw() -> None:
    assert code_regions(TEXT, 0x7C00, 16) == [Region("raw", 0x7C00, TEXT, 16)]


def test_elf_segments() -> None:
    assert code_regions(VMLINUX) == [Region("segment 0", 0xC1000000, TEXT, 32)]
    assert code_regions(elf([(0, 0, TEXT, 4)], 0, flags=6)) == []  # data only


@pytest.mark.parametrize(
    "pack",
    [
        gzipped,
        bz2.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
        lambda data: lzma.compress(
            data,
            lzma.FORMAT_XZ,
            lzma.CHECK_CRC32,
            filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}],
        ),
    ],
    ids=["gzip", "bzip2", "xz", "lzma", "xz with a filter"],
)
def test_a_kernel_and_the_one_inside(pack: Callable[[bytes], bytes]) -> None:
    regions = code_regions(bzimage_with(pack(VMLINUX)))
    assert [(r.name, r.bits) for r in regions] == [
        ("setup", 16),
        ("head", 32),
        ("decompressor", 32),
        ("vmlinux segment 0", 32),
    ]
    assert regions[0].address == 0x1026C
    assert regions[1] == Region("head", 0x100000, b"\x90" * 64)
    assert regions[2].code.rstrip(b"\0") == b"\xf4" * 32
    assert regions[3].code == TEXT


def test_a_kernel_without_a_known_payload() -> None:
    regions = code_regions(bzimage(TEXT * 4))
    assert regions[1] == Region("protected-mode part", 0x100000, TEXT * 4)


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"\x02\x21\x4c\x18 lz4", "cannot read"),
        (gzipped(VMLINUX)[:10], "cut short"),
        (gzipped(VMLINUX)[:10] + b"\xff" * 40, "does not decompress"),
        (lzma.compress(VMLINUX)[:20] + b"\xff" * 40, "does not decompress"),
        (gzipped(b"no ELF in here"), "not an ELF"),
    ],
    ids=["unknown", "cut short", "gzip", "xz", "no ELF"],
)
def test_a_damaged_payload(packed: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        code_regions(bzimage_with(packed))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="empty"):
        code_regions(b"")
    with pytest.raises(UserError, match="gone"):
        code_regions(tmp_path / "gone")
    for length in range(5, len(VMLINUX)):
        with pytest.raises(UserError):
            code_regions(VMLINUX[:length])


@needs_busybox
def test_busybox() -> None:
    regions = {region.name: region for region in code_regions(BUSYBOX)}
    assert len(regions[".text"].code) > 1_000_000
    assert ".data" not in regions


@needs_kernel
def test_debians_kernel() -> None:
    regions = {region.name: region for region in code_regions(VMLINUZ)}
    assert regions["setup"].bits == 16
    assert regions["vmlinux .text"].address == 0xC1000000
    assert len(regions["vmlinux .text"].code) > 5_000_000

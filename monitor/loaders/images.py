"""What to scan in a file: the code regions of a raw binary, an ELF file or a bzImage.

    ELF      every executable section, or every executable segment when there are no sections
    bzImage  the real-mode setup part (16 bits, at 0x10000 by old custom), the 32-bit part that
             decompresses, and the executable sections of the kernel proper, which lies inside as
             a compressed payload: gzip, bzip2, xz or lzma
    else     the whole file, at the address that the caller says, unless it is compressed or an
             archive (packed.py)

Example: a Debian kernel gives `setup` (16 bits), `decompressor` and `vmlinux .text`, among others.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import NamedTuple

from monitor.loaders import elf_file
from monitor.loaders.packed import recognise, refuse_to_scan
from monitor.loaders.setup_header import BOOT_FLAG, MAGIC, SetupHeader, parse
from monitor.loaders.source import Image, Source, open_image
from monitor.vmm.errors import UserError

SETUP_ADDRESS = 0x10000


class Region(NamedTuple):
    """A stretch of code. `bits` is 16 or 32."""

    name: str
    address: int
    code: bytes
    bits: int = 32


def code_regions(
    source: Source, base: int = 0, bits: int = 32, *, raw: bool = False
) -> list[Region]:
    """The code of a file. `base` and `bits` are for a raw binary; ELF and bzImage know theirs.

    `raw`: it is raw code, whatever it looks like. UserError for what cannot be read, and for what
    is compressed, an archive, or an image of a disk.
    """
    image = open_image(source, "file to scan")
    if raw:
        return [Region("raw", base, image.data, bits)]
    if image.data[:4] == elf_file.MAGIC:
        return elf_regions(image)
    if image.data[BOOT_FLAG : BOOT_FLAG + 2] == b"\x55\xaa" and image.data[MAGIC:][:4] == b"HdrS":
        return kernel_regions(image)
    refuse_to_scan(image)
    return [Region("raw", base, image.data, bits)]


def elf_regions(image: Image, prefix: str = "") -> list[Region]:
    """Executable sections; of a stripped file without any, executable segments."""
    file = elf_file.parse(image)
    regions = [
        Region(prefix + section.name, section.address, file.contents(section))
        for section in file.sections
        if section.flags & elf_file.SHF_EXECINSTR and section.kind != elf_file.SHT_NOBITS
    ]
    if not regions:
        regions = [
            Region(f"{prefix}segment {number}", segment.vaddr, file.contents(segment))
            for number, segment in enumerate(file.loadable)
            if segment.flags & elf_file.PF_X
        ]
    return [region for region in regions if region.code]


def kernel_regions(image: Image) -> list[Region]:
    """A bzImage's three parts."""
    header = parse(image)
    code = image.data[header.setup_size : header.setup_size + header.code_size]
    start, length = header.payload
    setup = image.data[header.end : header.setup_size]  # before it: the boot sector and header
    regions = [Region("setup", SETUP_ADDRESS + header.end, setup, 16)]
    if not length:
        return [*regions, Region("protected-mode part", header.load_address, code)]
    regions.append(Region("head", header.load_address, code[:start]))
    behind = start + length
    regions.append(Region("decompressor", header.load_address + behind, code[behind:]))
    kernel = Image(f"{image.name} (the kernel inside)", payload(image, header))
    return regions + elf_regions(kernel, "vmlinux ")


def payload(image: Image, header: SetupHeader) -> bytes:
    """The decompressed vmlinux."""
    start = header.setup_size + header.payload[0]
    packed = image.data[start : start + header.payload[1]]
    for magic, decompress in FORMATS:
        if packed.startswith(magic):
            return _unpack(image, packed, decompress)
    kind = recognise(packed)
    how = kind.what if kind else f"packed (it begins with {packed[:4].hex(' ')})"
    raise UserError(
        f"{image.name}: the kernel inside is {how}, which Python cannot read; scan the vmlinux it "
        "was made from"
    )


def _unpack(image: Image, packed: bytes, decompress: Callable[[bytes], bytes]) -> bytes:
    try:
        data = decompress(packed)
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{image.name}: the kernel inside does not decompress ({error}); copy it again"
        ) from error
    if not data:
        raise UserError(f"{image.name}: the kernel inside is cut short; copy it again")
    return data


# The kernel's build appends the unpacked size to the payload, so each of these must stop at the
# end of its stream and leave the rest alone: hence the decompressor objects.
def _gzip(packed: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(packed)


def _bzip2(packed: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(packed)


def _xz(packed: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed)


def _lzma(packed: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(packed)


FORMATS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ", _xz),
    (b"\x5d\x00\x00", _lzma),
)

"""Files that hold no code as it runs: compressed ones, archives, images of disks, by their magic.

Each kind is known by what its own definition puts at a fixed place: gzip by RFC 1952, zstd by
RFC 8878, tar and cpio by POSIX, ZIP by PKWARE's APPNOTE, LZ4 by its frame format, and so on.

What is so short that code could begin like it is asked for more: gzip and compress for a third byte
that makes sense, bzip2 for its first block, lzma for all of its header, the old cpio for a name
that ends where it says, a program for Windows for the second header that the first points to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import NamedTuple

from monitor.loaders.source import Image
from monitor.vmm.errors import UserError

TAR_MAGIC, ISO_MAGIC = 257, 0x8001
NAME_SIZE = 20  # of the old binary cpio: where the length of the name stands
CPIO_HEADER = 26
LZMA_HEADER = 13
PE_POINTER = 0x3C


@dataclass(frozen=True)
class Packed:
    """What a file is, and what to do to see the code in it; {} is the file's name."""

    what: str
    remedy: str

    def sentence(self, name: str) -> str:
        return f"{self.what}; {self.remedy.format(quote(name))}"


class _Kind(NamedTuple):
    packed: Packed
    matches: Callable[[bytes], bool]


def recognise(data: bytes) -> Packed | None:
    """What this is, if it is one of them."""
    return next((kind.packed for kind in KINDS if kind.matches(data)), None)


def refuse_packed(image: Image) -> None:
    """For a loader: UserError that says what it is and what to do about it."""
    packed = recognise(image.data)
    if packed is not None:
        raise UserError(f"{image.name}: {packed.sentence(image.name)}")


def refuse_to_scan(image: Image) -> None:
    """The same for a scanner, which has other formats of programs to refuse as well."""
    packed = PROGRAM.packed if PROGRAM.matches(image.data) else recognise(image.data)
    if packed is not None:
        raise UserError(f"{image.name}: {packed.sentence(image.name)}, or scan its bytes as they "
                        "are (--raw)")  # fmt: skip


def _at(magic: bytes, offset: int = 0) -> Callable[[bytes], bool]:
    return lambda data: data[offset : offset + len(magic)] == magic


def _like(pattern: bytes) -> Callable[[bytes], bool]:
    return lambda data: re.match(pattern, data, re.DOTALL) is not None


def _lzma(data: bytes) -> bool:
    """Properties, a dictionary of a power of two (or 3/2 of one), a size that is unknown or small,
    and the first byte of a range coder, which is zero."""
    if len(data) <= LZMA_HEADER or data[0] != 0x5D or data[LZMA_HEADER] != 0:
        return False
    dictionary = int.from_bytes(data[1:5], "little")
    size = int.from_bytes(data[5:13], "little")
    power = dictionary & (dictionary - 1) == 0 or dictionary // 3 & (dictionary // 3 - 1) == 0
    return dictionary >= 1 << 12 and power and (size == (1 << 64) - 1 or 0 < size < 1 << 38)


def _zstd(data: bytes) -> bool:
    """A frame, or one that is skipped (pzstd begins so) and then a frame."""
    if re.match(rb"[\x50-\x5f]\x2a\x4d\x18", data):
        data = data[8 + int.from_bytes(data[4:8], "little") :]
    return data.startswith(b"\x28\xb5\x2f\xfd")


def _old_cpio(data: bytes) -> bool:
    """The binary format, little-endian: the name is so long, and ends with a zero there."""
    if not data.startswith(b"\xc7\x71") or len(data) < CPIO_HEADER:
        return False
    end = CPIO_HEADER + int.from_bytes(data[NAME_SIZE : NAME_SIZE + 2], "little")
    return end > CPIO_HEADER + 1 and data[end - 1 : end] == b"\0"


def _tar(data: bytes) -> bool:
    """ustar, pax and GNU; or of before them, by its checksum: the header's bytes with the
    checksum's own field taken for spaces."""
    if _at(b"ustar", TAR_MAGIC)(data):
        return True
    header, field = data[:512], data[148:156]
    if len(header) < 512 or not re.fullmatch(rb"[ 0-7]{6}\0 ", field):
        return False
    return int(field[:6].strip() or b"0", 8) == sum(header) - sum(field) + 8 * ord(" ")


def _program(data: bytes) -> bool:
    """MZ alone is code that could be; with PE where the header says it is not."""
    place = int.from_bytes(data[PE_POINTER : PE_POINTER + 4], "little")
    return data.startswith(b"MZ") and data[place : place + 4] == b"PE\0\0"


def _compressed(by: str, command: str) -> Packed:
    return Packed(f"compressed with {by}", f"unpack it first (`{command} > OUT`)")


def _archive(kind: str, command: str) -> Packed:
    return Packed(f"{kind} archive", f"take the program out of it first (`{command}`)")


def _disk(kind: str, how: str) -> Packed:
    return Packed(kind, f"take the program out of it first ({how})")


KINDS = (
    _Kind(_compressed("gzip", "gzip -dc {}"), _like(rb"\x1f\x8b\x08[\x00-\x1f]")),
    _Kind(_compressed("bzip2", "bzip2 -dc {}"),
          _like(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")),
    _Kind(_compressed("xz", "xz -dc {}"), _at(b"\xfd7zXZ\0")),
    _Kind(_compressed("lzma", "xz -dc --format=lzma {}"), _lzma),
    _Kind(_compressed("lzip", "lzip -dc {}"), _like(rb"LZIP[\x00\x01]")),
    _Kind(_compressed("zstd", "zstd -dc {}"), _zstd),
    _Kind(_compressed("lz4", "lz4 -dc {}"), _at(b"\x04\x22\x4d\x18")),
    _Kind(_compressed("lz4, in its old format", "lz4 -dc {}"), _at(b"\x02\x21\x4c\x18")),
    _Kind(_compressed("lzop", "lzop -dc {}"), _at(b"\x89LZO\0\r\n\x1a\n")),
    _Kind(_compressed("compress", "gzip -dc {}"), _like(rb"\x1f\x9d[\x89-\x90]")),
    _Kind(_archive("a ZIP", "unzip {}"),
          _like(rb"PK(\x03\x04[\x0a-\x3f]|\x05\x06\x00|\x07\x08PK)")),
    _Kind(_archive("a 7z", "7z x {}"), _at(b"7z\xbc\xaf\x27\x1c")),
    _Kind(_archive("a RAR", "unrar x {}"), _at(b"Rar!\x1a\x07")),
    _Kind(_archive("a cabinet", "cabextract {}"), _at(b"MSCF\0\0\0\0")),
    _Kind(_archive("a tar", "tar -xf {}"), _tar),
    _Kind(_archive("a cpio", "cpio -id < {}"), _like(rb"07070[127][0-9A-Fa-f]{6}")),
    _Kind(_archive("a cpio", "cpio -id < {}"), _old_cpio),
    _Kind(_archive("an ar", "ar x {}"), _like(rb"!<(arch|thin)>\n")),
    _Kind(_archive("an RPM", "rpm2cpio {} | cpio -id"), _at(b"\xed\xab\xee\xdb")),
    _Kind(_disk("a squashfs file system", "`unsquashfs {}`"), _like(rb"hsqs.{24}\x04\x00")),
    _Kind(_disk("an image of a CD", "`xorriso -osirrox on -indev {} -extract / OUT`"),
          _at(b"CD001", ISO_MAGIC)),
    _Kind(_disk("a qcow2 image of a disk", "`qemu-img convert {} OUT` makes a raw one of it"),
          _like(rb"QFI\xfb\x00\x00\x00[\x01-\x03]")),
    _Kind(_disk("a VMDK image of a disk", "`qemu-img convert {} OUT` makes a raw one of it"),
          _like(rb"KDMV[\x01-\x03]\x00\x00\x00")),
)  # fmt: skip
PROGRAM = _Kind(Packed("a program for Windows or EFI (PE)",
                       "take its code out first (`objcopy -O binary -j .text {} OUT`)"), _program)

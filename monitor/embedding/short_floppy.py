"""Images of floppies that end before the disk does: what `dd` writes onto one.

Boot loaders come like this, GRUB's rescue floppy among them: as many sectors as they have, for
whatever disk there is. The rest of the disk is zeros. A file system that has more sectors than its
image was cut off instead, which its BIOS parameter block tells (Microsoft, "FAT: General Overview
of On-Disk Format": bytes of a sector at offset 11, sectors at 19 or, if there are many, at 32).

>>> padded(b"\\xeb\\x3c".ljust(510, b"\\0") + b"\\x55\\xaa").index(b"\\x55\\xaa")
510
>>> padded(bytes(512)) is None
True
"""

from __future__ import annotations

from devices.storage.floppy_formats import format_of
from devices.storage.medium import SECTOR

USUAL = 1_474_560  # bytes of a 1.44M disk
SIGNATURE, SIGNATURE_AT = b"\x55\xaa", 510
SECTOR_BYTES_AT, SECTORS_AT, MANY_SECTORS_AT = slice(11, 13), slice(19, 21), slice(32, 36)


def sectors_missing(image: bytes) -> tuple[int, int] | None:
    """How many sectors there are, and how many its file system has, if these are more."""
    if int.from_bytes(image[SECTOR_BYTES_AT], "little") != SECTOR or not _boots(image):
        return None
    has = int.from_bytes(image[SECTORS_AT], "little")
    has = has or int.from_bytes(image[MANY_SECTORS_AT], "little")
    there = len(image) // SECTOR
    return (there, has) if there < has <= USUAL // SECTOR * 2 else None


def padded(image: bytes) -> bytes | None:
    """A whole disk that begins with it; None if it is not the beginning of one that boots."""
    if len(image) % SECTOR or not _boots(image) or sectors_missing(image) is not None:
        return None
    if len(image) >= USUAL or format_of(len(image)) is not None:
        return None
    return image.ljust(USUAL, b"\0")


def _boots(image: bytes) -> bool:
    return image[SIGNATURE_AT : SIGNATURE_AT + len(SIGNATURE)] == SIGNATURE

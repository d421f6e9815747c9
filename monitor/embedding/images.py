"""Images of floppies, disks and CDs: opened, and looked at before the guest starts.

    image = open_image("floppy", "dos.img", writable=False)

What is wrong with one is a UserError: a file that is not there, is no file, is empty, cut off, too
large, or no image of that kind.
"""

from __future__ import annotations

from devices.storage.floppy_formats import FORMATS, format_of
from devices.storage.medium import SECTOR
from monitor.embedding.short_floppy import USUAL, padded, sectors_missing
from monitor.host.disk_image import Bytes, RawFile
from monitor.vmm.errors import UserError

CD_BLOCK = 2048
VOLUME = 16 * CD_BLOCK  # where a CD's volume descriptors are
VOLUME_ID, VOLUME_BLOCKS = slice(1, 6), slice(80, 84)
PRIMARY = 1
MOST_DISK = 2 << 40
MOST_CD = 9 << 30  # a little more than a DVD of two layers
KINDS = {"floppy": "floppy disk", "disk": "hard disk", "cdrom": "CD"}

Image = RawFile | Bytes


def open_image(kind: str, source: str | bytes, writable: bool) -> Image:
    """An image of a "floppy", a "disk" or a "cdrom". UserError: it is none."""
    what = KINDS[kind]
    name = source if isinstance(source, str) else f"the {what}"
    image = RawFile(source, what, writable) if isinstance(source, str) else Bytes(source)
    if not image.size:
        raise UserError(f"{name}: the {what}'s image is empty; give one with something in it")
    if kind == "floppy" and image.size < USUAL and not writable:
        whole = padded(image.read(0, image.size))
        image = image if whole is None else Bytes(whole)
    problem = CHECKS[kind](image)
    if problem is not None:
        raise UserError(f"{name}: {problem}")
    return image


def _floppy(image: Image) -> str | None:
    if format_of(image.size) is not None:
        return None
    short = sectors_missing(image.read(0, image.size)) if image.size < USUAL else None
    if short is not None:
        there, has = short
        return f"the floppy disk's image is cut off: {there:,} of its {has:,} sectors are there"
    sizes = ", ".join(f"{each.size:,}" for each in FORMATS)
    return f"no floppy disk has {image.size:,} bytes; an image has {sizes}"


def _disk(image: Image) -> str | None:
    if image.size > MOST_DISK:
        return f"{image.size:,} bytes are more than a disk has here: {MOST_DISK >> 40} TiB"
    rest = image.size % SECTOR
    if not rest:
        return None
    return f"the disk's image is cut off: {rest} bytes beyond its last whole sector of {SECTOR}"


def _cd(image: Image) -> str | None:
    if image.size > MOST_CD:
        return f"{image.size:,} bytes are more than a disc has: {MOST_CD >> 30} GiB"
    head = image.read(VOLUME, CD_BLOCK) if image.size >= VOLUME + CD_BLOCK else b""
    if head[VOLUME_ID] != b"CD001" or head[0] != PRIMARY:
        return "no CD image: there is no ISO 9660 volume at sector 16"
    blocks = int.from_bytes(head[VOLUME_BLOCKS], "little")
    if blocks * CD_BLOCK > image.size:
        have = image.size // CD_BLOCK
        return f"the CD's image is cut off: {have:,} of its {blocks:,} blocks are there"
    return None


CHECKS = {"floppy": _floppy, "disk": _disk, "cdrom": _cd}

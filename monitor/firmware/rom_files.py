"""Files with firmware: where they are found, and what is none.

Debian's package seabios has SeaBIOS and its VGA BIOSes in /usr/share/seabios; `make guests` and `vp
guest fetch` put the same files, without installing anything, in seabios/ among the guests' files.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from monitor.loaders.source import Image, Source, open_image
from monitor.settings import guest_places
from monitor.vmm.errors import UserError

BIOS = "bios.bin"
VGA_BIOS = {True: "vgabios-stdvga.bin", False: "vgabios-isavga.bin"}  # with PCI, and without
FOLDERS = (
    *(folder / "seabios" for folder in guest_places.folders()),
    Path("/usr/share/seabios"),
)
SIZES = (64 << 10, 128 << 10, 256 << 10)
RESET_VECTOR = -16
NO_CODE = (0x00, 0xFF)
SIGNATURE = b"\x55\xaa"
BLOCK = 512  # the unit of an option ROM's size byte
MOST_ROM = 256 << 10
MOST_FILE = 16 << 20  # what is larger is not even read


def find(name: str) -> Path | None:
    """The file of this name in one of the usual folders."""
    return next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)


def open_bios(source: Source | None) -> Image:
    """A BIOS, or SeaBIOS if none is given. UserError: it is none, or there is none."""
    image = _open(source if source is not None else default_bios(), "BIOS")
    size = len(image.data)
    if size not in SIZES:
        known = ", ".join(str(each >> 10) for each in SIZES)
        raise UserError(f"{image.name}: {size} bytes are no BIOS: it has {known} KiB")
    if image.data[RESET_VECTOR] in NO_CODE:
        raise UserError(
            f"{image.name}: no BIOS: there is no code at the reset vector, 16 bytes before its end"
        )
    return image


def default_bios() -> Path:
    """SeaBIOS. UserError: it is in none of the usual folders."""
    found = find(BIOS)
    if found is None:
        raise UserError(
            "there is no SeaBIOS here: install Debian's package seabios, fetch it with "
            "`make guests`, or name a BIOS with --bios FILE"
        )
    return found


def open_rom(source: Source, what: str) -> Image:
    """A ROM that a BIOS starts: 55h AAh, its size in blocks of 512 bytes, code. UserError."""
    image = _open(source, what)
    data = image.data
    if data[:2] != SIGNATURE or len(data) < 3:
        raise UserError(f"{image.name}: no {what}: it does not begin with the bytes 55 AA")
    size = data[2] * BLOCK
    if not 0 < size <= len(data) or len(data) > MOST_ROM:
        raise UserError(
            f"{image.name}: no whole {what}: its header says {size} bytes, the file has {len(data)}"
        )
    if sum(data[:size]) & 0xFF:
        raise UserError(
            f"{image.name}: no BIOS starts this {what}: its bytes do not sum to 0 modulo 256; "
            "its last one is usually made so"
        )
    return image


def _open(source: Source, what: str) -> Image:
    """A file that is one, and not too large to be looked at; or bytes. UserError."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return open_image(source, what)  # which says why
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: the {what} is no file; give one")
        if status.st_size > MOST_FILE:
            raise UserError(f"{path}: {status.st_size:,} bytes are no {what}, nor any firmware")
    return open_image(source, what)

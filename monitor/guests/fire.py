"""A demo to look at: a floppy disk that starts a fire in mode 13h (fire.asm).

    python -m monitor.guests.fire fire.img
    vp run --fda fire.img --vga std --display terminal

The guest writes 64,000 pixels a frame, and the frame buffer is RAM to it, so none of them is an
exit. The BIOS sets the mode; everything else the guest does itself, in 16-bit code.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

from monitor.guests.assembler import assemble

SECTOR = 512
FLOPPY = 1474560
ORIGIN = 0x7C00
FRAMES = 0x600  # fire.asm: where it counts


@cache
def floppy() -> bytes:
    """The disk's image."""
    code = assemble(_read, "fire.asm", ORIGIN, bits=16).image
    assert len(code) <= SECTOR - 2
    return (code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa").ljust(FLOPPY, b"\0")


def _read(name: str) -> str:
    return (files("monitor.guests") / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(floppy())

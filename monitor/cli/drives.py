"""The options for drives: `--fda`, `--hda`, `--cdrom` and so on."""

from __future__ import annotations

import argparse

from monitor.settings.drives import CDROM, DISKS, FLOPPIES, PLUGS, Drive, drives_of

DRIVE_OPTIONS = PLUGS
WHAT = {"fda": "a floppy disk's image, 160K to 2.88M, or none",
        "hda": "a hard disk's image, raw; FILE,persistent writes into it",
        "cdrom": "a CD's image (ISO 9660), or none: a drive in the place of --hdc"}  # fmt: skip


def add_drives(group: argparse._ActionsContainer) -> None:
    """The options; what a guest writes is forgotten, unless ,persistent is said."""
    for plug in (*FLOPPIES, *DISKS, CDROM):
        group.add_argument(f"--{plug}", metavar="FILE", help=WHAT.get(plug, "another"))


def asked_drives(args: argparse.Namespace) -> tuple[Drive, ...]:
    """What they say. UserError."""
    given = {plug: getattr(args, plug) for plug in PLUGS if getattr(args, plug) is not None}
    return drives_of(given)

"""The options of a machine that starts as a PC does: its BIOS, option ROMs, what is booted.

A guest that no loader puts in comes by the BIOS: as soon as there is a drive, a .vmx file or one of
these options, and no --kernel and the like.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from monitor.settings.boot import BootConfig, parse_boot
from monitor.settings.config import BIOS, KINDS, ImageConfig, parse_number, parse_option_rom
from monitor.settings.machine import CHIPSETS
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.vmware.vmx.machine import VmxMachine

Given = TypeVar("Given")
OPTIONS = ("bios", "vgabios", "option_rom", "boot")
DRIVES = ("fda", "fdb", "hda", "hdb", "hdc", "hdd", "cdrom")  # as far as there are such options


def add_firmware(group: argparse._ArgumentGroup) -> None:
    """What firmware_image() reads."""
    group.add_argument("--bios", type=Path, metavar="FILE",
                       help="a BIOS of 64, 128 or 256 KiB, begun at the reset vector (default if a "
                       "PC has to boot: SeaBIOS, from Debian's package or `make guests`)")
    group.add_argument("--vgabios", type=Path, metavar="FILE",
                       help="with a BIOS: the display adapter's (default: SeaBIOS's)")
    group.add_argument("--option-rom", action="append", default=[], metavar="FILE[@ADDR]",
                       help="with a BIOS: a ROM that it starts, or that lies at ADDR, from 0xc0000 "
                       "to 0xdffff; may be repeated")
    group.add_argument("--boot", metavar="order=dca",
                       help="with a BIOS: boot from CD (d), disk (c), floppy (a), network (n), in "
                       "this order; menu=on asks")


def add_chipset(group: argparse._ArgumentGroup) -> None:
    """The board."""
    group.add_argument("--chipset", choices=CHIPSETS,
                       help="a PC/AT's chips (default), or 440FX and PIIX3, with PCI and power "
                       "management (default with a BIOS)")


def starts_firmware(args: argparse.Namespace, vmx: VmxMachine | None = None) -> bool:
    """Does the machine begin at its reset vector?"""
    if any(getattr(args, kind, None) is not None for kind in KINDS):
        return False
    return vmx is not None or any(getattr(args, name, None) for name in (*OPTIONS, *DRIVES))


def chipset_of(args: argparse.Namespace, vmx: VmxMachine | None = None) -> str:
    """Which board it needs."""
    asked: str | None = getattr(args, "chipset", None)
    if not starts_firmware(args, vmx):
        return asked or CHIPSETS[0]
    if asked not in (None, "i440fx"):
        raise UserError(f"--chipset {asked}: a BIOS needs i440fx")
    return "i440fx"


def check_no_firmware(args: argparse.Namespace, kind: str) -> None:
    """UserError: options of a BIOS's beside a guest that needs none."""
    for name in OPTIONS[1:]:
        if getattr(args, name, None):
            raise UserError(f"--{name.replace('_', '-')} goes with --{BIOS}, not with --{kind}")


def firmware_image(args: argparse.Namespace, vmx: VmxMachine | None = None) -> ImageConfig:
    """The BIOS and what it is told: options beat the file, the file beats defaults. UserError."""
    from monitor.firmware.rom_files import default_bios

    bios, boot = args.bios, args.boot
    if vmx is not None:
        bios = _or_file(bios, "--bios", vmx, "bios440.filename", vmx.settings.bios)
        order = vmx.settings.firmware_order()
        boot = _or_file(boot, "--boot", vmx, "bios.bootOrder", order)
    parse_boot(boot or "")
    roms = tuple(parse_option_rom(text) for text in args.option_rom)
    return ImageConfig(
        BIOS, bios or default_bios(), args.append, args.initrd, tuple(args.module),
        entry=None if args.entry is None else parse_number(args.entry, "--entry"),
        firmware_state=args.firmware_state, vgabios=args.vgabios,
        option_roms=roms, boot=boot or f"order={BootConfig.order}",
    )  # fmt: skip


def _or_file(
    option: Given | None, name: str, vmx: VmxMachine, setting: str, value: Given | None
) -> Given | None:
    """What the option says, or else the file."""
    if option is None:
        return value
    vmx.override(name, setting)
    return option

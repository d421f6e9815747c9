"""A BIOS put into a machine: its ROM, and what it is told.

Manual: SeaBIOS documentation, "Runtime configuration" (the files of fw_cfg); SeaBIOS and Bochs know
the CMOS bytes 38h and 3Dh as the boot order, a nibble each: 1 floppy, 2 disk, 3 CD, 4 network.

    ROM                    the image, at the top of 1 MiB and of 4 GiB (embedding/roms.py)
    CMOS 3Dh, 38h          first and second in 3Dh, third in the upper half of 38h
    fw_cfg 0Eh             is there a boot menu?
    etc/e820               where RAM is
    etc/boot-fail-wait     -1: with nothing to boot, it stops, and does not start again
    etc/system-states      which ACPI sleep states there are: off, and no other
    etc/table-loader, ...  ACPI's and the MP table, on a board with APICs (tables/loader.py)
    pciVVVV,DDDD.rom       the VGA BIOS, for the display adapter with these numbers
    vgaroms/, genroms/     a VGA BIOS for one that is not on PCI; option ROMs

A BIOS that knows no fw_cfg finds option ROMs in memory, so one with an address is put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bt.models import MODELS
from devices.chipset import Chipset
from devices.fw_cfg import FwCfg
from devices.pci.function import PciFunction
from monitor.embedding.roms import Roms
from monitor.firmware.rom_files import VGA_BIOS, find, open_bios, open_rom
from monitor.firmware.tables import mp
from monitor.firmware.tables.loader import offer as offer_tables
from monitor.loaders.source import Source
from monitor.settings.boot import BootConfig, parse_boot
from monitor.settings.machine import Settings
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError

BOOT_THIRD, BOOT_FIRST = 0x38, 0x3D
BOOT_CODES = {"a": 1, "c": 2, "d": 3, "n": 4}
E820_RAM = 1
DISPLAY = 0x03  # PCI's base class
VGA_PORT = 0x3C0
SLEEP_STATES = bytes((0x80, 0, 0, 1, 2, 0x80))  # S0 to S5, 80h: there is such a state
FOREVER = b"\xff\xff\xff\xff"
OptionRom = Source | tuple[Source, int]


class Parts(Protocol):
    """What of a machine is needed."""

    @property
    def chipset(self) -> Chipset | None: ...

    @property
    def board(self) -> Board: ...

    @property
    def roms(self) -> Roms: ...

    @property
    def settings(self) -> Settings: ...


def load(
    machine: Parts,
    bios: Source | None,
    vgabios: Source | None,
    option_roms: Sequence[OptionRom],
    boot: str,
) -> None:
    """Put it all in; RESET is the caller's. UserError, and nothing is in the machine."""
    chipset = machine.chipset
    if chipset is None:
        raise UserError("a BIOS needs a machine with a chipset: Machine(chipset='i440fx')")
    config = parse_boot(boot)
    image = open_bios(bios)
    files = _display_files(machine.board, vgabios)
    placed: list[tuple[int, bytes]] = []
    for number, rom in enumerate(option_roms):
        if isinstance(rom, tuple):
            placed.append((rom[1], open_rom(rom[0], "option ROM").data))
        else:
            files[f"genroms/{number}.rom"] = open_rom(rom, "option ROM").data
    machine.roms.add_firmware(image.data)
    for address, data in placed:
        machine.roms.add(address, data)
    tell(machine.board, chipset.fw_cfg, config, files)
    if machine.board.apics is not None:
        board, model = machine.board, MODELS[machine.settings.cpu]
        offer_tables(chipset, board.memory_bytes, mp.table(model, board.bus, pci=True))


def tell(board: Board, fw_cfg: FwCfg, boot: BootConfig, files: dict[str, bytes]) -> None:
    """What the firmware asks of the board."""
    set_boot_order(board, boot.order)
    files = {
        "etc/e820": memory_map(board.memory_bytes),
        "etc/boot-fail-wait": FOREVER,
        "etc/system-states": SLEEP_STATES,
        **files,
    }
    try:
        fw_cfg.set_files(files, boot.menu)
    except ValueError as error:
        raise UserError(f"{error}: more ROMs than a BIOS is told of") from error


def set_boot_order(board: Board, order: str) -> None:
    """Letters of monitor.settings.boot.DRIVES, three at most."""
    first, second, third, *_ = (*(BOOT_CODES[letter] for letter in order), 0, 0)
    cmos = board.pc.rtc.cmos
    cmos[BOOT_FIRST] = first | second << 4
    cmos[BOOT_THIRD] = cmos[BOOT_THIRD] & 0x0F | third << 4


def memory_map(memory_bytes: int) -> bytes:
    """RAM from 0 on, as one entry: address, length and kind. SeaBIOS cuts the hole out itself."""
    entry = (0).to_bytes(8, "little") + memory_bytes.to_bytes(8, "little")
    return entry + E820_RAM.to_bytes(4, "little")


def _display_files(board: Board, vgabios: Source | None) -> dict[str, bytes]:
    """The VGA BIOS under the name by which it is run; without a display there is none to find."""
    adapter = display_adapter(board)
    if vgabios is None:
        found = find(VGA_BIOS[adapter is not None])
        if found is None or (adapter is None and board.bus.owner_of(VGA_PORT) is None):
            return {}
        vgabios = found
    data = open_rom(vgabios, "VGA BIOS").data
    if adapter is None:
        return {"vgaroms/vgabios.bin": data}
    return {f"pci{adapter.vendor_id:04x},{adapter.device_id:04x}.rom": data}


def display_adapter(board: Board) -> PciFunction | None:
    """The first display adapter on PCI."""
    for _, _, target in board.bus.pci.functions():
        if isinstance(target, PciFunction) and target.class_code >> 16 == DISPLAY:
            return target
    return None

"""Drives built into a PC: their controllers, and what the CMOS memory says of them.

Manual: IBM PC/AT Technical Reference, "CMOS RAM"; for type 47 and bytes 1Bh to 2Ch, Phoenix,
"System BIOS for IBM PCs", 2nd edition; byte 39h as Bochs and SeaBIOS have it.

    10   floppy drives, A in the high half     14   equipment: bit 0 floppies, bits 7-6 how many
    12   disks, C in the high half: 15 means   19 1A: type 47, whose geometry is at 1B and 24
    39   how a BIOS numbers sectors, two bits a disk: 0 as the disk does, 1 by LBA
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devices.bus import Bus
from devices.device import Chip
from devices.pc import Pc
from devices.pci.piix3_ide import Piix3Ide
from devices.storage.ata_disk import AtaDisk
from devices.storage.floppy_82077aa import Floppy82077aa
from devices.storage.floppy_drive import FloppyDrive
from devices.storage.ide_channel import IdeChannel
from devices.storage.ide_device import IdeDevice

CHANNELS = (("ide0", 0x1F0, 14), ("ide1", 0x170, 15))
FLOPPY_TYPES, DISK_TYPES, EQUIPMENT, TRANSLATION = 0x10, 0x12, 0x14, 0x39
EXTENDED_TYPES, GEOMETRIES = (0x19, 0x1A), (0x1B, 0x24)
TYPE_47 = 47
HAS_FLOPPY, FLOPPIES_SHIFT, FLOPPY_BITS = 0x01, 6, 0xC1
MOST_PLAIN = 1024  # cylinders that INT 13h can tell
BY_LBA = 1
NO_PRECOMPENSATION, MANY_HEADS = 0xFFFF, 0xC8


def fit(
    bus: Bus,
    pc: Pc,
    floppies: Sequence[FloppyDrive | None],
    disks: Sequence[IdeDevice | None],
    pci: bool = False,
) -> dict[str, Chip]:
    """Controllers for two floppy plugs and four of IDE, by name; none for those all free.

    With `pci` both channels are one function's, which has their bus masters.
    """
    made: dict[str, Chip] = {}
    if any(floppies):
        made["fdc"] = Floppy82077aa(bus, pc.dma, floppies)
    channels = []
    for i, (name, base, irq) in enumerate(CHANNELS):
        cable = disks[2 * i : 2 * i + 2]
        if any(disks if pci else cable):
            made[name] = channel = IdeChannel(bus, cable, base, irq)
            channels.append(channel)
    if pci and channels:
        made["ide"] = Piix3Ide(bus, *channels)
    if made:
        old = pc.rtc.cmos[EQUIPMENT] & ~FLOPPY_BITS
        pc.rtc.configure(cmos_bytes(floppies, disks, old))
    return made


def cmos_bytes(
    floppies: Sequence[FloppyDrive | None], disks: Sequence[IdeDevice | None], equipment: int
) -> Mapping[int, int]:
    """Bytes of the CMOS memory by register."""
    types = [drive.type.cmos if drive is not None else 0 for drive in floppies]
    count = sum(map(bool, types))
    if count:
        equipment |= HAS_FLOPPY | count - 1 << FLOPPIES_SHIFT
    found = {FLOPPY_TYPES: types[0] << 4 | types[1], EQUIPMENT: equipment}
    found[DISK_TYPES] = found[TRANSLATION] = 0
    for i, disk in enumerate(disks):
        if isinstance(disk, AtaDisk):
            cylinders, heads, sectors = disk.geometry
            found[TRANSLATION] |= (BY_LBA if cylinders > MOST_PLAIN else 0) << 2 * i
            if i < len(GEOMETRIES):
                found[DISK_TYPES] |= 0xF0 >> 4 * i
                found[EXTENDED_TYPES[i]] = TYPE_47
                found |= _geometry(GEOMETRIES[i], cylinders, heads, sectors)
    return found


def _geometry(first: int, cylinders: int, heads: int, sectors: int) -> dict[int, int]:
    low, high = cylinders & 0xFF, cylinders >> 8
    values = (low, high, heads, NO_PRECOMPENSATION & 0xFF, NO_PRECOMPENSATION >> 8,
              MANY_HEADS if heads > 8 else 0, low, high, sectors)  # fmt: skip
    return {first + i: value for i, value in enumerate(values)}

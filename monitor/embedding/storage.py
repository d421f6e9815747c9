"""The machine's drives, and what lies in them.

    machine = Machine(drives={"fda": "dos.img", "hda": "disk.img,persistent", "cdrom": "none"})
    machine.storage["cdrom"].change("tools.iso")     # also while it runs
    machine.storage["fda"].eject()
    list(machine.storage), machine.storage["hda"].size

Floppies and disks forget what the guest wrote when the machine ends, unless `,persistent` is said
(monitor/settings/drives.py): an overlay in memory has it (monitor/host/overlay.py), which snapshots
and checkpoints hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from devices.storage.ata_disk import AtaDisk
from devices.storage.atapi_cdrom import AtapiCdrom
from devices.storage.fitting import fit
from devices.storage.floppy_drive import FloppyDrive
from devices.storage.floppy_formats import drive_for, format_of
from devices.storage.ide_device import IdeDevice
from monitor.embedding.images import open_image
from monitor.host.overlay import Overlay
from monitor.settings.drives import CDROM, CDROM_PLACE, DISKS, FLOPPIES, Drive, Source, parse_drive
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.medium import SwitchedMedium

Unit = FloppyDrive | AtaDisk | AtapiCdrom


class StorageDrive:
    """One drive of the machine's; `config` says what is in it."""

    def __init__(self, board: Board, config: Drive) -> None:
        self._board = board
        self.config = config
        self.overlay: Overlay | None = None
        medium = self._open(config)
        #: The chip.
        self.unit = self._unit(medium)

    def _unit(self, medium: SwitchedMedium | None) -> Unit:
        bus = self._board.bus
        if self.config.kind == CDROM:
            return AtapiCdrom(bus, medium)
        if self.config.kind == "floppy":
            return FloppyDrive(drive_for(format_of(medium.size) if medium else None), medium)
        assert medium is not None
        return AtaDisk(bus, medium)

    def _open(self, config: Drive) -> SwitchedMedium | None:
        if config.source is None:
            self.overlay = None
            return None
        image = open_image(config.kind, config.source, config.persistent)
        keeps = config.persistent or config.kind == CDROM
        self.overlay = None if keeps else Overlay(image)
        return SwitchedMedium(self._board.host, config.kind, self.overlay or image)

    @property
    def size(self) -> int | None:
        """Bytes of what is in it; None: nothing is."""
        return None if self.unit.medium is None else self.unit.medium.size

    @property
    def source(self) -> str | None:
        """The file in it, by name."""
        return self.config.source if isinstance(self.config.source, str) else None

    def change(self, source: Source) -> None:
        """Another floppy or CD, which the guest will notice. UserError: it does not fit in."""
        if isinstance(self.unit, AtaDisk):
            raise UserError(f"{self.config.plug}: a hard disk is not changed while it runs")
        config, before = parse_drive(self.config.plug, source), self.overlay
        medium = self._open(config)
        try:
            self.unit.insert(medium)
        except ValueError as error:
            self.overlay = before
            raise UserError(f"{config.plug}: {error}") from None
        self.config = config

    def eject(self, force: bool = False) -> None:
        """Take it out. UserError: the guest has locked the drive, and `force` was not said."""
        if isinstance(self.unit, AtapiCdrom) and self.unit.locked and not force:
            raise UserError(f"{self.config.plug}: the guest has locked the drive; eject with force")
        self.change(None)

    def remember(self) -> tuple[Any, ...]:
        """What is in it, with all that was written, for recall()."""
        written = None if self.overlay is None else self.overlay.chunks()
        return self.config, self.unit.medium, self.overlay, written

    def recall(self, remembered: tuple[Any, ...]) -> None:
        """All that is in it is as it was. The chip's own state is not touched."""
        self.config, medium, self.overlay, written = remembered
        self.unit.put(medium)
        if self.overlay is not None:
            self.overlay.put_back(written)


class Storage(Mapping[str, StorageDrive]):
    """All drives by plug: fda, fdb, hda to hdd, cdrom."""

    def __init__(self, board: Board, drives: tuple[Drive, ...], pci: bool = False) -> None:
        self._drives = {drive.plug: StorageDrive(board, drive) for drive in drives}
        units: dict[str, Any] = {plug: drive.unit for plug, drive in self._drives.items()}
        places: list[IdeDevice | None] = [
            units.get(plug) or (units.get(CDROM) if plug == CDROM_PLACE else None) for plug in DISKS
        ]
        floppies = [units.get(plug) for plug in FLOPPIES]
        for name, chip in fit(board.bus, board.pc, floppies, places, pci).items():
            board.devices.add(name, chip)

    def __getitem__(self, plug: str) -> StorageDrive:
        try:
            return self._drives[plug]
        except KeyError:
            known = ", ".join(self._drives) or "none"
            raise UserError(f"there is no drive {plug!r}; there are: {known}") from None

    def __contains__(self, plug: object) -> bool:
        return plug in self._drives

    def __iter__(self) -> Iterator[str]:
        return iter(self._drives)

    def __len__(self) -> int:
        return len(self._drives)

    def remember(self) -> dict[str, tuple[Any, ...]]:
        """What is in all drives, in memory."""
        return {plug: drive.remember() for plug, drive in self._drives.items()}

    def recall(self, remembered: dict[str, tuple[Any, ...]]) -> None:
        """All of it is as it was."""
        for plug, each in remembered.items():
            self._drives[plug].recall(each)

"""What `Machine.snapshot()` gives: a checkpoint in memory, the same bytes that a file would hold.

    before = machine.snapshot()
    machine.run(until="# ")
    again = Machine.restore(before, mode="bare")
    before.save("boot.vpcheck")
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.checkpoint import restore, save
from monitor.checkpoint.media import check_media, check_sizes
from monitor.checkpoint.restore import Head
from monitor.settings.drives import Drive, Source, drives_of
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import write_whole

if TYPE_CHECKING:
    from monitor.embedding.plugging import MakeDevice
    from monitor.extensions import Extensions
    from monitor.machine import Machine


class Snapshot:
    """One moment of a machine. It does not change, and needs the machine no more."""

    def __init__(self, data: bytes) -> None:
        #: What its file would hold.
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def save(self, path: str | Path) -> None:
        """Write it into a file. UserError: that cannot be."""
        try:
            write_whole(Path(path), self.data)
        except OSError as error:
            raise UserError(f"{path}: no checkpoint was written: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"<Snapshot, {len(self.data)} bytes>"


def take(machine: Machine) -> Snapshot:
    """The machine as it is now."""
    file = io.BytesIO()
    save.write(machine, file)
    return Snapshot(file.getvalue())


def machine_of(
    source: Snapshot | str | Path,
    mode: str | None = None,
    engine: str = "interp",
    clock: str | None = None,
    without: Collection[str] = (),
    extensions: Extensions | None = None,
    devices: Iterable[MakeDevice] | Mapping[str, MakeDevice] = (),
    drives: Mapping[str, Source] | Iterable[Drive] = (),
) -> Machine:
    """A new machine from a snapshot or a file. UserError."""
    from monitor.machine import Machine

    given = drives_of(drives)

    def make(head: Head) -> Machine:
        settings = head.settings
        check_media(settings["drives"], given)
        machine = Machine(
            memory_mb=settings["memory_mb"],
            mode=mode or settings["mode"],
            engine=engine,
            clock=clock or settings["clock"],
            start_time=settings["start_time"],
            without=without,
            extensions=extensions,
            devices=devices,
            chipset=settings["chipset"],
            drives=given,
            cpu=settings["cpu"],
            vga=settings["vga"],
            parts=settings["parts"],
        )
        check_sizes(settings["drives"], machine)
        machine.guest = head.guest
        return machine

    if isinstance(source, Snapshot):
        return restore.read(io.BytesIO(source.data), make)
    with restore.opened(Path(source)) as file:
        return restore.read(file, make)

"""What watching needs of a machine, so that the machine may know its watch and not the reverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bt.engine import Ram
    from monitor.vmm.board import Board
    from monitor.vmm.events import Listener
    from monitor.vmm.loop import Loop
    from monitor.vmm.memory import GuestMemory
    from monitor.vmm.physical_map import PhysicalMap
    from monitor.vmm.processor import Processor


class Subject(Protocol):
    """A machine that is watched: `monitor.Machine`."""

    mode: str
    memory: GuestMemory
    ram: Ram
    physical_map: PhysicalMap
    board: Board
    processor: Processor
    loop: Loop

    @property
    def on_exit(self) -> list[Listener]:
        """Told of every exit."""

    def stop(self) -> None:
        """Make its run() return soon."""

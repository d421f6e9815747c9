"""What the console needs of a machine, so that the machine may know its console.

Not the reverse: `monitor.Machine` is such a subject.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from monitor.watch.subject import Subject as Watched

if TYPE_CHECKING:
    from monitor.embedding.keys import Keys
    from monitor.embedding.lines import Lines
    from monitor.embedding.storage import Storage
    from monitor.settings.machine import Settings
    from monitor.watch import Watch


class Files(Protocol):
    """`machine.checkpoints`."""

    def save(self, path: str | Path) -> int:
        """Write the machine as it is now; the file's bytes."""

    def load(self, path: str | Path) -> None:
        """Be the machine in that file."""


class Where(Protocol):
    """`machine.debug`."""

    def recent_exits(self) -> list[str]:
        """The last exits in words."""

    def block_listing(self) -> list[str]:
        """The block at EIP and its translation."""

    def where(self) -> str:
        """Registers, exits and code."""


class Subject(Watched, Protocol):
    """A machine with a console."""

    settings: Settings
    keys: Keys
    storage: Storage
    lines: Lines

    @property
    def checkpoints(self) -> Files:
        """Files of the whole machine."""

    @property
    def debug(self) -> Where:
        """Where the guest is."""

    @property
    def watch(self) -> Watch:
        """Views of cache and memory maps."""

    @property
    def registers(self) -> dict[str, int]:
        """Those that programs name."""

    @property
    def system_registers(self) -> dict[str, int]:
        """All others."""

    @property
    def instructions(self) -> int:
        """Completed so far."""

    def statistics(self) -> dict[str, Any]:
        """What happened so far."""

    def read_memory(self, linear: int, size: int) -> bytes:
        """Through the guest's page tables. UserError."""

    def read_physical(self, address: int, size: int) -> bytes:
        """RAM, ROM or a device's memory. UserError."""

    def screenshot(self, path: str | Path) -> None:
        """The screen as a file. UserError."""

    def reset(self) -> None:
        """The reset button."""

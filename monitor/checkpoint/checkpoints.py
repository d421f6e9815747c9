"""machine.checkpoints: files written while the machine runs.

    machine.checkpoints.save("now.vpcheck")                     between two runs
    machine.checkpoints.when("boot.vpcheck", text="login: ")    in the run to come
    machine.checkpoints.when("half.vpcheck", instructions=10**9)
    machine.checkpoints.soon("key.vpcheck")                     from any thread

Where text or instructions say when, the file holds the machine at that very instruction, whatever
the host was doing, so that it is the same in every run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.checkpoint.becoming import become
from monitor.checkpoint.save import save
from monitor.embedding.engine_needs import check_counts
from monitor.host.console import Awaited
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.machine import Machine

Told = Callable[[Path, "int | UserError"], None]


class Checkpoints:
    """One machine's."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._soon: deque[Path] = deque()
        self._lock = threading.Lock()
        self._counts: list[tuple[int, Path]] = []
        self._texts: list[tuple[Awaited, Path]] = []
        #: Called after each file of when() and soon(): with its size, or with what went wrong.
        self.told: Told = _raise

    def save(self, path: str | Path) -> int:
        """Write the machine as it is now; the file's bytes.

        The file is whole or not there. UserError: it cannot be written, or the machine is amid an
        instruction.
        """
        return save(self._machine, Path(path))

    def load(self, path: str | Path) -> None:
        """Be the machine in a file, between two runs or two turns; see becoming.py.

        Breakpoints, hooks, mode and engine stay. UserError, and nothing has changed: the file is
        broken, or of a machine with other hardware, or the machine is amid an instruction.
        """
        become(self._machine, Path(path))

    def when(
        self, path: str | Path, *, text: str | bytes | None = None, instructions: int | None = None
    ) -> None:
        """Write a file once the console shows a text, or so many instructions have completed.

        The instructions are counted from the machine's first. UserError: neither, or too late,
        or the machine's engine does not count exactly.
        """
        if (text is None) == (instructions is None):
            raise UserError("a checkpoint is written at a text or at a number of instructions")
        if instructions is not None:
            check_counts(self._machine.settings, "a checkpoint at a number of instructions")
            if instructions < self._machine.instructions:
                raise UserError(
                    f"{instructions} instructions are over: {self._machine.instructions} have run"
                )
            self._counts = sorted([*self._counts, (instructions, Path(path))])
        else:
            assert text is not None
            wanted = Awaited(text.encode() if isinstance(text, str) else text, b"")
            self._texts.append((wanted, Path(path)))
            self._machine.serial.listeners.append(lambda data: self._hear(wanted, data))
        self._plug_in()

    def soon(self, path: str | Path) -> None:
        """Write a file between two of the next instructions. Safe from any thread."""
        with self._lock:
            self._soon.append(Path(path))
        self._machine.processor.notice()

    def watch(self) -> None:
        """Let soon() be called from now on: in the machine's own thread, before it runs."""
        self._plug_in()

    def look(self) -> int | None:
        """Between two turns of the machine (monitor/vmm/loop.py)."""
        while self._soon:
            self._write(self._soon.popleft())
        for entry in [entry for entry in self._texts if entry[0].found]:
            self._texts.remove(entry)
            self._write(entry[1])
        while self._counts and self._counts[0][0] <= self._machine.instructions:
            self._write(self._counts.pop(0)[1])
        return self._counts[0][0] if self._counts else None

    def _plug_in(self) -> None:
        if self not in self._machine.loop.chores:
            self._machine.loop.chores.append(self)

    def _hear(self, wanted: Awaited, data: bytes) -> None:
        if not wanted.found and wanted.hear(data):
            self._machine.processor.notice()

    def _write(self, path: Path) -> None:
        try:
            size = self.save(path)
        except UserError as error:
            self.told(path, error)
        else:
            self.told(path, size)


def _raise(path: Path, result: int | UserError) -> None:
    """Nobody asked to be told: what went wrong comes out of run()."""
    if isinstance(result, UserError):
        raise result

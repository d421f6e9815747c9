"""What a guest prints: into a file, or to a command of the host's.

It is called in the middle of a guest's instruction, where no exception may pass: trouble stops the
machine and is raised afterwards, by `check`. For a command the pages are kept in a spool, so that
no printer makes the guest wait; the command runs when the machine has ended, if anything was
printed.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from monitor.settings.printer_config import PrinterConfig
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self

SPOOLED = 1 << 20  # bytes in memory


class Printer:
    """A listener of a parallel port's cable. A context manager, entered before the run."""

    def __init__(self, config: PrinterConfig) -> None:
        self._config = config
        self._file: IO[bytes] | None = None
        self._trouble: OSError | None = None
        self.on_trouble: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        try:
            if self._config.path is None:
                self._file = tempfile.SpooledTemporaryFile(SPOOLED)
            else:
                mode = "ab" if self._config.append else "wb"
                self._file = self._config.path.open(mode, buffering=0)
        except OSError as error:
            raise self._error(error) from error
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            if self._config.command and kind is None and file.tell():
                self._print(file)

    def __call__(self, data: bytes) -> None:
        if self._file is None or self._trouble is not None:
            return
        try:
            self._file.write(data)
        except OSError as error:
            self._trouble = error
            self.on_trouble()

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self._trouble is not None:
            raise self._error(self._trouble)

    def _print(self, file: IO[bytes]) -> None:
        file.seek(0)
        command = self._config.command
        with subprocess.Popen(command, shell=True, stdin=subprocess.PIPE) as printing:
            printing.communicate(file.read())
        if printing.returncode:
            raise UserError(
                f"--parallel pipe:{command}: it ended with status {printing.returncode}"
            )

    def _error(self, error: OSError) -> UserError:
        where = self._config.path or f"pipe:{self._config.command}"
        return UserError(f"cannot write --parallel {where}: {error.strerror}")


def _nothing() -> None:
    pass

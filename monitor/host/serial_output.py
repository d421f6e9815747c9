"""Where the guest's serial output goes: standard output, a file, or nowhere; always unbuffered.

It is called from the middle of a guest instruction, where no exception may pass. So trouble (a
reader that went away, a full disk) stops the machine and is raised afterwards, by `check`.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from monitor.host.streams import trouble_with_output
from monitor.host.terminal import write_all
from monitor.settings.serial_config import SerialConfig
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self


class Serial(ABC):
    """Where the console is attached: one of `machine.serial.listeners`, entered before the run."""

    on_trouble: Callable[[], None]  #: called when the machine had better stop

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_exception: object) -> None: ...

    @abstractmethod
    def __call__(self, data: bytes) -> None: ...

    @abstractmethod
    def check(self) -> None:
        """Raise what went wrong, if something did."""


class SerialOutput(Serial):
    """Output only. `on_trouble` is called at the first failed write."""

    def __init__(self, config: SerialConfig) -> None:
        self._config = config
        self._descriptor: int | None = None
        self._trouble: OSError | None = None
        self.on_trouble: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        if self._config.kind == "stdio":
            self._descriptor = sys.stdout.fileno()
        elif self._config.path is not None:
            try:
                keep = os.O_APPEND if self._config.append else os.O_TRUNC
                flags = os.O_WRONLY | os.O_CREAT | keep | os.O_CLOEXEC
                self._descriptor = os.open(self._config.path, flags, 0o666)
            except OSError as error:
                raise UserError(
                    f"cannot write {self._config.option} file:{self._config.path}: {error.strerror}"
                ) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._config.kind == "file" and self._descriptor is not None:
            os.close(self._descriptor)

    def __call__(self, data: bytes) -> None:
        if self._descriptor is None or self._trouble is not None:
            return
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            self._trouble = error
            self.on_trouble()

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self._trouble is None:
            return
        if self._config.path is None:
            raise trouble_with_output(self._trouble)
        why, name = self._trouble.strerror, self._config.name
        raise UserError(f"cannot write the {name} output to {self._config.path}: {why}")


def _nothing() -> None:
    pass

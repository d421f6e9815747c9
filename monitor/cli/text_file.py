"""A text file that an option names: written whole or not at all, to a place checked before the run.

It may be written in parts, as they come (monitor/writing/whole_file.py).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.vmm.errors import UserError
from monitor.writing.whole_file import draft_of

if TYPE_CHECKING:
    from typing_extensions import Self


class TextFile:
    """A context manager: entering finds out whether the file can be written."""

    def __init__(self, path: Path, option: str) -> None:
        self.path = path
        self._option = option
        self._draft, self._target = draft_of(path)

    def __enter__(self) -> Self:
        try:
            self._stream = self._draft.open("w", encoding="utf-8")
        except OSError as error:
            raise self._trouble(error) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):  # what could not be written is still in its buffer
            self._stream.close()
        if self._draft != self._target:
            self._draft.unlink(missing_ok=True)

    def write_text(self, text: str) -> None:
        """Write it all, and give the file its name."""
        self.append(text)
        self.finish()

    def append(self, text: str) -> None:
        """Write a part."""
        try:
            self._stream.write(text)
        except OSError as error:
            raise self._trouble(error) from error

    def finish(self) -> None:
        """It is complete: give the file its name."""
        try:
            self._stream.flush()
            if self._draft != self._target:
                self._draft.replace(self._target)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> UserError:
        return UserError(f"cannot write {self._option} {self.path}: {error.strerror}")

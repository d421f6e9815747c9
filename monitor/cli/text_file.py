"""A text file that an option names: written whole or not at all, to a place checked before the run.

The file grows under a temporary name beside its own and takes its own name when it is complete.
What is no regular file (/dev/stdout, a pipe) cannot be replaced and is written as it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self


class TextFile:
    """A context manager: entering finds out whether the file can be written."""

    def __init__(self, path: Path, option: str) -> None:
        self.path = path
        self._option = option
        self._target = Path(os.path.realpath(path))
        in_place = self._target.exists() and not self._target.is_file()
        self._draft = self._target if in_place else self._target.with_name(
            f".{self._target.name}.{os.getpid()}"
        )

    def __enter__(self) -> Self:
        try:
            self._stream = self._draft.open("w", encoding="utf-8")
        except OSError as error:
            raise self._trouble(error) from error
        return self

    def __exit__(self, *_exception: object) -> None:
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

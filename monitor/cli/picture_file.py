"""`--display png:FILE`: the screen as it is in the end, as a file, checked before the run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.vmm.errors import UserError
from monitor.writing.whole_file import draft_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor.screen.screen import Screen

OPTION = "--display png:"


class PictureFile:
    """A context manager: entering finds out whether the file can be written."""

    def __init__(self, path: Path, screen: Screen) -> None:
        self._path, self._screen = path, screen
        self._draft, self._target = draft_of(path)

    def __enter__(self) -> Self:
        try:
            from PIL import Image  # noqa: F401
        except ImportError as error:
            needs = "needs the package Pillow: pip install 'virtual-platform[screen]'"
            raise UserError(f"{OPTION}{self._path} {needs}") from error
        try:
            self._stream = self._draft.open("wb")
        except OSError as error:
            raise self._trouble(error) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):
            self._stream.close()
        if self._draft != self._target:
            self._draft.unlink(missing_ok=True)

    def write(self) -> None:
        """Write the picture, and give the file its name."""
        from PIL import Image

        try:
            Image.fromarray(self._screen.array).save(self._stream, "PNG")
            self._stream.flush()
            if self._draft != self._target:
                self._draft.replace(self._target)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> UserError:
        return UserError(f"cannot write {OPTION}{self._path}: {error.strerror}")

"""An image to load: a file, or bytes that the caller already has."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath

from monitor.vmm.errors import UserError

Source = str | PathLike[str] | bytes | bytearray | memoryview


@dataclass(frozen=True)
class Image:
    """`name` is what error messages call it."""

    name: str
    data: bytes


def open_image(source: Source, what: str) -> Image:
    """Read an image. `what` says what it is meant to be, for messages: "kernel", "initrd"."""
    if isinstance(source, bytes | bytearray | memoryview):
        image = Image(f"the {what}", bytes(source))
    else:
        image = Image(fspath(source), _read(fspath(source), what))
    if not image.data:
        raise UserError(f"{image.name}: the {what} is empty; give a file with something in it")
    return image


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{path}: cannot read the {what} ({reason}); check the path") from error
    except ValueError as error:  # a NUL in the name
        raise UserError(f"{path!r}: cannot read the {what} ({error}); check the path") from error

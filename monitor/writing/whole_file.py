"""A file that is written whole or not at all.

It grows under a temporary name beside its own, and takes its own name when it is complete: a full
disk, or whatever ends the process, leaves what was there before. What is no regular file
(/dev/stdout, a pipe) cannot be replaced and is written as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def draft_of(path: Path) -> tuple[Path, Path]:
    """Where to write, and what to name it then; the same for what is no regular file."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        return target, target
    return target.with_name(f".{target.name}.{os.getpid()}"), target


def write_whole(path: Path, contents: str | bytes) -> None:
    """Give a file new contents; text is UTF-8, its line ends as they are. OSError."""
    draft, target = draft_of(path)
    data = contents.encode("utf-8", "backslashreplace") if isinstance(contents, str) else contents
    try:
        draft.write_bytes(data)
        if draft != target:
            draft.replace(target)
    except BaseException:
        if draft != target:
            with suppress(OSError):
                draft.unlink()
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece: on disk, with its own name, once the context ends well."""
    draft, target = draft_of(path)
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            with suppress(OSError):  # a pipe has no disk
                os.fsync(file.fileno())
        if draft != target:
            draft.replace(target)
            _sync_folder(target.parent)
    except BaseException:
        if draft != target:
            with suppress(OSError):
                draft.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    """The new name is on disk, too."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

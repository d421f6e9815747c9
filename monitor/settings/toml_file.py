"""TOML files that people write: read, and checked key by key. UserError says where what is wrong.

`where` is how an error names the place: the file, or the file and the keys down to a table.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from monitor.settings.did_you_mean import question
from monitor.vmm.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path, what: str) -> str:
    """The text of a file; `what` it is meant to be, for the message."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot read the {what} {path}: {why}; check the path") from error


def parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: no TOML: {error}") from error


def table(entry: Any, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise UserError(f"{where}: must be a table")
    return entry


def texts(values: Iterable[Any], where: str) -> list[str]:
    """A list of texts."""
    found = list(values)
    if not all(isinstance(value, str) for value in found):
        raise UserError(f"{where}: must be a list of texts")
    return found


def complete(data: Mapping[str, Any], keys: Collection[str], where: str) -> None:
    """All of these keys, and no others."""
    known(data, keys, where)
    _none({*keys} - set(data), "missing", where)


def known(data: Mapping[str, Any], keys: Collection[str], where: str) -> None:
    """None but these keys."""
    unknown = set(data) - {*keys}
    for key in sorted(unknown):
        asked = question(key, sorted(keys))
        if asked:
            raise UserError(f"{where}: unknown: {key}; {asked}")
    _none(unknown, "unknown", where)


def _none(wrong: set[str], word: str, where: str) -> None:
    if wrong:
        raise UserError(f"{where}: {word}: {', '.join(sorted(wrong))}")

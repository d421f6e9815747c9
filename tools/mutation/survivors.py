"""The file of explained survivors, tests/mutants/survivors.toml.

    [[survivor]]
    file = "bt/cache.py"
    function = "jmp"                      # "*": any function of the file
    before = "the changed lines"          # as the tool prints them, blanks squeezed
    after = "what they became"            # a list: each of these; "*": whatever
    why = "why no test can notice, or need not"

A mutant that is explained here may live. One that is caught all the same is stale: the entry says
something that does not hold any more.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.mutation.mutants import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = ROOT / "tests" / "mutants" / "survivors.toml"
KEYS = {"file", "function", "before", "after", "why"}


@dataclass(frozen=True)
class Explained:
    file: str
    function: str
    before: str
    after: tuple[str, ...]
    why: str

    def covers(self, file: str, function: str, before: str, after: str) -> bool:
        return (
            file == self.file
            and self.function in ("*", function)
            and before == self.before
            and ("*" in self.after or after in self.after)
        )


def explained(file: Path = FILE) -> list[Explained]:
    """The entries; ValueError says which one is not complete."""
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("survivor", [])
    return [_entry(number, entry) for number, entry in enumerate(entries, 1)]


def _entry(number: int, entry: dict[str, Any]) -> Explained:
    if set(entry) != KEYS or not entry["why"].strip():
        raise ValueError(f"survivor {number} ({entry}): it needs {', '.join(sorted(KEYS))}")
    after = entry["after"] if isinstance(entry["after"], list) else [entry["after"]]
    return Explained(entry["file"], entry["function"], entry["before"], tuple(after), entry["why"])


def why(
    file: str, function: str, before: str, after: str, entries: list[Explained]
) -> str | None:
    """Why it may live; None: nobody has said so."""
    return next((e.why for e in entries if e.covers(file, function, before, after)), None)

"""What came out: out/mutants.json, and a table by file."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.mutation.mutants import ROOT

FILE = ROOT / "out" / "mutants.json"
CAUGHT, EXPLAINED, SURVIVED = "caught", "explained", "survived"


@dataclass(frozen=True)
class MutantLine:
    """One mutant's fate."""

    file: str
    function: str
    line: int
    before: str
    after: str
    number: int
    fate: str  # CAUGHT, EXPLAINED, SURVIVED
    by: str  # the test that failed; why it may live; else why it did
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.file, self.function, self.before, self.after, self.number


def load(file: Path = FILE) -> dict[tuple[str, str, str, str, int], MutantLine]:
    if not file.exists():
        return {}
    entries: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return {line.key: line for line in (MutantLine(**entry) for entry in entries)}


def save(lines: list[MutantLine], file: Path = FILE) -> None:
    file.parent.mkdir(exist_ok=True)
    text = json.dumps([asdict(line) for line in lines], indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def table(lines: list[MutantLine]) -> str:
    """By file: mutants, caught, explained, survived without a word; and the share that is caught.

    Those that are explained as equivalent are no mutants that a test could catch, but they count:
    the share is of all.
    """
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in lines:
        counts[line.file][line.fate] += 1
        counts["all"][line.fate] += 1
    rows = [f"{'file':34}{'mutants':>8}{'caught':>8}{'explained':>10}{'survived':>9}{'share':>8}"]
    for name in [*sorted(set(counts) - {"all"}), "all"]:
        fates = counts[name]
        total = sum(fates.values())
        share = 100 * fates[CAUGHT] / total if total else 100.0
        rows.append(f"{name:34}{total:8}{fates[CAUGHT]:8}{fates[EXPLAINED]:10}{fates[SURVIVED]:9}"
                    f"{share:7.1f}%")  # fmt: skip
    return "\n".join(rows)

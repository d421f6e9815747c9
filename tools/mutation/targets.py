"""Which tests are meant for which file: tests/mutants/targets.toml.

    [[target]]
    files = ["bt/cache.py"]
    tests = ["tests/translate/test_branches.py"]
    pure = true           # run on the uncompiled interpreter; for what is compiled otherwise
    sample = 200          # of all the mutants of these files, so many

Tests that start processes or boot systems do not belong there: each runs thousands of times.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutation.mutants import ROOT, SEED, Mutant, mutants

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = ROOT / "tests" / "mutants" / "targets.toml"


@dataclass(frozen=True)
class Target:
    """Files whose mutants the same tests shall catch."""

    number: int  # in the file
    files: tuple[str, ...]
    tests: tuple[str, ...]
    pure: bool
    sample: int | None  # mutants of these files; None: all

    def mutants(self, files: Collection[str], sample: int | None = None) -> list[Mutant]:
        """Those of some of the files, in an order that is random but always the same.

        `sample`: so many of them instead of the target's own number. However far a run gets, what
        it has done is a sample of the whole.
        """
        chosen = [file for file in self.files if file in files]
        shares = _shares(chosen, sample if sample is not None else self.sample)
        found = [mutant for file in chosen for mutant in mutants(file, shares[file])]
        random.Random(SEED).shuffle(found)
        return found


def targets(file: Path = FILE) -> list[Target]:
    found = []
    for number, entry in enumerate(tomllib.loads(file.read_text(encoding="utf-8"))["target"]):
        names = tuple(str(path.relative_to(ROOT)) for pattern in entry["files"]
                      for path in sorted(ROOT.glob(pattern)))  # fmt: skip
        tests = tuple(f"{ROOT}/{test}" for test in entry["tests"])
        found.append(
            Target(number, names, tests, entry.get("pure", False), entry.get("sample"))
        )
    return found


def _shares(names: Sequence[str], sample: int | None) -> dict[str, int | None]:
    """A sample is shared out by how many mutants each file has."""
    if not sample:
        return dict.fromkeys(names, sample)
    counts = {name: len(mutants(name)) for name in names}
    total = sum(counts.values())
    return {name: max(1, round(sample * count / total)) for name, count in counts.items()}

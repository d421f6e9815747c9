"""What changed between two results, and is it more than noise?

Counts and cycles repeat exactly, so every difference is a change. Seconds are compared over
repetitions: with n of them on each side, and no real change, the chance that all of one side's lie
beyond all of the other's is 2 in (2n over n). From four on that is under 3%, and such a difference
is called a change; with fewer repetitions nothing is said about time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from monitor.bench.store import Stored
from monitor.vmm.errors import UserError

ENOUGH = 4  # repetitions on each side
CHANGED, NOISE, TOO_FEW = "changed", "within the noise", "too few repetitions"

Key = tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """One figure of one row, before and after. `change` is a percentage, if it has one."""

    row: str
    figure: str
    before: str
    after: str
    change: str
    verdict: str
    chance: float = 0.0  #: that it looks like a change without one


@dataclass(frozen=True)
class Comparison:
    """What two results have in common, and what not."""

    differences: Sequence[Difference]
    same: int  #: rows without any difference beyond the noise
    only_before: Sequence[str]
    only_after: Sequence[str]
    notes: Sequence[str]

    @property
    def changed(self) -> bool:
        """Is there a difference that is more than noise?"""
        verdicts = {difference.verdict for difference in self.differences}
        return CHANGED in verdicts or bool(self.only_before or self.only_after)

    @property
    def noise(self) -> int:
        """Real times that differ no more than their repetitions do."""
        return sum(difference.verdict == NOISE for difference in self.differences)

    @property
    def by_chance(self) -> float:
        """How many real times would look changed if none were."""
        return sum(difference.chance for difference in self.differences)


def compare(before: Stored, after: Stored) -> Comparison:
    """Raises UserError for results that cannot be compared."""
    for name in ("suite", "rounds"):
        if before.about.get(name) != after.about.get(name):
            raise UserError(f"the results differ in their {name}: {before.about.get(name)} and "
                            f"{after.about.get(name)}; measure both alike")
    old, new = _by_key(before), _by_key(after)
    exact = list(dict.fromkeys((*before.exact, *after.exact)))
    both = [key for key in old if key in new]
    found = {key: list(_differences(key, exact, old[key], new[key])) for key in both}
    return Comparison(
        [difference for key in both for difference in found[key]],
        sum(all(one.verdict == NOISE for one in found[key]) for key in both),
        [_name(key) for key in old if key not in new],
        [_name(key) for key in new if key not in old],
        [f"{name}: {before.about.get(name)}, then {after.about.get(name)}"
         for name in ("model", "host") if before.about.get(name) != after.about.get(name)],
    )  # fmt: skip


def _by_key(stored: Stored) -> dict[Key, list[Mapping[str, str]]]:
    found: dict[Key, list[Mapping[str, str]]] = {}
    for row in stored.rows:
        found.setdefault(tuple(row[name] for name in stored.key), []).append(row)
    return found


def _name(key: Key) -> str:
    workload, mode, without, *others = key
    return " ".join((workload, mode, *(f"-{name}" for name in without.split()), *others))


def _differences(
    key: Key,
    exact: Sequence[str],
    old: Sequence[Mapping[str, str]],
    new: Sequence[Mapping[str, str]],
) -> Iterator[Difference]:
    for name in exact:
        before, after = old[0].get(name, ""), new[0].get(name, "")
        if (before or "0") != (after or "0"):  # an exit that one side does not know did not happen
            yield Difference(_name(key), name, before, after, _change(before, after), CHANGED)
    times = [[float(row["seconds"]) for row in rows if row["seconds"]] for rows in (old, new)]
    if all(times):
        yield _time(_name(key), *times)


def _change(before: str, after: str) -> str:
    """In percent of a whole number before; nothing for words and for zero."""
    if not (before.isdecimal() and after.isdecimal()) or before == "0":
        return ""
    return f"{100 * (int(after) - int(before)) / int(before):+.1f}%"


def _time(name: str, old: Sequence[float], new: Sequence[float]) -> Difference:
    before, after = median(old), median(new)
    apart = max(old) < min(new) or max(new) < min(old)
    verdict = CHANGED if apart else NOISE
    if min(len(old), len(new)) < ENOUGH:
        verdict = TOO_FEW
    change = f"{100 * (after - before) / before:+.1f}%" if before else ""
    chance = 0.0 if verdict == TOO_FEW else 2 / comb(len(old) + len(new), len(old))
    return Difference(name, "seconds", f"{before:.4f}", f"{after:.4f}", change, verdict, chance)

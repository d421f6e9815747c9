"""Random worlds here and under Bochs: every difference is explained, or it is a finding.

    python -m tests.bochs.compare SEED COUNT [--first N] [--show N]

runs worlds FIRST to FIRST + COUNT of a seed, prints how many differ and by which rule of
explained.py each difference is explained, and ends with status 1 if one is not. `--show` says
more about one world.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field

from tests.bochs.bochs import MISSING, available, bochs_records
from tests.bochs.explained import RULES, Case, explain
from tests.bochs.generate import world
from tests.bochs.kernel import WORLDS_ROOM
from tests.bochs.objects import template
from tests.bochs.ours import run_bare
from tests.bochs.record import Record, difference, parse
from tests.bochs.undefined import blank

BATCH = 1000


@dataclass
class Result:
    """What a comparison found; worlds are numbers."""

    compared: int = 0
    vectors: Counter[int] = field(default_factory=Counter)
    runaways: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # those that Bochs did not come back from
    explained: Counter[str] = field(default_factory=Counter)
    different: int = 0
    findings: dict[int, set[str]] = field(default_factory=dict)


def compare(seed: str, first: int, count: int) -> Result:
    """Compare so many worlds of a seed."""
    result = Result()
    for start in range(first, first + count, BATCH):
        _compare_batch(result, seed, range(start, min(start + BATCH, first + count)))
    return result


def both(seed: str, numbers: range) -> tuple[list[int], list[Record], list[Record | None]]:
    """Numbers of the worlds that end by themselves, and what they come to here and there."""
    packed = [world(seed, number).pack(template()) for number in numbers]
    if sum(map(len, packed)) > WORLDS_ROOM:
        raise ValueError(f"{len(packed)} worlds do not fit into Bochs' ROM")
    ending = list(range(len(packed)))
    while True:  # a runaway may have written what a later world reads, so it must not have run
        records, runaways = run_bare(template(), [packed[i] for i in ending])
        if not runaways:
            break
        ending = [world for i, world in enumerate(ending) if i not in runaways]
    theirs = bochs_records(template(), [packed[i] for i in ending])
    return [numbers[i] for i in ending], parse(records), theirs


def _compare_batch(result: Result, seed: str, numbers: range) -> None:
    ending, ours, theirs = both(seed, numbers)
    result.runaways += sorted(set(numbers) - set(ending))
    for number, one, other in zip(ending, ours, theirs, strict=True):
        result.vectors[one.vector] += 1
        if other is None:
            result.lost.append(number)
            continue
        result.compared += 1
        case = Case(world(seed, number), one, other)
        if not case.names:
            continue
        result.different += 1
        rules, left = explain(case)
        result.explained.update(rules)
        if left:
            result.findings[number] = left


def show(seed: str, number: int) -> str:
    """Everything about one world."""
    made = world(seed, number)
    _, records, others = both(seed, range(number, number + 1))
    ours, theirs = list(records), list(others)
    lines = [f"world {number}:", *made.story]
    lines += [f"  {name} = {value:#x}" for name, value in made.state.items()]
    if not ours or theirs[0] is None:
        return "\n".join([*lines, "it does not end by itself"])
    lines.append(f"ends with vector {ours[0].vector:#x}, under Bochs {theirs[0].vector:#x}")
    for name, (one, other) in difference(blank(ours[0]), blank(theirs[0])).items():
        lines.append(f"  {name}: {_text(one)}, under Bochs {_text(other)}")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, int):
        return f"{value:#x}"
    return value.hex() if isinstance(value, bytes) else "as before"


def report(result: Result) -> str:
    """A few lines for people."""
    ends = ", ".join(f"{vector:#x}: {n}" for vector, n in sorted(result.vectors.items()))
    lines = [
        f"{result.compared} worlds compared; they end by vector {ends}",
        f"{len(result.runaways)} that do not end were left out, {len(result.lost)} lost by Bochs",
        f"{result.different} differ, {len(result.findings)} of them without explanation",
    ]
    for rule in RULES:
        if result.explained[rule.name]:
            lines += [f"  {result.explained[rule.name]:6} {rule.name}: {rule.source}"]
            lines += [f'         "{rule.words}"']
    lines += [f"  world {n}: {', '.join(sorted(left))}" for n, left in result.findings.items()]
    return "\n".join(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("seed")
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="number of the first world")
    parser.add_argument("--show", type=int, help="say everything about this world only")
    options = parser.parse_args()
    if not available():
        print(MISSING, file=sys.stderr)
        return 2
    if options.show is not None:
        print(show(options.seed, options.show))
        return 0
    result = compare(options.seed, options.first, options.count)
    print(report(result))
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())

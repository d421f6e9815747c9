"""`make bench`: run the benchmarks named on the command line, or all of them.

    python -m benchmarks.run                        everything
    python -m benchmarks.run integer_mix memory     only these
    python -m benchmarks.run --quick                a first look, in a few minutes
    python -m benchmarks.run --peers-only           the other machines alone

Every figure is CPU time, the least of several measures that were taken in turn, so that what else
the host is doing disturbs little; still, a quiet host makes for steadier ratios.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator

from rich.console import Console

from benchmarks import (
    bus,
    display,
    guest_calls,
    integer_mix,
    linux_boot,
    memory,
    pc,
    segments,
    self_modifying,
    sixteen_bits,
    start_up,
    translation,
    virtualization,
)
from benchmarks.crossings import tables as crossings
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section
from benchmarks.timing import BenchmarkError
from monitor.writing.progress import bar
from monitor.writing.whole_console import whole_console

BENCHMARKS: dict[str, Callable[[BenchmarkPlan], Iterator[Section]]] = {
    "start_up": start_up.sections,
    "integer_mix": integer_mix.sections,
    "memory": memory.sections,
    "bus": bus.sections,
    "display": display.sections,
    "virtualization": virtualization.sections,
    "segments": segments.sections,
    "sixteen_bits": sixteen_bits.sections,
    "self_modifying": self_modifying.sections,
    "translation": translation.sections,
    "guest_calls": guest_calls.sections,
    "crossings": crossings.sections,
    "linux_boot": linux_boot.sections,
    "pc": pc.sections,
}


def main() -> int:
    """Print the tables; 1 when a limit does not hold or a benchmark could not run."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description="Speed against peers.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer repeats")
    parser.add_argument("--peers-only", action="store_true", help="leave Virtual Platform out")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}")
    plan = BenchmarkPlan(options.quick, options.peers_only)
    return _report(whole_console(), options.names or list(BENCHMARKS), plan)


def _report(console: Console, names: list[str], plan: BenchmarkPlan) -> int:
    """Print each table as soon as it is there, and in the end what did not hold."""
    limits = 0
    missed: list[str] = []
    for name in names:
        try:
            for section in _watched(name, BENCHMARKS[name](plan)):
                console.print(section.table(), "")
                limits += sum(row.limit is not None for row in section.rows)
                missed += [_sentence(section, row) for row in section.rows if not row.holds]
        except BenchmarkError as error:
            console.print(f"[red]{name}: {error}[/]", highlight=False)
            missed.append(f"{name} could not run")
    for sentence in missed:
        console.print(f"[red]{sentence}[/]", highlight=False)
    console.print(f"{limits} limits, {len(missed)} missed", highlight=False)
    return int(bool(missed))


def _watched(name: str, sections: Iterator[Section]) -> Iterator[Section]:
    """With progress while the next one is measured, and none while it is printed."""
    for number in itertools.count(1):
        with bar(f"measuring {name}, table {number}"):
            section = next(sections, None)
        if section is None:
            return
        yield section


def _sentence(section: Section, row: Row) -> str:
    what = f"{section.title}: {row.name.strip()}"
    return f"{what}: {row.ratio:.3g}, the limit is {row.limit:g}"


if __name__ == "__main__":
    sys.exit(main())

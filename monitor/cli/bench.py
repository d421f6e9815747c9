"""Measure what virtualization costs: counts that repeat exactly, and cycles of a model machine.

    vp bench                 all that follows; macro only if `make guests` has been run
    vp bench nano            the operations of Adams and Agesen's nanobenchmarks, bare, trapped,
                             translated, and translated without each technique
    vp bench talk            the table of the Hot Chips talk of 1999, redone with stand-ins
    vp bench ablations       what leaving each technique out changes, and that the guest does the
                             same; --only linux: on Linux, which takes minutes
    vp bench macro           Linux: boot, processes, context switches, page faults, a build
    vp bench own FILE.asm    operations of your own, in every mode and without each technique:
                             what a pass costs, what is paid once, and what of that is translation
    vp bench compare A B     what changed between two folders that --out wrote, or two
                             tables of vp sweep

With --clock icount (the default) every figure is the same on every machine. With --clock host the
tables also have real time, over repetitions. docs/benchmarks.md says what the rows are.

Exit status: 0 measured, or compared and alike; 1 compared, and something changed that is more than
noise, or an ablation that is not as it must be; 2 bad usage or input.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.cli import bench_own
from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.pieces import plain_console
from monitor.cli.quantities import positive
from monitor.vmm.errors import UserError
from monitor.writing.progress import bar

if TYPE_CHECKING:
    from monitor.bench.compare import Comparison
    from monitor.bench.results import Options, Results, Suite
    from monitor.bench.store import Stored

NAME = "bench"
HELP = "measure what virtualization costs: nanobenchmarks, ablations, Linux, comparisons"
EXAMPLES = (
    "vp bench",
    "vp bench nano --only in,flags --out results",
    "vp bench nano --clock host --repetitions 7",
    "vp bench macro --only boot,process",
    "vp bench own popf.asm --set LENGTH=0,4,16,64 --setups bare,translate",
    "vp bench compare results results-later",
)
SUITES = ("nano", "talk", "ablations", "macro")
ALL = "all"
COMPARE = "compare"
REPETITIONS = 5
CHANGED_STATUS = FAILED_STATUS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=(*SUITES, bench_own.NAME, ALL, COMPARE),
                        default=ALL,
                        help="a suite (default all of them), or compare")
    parser.add_argument("results", nargs="*", type=Path, metavar="FILE",
                        help="with own: files of assembly; with compare: two folders that --out "
                             "wrote, or tables of vp sweep")
    parser.add_argument("--only", metavar="NAMES", default="",
                        help="only these rows of a suite, with commas between")
    parser.add_argument("--rounds", type=positive, metavar="N", help="length of the loops")
    parser.add_argument("--clock", choices=("icount", "host"), default="icount",
                        help="only what repeats exactly (default), or real time as well")
    parser.add_argument("--repetitions", type=positive, metavar="N",
                        help=f"with --clock host: runs of each row (default {REPETITIONS})")
    parser.add_argument("--model", default="pentium2-450", metavar="NAME",
                        help="the cost model, or its .toml file (default pentium2-450)")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="write CSV files and report.html there; for all suites in a "
                             "folder each")
    bench_own.add_arguments(parser)
    add_json(parser, "tables and rows")


def run(args: argparse.Namespace) -> int:
    if args.what != bench_own.NAME:
        bench_own.refuse(args)
    if args.what == COMPARE:
        return _compare(args.results, args.json)
    if args.results and args.what != bench_own.NAME:
        raise UserError(f"vp bench {args.what} takes no folders; --out names the one to write")
    if args.repetitions and args.clock != "host":
        raise UserError("--repetitions goes with --clock host: without it, all runs are the same")
    if args.what == ALL:
        for name in ("only", "rounds"):
            if getattr(args, name):
                raise UserError(f"--{name} goes with one suite: vp bench nano --{name} ...")
    with JsonOutput(args.json) as json:
        options = _options(args)
        if args.what == bench_own.NAME:
            return _measure_own(bench_own.make(args, options), args.out, json)
        return _measure_all(args.what, options, args.out, json)


def _options(args: argparse.Namespace) -> Options:
    from monitor.bench import model
    from monitor.bench.results import Options

    host_clock = args.clock == "host"
    repetitions = args.repetitions or (REPETITIONS if host_clock else 1)
    names = [name for name in args.only.split(",") if name]
    return Options(model.load(args.model), names, args.rounds, repetitions, host_clock)


def _measure_all(what: str, options: Options, out: Path | None, json: JsonOutput) -> int:
    """One suite, or every one that can be measured; what is left out is said."""
    from monitor.bench import suites
    from monitor.cli.bench_json import measured

    found: list[Results] = []
    left_out: dict[str, str] = {}
    for name in SUITES if what == ALL else (what,):
        reason = suites.left_out(name, options) if what == ALL else ""
        if reason:
            left_out[name] = reason
            plain_console(stderr=True).print(f"vp: {name} is left out: {reason}", soft_wrap=True)
        else:
            folder = out / name if out is not None and what == ALL else out
            found.append(_measure(name, options, folder, shown=not json.alone))
    json.write(lambda: measured(found, left_out))
    return FAILED_STATUS if any(results.failed for results in found) else 0


def _measure_own(suite: Suite, out: Path | None, json: JsonOutput) -> int:
    from monitor.cli.bench_json import measured

    results = _measure_suite(suite, out, shown=not json.alone)
    json.write(lambda: measured([results], {}))
    return FAILED_STATUS if results.failed else 0


def _measure(name: str, options: Options, out: Path | None, shown: bool) -> Results:
    from monitor.bench import suites

    return _measure_suite(suites.make(name, options), out, shown)


def _measure_suite(suite: Suite, out: Path | None, shown: bool) -> Results:
    from monitor.bench import suites

    if out is not None:
        suites.check_folder(out)
    rows = []
    with bar(f"measuring {suite.name}", suite.plan.size) as progress:
        for row in suite.plan.measure(progress.say):
            rows.append(row)
            progress.advance()
    results = suite.results(rows)
    if out is not None:  # first: whoever reads the table may go away
        _write(results, out)
    if shown:
        _show(results)
    return results


def _show(results: Results) -> None:
    console = plain_console()
    console.print(results.table())
    for note in results.notes:
        console.print(note, soft_wrap=True)


def _write(results: Results, folder: Path) -> None:
    from monitor.bench import report

    with bar(f"writing {folder}"):
        results.write(folder)
        missing = report.write(results, folder)
    console = plain_console(stderr=True)
    console.print(f"vp: wrote {folder}", soft_wrap=True)
    if missing:
        console.print(f"vp: {missing}", soft_wrap=True)


def _compare(folders: list[Path], name: str | None) -> int:
    from monitor.bench.compare import compare
    from monitor.cli.bench_json import compared

    if len(folders) != 2:
        raise UserError("vp bench compare takes two folders: before and after")
    comparisons = [compare(*(_stored(path) for path in pair)) for pair in _suites_of(*folders)]
    with JsonOutput(name) as json:
        json.write(lambda: compared(comparisons))
    for comparison in comparisons if not json.alone else ():
        _show_comparison(comparison)
    return CHANGED_STATUS if any(comparison.changed for comparison in comparisons) else 0


def _stored(path: Path) -> Stored:
    """Results in a folder, or a sweep's in a file."""
    from monitor.bench import store

    if not path.is_file():
        return store.read(path)
    from monitor.sweep import table

    return table.read(path)


def _suites_of(before: Path, after: Path) -> list[tuple[Path, Path]]:
    """The folders themselves, or those of each suite in them."""
    within = [name for name in SUITES if (before / name).is_dir() or (after / name).is_dir()]
    return [(before / name, after / name) for name in within] or [(before, after)]


def _show_comparison(comparison: Comparison) -> None:
    from rich import box

    from monitor.bench.compare import NOISE
    from monitor.writing.whole_table import Table

    console = plain_console()
    table = Table("row", "figure", "before", "after", "change", "verdict", keys=2,
                  box=box.SIMPLE_HEAD)  # fmt: skip
    for found in comparison.differences:
        if found.verdict != NOISE:
            table.add_row(found.row, found.figure, found.before, found.after, found.change,
                          found.verdict)  # fmt: skip
    if table.rows:
        console.print(table)
    for note in comparison.notes:
        console.print(f"measured differently: {note}", soft_wrap=True)
    for word, names in (("before", comparison.only_before), ("after", comparison.only_after)):
        if names:
            console.print(f"only {word}: {', '.join(names)}", soft_wrap=True)
    console.print(f"{comparison.same} rows alike")
    if comparison.by_chance:
        console.print(f"{comparison.noise} real times within the noise; by chance alone "
                      f"{comparison.by_chance:.1f} would look changed")  # fmt: skip

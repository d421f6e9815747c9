"""Run a guest and write down what happens: instructions, blocks, exits, interrupts, accesses.

Each line has the number of guest instructions completed, the ring, EIP, and the event. The number
is the same in every mode, so the traces of two modes can be compared. Exits, interrupts and port
accesses cost little; with instructions or blocks the guest runs many hundred times slower.
--chrome writes a file for Perfetto (ui.perfetto.dev) or chrome://tracing.

Exit status: 0 traced, however the guest ended; 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.quantities import positive
from monitor.cli.trace_json import JsonEvents
from monitor.cli.watching import add_guest, file_argument, run_guest
from monitor.settings.config import parse_number
from monitor.settings.did_you_mean import choose
from monitor.settings.machine import MODES
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.cli.text_file import TextFile
    from monitor.watch.trace import Trace
    from monitor.watch.trace_model import Filter, TraceEvent

    Sink = Callable[[TraceEvent], None]

NAME = "trace"
HELP = "write down what a guest and its monitor do, event by event"
EXAMPLES = (
    "vp trace --demo --limit 40 --events all",
    "vp trace --demo --reason 'INT *' --reason '#PF' --out exits.txt",
    "vp trace --kernel guests/vmlinuz --limit 1000000 --chrome boot.json",
)
LIMIT = 100_000
KINDS = ("instruction", "block", "exit", "interrupt", "device")  # trace_model.KINDS
QUIET = ("exit", "interrupt", "device")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_guest(parser)
    which = parser.add_argument_group("which events")
    which.add_argument("--events", default=",".join(QUIET), metavar="KIND,...",
                       help=f"of {', '.join(KINDS)}; or all (default {','.join(QUIET)})")
    which.add_argument("--range", action="append", default=[], metavar="FROM-TO",
                       help="with EIP in this range, TO left out of it; may be repeated")
    which.add_argument("--ring", type=int, choices=range(4), action="append", default=[],
                       help="with this CPL; may be repeated")
    which.add_argument("--reason", action="append", default=[], metavar="PATTERN",
                       help="exits, interrupts, accesses that match, with * and ?; may be repeated")
    which.add_argument("--limit", type=positive, default=LIMIT, metavar="N",
                       help=f"stop the guest after N events (default {LIMIT:,})")
    how = parser.add_argument_group("how")
    how.add_argument("--mode", choices=MODES, default="translate",
                     help="whole monitor (default), no translation, or no monitor")
    file_argument(how, "--out", "write the text there, not to standard output")
    file_argument(how, "--chrome", "write Chrome's trace-event JSON there, and no text")
    add_json(how, "the events")


def run(args: argparse.Namespace) -> int:
    from monitor.cli.text_file import TextFile
    from monitor.watch.trace_chrome import ChromeWriter

    if args.out and args.chrome:
        raise UserError("--out and --chrome: choose one of them")
    wanted = filter_of(args)
    with ExitStack() as stack:
        file: TextFile | None = None
        if args.out or args.chrome:
            option = "--out" if args.out else "--chrome"
            file = stack.enter_context(TextFile(args.out or args.chrome, option))
        json = stack.enter_context(JsonOutput(args.json))
        write: Callable[[str], object] = file.append if file else sys.stdout.write
        chrome = ChromeWriter(write) if args.chrome else None
        events = JsonEvents(json) if json.wanted else None
        text = _text(write) if file is not None or not json.alone else None
        trace = _run(args, wanted, [sink for sink in (chrome or text, events) if sink is not None])
        if chrome is not None:
            chrome.finish()
        if events is not None:
            events.finish(trace)
        if file is not None:
            file.finish()
    _tell(trace)
    return 0


def _run(args: argparse.Namespace, wanted: Filter, sinks: Sequence[Sink]) -> Trace:
    from monitor.watch.trace import Trace

    def sink(event: TraceEvent) -> None:
        for each in sinks:
            each(event)

    made: list[Trace] = []
    with ExitStack() as stack:

        def prepare(machine: Machine) -> None:
            made.append(stack.enter_context(Trace(machine, wanted, args.limit, sink)))

        run_guest(args, args.mode, prepare)
    return made[0]


def _text(write: Callable[[str], object]) -> Sink:
    return lambda event: (write(event.line() + "\n"), None)[1]


def _tell(trace: Trace) -> None:
    if trace.full:
        print(f"vp: stopped after {trace.taken:,} events (--limit)", file=sys.stderr)
    if trace.lost:
        print(f"vp: {trace.lost:,} instructions were not noted", file=sys.stderr)


def filter_of(args: argparse.Namespace) -> Filter:
    """What the options ask for."""
    from monitor.watch.trace_model import Filter

    kinds = KINDS if args.events == "all" else tuple(args.events.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"--events {kind}: {choose(kind, (*KINDS, 'all'))}")
    ranges = tuple(map(_range, args.range))
    return Filter(frozenset(kinds), ranges, frozenset(args.ring), tuple(args.reason))


def _range(text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    if not dash:
        raise UserError(f"--range {text}: write it as 0x100000-0x101000")
    found = parse_number(start, "--range"), parse_number(end, "--range")
    if found[0] >= found[1]:
        raise UserError(f"--range {text}: it is empty")
    return found

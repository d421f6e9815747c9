"""Run a guest for a while, then show the translation cache: guest code beside its translation.

Each guest instruction is coloured by what it became: a copy, a stub, an exit, a chained branch or
a lookup. Blocks come in the order of how often they were entered. That is counted by the engine,
at every instruction that begins in the cache; --no-hits runs without, at full speed. The guest
cannot tell: it runs the same instructions in either case.

Exit status: 0 shown, however the guest ended; 1 no block is what was asked for; 2 bad usage or
input.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.pieces import plain_console
from monitor.cli.quantities import positive
from monitor.cli.watching import (
    add_guest,
    address,
    file_argument,
    run_guest,
)

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.watch.shown import ShownCache

NAME = "tc"
HELP = "show the translation cache of a guest, code beside translation"
EXAMPLES = (
    "vp tc --demo --only-patched --top 3",
    "vp tc --demo --at 0x100164 --json",
    "vp tc --flat boot.bin@0x100000 --max-instructions 1000000 --summary --svg tc.svg",
)
TOP = 10
NOTHING = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_guest(parser)
    which = parser.add_argument_group("which blocks")
    which.add_argument("--at", type=address, metavar="ADDR",
                       help="those that hold this address, of the guest or of the cache")
    which.add_argument("--only-patched", action="store_true",
                       help="those with a stub or an exit for an instruction")
    which.add_argument("--top", type=positive, default=TOP, metavar="N",
                       help=f"at most N, the most often entered ones (default {TOP})")
    which.add_argument("--no-hits", action="store_true", help="do not count entries")
    how = parser.add_argument_group("how")
    how.add_argument("--summary", action="store_true", help="one line for each block")
    add_json(how, "the blocks")
    file_argument(how, "--dot", "also the chain graph, for Graphviz")
    file_argument(how, "--svg", "also as a picture")


def run(args: argparse.Namespace) -> int:
    from monitor.cli.text_file import TextFile

    with ExitStack() as stack:
        files = {option: stack.enter_context(TextFile(path, f"--{option}"))
                 for option in ("dot", "svg") if (path := getattr(args, option))}
        json = stack.enter_context(JsonOutput(args.json))
        watched = run_guest(args, prepare=None if args.no_hits else _count)
        everything = watched.machine.watch.tc()
        view = _chosen(everything, args)
        if "dot" in files:
            files["dot"].write_text(view.dot())
        if "svg" in files:
            files["svg"].write_text(view.svg())
        json.write(view.as_dict)
    if not view.blocks:
        print(f"vp: {_nothing(everything, args)}", file=sys.stderr)
        return NOTHING
    if not json.alone:
        _show(view, args.summary)
    return 0


def _count(machine: Machine) -> None:
    machine.watch.count_entries()


def _chosen(view: ShownCache, args: argparse.Namespace) -> ShownCache:
    if args.at is not None:
        view = view.at(args.at)
    if args.only_patched:
        view = view.only_patched()
    return view.top(args.top)


def _nothing(view: ShownCache, args: argparse.Namespace) -> str:
    """Why no block is left of what the cache holds."""
    if not view.blocks:
        return "the translation cache holds no block now"
    place = f" at {args.at:#x}, of the guest or of the cache" if args.at is not None else ""
    what = "no block with a stub or an exit" if args.only_patched else "no block"
    many = len(view.blocks)
    return f"{what}{place}: the cache holds {many} now; `--summary --top {many}` lists them"


def _show(view: ShownCache, summary: bool) -> None:
    if summary:
        from monitor.watch.tc_text import summary_table

        plain_console().print(summary_table(view))
        return
    plain_console().print(view)

"""Run a guest for a while, then show its address space and the monitor's shadow of it.

What the guest's page tables map, what the shadows hold of that now and where the two differ, the
segments with what truncation left of them, and the monitor's hidden region. A shadow is a TLB: that
it holds less than the tables, or for a while something else, is as it should be.

Exit status: 0 shown, however the guest ended; 2 bad usage or input.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.pieces import plain_console
from monitor.cli.quantities import positive
from monitor.cli.watching import (
    add_guest,
    file_argument,
    run_guest,
)
from monitor.settings.machine import MODES

NAME = "mmu"
HELP = "show the page tables, shadows and segments of a guest"
EXAMPLES = (
    "vp mmu --demo --max-instructions 300100",
    "vp mmu --demo --mode bare --json",
    "vp mmu --kernel guests/vmlinuz --append console=ttyS0 --until Freeing --svg mmu.svg",
)
RANGES = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_guest(parser)
    how = parser.add_argument_group("how")
    how.add_argument("--mode", choices=MODES, default="translate",
                     help="whole monitor (default), no translation, or no monitor: then no shadow")
    how.add_argument("--ranges", type=positive, default=RANGES, metavar="N",
                     help=f"show the N biggest ranges as text (default {RANGES})")
    add_json(how)
    file_argument(how, "--svg", "also as a picture")


def run(args: argparse.Namespace) -> int:
    from monitor.cli.text_file import TextFile
    from monitor.watch.mmu_text import mmu_text

    with ExitStack() as stack:
        file = stack.enter_context(TextFile(args.svg, "--svg")) if args.svg else None
        json = stack.enter_context(JsonOutput(args.json))
        view = run_guest(args, args.mode).machine.watch.mmu()
        if file is not None:
            file.write_text(view.svg())
        json.write(view.as_dict)
    if not json.alone:
        plain_console().print(mmu_text(view, args.ranges))
    return 0

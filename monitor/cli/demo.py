"""Run the embedded guest bare, trapped and translated, and compare what it saw.

The guest is a small operating system that checks its own processor. Bare is the truth; `trap`
shows why x86 cannot be virtualized by trapping alone; `translate` is the answer to it.

Exit status: 0 bare and translate agree on everything, and trap is visibly wrong; 1 otherwise; 2 bad
usage.
"""

from __future__ import annotations

import argparse

from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.quantities import seconds
from monitor.settings.machine import MODES
from monitor.vmm.errors import UserError

NAME = "demo"
HELP = "run the embedded guest in all three modes, side by side"
EXAMPLES = ("vp demo", "vp demo --mode trap")
SECONDS = 60.0
IN_ORDER = ("bare", "trap", "translate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp demo`."""
    parser.add_argument("--mode", choices=MODES, help="run this mode only")
    parser.add_argument("--seconds", type=seconds, default=SECONDS, metavar="TIME",
                        help=f"time limit for each machine: 90, 90s, 2m (default {SECONDS:g})")
    add_json(parser, "checks, statistics and verdict")


def run(args: argparse.Namespace) -> int:
    """`vp demo`."""
    if not 0 < args.seconds < float("inf"):
        raise UserError(f"--seconds {args.seconds:g}: give a number of seconds above 0")

    from monitor.cli import demo_life, demo_tables
    from monitor.cli.pieces import plain_console

    with JsonOutput(args.json) as json:
        console = plain_console(stderr=json.alone)
        lives = []
        for mode in IN_ORDER if args.mode is None else (args.mode,):
            with console.status(f"running the embedded guest, mode {mode}"):
                lives.append(demo_life.live(mode, args.seconds))
        verdict = demo_life.judge(lives)
        json.write(lambda: demo_life.document(lives, verdict))
    if not json.alone:
        console.print(demo_tables.comparison(lives))
        console.print(verdict.text, style="green" if verdict.right else "bold red")
    return 0 if verdict.right else 1

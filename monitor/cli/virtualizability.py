"""Derive which instructions keep x86 from being virtualized.

Runs every form of the instruction table in ring 0 and in ring 3 (and in real mode and virtual-8086
mode, with IOPL 0 and 3) on the interpreter, and in ring 3 on this computer's own processor, and
compares. Classes, after Popek and Goldberg: critical (sensitive, and ring 3 does not trap),
sensitive (and the monitor can have it trap, by IOPL or CR4), privileged (traps in ring 3 whatever
the monitor does), innocuous. Then the critical ones are compared with the seventeen of Robin and
Irvine, and with what is left under UMIP.

Exit status: 0 done, 1 this computer's processor and the interpreter disagree about ring 3, 2 bad
usage or input.
"""

from __future__ import annotations

import argparse
import sys
import time

from monitor.cli.json_output import JsonOutput, add_json
from monitor.vmm.errors import UserError
from monitor.writing.progress import bar

NAME = "virtualizability"
HELP = "derive which instructions are critical, by running all of them in ring 0 and ring 3"
EXAMPLES = (
    "vp virtualizability",
    "vp virtualizability --only POPF --only 'INT n'",
    "vp virtualizability --all --no-host --json out.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="this instruction only, as POPF or 'INT n'; may be repeated",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="every form, not the critical ones only")
    parser.add_argument(
        "--no-host", action="store_true", help="leave this computer's processor out of it"
    )
    add_json(parser)
    parser.add_argument(
        "--markdown", action="store_true", help="print the chapter docs/virtualizability.md"
    )


def run(args: argparse.Namespace) -> int:
    json = JsonOutput(args.json)
    if args.markdown and (args.only or json.alone):
        raise UserError("--markdown prints the whole chapter: leave --only and --json out, or give "
                        "--json a FILE")  # fmt: skip
    from bt.virtualizability.survey import STEPS, survey, unknown
    from monitor.cli.virtualizability_json import document

    for name in unknown(args.only):
        raise UserError(f"--only {name}: no such instruction in the table; --all lists them")
    with json:
        begun = time.perf_counter()
        with bar("deriving", STEPS) as shown:
            result = survey(args.only, not args.no_host and not args.markdown, shown.advance)
        seconds = time.perf_counter() - begun
        json.write(lambda: document(result))
    if args.markdown:
        from monitor.cli.virtualizability_page import page

        sys.stdout.write(page(result))
    elif not json.alone:
        from monitor.cli.virtualizability_tables import show

        show(result, everything=args.all, whole=not args.only, seconds=seconds)
    return 0 if result.host is None or not result.host.disagreements else 1

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
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.cli.progress import bar
from monitor.errors import UserError
from monitor.whole_file import write_whole

if TYPE_CHECKING:
    from bt.virtualizability.survey import Survey

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
    parser.add_argument("--json", metavar="FILE", help="everything as JSON; - is standard output")
    parser.add_argument(
        "--markdown", action="store_true", help="print the chapter docs/virtualizability.md"
    )


def run(args: argparse.Namespace) -> int:
    if args.markdown and (args.only or args.json == "-"):
        raise UserError("--markdown prints the whole chapter: leave --only and --json - out")
    from bt.virtualizability.survey import STEPS, survey, unknown

    for name in unknown(args.only):
        raise UserError(f"--only {name}: no such instruction in the table; --all lists them")
    begun = time.perf_counter()
    with bar("deriving", STEPS) as shown:
        result = survey(args.only, not args.no_host and not args.markdown, shown.advance)
    seconds = time.perf_counter() - begun
    if args.json:
        _write_json(args.json, result)
    if args.markdown:
        from monitor.cli.virtualizability_page import page

        sys.stdout.write(page(result))
    elif args.json != "-":
        from monitor.cli.virtualizability_tables import show

        show(result, everything=args.all, whole=not args.only, seconds=seconds)
    return 0 if result.host is None or not result.host.disagreements else 1


def _write_json(name: str, result: Survey) -> None:
    from monitor.cli.virtualizability_json import document

    text = json.dumps(document(result), indent=1) + "\n"
    if name == "-":
        sys.stdout.write(text)
        return
    try:
        write_whole(Path(name), text)
    except OSError as error:
        raise UserError(f"cannot write --json {name}: {error.strerror}") from None

"""The command `vp`: one verb, one file of this folder.

A verb is a module with NAME, HELP, add_arguments(parser) and run(args) -> exit status. Its heavy
imports (numpy, rich, keystone, the processor) stand inside run(), so that `vp --help` is instant.

    >>> main(["run", "--memory", "lots"])
    2

prints ``vp: error: argument --memory: ...`` on standard error. Exit statuses: 0 as asked, 1 not
as asked, 2 bad usage or input, 130 interrupted. What nobody foresaw is a traceback.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from monitor.errors import UserError

VERBS = ("run", "demo", "scan", "virtualizability", "tc", "mmu", "trace", "bench")

INTERRUPTED = 128 + signal.SIGINT
DESCRIPTION = "A virtual machine monitor for 32-bit x86 PCs in the manner of 1999."


class Parser(argparse.ArgumentParser):
    """argparse, with its errors in one line, and no guessing at shortened options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(UserError.status, f"vp: error: {message} (`{self.prog} --help` explains)\n")


class ShowVersion(argparse.Action):
    """`--version`: looking the version up takes time, so it is done only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_ignored: Any, **_also: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("virtual-platform")
        except PackageNotFoundError:
            number = "(run from its sources, not installed)"
        print(f"vp {number}")
        parser.exit(0)


def build_parser() -> Parser:
    """The parser of `vp` with every verb's own."""
    parser = Parser(prog="vp", description=DESCRIPTION)
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        verb = import_module(f"monitor.cli.{name}")
        described = verbs.add_parser(verb.NAME, help=verb.HELP, description=verb.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
        verb.add_arguments(described)
        described.set_defaults(run=verb.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit status."""
    try:
        args = build_parser().parse_args(argv)
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except SystemExit as leave:  # argparse's way out; here it is a status like any other
        return leave.code if isinstance(leave.code, int) else 1
    except UserError as error:
        print(f"vp: error: {error}", file=sys.stderr)
        return error.status
    except ImportError as error:
        from bt.interp.sources import StaleBuildError  # not above: `vp --help` must be instant

        if not isinstance(error, StaleBuildError):
            raise
        print(f"vp: error: {error}", file=sys.stderr)
        return UserError.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _nobody_reads()


def _nobody_reads() -> int:
    """The reader of our output went away (`vp scan F | head`): leave quietly, as tools do."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())  # Python flushes once more on its way out
    return 128 + signal.SIGPIPE

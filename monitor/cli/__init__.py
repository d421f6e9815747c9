"""The command `vp`: one verb, one file of this folder.

A verb is a module as `Verb` describes it. Its words come first: what it does in one line, then what
a user has to know, at the end its exit statuses; indented lines are shown as they are. Its heavy
imports (numpy, rich, keystone, the processor) stand inside run(), so that `vp --help` is instant.
docs/reference/cli.md is made from all of them (tools/docs/cli_reference.py).

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
from typing import Any, NoReturn, Protocol, cast

from monitor.errors import UserError

VERBS = ("run", "demo", "scan", "virtualizability", "tc", "mmu", "trace", "bench", "sweep",
         "lab")  # fmt: skip

INTERRUPTED = 128 + signal.SIGINT
DESCRIPTION = "A virtual machine monitor for 32-bit x86 PCs in the manner of 1999."


class Verb(Protocol):
    """What the module of a verb has."""

    __doc__: str | None
    NAME: str  #: how it is called
    HELP: str  #: one line for the list of verbs
    EXAMPLES: Sequence[str]  #: whole command lines

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; its exit status. UserError for bad input."""


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


def verbs() -> list[Verb]:
    """Every verb, in the order of the list that `vp --help` shows."""
    return [cast(Verb, import_module(f"monitor.cli.{name}")) for name in VERBS]


def build_parser() -> Parser:
    """The parser of `vp` with every verb's own."""
    parser = Parser(prog="vp", description=DESCRIPTION, epilog="`vp VERB --help` explains a verb.")
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    parsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in verbs():
        described = parsers.add_parser(
            verb.NAME, help=verb.HELP, description=verb.__doc__,
            epilog="\n".join(("examples:", *(f"  {line}" for line in verb.EXAMPLES))),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
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

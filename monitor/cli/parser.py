"""The parser of `vp` with every verb's own, and what a verb's module has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn, Protocol, cast

from monitor.errors import UserError

VERBS = ("run", "demo", "scan", "virtualizability", "tc", "mmu", "trace", "bench", "sweep",
         "lab")  # fmt: skip

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

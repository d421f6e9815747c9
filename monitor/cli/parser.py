"""The parser of `vp` with every verb's own, and what a verb's module has."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn, Protocol, cast

from monitor.cli import typos
from monitor.settings.did_you_mean import choose
from monitor.vmm.errors import UserError

VERBS = ("run", "guest", "web", "resume", "demo", "cpus", "scan", "virtualizability", "tc", "mmu",
         "trace", "bench", "sweep", "lab", "help", "completion")  # fmt: skip

LACKS_A_VALUE = re.compile(r"argument (?:-\w/)?(--[\w-]+): expected one argument")
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
    """argparse, with its errors in one line that says what may have been meant.

    Nothing is guessed: an option or a verb is written out, or it is an error. `others` are the
    parsers of the other verbs. `settings` reads a file of options (cli/config_file.py): given what
    was said on the command line, what to take for what was not.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self.others: Mapping[str, argparse.ArgumentParser] = {}
        self.settings: Settings | None = None

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """argparse calls this for each verb; what is unknown is an error of this verb's."""
        words = sys.argv[1:] if args is None else list(args)
        for name in typos.unknown_options(self, words):
            said, whose = typos.explain(name, self, self.others)
            self.fail(said, whose)
        parsed, extra = super().parse_known_args(words, namespace)
        if self.settings is not None:
            settings = self.settings(self, parsed)
            if settings:
                self.set_defaults(**settings)
                parsed, extra = super().parse_known_args(words, None)
        if extra:
            self.error(f"unrecognized arguments: {' '.join(extra)}")
        return parsed, extra

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        if not isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(action, f"{value!r}: {choose(str(value), names)}")
        kind = str(action.metavar).lower()
        self.error(typos.no_such(self.prog, kind, str(value), names))

    def error(self, message: str) -> NoReturn:
        lacking = LACKS_A_VALUE.fullmatch(message)
        if lacking is not None:
            message += f"; one that begins with a dash is written {lacking[1]}=VALUE"
        self.fail(message, self.prog)

    def fail(self, message: str, whose: str) -> NoReturn:
        """Leave, with one line that names the help of the command `whose`."""
        self.exit(UserError.status, f"vp: error: {message} (`{whose} --help` explains)\n")


Settings = Callable[[Parser, argparse.Namespace], dict[str, Any]]


class ShowVersion(argparse.Action):
    """`--version`: looking the version up takes time, so it is done only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_ignored: Any, **_also: Any) -> NoReturn:
        print(version_text())
        parser.exit(0)


def version_text() -> str:
    """`vp` and its version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"vp {version('virtual-platform')}"
    except PackageNotFoundError:
        return "vp (run from its sources, not installed)"


def verbs() -> list[Verb]:
    """Every verb, in the order of the list that `vp --help` shows."""
    return [cast(Verb, import_module(f"monitor.cli.{name}")) for name in VERBS]


def build_parser() -> Parser:
    """The parser of `vp` with every verb's own."""
    parser = Parser(prog="vp", description=DESCRIPTION, epilog="`vp help VERB` explains a verb.")
    parser.add_argument("-V", "--version", action=ShowVersion, nargs=0, help="print the version")
    parsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in verbs():
        described = parsers.add_parser(
            verb.NAME, help=verb.HELP, description=verb.__doc__,
            epilog="\n".join(("examples:", *(f"  {line}" for line in verb.EXAMPLES))),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_arguments(described)
        described.set_defaults(run=verb.run)
        described.others = parsers.choices
    parser.others = parsers.choices
    return parser

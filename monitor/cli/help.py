"""Explain a verb, or an action of it: the same as its --help. Without a verb, list them all.

Exit status: 0 explained, 2 no such verb.
"""

from __future__ import annotations

import argparse

from monitor.vmm.errors import UserError

NAME = "help"
HELP = "explain a verb, or list them"
EXAMPLES = ("vp help", "vp help run", "vp help lab grade")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp help`."""
    parser.add_argument("words", nargs="*", metavar="VERB", help="a verb, and an action of it")


def run(args: argparse.Namespace) -> int:
    """Print the help of the innermost parser that the words lead to."""
    from monitor.cli.parser import build_parser
    from monitor.cli.typos import below, no_such

    parser: argparse.ArgumentParser = build_parser()
    kind = "verb"
    for word in args.words:
        found = below(parser)
        if not found:
            raise UserError(f"{parser.prog} has no actions: leave {word!r} out")
        if word not in found:
            said = no_such(parser.prog, kind, word, found)
            raise UserError(f"{said} (`{parser.prog} --help` explains)")
        parser, kind = found[word], "action"
    parser.print_help()
    return 0

"""Print what a shell needs to complete verbs, options, their values and file names of vp.

    bash   vp completion bash > ~/.local/share/bash-completion/completions/vp
    zsh    vp completion zsh > _vp, in a folder of $fpath
    tcsh   vp completion tcsh > ~/.vp.tcsh, and source it in ~/.tcshrc

It is made from the parsers by the library shtab: pip install 'virtual-platform[completion]'.
Make it anew after an update.

Exit status: 0 printed, 2 no such shell, or shtab is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.vmm.errors import UserError

NAME = "completion"
HELP = "print completions for bash, zsh or tcsh"
EXAMPLES = ("vp completion bash", "vp completion zsh")
SHELLS = ("bash", "zsh", "tcsh")
FILES = ("FILE", "FILE@ADDR", "F.json", "NAME.vmx")  # metavars of options that are no Path
FOLDER = "DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp completion`."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print the script of one shell."""
    sys.stdout.write(script(args.shell))
    return 0


def script(shell: str) -> str:
    """What the shell has to read. UserError without shtab."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise UserError(
            "vp completion needs the package shtab: pip install 'virtual-platform[completion]'"
        ) from None
    from monitor.cli.parser import VERBS, build_parser

    parser = build_parser()
    for action in _actions(parser):
        names_file = action.type is Path or action.metavar in FILES
        if names_file and action.choices is None:
            kind = shtab.DIRECTORY if action.metavar == FOLDER else shtab.FILE
            action.complete = kind
        if action.dest == "words":  # of vp help
            action.choices = VERBS
    text: str = shtab.complete(parser, shell)
    return text


def _actions(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """Those of a parser and of all below it."""
    from monitor.cli.typos import below

    yield from parser._actions
    for inner in below(parser).values():
        yield from _actions(inner)

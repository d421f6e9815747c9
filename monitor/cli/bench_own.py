"""What `vp bench own FILE.asm` is asked: the options that only it has, and the suite of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from monitor.cli.quantities import positive, whole_seconds
from monitor.settings.config import parse_names, parse_number
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.bench.results import Options
    from monitor.bench.suite_own import Own

NAME = "own"
ONLY_HERE = ("set", "setups", "ring", "timeout", "max_instructions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with own")
    group.add_argument("--set", action="append", metavar="NAME=N,N,...",
                       help="measure each operation with each of these numbers for a name in it; "
                            "may be given again for another name")
    group.add_argument("--setups", metavar="SETUPS",
                       help="only these, with commas between: bare, trap, translate, 'translate "
                            "-TECHNIQUE' (default all modes, and every technique left out)")
    group.add_argument("--ring", type=int, choices=(0, 3),
                       help="where the operations run (default 0)")
    group.add_argument("--timeout", type=whole_seconds, metavar="TIME",
                       help="give up after so long: 90, 90s, 5m (default 600)")
    group.add_argument("--max-instructions", type=positive, metavar="N",
                       help="guest instructions that one run may have (default 100,000,000)")


def refuse(args: argparse.Namespace) -> None:
    """UserError for an option that only this suite has."""
    for name in ONLY_HERE:
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise UserError(f"--{option} goes with vp bench own FILE.asm")


def make(args: argparse.Namespace, options: Options) -> Own:
    """The suite. Raises UserError."""
    from monitor.bench import own_plan
    from monitor.bench.nano import SETUPS
    from monitor.bench.own import setup
    from monitor.bench.suite_own import Asked, Own

    bounds = own_plan.Bounds(args.timeout or own_plan.SECONDS,
                             args.max_instructions or own_plan.INSTRUCTIONS)  # fmt: skip
    named = [setup(text) for text in parse_names(args.setups or "")]
    asked = Asked(args.results, settings(args.set or ()), named or SETUPS, args.ring or 0, bounds)
    return Own(options, asked)


def settings(texts: list[str] | tuple[str, ...]) -> dict[str, list[int]]:
    """
    >>> settings(["LENGTH=0,8", "STEP=0x10"])
    {'LENGTH': [0, 8], 'STEP': [16]}
    """
    found: dict[str, list[int]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        numbers = [parse_number(value, f"--set {name}") for value in parse_names(values)]
        if not equals or not numbers:
            raise UserError(f"--set {text}: write NAME=N, or NAME=N,N,... for several")
        if name in found:
            raise UserError(f"--set {name} is there twice: write --set {name}=N,N,...")
        if len(set(numbers)) < len(numbers):
            raise UserError(f"--set {text}: a number is there twice")
        found[name] = numbers
    return found

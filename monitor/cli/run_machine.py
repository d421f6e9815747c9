"""A machine as `vp run` would make it, for programs that have its options as words.

    words = ["--fda", "dos.img", "--memory", "16"]
    machine = machine_of(words)
    typist = type_as(machine, ["--type-after", "A:", "--keys", "dir"])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitor.cli.parser import build_parser
from monitor.cli.run import image_of, typing_of
from monitor.cli.vmx import settings_of

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.host.typist import Typist


def machine_of(words: Sequence[str]) -> Machine:
    """About to run its guest. UserError for what `vp run` would refuse."""
    from monitor import Machine
    from monitor.loaders.described import load

    args = build_parser().parse_args(["run", *words])
    machine = Machine.of(settings_of(args, None))
    load(machine, image_of(args))
    return machine


def type_as(machine: Machine, words: Sequence[str]) -> Typist:
    """Type what --type, --keys and --type-after among these words say, at its cues."""
    from monitor.screen.watch import type_at_cues

    args = build_parser().parse_args(["run", *words])
    return type_at_cues(machine, typing_of(args.typing or ()))

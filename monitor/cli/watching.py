"""What `vp tc`, `vp mmu` and `vp trace` have in common: a guest that runs for a while, unseen.

The guest is given as to `vp run`, its console goes nowhere unless --serial says so, and what is
shown is shown when it has stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.cli.json_output import JsonOutput
from monitor.cli.quantities import count, memory_size, seconds
from monitor.cli.run import InOrder, add_image, image_of, limits_of, typing_of
from monitor.cli.run_log import add_log
from monitor.settings.config import KINDS, ImageConfig, parse_names, parse_number
from monitor.settings.machine import CLOCKS, MAX_MEMORY_MB, MEMORY_MB, MIN_MEMORY_MB, Settings
from monitor.settings.serial_config import FORMS, parse_serial
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError
from monitor.writing import ending

if TYPE_CHECKING:
    from monitor import Machine, Outcome


@dataclass(frozen=True)
class Watched:
    """A machine that has run."""

    machine: Machine
    outcome: Outcome


def add_guest(parser: argparse.ArgumentParser) -> None:
    """Which guest, and for how long."""
    image = parser.add_argument_group("the guest, one of")
    image.add_argument("--demo", action="store_true", help="the embedded guest of `vp demo`")
    add_image(image)
    machine = parser.add_argument_group("the machine")
    machine.add_argument("-m", "--memory", type=memory_size, default=MEMORY_MB, metavar="SIZE",
                         help=f"{MIN_MEMORY_MB} to {MAX_MEMORY_MB} MiB, also as 64M or 1G "
                         f"(default {MEMORY_MB})")
    machine.add_argument("--clock", choices=CLOCKS, default="icount",
                         help="time is instructions, and repeats exactly (default), or real time")
    machine.add_argument("--without", default="", metavar="NAMES",
                         help=f"leave techniques out, to see their worth: {', '.join(ABLATIONS)}")
    machine.add_argument("--serial", default="null", metavar="WHERE",
                         help=f"where the serial console goes (default null): {', '.join(FORMS)}")
    machine.add_argument("--type", action=InOrder, dest="typing", metavar="TEXT",
                         help="type TEXT at the guest's prompt; may be repeated")
    machine.add_argument("--type-after", action=InOrder, dest="typing", metavar="TEXT",
                         help="the next --type waits for this output, not for a prompt")
    looking = parser.add_argument_group("when to look (default: when the guest has ended)")
    looking.add_argument("--until", metavar="TEXT", help="when the console shows TEXT")
    looking.add_argument("--max-instructions", type=count, metavar="N",
                         help="after N guest instructions: 1000, 1e6, 2M")
    looking.add_argument("--timeout", type=seconds, metavar="TIME",
                         help="after so much real time: 90, 90s, 1m30s")
    add_log(looking)


def run_guest(
    args: argparse.Namespace,
    mode: str = "translate",
    prepare: Callable[[Machine], None] | None = None,
) -> Watched:
    """Run the guest that the options describe; `prepare` gets the loaded machine first."""
    from monitor import Machine
    from monitor.cli.run_log import RunLog
    from monitor.cli.session import Session
    from monitor.host.serial_link import open_serial
    from monitor.loaders.described import load
    from monitor.writing.progress import visible

    without = parse_names(args.without)
    settings = Settings(args.memory, mode, clock=args.clock, without=without)
    image = _image(args)
    limits = limits_of(args)
    typing = typing_of(args.typing or ())
    serial = parse_serial(args.serial)
    JsonOutput(args.json).keep_apart(serial)
    with ExitStack() as stack:
        log = stack.enter_context(RunLog(args.log, args.verbose))
        machine = Machine.of(settings)
        if image is None:
            load_demo(machine)
        else:
            load(machine, image)
        if prepare is not None:
            prepare(machine)
        output = stack.enter_context(open_serial(serial, machine, log.event))
        progress = serial.kind != "stdio" and not args.verbose and visible()
        session = Session(machine, output, stdio=False, progress=progress, typing=typing,
                          doing=_doing(machine, image) if progress else str)  # fmt: skip
        log.begin(machine, settings, image or {"demo": True}, limits, {"serial": args.serial})
        finished = session.run(limits)
        log.end(ending.sentence(finished.outcome, limits.until), machine.statistics())
        if finished.signal is not None:
            raise KeyboardInterrupt
        output.check()
        log.check()
    return Watched(machine, finished.outcome)


def _doing(machine: Machine, image: ImageConfig | None) -> Callable[[], str]:
    """What the guest is doing, for the progress."""
    from monitor.symbols.whereabouts import Whereabouts

    return str if image is None else Whereabouts(machine, image)


def _image(args: argparse.Namespace) -> ImageConfig | None:
    """None: the embedded guest."""
    given = [kind for kind in KINDS if getattr(args, kind) is not None]
    if not args.demo and not given:
        raise UserError("no guest: give --demo, or an image as to `vp run`")
    if args.demo and given:
        raise UserError(f"more than one guest: --demo and --{given[0]}")
    return None if args.demo else image_of(args)


def load_demo(machine: Machine) -> None:
    """Put the embedded guest into the machine."""
    from monitor.guests.embedded import embedded_image

    guest = embedded_image()
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)


def address(text: str) -> int:
    """An address of an option, for argparse."""
    return parse_number(text, "address")


def file_argument(parser: argparse._ActionsContainer, option: str, what: str) -> None:
    """An option that names a file to write."""
    parser.add_argument(option, type=Path, metavar="FILE", help=what)

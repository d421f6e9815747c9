"""Go on with a machine that a checkpoint holds, as if it had never been put aside.

The file is of vp run's --checkpoint, Ctrl-A w, gdb's `monitor checkpoint` or Machine.snapshot().
Memory, devices and time are the file's; mode, console and where it stops may be others.

Exit status: that of vp run; 2 too for a file that is broken, or of a version that is not known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from monitor.cli import run as vp_run
from monitor.cli.drives import add_drives, asked_drives
from monitor.settings.config import KINDS, ImageConfig, parse_names
from monitor.settings.machine import CLOCKS, ENGINES, MODES, check_ablations
from monitor.settings.serial_config import parse_serial

NAME = "resume"
HELP = "go on with the machine in a checkpoint"
EXAMPLES = (
    "vp resume booted.vpcheck",
    'vp resume booted.vpcheck --mode bare --type "uname -a\\n" --until i686',
)
DEFAULT_SERIAL = "stdio"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp resume`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a checkpoint")
    group = parser.add_argument_group("the machine")
    group.add_argument("--engine", choices=ENGINES, default="auto",
                       help="what executes the code (default auto: the best there is)")
    group.add_argument("--mode", choices=MODES,
                       help="whole monitor, no translation, or no monitor (default: as before)")
    group.add_argument("--clock", choices=CLOCKS,
                       help="time is instructions, or real time (default: as before)")
    group.add_argument("--without", default="", metavar="NAMES",
                       help="techniques to leave out, as for vp run")
    group.add_argument("--guest", type=Path, metavar="FILE",
                       help="the image that was loaded, for names in the progress and in gdb")
    add_drives(parser.add_argument_group("its drives", "The images that lay in them."))
    vp_run.add_console(parser.add_argument_group("the console"))
    vp_run.add_ending(parser.add_argument_group("the end"))
    vp_run.add_debugger(parser.add_argument_group("a debugger"))


def run(args: argparse.Namespace) -> int:
    """`vp resume`."""
    without = parse_names(args.without)
    check_ablations(args.mode or "translate", without)
    drives = asked_drives(args)
    asked = vp_run.asked_of(args, parse_serial(args.serial or DEFAULT_SERIAL))

    def make() -> vp_run.Ready:
        from monitor import Machine

        machine = Machine.restore(
            args.file, mode=args.mode, engine=args.engine, clock=args.clock, without=without,
            drives=drives,
        )
        begun = f"resuming {args.file} at {machine.instructions:,} instructions"
        image = image_of(machine.guest, args.guest)
        return vp_run.Ready(machine, machine.settings, image, begun)

    return vp_run.attend(args, asked, make)


def image_of(guest: dict[str, str], path: Path | None) -> ImageConfig:
    """What the guest was, as far as anybody says. A path in the file is not opened."""
    kind = guest.get("kind", "")
    if path is None or kind not in KINDS:
        return ImageConfig("flat", Path("/dev/null"))
    cmdline = guest.get("cmdline", "") if kind in ("kernel", "multiboot") else ""
    return ImageConfig(kind, path, cmdline)

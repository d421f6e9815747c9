"""`--vga` and `--display`: a display adapter, and where its screen goes."""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import ExitStack
from io import UnsupportedOperation
from typing import TYPE_CHECKING

from monitor.host.terminal import owns_terminal
from monitor.settings.display_config import FORMS, NONE, PNG, TERMINAL, DisplayConfig, parse_display
from monitor.settings.machine import VGAS
from monitor.settings.serial_config import SerialConfig, parse_serial
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.cli.picture_file import PictureFile
    from monitor.host.terminal_display import TerminalDisplay


def add_vga(group: argparse._ArgumentGroup) -> None:
    """The option that vga_of() reads."""
    group.add_argument("--vga", choices=VGAS,
                       help="a display adapter: VGA with Bochs VBE (std, the default with "
                       "--display or a BIOS), or none")


def add_display(group: argparse._ArgumentGroup) -> None:
    """The option that display_of() reads."""
    group.add_argument("--display", metavar="WHERE",
                       help=f"where the screen goes (default none): {', '.join(FORMS)}")


def display_of(args: argparse.Namespace) -> DisplayConfig:
    """Where the screen goes. UserError: nowhere, since there is no adapter, or no terminal."""
    config = parse_display(args.display or NONE)
    if config.kind != NONE and getattr(args, "vga", None) == "none":
        raise UserError(f"--display {args.display} needs an adapter: leave out --vga none")
    if config.kind == TERMINAL and not is_terminal():
        raise UserError("--display terminal: standard input and output are no terminal of ours")
    return config


def vga_of(args: argparse.Namespace, firmware: bool) -> str:
    """The adapter: what --vga says, or one if there is a display to show it, or a BIOS."""
    asked: str | None = args.vga
    shown = parse_display(args.display or NONE).kind != NONE
    return asked or ("std" if shown or firmware else "none")


def serial_beside(
    display: DisplayConfig, serial: SerialConfig, option: str | None
) -> SerialConfig:
    """The serial console, which cannot be on the terminal that the screen is on."""
    if display.kind != TERMINAL or serial.kind != "stdio":
        return serial
    if option is not None:
        raise UserError("--serial stdio and --display terminal want one terminal: leave one out")
    return parse_serial("null")


class Shown:
    """The display of one run, entered into `stack`."""

    def __init__(self, config: DisplayConfig, machine: Machine, stack: ExitStack) -> None:
        #: On the terminal, entered by whoever attends the machine.
        self.terminal: TerminalDisplay | None = None
        self._picture: PictureFile | None = None
        if config.kind == TERMINAL:
            self.terminal = _terminal_display(machine)
        elif config.kind == PNG:
            from monitor.cli.picture_file import PictureFile

            assert config.path is not None
            self._picture = stack.enter_context(PictureFile(config.path, machine.screen))

    def finish(self) -> None:
        """The run has ended."""
        if self._picture is not None:
            self._picture.write()


def _terminal_display(machine: Machine) -> TerminalDisplay:
    from monitor.host.terminal_display import TerminalDisplay
    from monitor.screen.ansi import AnsiScreen

    def room() -> tuple[int, int]:
        return shutil.get_terminal_size()

    return TerminalDisplay(machine, AnsiScreen(machine.screen, room), sys.stdout.fileno())


def is_terminal() -> bool:
    """Are standard input and output one that is ours?"""
    if sys.stdin is None or sys.stdout is None:
        return False
    try:
        return owns_terminal(sys.stdin.fileno()) and sys.stdout.isatty()
    except UnsupportedOperation:  # a program has put something else there
        return False

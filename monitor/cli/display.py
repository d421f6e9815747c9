"""`--vga` and `--display`: a display adapter, and where its screen goes."""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from io import UnsupportedOperation
from typing import TYPE_CHECKING

from monitor.host.terminal import owns_terminal
from monitor.settings.display_config import (
    ATTENDED,
    FORMS,
    NONE,
    PNG,
    TERMINAL,
    VNC,
    WINDOW,
    DisplayConfig,
    parse_display,
)
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
    group.add_argument("--record", metavar="FILE",
                       help="record the screen in the guest's time: FILE.gif, FILE.mp4, FOLDER/")


def display_of(args: argparse.Namespace) -> DisplayConfig:
    """Where the screen goes. UserError: nowhere, since there is no adapter, or no terminal."""
    config = replace(parse_display(args.display or NONE), record=args.record)
    option = f"--record {args.record}" if config.kind == NONE else f"--display {args.display}"
    if _shows(args) and getattr(args, "vga", None) == "none":
        raise UserError(f"{option} needs an adapter: leave out --vga none")
    if config.record is not None:
        from monitor.recording.kinds import writer_of

        writer_of(config.record)
    if config.kind == TERMINAL and not is_terminal():
        raise UserError("--display terminal: standard input and output are no terminal of ours")
    return config


def vga_of(args: argparse.Namespace, firmware: bool) -> str:
    """The adapter: what --vga says, or one if there is a display to show it, or a BIOS."""
    asked: str | None = args.vga
    return asked or ("std" if _shows(args) or firmware else "none")


def _shows(args: argparse.Namespace) -> bool:
    """Does anybody look at the screen?"""
    return parse_display(args.display or NONE).kind != NONE or args.record is not None


def parts_for_display(args: argparse.Namespace) -> list[str]:
    """What somebody who sits before the screen needs."""
    return ["mouse"] if parse_display(args.display or NONE).kind in ATTENDED else []


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
        if config.record is not None:
            stack.enter_context(machine.record(config.record))
        if config.kind == TERMINAL:
            self.terminal = _terminal_display(machine)
        elif config.kind == PNG:
            from monitor.cli.picture_file import PictureFile

            assert config.path is not None
            self._picture = stack.enter_context(PictureFile(config.path, machine.screen))
        elif config.kind == VNC:
            _serve_vnc(config, machine, stack)
        elif config.kind == WINDOW:
            _open_window(machine, stack)

    def finish(self) -> None:
        """The run has ended."""
        if self._picture is not None:
            self._picture.write()


def _serve_vnc(config: DisplayConfig, machine: Machine, stack: ExitStack) -> None:
    """Where it listens is said even with --quiet, since it has to be known."""
    from monitor.host.vnc.server import VncServer

    assert config.vnc is not None
    server = stack.enter_context(VncServer(machine, config.vnc, _name_of(machine)))
    print(f"vp: the screen is at {server.address} (VNC)", file=sys.stderr, flush=True)


def _open_window(machine: Machine, stack: ExitStack) -> None:
    from monitor.host.window.toolkit import Toolkit
    from monitor.host.window.window import Window

    repeats = machine.settings.clock == "icount"  # the guest's keyboard does not (UserInput)
    stack.enter_context(Window(machine, Toolkit(repeats), _name_of(machine)))


def _name_of(machine: Machine) -> str:
    return machine.guest.get("name", "") or "Virtual Platform"


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

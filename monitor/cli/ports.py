"""`--serial2`, `--parallel`, `--sound`: what further ports and the speaker lead to."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.settings.printer_config import FORMS as PRINTER_FORMS
from monitor.settings.printer_config import PrinterConfig, parse_printer
from monitor.settings.serial_config import SerialConfig, parse_serial
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.host.guest_line import Guest

SERIAL = {"com2": "serial2", "com3": "serial3", "com4": "serial4"}


@dataclass
class Ports:
    """What was asked for, by the names of the machine's parts."""

    serial: dict[str, SerialConfig] = field(default_factory=dict)
    printer: PrinterConfig | None = None
    sound: Path | None = None

    @property
    def parts(self) -> list[str]:
        """What the machine needs for it."""
        more = {"parallel": self.printer, "speaker": self.sound}
        return [*self.serial, *(part for part, asked in more.items() if asked is not None)]

    def keep_apart(self, first: SerialConfig) -> None:
        """UserError if two have the standard streams."""
        on_stdio = [each for each in (first, *self.serial.values()) if each.kind == "stdio"]
        if len(on_stdio) > 1:
            raise UserError(
                f"{on_stdio[1].option} stdio: {on_stdio[0].option} has the standard streams; "
                "give it another place"
            )


def add_ports(group: argparse._ArgumentGroup) -> None:
    """The options."""
    for part, name in SERIAL.items():
        group.add_argument(f"--{name}", metavar="WHERE",
                           help=f"a serial port {part.upper()}, and where it goes, as --serial")
    group.add_argument("--parallel", metavar="WHERE",
                       help="a parallel port, and where what is printed goes: "
                       f"{', '.join(PRINTER_FORMS)}")
    group.add_argument("--sound", metavar="wav:FILE",
                       help="what the PC speaker plays, into a file")


def wave_path(text: str) -> Path:
    """wav:FILE"""
    kind, _, name = text.partition(":")
    if kind != "wav" or not name:
        raise UserError(f"--sound {text}: give a file, as wav:FILE")
    return Path(name)


def ports_of(args: argparse.Namespace) -> Ports:
    """What the options say. UserError."""
    given = {part: getattr(args, name) for part, name in SERIAL.items()}
    return Ports(
        {part: parse_serial(text, f"--{SERIAL[part]}") for part, text in given.items() if text},
        None if args.parallel is None else parse_printer(args.parallel),
        None if args.sound is None else wave_path(args.sound),
    )


class Attached:
    """The ports' ends at the host, open from now on until the stack is unwound."""

    def __init__(
        self, ports: Ports, machine: Machine, stack: ExitStack, on_change: Callable[[str], None]
    ) -> None:
        from monitor.host.guest_line import GuestLine
        from monitor.host.printer import Printer
        from monitor.host.serial_link import open_serial

        #: Whose the standard streams are, if not the first serial port's.
        self.console: Guest | None = None
        self._ends: list[Any] = []
        for part, config in ports.serial.items():
            _check(machine, part, config.option)
            guest = GuestLine(machine.cables[part], machine.devices[part])
            self._plug(machine, part, stack.enter_context(open_serial(config, guest, on_change)))
            if config.kind == "stdio":
                self.console = guest
        if ports.printer is not None:
            _check(machine, "parallel", "--parallel")
            self._plug(machine, "parallel", stack.enter_context(Printer(ports.printer)))

        if ports.sound is not None:
            self._hear(machine, ports.sound, stack)

    def _hear(self, machine: Machine, path: Path, stack: ExitStack) -> None:
        from devices.sound.speaker import RATE
        from monitor.host.wave_file import WaveFile

        if "speaker" not in machine.devices:
            raise UserError("--sound: the machine in the checkpoint has nobody to hear its speaker")
        self._ends.append(stack.enter_context(WaveFile(path, machine.devices["speaker"], RATE)))

    def _plug(self, machine: Machine, part: str, end: Any) -> None:
        machine.cables[part].listeners.append(end)
        self._ends.append(end)

    def stop_by(self, stop: Callable[[], None]) -> None:
        """Call this when the machine had better stop."""
        for end in self._ends:
            end.on_trouble = stop

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        for end in self._ends:
            end.check()


def _check(machine: Machine, part: str, option: str) -> None:
    if part not in machine.cables:
        raise UserError(f"{option}: the machine in the checkpoint has no such port")

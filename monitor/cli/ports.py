"""`--serial2`, `--parallel`, `--sound`: what further ports, speaker and sound card lead to."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.settings.printer_config import FORMS as PRINTER_FORMS
from monitor.settings.printer_config import PrinterConfig, parse_printer
from monitor.settings.serial_config import SerialConfig, parse_serial
from monitor.settings.sound_config import CARDS, SoundConfig, parse_sound
from monitor.settings.sound_config import FORMS as SOUND_FORMS
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.host.guest_line import Guest
    from monitor.host.sounding import Sounding

SERIAL = {"com2": "serial2", "com3": "serial3", "com4": "serial4"}


@dataclass
class Ports:
    """What was asked for, by the names of the machine's parts."""

    serial: dict[str, SerialConfig] = field(default_factory=dict)
    printer: PrinterConfig | None = None
    sound: SoundConfig | None = None
    card: str = CARDS[0]

    @property
    def parts(self) -> list[str]:
        """What the machine needs for it."""
        more = {"parallel": self.printer, "speaker": self.sound}
        parts = [*self.serial, *(part for part, asked in more.items() if asked is not None)]
        return parts if self.card == CARDS[0] else [*parts, self.card]

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
    group.add_argument("--sound", metavar="WHERE",
                       help="where what the PC speaker and the sound card play goes: "
                       f"{', '.join(SOUND_FORMS)}")


def ports_of(args: argparse.Namespace) -> Ports:
    """What the options say. UserError."""
    given = {part: getattr(args, name) for part, name in SERIAL.items()}
    return Ports(
        {part: parse_serial(text, f"--{SERIAL[part]}") for part, text in given.items() if text},
        None if args.parallel is None else parse_printer(args.parallel),
        None if args.sound is None else parse_sound(args.sound),
        getattr(args, "soundcard", None) or CARDS[0],
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

    def _hear(self, machine: Machine, config: SoundConfig, stack: ExitStack) -> None:
        from devices.sound.samples import RATE
        from monitor.host.sound_device import Pulse, SoundDevice
        from monitor.host.sound_mix import SoundMix
        from monitor.host.wave_file import WaveFile

        sources = sources_of(machine)
        if not sources:
            raise UserError("--sound: the machine in the checkpoint has nobody to hear its speaker")
        heard = sources[0] if len(sources) == 1 else SoundMix(sources)
        end: SoundDevice | WaveFile
        if config.path is None:
            end = SoundDevice(heard)
        else:
            end = WaveFile(config.path, heard, RATE, getattr(heard, "channels", 1))
        self._ends.append(stack.enter_context(end))
        if isinstance(heard, SoundMix):
            stack.enter_context(heard)
        if config.path is None:
            Pulse(machine.board.bus, heard)

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


def sources_of(machine: Machine) -> list[Sounding]:
    """What is heard of a machine: its speaker, its card's two sources."""
    found: list[Sounding] = []
    if "speaker" in machine.devices:
        found.append(machine.devices["speaker"])
    if "sb16" in machine.devices:
        found += [machine.devices["sb16"].player, machine.devices["sb16"].fm]
    return found


def add_card(group: argparse._ArgumentGroup) -> None:
    """`--soundcard`."""
    group.add_argument("--soundcard", choices=CARDS,
                       help="a sound card: sb16, a Sound Blaster 16 with an OPL3 (default none)")


def _check(machine: Machine, part: str, option: str) -> None:
    if part not in machine.cables:
        raise UserError(f"{option}: the machine in the checkpoint has no such port")

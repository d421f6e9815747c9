"""The heads of up to four floppy drives on their way, each by itself.

Manual: 82077AA datasheet, 5.2.1 "Read ID" to 5.2.4 "Sense interrupt status".

A drive tells nobody where its head is, but for track 0. So the controller counts the steps that it
sends (PCN), and the head may be somewhere else until it was recalibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, PARTS, TIMER, fields, optional
from devices.storage.floppy_commands import (
    LEAST_NS,
    RECALIBRATE_STEPS,
    ST0_INVALID,
    ST0_NO_TRACK_0,
    ST0_POLLED,
    ST0_SEEK_END,
)
from devices.storage.floppy_drive import FloppyDrive


class Seeker(Chip):
    """One unit as the controller knows it: where it takes its head to be, and where it sends it."""

    name = "floppy-seeker"
    state = fields(timer=TIMER, present=BYTE, target=BYTE, ending=BYTE, st0=optional(BYTE))

    def __init__(self, bus: Bus, arrived: Callable[[Seeker], None]) -> None:
        self.timer = bus.timer(lambda: arrived(self))
        self.present = self.target = self.ending = 0
        self.st0: int | None = None  # it has arrived, and SENSE INTERRUPT STATUS has not said so

    def reset(self) -> None:
        """The head stays where it is."""
        self.timer.cancel()
        self.st0 = None


class Heads(Chip):
    """All units; `on_arrival` is called when a head is where it was sent."""

    name = "floppy-heads"
    state = fields(seekers=PARTS)
    wiring = ("_bus", "_cable", "_on_arrival")

    def __init__(
        self, bus: Bus, cable: Sequence[FloppyDrive | None], on_arrival: Callable[[], None]
    ) -> None:
        self._bus = bus
        self._cable = cable
        self._on_arrival = on_arrival
        self.seekers = [Seeker(bus, self._arrived) for _ in cable]

    def reset(self) -> None:
        """They stop where they are."""
        for seeker in self.seekers:
            seeker.reset()

    def present(self, unit: int) -> int:
        """Where the controller takes this head to be."""
        return self.seekers[unit & 3].present

    def moving(self) -> int:
        """A bit for each unit whose head is on its way: MSR's low half."""
        return sum(seeker.timer.live << unit for unit, seeker in enumerate(self.seekers))

    def polled(self) -> None:
        """After a reset: every unit's ready line has changed."""
        for unit, seeker in enumerate(self.seekers):
            seeker.st0 = ST0_POLLED | unit

    def arrived(self) -> bool:
        """Does one wait for SENSE INTERRUPT STATUS, other than after a reset?"""
        return any(seeker.st0 is not None and seeker.st0 < ST0_INVALID for seeker in self.seekers)

    def sense(self) -> tuple[int, int] | None:
        """ST0 and PCN of the first that waits."""
        for seeker in self.seekers:
            if seeker.st0 is not None:
                st0, seeker.st0 = seeker.st0, None
                return st0, seeker.present
        return None

    def move(self, unit: int, target: int, step_ns: int) -> int:
        """Send a head somewhere at once; the nanoseconds that it takes."""
        seeker, drive = self.seekers[unit], self._cable[unit]
        steps = target - seeker.present
        seeker.present = target
        if drive is not None and steps:
            drive.step_to(drive.cylinder + steps)
        return abs(steps) * step_ns

    def seek(self, unit: int, target: int, step_ns: int) -> None:
        """SEEK; bit 2 of the unit is the side, which comes back in ST0."""
        self._send(unit, target, abs(target - self.present(unit)) * step_ns, ST0_SEEK_END)

    def recalibrate(self, unit: int, step_ns: int) -> None:
        """Step outwards until track 0 is met, 79 times at most."""
        drive = self._cable[unit]
        steps, ending = RECALIBRATE_STEPS, ST0_NO_TRACK_0
        if drive is not None:
            self.seekers[unit].present = drive.cylinder
            if drive.cylinder <= RECALIBRATE_STEPS:
                steps, ending = drive.cylinder, ST0_SEEK_END
        self._send(unit, 0, steps * step_ns, ending)

    def _send(self, unit: int, target: int, taken: int, ending: int) -> None:
        seeker = self.seekers[unit & 3]
        seeker.target, seeker.ending, seeker.st0 = target, ending | unit, None
        seeker.timer.set(self._bus.clock.now() + max(taken, LEAST_NS))

    def _arrived(self, seeker: Seeker) -> None:
        self.move(seeker.ending & 3, seeker.target, 0)
        seeker.st0 = seeker.ending
        self._on_arrival()

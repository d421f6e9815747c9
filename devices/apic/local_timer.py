"""The local APIC's timer: a 32-bit counter on the processor's bus clock.

Manual: SDM vol. 3, 10.5.4 "APIC timer".

    380h  initial count    writing it starts the count; 0 stops it
    390h  current count    down to 0; one-shot: stays there; periodic: from the initial count again
    3E0h  divide           bits 3, 1 and 0: by 2, 4, 8, ... 128; 111 is by 1

The count is not kept but derived: `begun` is the tick of the bus clock at which it was loaded. So a
timer that interrupts nobody (masked, or its vector is requested already) costs nothing.

>>> [divisor(value) for value in (0b0000, 0b0001, 0b1000, 0b1010, 0b1011)]
[2, 4, 32, 128, 1]
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.clock import ns_of_tick, tick_at
from devices.device import Chip
from devices.fields import DWORD, FLAG, TIMER, fields, number

BUS_HZ = 100_000_000
DIVIDE_BITS = 0b1011
MOST_TICKS = 1 << 58  # 91 years


def divisor(value: int) -> int:
    """By what a divide configuration divides."""
    return 1 << ((value >> 1 & 4 | value & 3) + 1 & 7)


class LocalTimer(Chip):
    """`on_end` is told that it got to 0; `wanted` says whether anybody would notice."""

    name = "local-timer"
    state = fields(
        initial=DWORD,
        divide=number(0, DIVIDE_BITS),
        periodic=FLAG,
        running=FLAG,
        begun=number(-MOST_TICKS, MOST_TICKS),
        alarm=TIMER,
    )
    wiring = ("_bus", "_on_end", "_wanted")

    def __init__(self, bus: Bus, on_end: Callable[[], None], wanted: Callable[[], bool]) -> None:
        self._bus = bus
        self._on_end = on_end
        self._wanted = wanted
        self.alarm = bus.timer(self._ring)
        self.reset()

    def reset(self) -> None:
        self.initial = self.divide = 0
        self.periodic = self.running = False
        self.begun = 0
        self.alarm.cancel()

    def _now(self) -> int:
        return tick_at(self._bus.clock.now(), BUS_HZ)

    @property
    def _period(self) -> int:
        """Ticks of the bus clock from one end to the next."""
        return self.initial * divisor(self.divide)

    def settle(self) -> None:
        """What has happened until now; to be called before anything it depends on changes."""
        if not self.running or not self.initial:
            return
        rounds = (self._now() - self.begun) // self._period
        if rounds > 0:
            if self.periodic:
                self.begun += rounds * self._period
            else:
                self.running = False
            self._on_end()

    def arm(self) -> None:
        """Ring at the next end, if anybody notices; to be called after a change."""
        if self.running and self.initial and self._wanted():
            when = ns_of_tick(self.begun + self._period, BUS_HZ)
            if self.alarm.when != when:
                self.alarm.set(max(0, when))
        else:
            self.alarm.cancel()

    def _ring(self) -> None:
        self.settle()
        self.arm()

    @property
    def current(self) -> int:
        """The current count, when it is settled."""
        if not self.running:
            return 0
        gone = (self._now() - self.begun) // divisor(self.divide)
        return min(max(self.initial - gone, 0), self.initial)

    # Registers; whoever writes them settles before and arms behind

    def start(self, count: int) -> None:
        """The initial count is written."""
        self.initial = count
        self.running = count > 0
        self.begun = self._now()

    def set_divide(self, value: int) -> None:
        """The count goes on from where it is, at another pace."""
        current = self.current
        self.divide = value & DIVIDE_BITS
        if self.running:
            self.begun = self._now() - (self.initial - current) * divisor(self.divide)

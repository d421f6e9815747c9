"""Intel 8254 Programmable Interval Timer: three 16-bit counters at 1193182 Hz.

Manual: Intel 8254 datasheet (231164), "Control word format", "Read operations", "Mode definitions".

Nothing counts here. A counter remembers the tick at which its counting element was loaded
(``origin``) and with what (``initial``); count and OUT follow from the present tick on demand. A
count is loaded on the first CLK pulse after it was written. Mode 2 with a count of 4, loaded at
tick 100::

    tick    100 101 102 103 104 105 ...
    count     4   3   2   1   4   3
    OUT       1   1   1   0   1   1      rising edges at 104, 108, ...

Only counter 0 has timers, since only its rising edges matter to somebody else (IRQ0). The line is
pulsed at them; it stays high between, which nobody but a reader of the IRR can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.bcd import from_bcd, to_bcd
from devices.bus import Bus
from devices.clock import ns_of_tick, tick_at
from devices.device import Chip
from devices.fields import (
    BYTE,
    FLAG,
    LINE,
    MOMENT,
    MOST_TIME,
    PARTS,
    TIMER,
    WORD,
    fields,
    number,
    optional,
)

PIT_HZ = 1193182

READ_BACK = 3
ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH = range(4)


class Counter(Chip):
    """One counter. Every method takes the present tick; the chip has no other idea of time."""

    name = "i8254-counter"
    state = fields(
        gate=FLAG,
        mode=number(0, 5),
        bcd=FLAG,
        access=number(ACCESS_LOW, ACCESS_BOTH),
        origin=optional(MOMENT),
        initial=number(1, 0x10000),
        frozen=optional(number(0, MOST_TIME)),
        written=optional(number(1, 0x10000)),
        pending=FLAG,
        switch_at=optional(MOMENT),
        held=WORD,
        held_out=FLAG,
        low_byte=optional(BYTE),
        high_next=FLAG,
        latched_count=optional(WORD),
        latched_status=optional(BYTE),
    )
    wiring = ("_gate_at_reset",)

    def __init__(self, gate: bool) -> None:
        self._gate_at_reset = gate
        self.reset()

    def reset(self) -> None:
        self.gate = self._gate_at_reset
        self.held = 0  # what the counting element shows while it does not count
        self._program(ACCESS_BOTH, mode=3, bcd=False)

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if state["switch_at"] is not None and None in (state["origin"], state["written"]):
            return "it waits for the end of a cycle, and does not count or has no new count"
        return None

    def _program(self, access: int, mode: int, bcd: bool) -> None:
        self.access = access
        self.mode = mode
        self.bcd = bcd
        self.origin: int | None = None  # the tick of the last load; None: not counting
        self.initial = 0x10000  # what was loaded, 1 to 65536
        self.frozen: int | None = None  # ticks since the load, while GATE stops modes 0 and 4
        self.written: int | None = None  # the count register
        self.pending = False  # the count register waits for a trigger or the end of a cycle
        self.switch_at: int | None = None  # that end, in modes 2 and 3
        self.held_out = mode != 0  # OUT between a load's cause and its CLK pulse
        self.low_byte: int | None = None
        self.high_next = False
        self.latched_count: int | None = None
        self.latched_status: int | None = None

    # Writing

    def control(self, tick: int, access: int, mode: int, bcd: bool) -> None:
        """A control word for this counter."""
        self.held = self.count(tick)
        self._program(access, mode, bcd)

    def write(self, tick: int, byte: int) -> None:
        """A byte for its count register."""
        if self.access == ACCESS_LOW:
            self._set_count(tick, byte)
        elif self.access == ACCESS_HIGH:
            self._set_count(tick, byte << 8)
        elif self.low_byte is None:
            self.low_byte = byte
            if self.mode == 0:  # the first byte stops the counting, OUT goes low
                self.held, self.held_out = self.count(tick), False
                self.origin = self.frozen = None
        else:
            low, self.low_byte = self.low_byte, None
            self._set_count(tick, byte << 8 | low)

    def _set_count(self, tick: int, raw: int) -> None:
        self.settle(tick)
        if self.bcd:
            self.written = from_bcd(raw) % 10000 or 10000
        else:
            self.written = raw or 0x10000
        if self.mode in (0, 4):
            self._load(tick, out=self.mode != 0)
            self.frozen = None if self.gate else 0
        elif self.origin is not None and tick < self.origin:
            self.initial = self.written  # in time for a load that is already due
        elif self.mode in (2, 3) and self.gate and self.origin is None:
            self._load(tick, out=True)
        else:
            self.pending = True
            self._plan_switch(tick)

    def _plan_switch(self, tick: int) -> None:
        """Modes 2 and 3 take a new count at the end of the cycle; mode 3, of the half cycle."""
        if self.origin is None or self.mode not in (2, 3) or self.switch_at is not None:
            return
        position = (tick - self.origin) % self.initial
        half = (self.initial + 1) // 2
        end = half if self.mode == 3 and position < half else self.initial
        self.switch_at = tick - position + end

    def settle(self, tick: int) -> None:
        """Catch up with a switch to a new count that has happened since."""
        if self.switch_at is None or tick < self.switch_at:
            return
        assert self.origin is not None and self.written is not None
        at_half = (self.switch_at - self.origin) % self.initial != 0
        # After the old count's high half comes the new count's low half.
        self.origin = self.switch_at - ((self.written + 1) // 2 if at_half else 0)
        self.initial = self.written
        self.switch_at = None
        self.pending = False

    def _load(self, tick: int, out: bool) -> None:
        """Load the counting element on the next CLK pulse; until then it shows what it had."""
        assert self.written is not None
        self.held, self.held_out = self.count(tick), out
        self.initial = self.written
        self.origin = tick + 1
        self.frozen = None
        self.pending = False

    def set_gate(self, tick: int, level: bool) -> None:
        """The GATE pin."""
        if level == self.gate:
            return
        self.settle(tick)
        self.gate = level
        if self.mode in (0, 4):
            self._freeze(tick, not level)
        elif level and self.written is not None:
            self._load(tick, out=self.out(tick))  # the trigger of modes 1, 2, 3 and 5
        elif not level and self.mode in (2, 3):
            self.held, self.held_out = self.count(tick), True
            self.origin = self.switch_at = None

    def _freeze(self, tick: int, stop: bool) -> None:
        if self.origin is None:
            return
        if stop:
            self.frozen = max(0, tick - self.origin)
        elif self.frozen is not None:
            self.origin, self.frozen = max(self.origin, tick - self.frozen), None

    # Looking

    def _elapsed(self, tick: int) -> int | None:
        """CLK pulses since the load; None when there is nothing to count."""
        if self.frozen is not None:
            return self.frozen
        if self.origin is None or tick < self.origin:
            return None
        return tick - self.origin

    def out(self, tick: int) -> bool:
        """The OUT pin."""
        elapsed = self._elapsed(tick)
        if elapsed is None:
            return self.held_out
        count = self.initial
        if self.mode in (0, 1):
            return elapsed >= count
        if self.mode == 2:
            return count == 1 or elapsed % count != count - 1
        if self.mode == 3:
            return elapsed % count < (count + 1) // 2
        return elapsed != count

    def count(self, tick: int) -> int:
        """The counting element in binary, as its 16 bits (or 4 digits) would have it."""
        elapsed = self._elapsed(tick)
        if elapsed is None:
            return self.held
        count = self.initial
        if self.mode == 2:
            left = count - elapsed % count
        elif self.mode == 3:
            half = (count + 1) // 2
            position = elapsed % count
            left = (count & ~1) - 2 * (position - half if position >= half else position)
        else:
            left = count - elapsed
        return left % (10000 if self.bcd else 0x10000)

    def next_rise(self, tick: int) -> int | None:
        """The next tick at which OUT rises by counting alone. The counter must be settled."""
        if self.origin is None or self.frozen is not None:
            return None
        count = self.initial
        if self.mode in (2, 3):
            return self._next_cycle(tick)
        rise = self.origin + count + (1 if self.mode in (4, 5) else 0)
        return rise if rise > tick else None

    def _next_cycle(self, tick: int) -> int | None:
        assert self.origin is not None
        count = self.initial
        if self.switch_at is not None and self.written is not None:
            at_half = (self.switch_at - self.origin) % count != 0
            return self.switch_at + (self.written // 2 if at_half else 0)
        if count == 1:
            return None  # illegal in these modes: OUT stays high
        return self.origin + (max(0, (tick - self.origin) // count) + 1) * count

    # Reading

    def latch_count(self, tick: int) -> None:
        """The counter latch command: keep the count until it is read."""
        if self.latched_count is None:
            self.latched_count = self._encoded(tick)

    def latch_status(self, tick: int) -> None:
        """The read-back command: keep the status until it is read."""
        if self.latched_status is None:
            null = self.written is None or self.pending
            null = null or (self.origin is not None and tick < self.origin)
            self.latched_status = (
                self.out(tick) << 7 | null << 6 | self.access << 4 | self.mode << 1 | self.bcd
            )

    def _encoded(self, tick: int) -> int:
        count = self.count(tick)
        return to_bcd(count % 10000) if self.bcd else count

    def read(self, tick: int) -> int:
        """The next byte that it shows."""
        if self.latched_status is not None:
            status, self.latched_status = self.latched_status, None
            return status
        latched = self.latched_count
        value = latched if latched is not None else self._encoded(tick)
        if self.access == ACCESS_BOTH:
            high, self.high_next = self.high_next, not self.high_next
            if high:
                self.latched_count = None
        else:
            high = self.access == ACCESS_HIGH
            self.latched_count = None
        return value >> 8 if high else value & 0xFF


class I8254(Chip):
    """The chip at ports 0x40 to 0x43. OUT0 is IRQ0; port 0x61 holds GATE2 and shows OUT2."""

    name = "i8254"
    state = fields(out0=FLAG, line=LINE, timer=TIMER, counters=PARTS)
    wiring = ("_now", "before_counter2")

    def __init__(self, bus: Bus) -> None:
        self._now = bus.clock.now
        #: Told when counter 2 is about to change: whoever hears it.
        self.before_counter2: Callable[[], None] = _nothing
        self.line = bus.irq(0)
        self.out0 = True
        self.timer = bus.timer(self._out0_rises)
        self.counters = [Counter(gate=True), Counter(gate=True), Counter(gate=False)]
        bus.claim_ports(0x40, 4, self)

    def tick(self) -> int:
        """CLK pulses since power on."""
        return tick_at(self._now(), PIT_HZ)

    def reset(self) -> None:
        self.before_counter2()
        for counter in self.counters:
            counter.reset()
        self._counter0_changed(self.tick())

    # The processor's side

    def read_port(self, offset: int, size: int) -> int:
        if offset == 3:
            return 0xFF  # the control word register cannot be read
        tick = self.tick()
        counter = self.counters[offset]
        if offset == 2 and counter.switch_at is not None:
            self.before_counter2()
        counter.settle(tick)
        return counter.read(tick)

    def write_port(self, offset: int, size: int, value: int) -> None:
        tick = self.tick()
        if offset >= 2:
            self.before_counter2()
        if offset == 3:
            self._write_control(tick, value)
            return
        self.counters[offset].write(tick, value)
        if offset == 0:
            self._counter0_changed(tick)

    def _write_control(self, tick: int, value: int) -> None:
        select, access = value >> 6, value >> 4 & 3
        if select == READ_BACK:
            self._read_back(tick, value)
            return
        counter = self.counters[select]
        counter.settle(tick)
        if access == ACCESS_LATCH:
            counter.latch_count(tick)
            return
        mode = value >> 1 & 7
        # The datasheet's X10 and X11: the top bit does not count for modes 2 and 3.
        counter.control(tick, access, mode & 3 if mode > 5 else mode, bool(value & 1))
        if select == 0:
            self._counter0_changed(tick)

    def _read_back(self, tick: int, value: int) -> None:
        """Bit 5 clear latches the count, bit 4 clear the status, of counters in bits 1 to 3."""
        for index, counter in enumerate(self.counters):
            if value >> index + 1 & 1:
                counter.settle(tick)
                if not value & 0x20:
                    counter.latch_count(tick)
                if not value & 0x10:
                    counter.latch_status(tick)

    # Counter 2's pins, for port 0x61

    def set_gate2(self, level: bool) -> None:
        """Port 0x61 drives GATE2."""
        self.before_counter2()
        self.counters[2].set_gate(self.tick(), level)

    def out2(self) -> bool:
        """OUT2, as port 0x61 shows it."""
        tick = self.tick()
        counter = self.counters[2]
        if counter.switch_at is not None:
            self.before_counter2()
        counter.settle(tick)
        return counter.out(tick)

    # Counter 0's interrupt

    def _counter0_changed(self, tick: int) -> None:
        level = self.counters[0].out(tick)
        if level != self.out0:
            self.out0 = level
            self.line.set(level)
        self._schedule(tick)

    def _schedule(self, tick: int) -> None:
        self.timer.cancel()
        rise = self.counters[0].next_rise(tick)
        if rise is not None:
            self.timer.set(ns_of_tick(rise, PIT_HZ))

    def _out0_rises(self) -> None:
        """Edges that a late call missed are one: the controller would have latched one."""
        tick = self.tick()
        self.counters[0].settle(tick)
        self.out0 = True
        self.line.pulse()
        self._schedule(tick)


def _nothing() -> None:
    """Nobody hears it."""

"""Motorola MC146818 real-time clock, with the CMOS memory of a PC.

Manual: Motorola MC146818 datasheet, "Address map", "Registers", "Update cycle"; PC usage of the
memory: IBM PC/AT Technical Reference, "Real-time clock/CMOS RAM information".

The time bytes are stored as the guest sees and writes them. They are brought up to date when
somebody looks: ``second_ns`` is the moment of the last update, and whole seconds since then are
added in one go. So nothing ticks unless a guest enables an interrupt, and even then there is one
timer, for the next event that would change the interrupt line.

    divider       010 runs; 11x holds it in reset, and the first update is 500 ms after release
    SET (B.7)     holds the time bytes still for writing; the divider goes on
    UIP (A.7)     on for the last 2228 us before the bytes change: 244 us of warning, 1984 of update
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from devices.bcd import from_bcd, to_bcd
from devices.bus import Bus
from devices.clock import NS_PER_SECOND, ns_of_tick, tick_at
from devices.device import Chip
from devices.fields import BYTE, FLAG, LINE, MOMENT, TIMER, fields, number, sequence

RTC_HZ = 32768
UIP_NS = 244_000 + 1_984_000
SECONDS_PER_DAY = 86400

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
WEEKDAY, DAY, MONTH, YEAR = range(6, 10)
REG_A, REG_B, REG_C, REG_D = range(0x0A, 0x0E)
SHUTDOWN, CENTURY = 0x0F, 0x32
CHECKSUM_HIGH, CHECKSUM_LOW = 0x2E, 0x2F
CHECKSUMMED = range(0x10, 0x2E)
TIME_BYTES = frozenset((SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR))
ALARM_BYTES = frozenset((SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM))

A_UIP, A_DIVIDER, A_RATE = 0x80, 0x70, 0x0F
DIVIDER_RUNS = 0x20
B_SET, B_PIE, B_AIE, B_UIE, B_BINARY, B_24H = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
C_IRQF, C_PF, C_AF, C_UF = 0x80, 0x40, 0x20, 0x10
D_VALID = 0x80
PM = 0x80
ALARM_ANY = 0xC0  # an alarm byte with both top bits set matches everything

CMOS_BYTES = 128
KIB = 1024
KIB_64 = 64 * KIB
MIB = 1024 * KIB


class Mc146818(Chip):
    """``start_time`` is what the clock shows at power on, in seconds since 1970, UTC."""

    name = "mc146818"
    state = fields(
        cmos=sequence(BYTE, least=CMOS_BYTES, most=CMOS_BYTES),
        index=number(0, CMOS_BYTES - 1),
        nmi_masked=FLAG,
        second_ns=MOMENT,
        divider_ns=MOMENT,
        periods_seen=MOMENT,
        line=LINE,
        timer=TIMER,
    )
    wiring = ("_bus",)

    def __init__(
        self,
        bus: Bus,
        start_time: int = 0,
        memory_bytes: int = 0,
        cmos: Mapping[int, int] | None = None,
    ) -> None:
        self._bus = bus
        self.line = bus.irq(8)
        self.timer = bus.timer(self._event)
        self.cmos = [0] * CMOS_BYTES
        self.second_ns = self.divider_ns = bus.clock.now()
        self.periods_seen = 0
        self.cmos[REG_A] = DIVIDER_RUNS | 6  # 1024 Hz, as firmware leaves it
        self.cmos[REG_B] = B_24H
        self.cmos[REG_D] = D_VALID
        self._set_time(start_time)
        self._set_memory_size(memory_bytes)
        self.configure(cmos or {})
        self.reset()
        bus.claim_ports(0x70, 2, self)

    def reset(self) -> None:
        """The RESET pin: interrupts off. Time and memory live on the battery."""
        self.index = REG_D
        self.nmi_masked = False
        self.cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE)
        self.cmos[REG_C] = 0
        self._update_irq()

    # Configuration

    def _set_time(self, seconds_since_1970: int) -> None:
        moment = datetime.fromtimestamp(seconds_since_1970, timezone.utc)
        self._store_moment(moment, moment.isoweekday() % 7 + 1)
        self.cmos[CENTURY] = to_bcd(moment.year // 100)

    def _set_memory_size(self, memory_bytes: int) -> None:
        """KiB below 640 K, KiB above 1 MiB (twice), 64 KiB blocks above 16 MiB."""
        extended = max(0, memory_bytes - MIB)
        self._set_word(0x15, min(640, memory_bytes // KIB))
        self._set_word(0x17, min(0xFFFF, extended // KIB))
        self._set_word(0x30, min(0xFFFF, extended // KIB))
        self._set_word(0x34, min(0xFFFF, max(0, memory_bytes - 16 * MIB) // KIB_64))

    def configure(self, cmos: Mapping[int, int]) -> None:
        """What a setup program writes: these bytes, by register, and the checksum."""
        for register, value in cmos.items():
            self.cmos[register] = value
        self._set_checksum()

    def _set_word(self, register: int, value: int) -> None:
        self.cmos[register] = value & 0xFF
        self.cmos[register + 1] = value >> 8

    def _set_checksum(self) -> None:
        total = sum(self.cmos[register] for register in CHECKSUMMED)
        self.cmos[CHECKSUM_HIGH] = total >> 8 & 0xFF
        self.cmos[CHECKSUM_LOW] = total & 0xFF

    # The processor's side

    def read_port(self, offset: int, size: int) -> int:
        if offset == 0:
            return 0xFF  # the index register is write-only
        register = self.index
        if register in TIME_BYTES:
            self._settle()
        elif register == REG_A:
            return self._read_a()
        elif register == REG_C:
            return self._read_c()
        return self.cmos[register]

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self.index = value & 0x7F
            self.nmi_masked = bool(value & 0x80)
            return
        register = self.index
        if register in (REG_C, REG_D):
            return
        self._settle()
        if register == REG_A:
            self._write_a(value)
        elif register == REG_B:
            self._write_b(value)
        else:
            self.cmos[register] = value
        if register in ALARM_BYTES or register in TIME_BYTES or register in (REG_A, REG_B):
            self._update_irq()

    def _read_a(self) -> int:
        self._settle()
        value = self.cmos[REG_A]
        if self._updating():
            left = self.second_ns + NS_PER_SECOND - self._bus.clock.now()
            if left <= UIP_NS:
                value |= A_UIP
        return value

    def _read_c(self) -> int:
        """Reading the flags clears them, and takes the interrupt away."""
        self._settle()
        value = self.cmos[REG_C]
        if value & self.cmos[REG_B] & (C_PF | C_AF | C_UF):
            value |= C_IRQF
        self.cmos[REG_C] = 0
        self._update_irq()
        return value

    def _write_a(self, value: int) -> None:
        now = self._bus.clock.now()
        was_running = self._divider_runs()
        self.cmos[REG_A] = value & ~A_UIP
        if self._divider_runs() and not was_running:
            self.divider_ns = now
            self.second_ns = now - NS_PER_SECOND // 2
        self.periods_seen = self._periods()

    def _write_b(self, value: int) -> None:
        if value & B_SET:
            value &= ~B_UIE  # setting the clock switches the update interrupt off
        self.cmos[REG_B] = value

    # Time

    def _divider_runs(self) -> bool:
        return self.cmos[REG_A] & A_DIVIDER == DIVIDER_RUNS

    def _updating(self) -> bool:
        return self._divider_runs() and not self.cmos[REG_B] & B_SET

    def _settle(self) -> None:
        """Bring the time bytes and the flags up to the present."""
        if not self._divider_runs():
            return
        seconds = (self._bus.clock.now() - self.second_ns) // NS_PER_SECOND
        if seconds > 0:
            if self._updating():
                self._pass_seconds(seconds)
            self.second_ns += seconds * NS_PER_SECOND
        periods = self._periods()
        if periods > self.periods_seen:
            self.periods_seen = periods
            self.cmos[REG_C] |= C_PF

    def _pass_seconds(self, seconds: int) -> None:
        alarm = self._seconds_to_alarm()
        self.cmos[REG_C] |= C_UF
        if alarm is not None and alarm <= seconds:
            self.cmos[REG_C] |= C_AF
        self._add_seconds(seconds)

    def _add_seconds(self, seconds: int) -> None:
        before = self._moment()
        after = before + timedelta(seconds=seconds)
        days = (after.date() - before.date()).days
        weekday = (self._decoded(WEEKDAY) - 1 + days) % 7 + 1
        self._store_moment(after, weekday)

    def _moment(self) -> datetime:
        """The time bytes as a moment. Whatever nonsense a guest wrote, the counters go on.

        The chip knows two digits of the year and takes every fourth as a leap year; so do the
        years 2000 to 2099.
        """
        month = min(max(self._decoded(MONTH), 1), 12)
        first = datetime(2000 + self._decoded(YEAR) % 100, month, 1)
        days = max(self._decoded(DAY), 1) - 1
        return first + timedelta(days=days, seconds=self._second_of_day())

    def _second_of_day(self) -> int:
        hours, minutes = self._decoded_hours(self.cmos[HOURS]), self._decoded(MINUTES)
        return (hours * 60 + minutes) * 60 + self._decoded(SECONDS)

    def _store_moment(self, moment: datetime, weekday: int) -> None:
        self.cmos[SECONDS] = self._encoded(moment.second)
        self.cmos[MINUTES] = self._encoded(moment.minute)
        self.cmos[HOURS] = self._encoded_hours(moment.hour)
        self.cmos[WEEKDAY] = weekday
        self.cmos[DAY] = self._encoded(moment.day)
        self.cmos[MONTH] = self._encoded(moment.month)
        self.cmos[YEAR] = self._encoded(moment.year % 100)

    # Formats

    def _encoded(self, value: int) -> int:
        return value if self.cmos[REG_B] & B_BINARY else to_bcd(value)

    def _decode(self, value: int) -> int:
        return value if self.cmos[REG_B] & B_BINARY else from_bcd(value)

    def _decoded(self, register: int) -> int:
        return self._decode(self.cmos[register])

    def _encoded_hours(self, hours: int) -> int:
        if self.cmos[REG_B] & B_24H:
            return self._encoded(hours)
        return self._encoded((hours + 11) % 12 + 1) | (PM if hours >= 12 else 0)

    def _decoded_hours(self, value: int) -> int:
        if self.cmos[REG_B] & B_24H:
            return self._decode(value)
        return self._decode(value & ~PM) % 12 + (12 if value & PM else 0)

    # Interrupts

    def _seconds_to_alarm(self) -> int | None:
        """How many updates until the alarm matches, 1 to 86400; None for an impossible alarm."""
        minutes, seconds = self._alarm_value(MINUTES_ALARM), self._alarm_value(SECONDS_ALARM)
        alarm = self._alarm_hours(), minutes, seconds
        for value, most in zip(alarm, (24, 60, 60), strict=True):
            if value is not None and value >= most:
                return None
        first = (self._second_of_day() + 1) % SECONDS_PER_DAY
        return _next_match(first, *alarm) - first + 1

    def _alarm_value(self, register: int) -> int | None:
        value = self.cmos[register]
        return None if value & ALARM_ANY == ALARM_ANY else self._decode(value)

    def _alarm_hours(self) -> int | None:
        value = self.cmos[HOURS_ALARM]
        return None if value & ALARM_ANY == ALARM_ANY else self._decoded_hours(value)

    def _period_ticks(self) -> int:
        """The periodic rate: 32768 Hz divided by 2 ** (rate - 1), with two exceptions."""
        rate = self.cmos[REG_A] & A_RATE
        if rate == 0:
            return 0
        return 1 << (rate + 6 if rate <= 2 else rate - 1)

    def _periods(self) -> int:
        period = self._period_ticks()
        if period == 0 or not self._divider_runs():
            return 0
        return tick_at(self._bus.clock.now() - self.divider_ns, RTC_HZ) // period

    def _update_irq(self) -> None:
        level = bool(self.cmos[REG_C] & self.cmos[REG_B] & (C_PF | C_AF | C_UF))
        if level != self.line.level:
            self.line.set(level)
        self._schedule()

    def _schedule(self) -> None:
        self.timer.cancel()
        if self.line.level or not self._divider_runs():
            return  # another event would not change the line
        events = [when for when in (self._next_period(), self._next_update()) if when is not None]
        if events:
            self.timer.set(min(events))

    def _next_period(self) -> int | None:
        period = self._period_ticks()
        if not self.cmos[REG_B] & B_PIE or period == 0:
            return None
        return self.divider_ns + ns_of_tick((self._periods() + 1) * period, RTC_HZ)

    def _next_update(self) -> int | None:
        """The next update that interrupts: any of them, or the one that meets the alarm."""
        if not self._updating():
            return None
        if self.cmos[REG_B] & B_UIE:
            return self.second_ns + NS_PER_SECOND
        alarm = self._seconds_to_alarm() if self.cmos[REG_B] & B_AIE else None
        return None if alarm is None else self.second_ns + alarm * NS_PER_SECOND

    def _event(self) -> None:
        self._settle()
        self._update_irq()


def _next_match(
    first: int, hours: int | None, minutes: int | None, seconds: int | None
) -> int:
    """The first second of the day, from `first` on, that an alarm means; None stands for any.

    Beyond 86399 it is one of the next day. An odometer: as much as can stay of `first` stays, the
    next wheel goes on to the next figure it may show, and the wheels behind it to their lowest.

    >>> _next_match(3600 + 59, None, 30, 0), _next_match(0, 23, None, None)
    (5400, 82800)
    """
    hour, minute, second = first // 3600, first // 60 % 60, first % 60
    low_minute, low_second = minutes or 0, seconds or 0
    if hours in (None, hour):
        if minutes in (None, minute) and (seconds is None or seconds >= second):
            return first if seconds is None else first - second + seconds
        later = minute + 1 if minutes is None else minutes
        if minute < later < 60:
            return (hour * 60 + later) * 60 + low_second
    later = hour + 1 if hours is None else hours
    if not hour < later < 24:
        later = 24 + (hours or 0)
    return (later * 60 + low_minute) * 60 + low_second

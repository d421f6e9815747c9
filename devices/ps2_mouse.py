"""A PS/2 mouse: the standard one, IntelliMouse with a wheel, and its Explorer with five buttons.

Manual: IBM PS/2 Technical Reference, "Mouse", commands and data report; for wheel and buttons four
and five, Microsoft's note "Plug and Play for PS/2 mice": a driver that sets sample rates 200, 100,
80 gets the identity 3 and packets of four bytes; with 200, 200, 80 after that, 4.

    byte 1   Y overflow, X overflow, Y sign, X sign, 1, middle, right, left
    byte 2   X, right is positive        byte 3   Y, up is positive
    byte 4   identity 3: Z, down is positive; identity 4: 0, 0, button 5, button 4, Z in four bits

Counters of nine bits lie between what moves and what is reported. A shove that is too long for them
overflows; what the host says (`move`) is carried out in steps that fit, one to a packet, and waits
while the guest takes none. A mouse that reports nothing loses what it is moved.

>>> packet(left_button := 1, 5, -3, 0, 0).hex()
'2905fd'
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.clock import NS_PER_SECOND
from devices.device import Chip
from devices.fields import BYTE, FLAG, MOMENT, TIMER, choice, fields, number, sequence

ACK, RESEND, ERROR, SELF_TEST_PASSED = 0xFA, 0xFE, 0xFC, 0xAA
SCALE_1, SCALE_2, SET_RESOLUTION, STATUS = 0xE6, 0xE7, 0xE8, 0xE9
STREAM, READ_DATA, END_WRAP, WRAP, REMOTE = 0xEA, 0xEB, 0xEC, 0xEE, 0xF0
IDENTIFY, SET_RATE, ENABLE, DISABLE, DEFAULTS = 0xF2, 0xF3, 0xF4, 0xF5, 0xF6
RESEND_LAST, RESET = 0xFE, 0xFF
WITH_ARGUMENT = (SET_RESOLUTION, SET_RATE)

RATES = (10, 20, 40, 60, 80, 100, 200)
KNOCKS: dict[tuple[int, ...], int] = {(200, 100, 80): 3, (200, 200, 80): 4}
STANDARD, WHEEL, FIVE_BUTTONS = 0, 3, 4
LEFT, RIGHT, MIDDLE, FOURTH, FIFTH = 1, 2, 4, 8, 16
ALL_BUTTONS = 31
# "Scaling 2:1": what the driver gets for a count; twice as much from six on.
TWICE = (0, 1, 1, 3, 6, 9)

COUNTER = 255
STEP = 127  # counts of one packet that the host asked for
WHEEL_STEP = 7
MOST_BYTES = 16  # that wait for the controller
MOST_WAITING = 256  # button changes that wait for a packet
FAR = 1 << 20  # counts that may wait


def packet(buttons: int, x: int, y: int, wheel: int, identity: int) -> bytes:
    """A data report. Counts beyond nine bits show as overflow."""
    first = 0x08 | buttons & 7
    for value, sign, overflow in ((x, 0x10, 0x40), (y, 0x20, 0x80)):
        first |= sign if value < 0 else 0
        first |= overflow if abs(value) > COUNTER else 0
    low = (_clamp(x, COUNTER) & 0xFF, _clamp(y, COUNTER) & 0xFF)
    if identity == WHEEL:
        return bytes((first, *low, wheel & 0xFF))
    if identity == FIVE_BUTTONS:
        return bytes((first, *low, (buttons & (FOURTH | FIFTH)) << 1 | wheel & 0x0F))
    return bytes((first, *low))


class Ps2Mouse(Chip):
    """``on_data`` is told when there is something new to take."""

    name = "ps2-mouse"
    state = fields(
        output=sequence(BYTE, most=MOST_BYTES),
        last=sequence(BYTE, most=4),
        command=choice((0, *WITH_ARGUMENT)),
        wrong=FLAG,
        wrapped=FLAG,
        remote=FLAG,
        reporting=FLAG,
        doubled=FLAG,
        resolution=number(0, 3),
        rate=choice(RATES),
        knock=sequence(choice(RATES), most=2),
        identity=choice((STANDARD, WHEEL, FIVE_BUTTONS)),
        x=number(-COUNTER - 1, COUNTER + 1),
        y=number(-COUNTER - 1, COUNTER + 1),
        wheel=number(-WHEEL_STEP - 1, WHEEL_STEP),
        buttons=number(0, ALL_BUTTONS),
        shown=number(0, ALL_BUTTONS),
        calling=FLAG,
        waiting=sequence(sequence(number(-FAR, FAR), most=4, least=4), most=MOST_WAITING),
        next_report=MOMENT,
        timer=TIMER,
    )
    wiring = ("_bus", "_on_data")

    def __init__(self, bus: Bus, on_data: Callable[[], None]) -> None:
        self._bus = bus
        self._on_data = on_data
        self.timer = bus.timer(self._report)
        self.output: deque[int] = deque()
        self.last: list[int] = []  # what was sent last, for RESEND
        self.waiting: deque[list[int]] = deque()  # x, y, wheel and then these buttons
        self.knock: list[int] = []  # the last two sample rates
        self.buttons = 0  # that are down
        self.reset()

    def reset(self) -> None:
        """Power on, and command RESET. Who holds a button goes on holding it."""
        self.output.clear()
        self.last = [SELF_TEST_PASSED, STANDARD]
        self.command = 0
        self.wrong = False  # the last argument was
        self.wrapped = False
        self.identity = STANDARD
        self.knock = []
        self.next_report = 0
        self._set_defaults()

    def _set_defaults(self) -> None:
        self.rate, self.resolution, self.doubled = 100, 2, False
        self.remote = self.reporting = False
        self._forget_motion()

    def _forget_motion(self) -> None:
        self.x = self.y = self.wheel = 0
        self.buttons = self.shown = self.held()  # as they are when the driver is told again
        self.waiting.clear()
        self.calling = False
        self.timer.cancel()

    # The host's side

    def move(self, x: int = 0, y: int = 0, wheel: int = 0, buttons: int | None = None) -> None:
        """Move it by counts, right and up (the wheel: down), then hold just these buttons."""
        held = self.held() if buttons is None else buttons & ALL_BUTTONS
        steps = self.waiting
        if steps and (self._is_motion_with(held) or len(steps) == MOST_WAITING):
            last = steps[-1]
            for at, more in enumerate((x, y, wheel)):
                last[at] = _clamp(last[at] + more, FAR)
            last[3] = held
        else:
            steps.append([*(_clamp(each, FAR) for each in (x, y, wheel)), held])
        if not (self.remote or self.reporting):
            self._forget_motion()
        self._plan()

    def _is_motion_with(self, held: int) -> bool:
        """Does all end with motion, these buttons being down throughout?"""
        before = self.waiting[-2][3] if len(self.waiting) > 1 else self.buttons
        return self.waiting[-1][3] == before == held

    def held(self) -> int:
        """The buttons that are down behind all that waits."""
        return self.waiting[-1][3] if self.waiting else self.buttons

    def shove(self, x: int, y: int) -> None:
        """Move it at once, whatever its counters can hold."""
        self.x = _clamp(self.x + x, COUNTER + 1)
        self.y = _clamp(self.y + y, COUNTER + 1)
        self._plan()

    def call_driver(self) -> None:
        """A report for its own sake: there is something to be asked for elsewhere."""
        self.calling = self.reporting and not self.remote
        self._plan()

    # Reports

    def _plan(self) -> None:
        """See that what has happened is reported when its time comes."""
        if not self.timer.live and self._may_report() and self._has_news():
            self.timer.set(max(self.next_report, self._bus.clock.now() + 1))

    def _may_report(self) -> bool:
        busy = self.remote or self.wrapped or self.output or self.command
        return self.reporting and not busy

    def _has_news(self) -> bool:
        moved = self.x or self.y or self.wheel or self.waiting
        return bool(moved or self.calling or self.shown != self.buttons)

    def _report(self) -> None:
        """A sample is due in stream mode."""
        if not self._may_report():
            return
        self._send_packet(doubled=self.doubled)
        self.next_report = self._bus.clock.now() + NS_PER_SECOND // self.rate
        self._on_data()

    def _send_packet(self, doubled: bool) -> None:
        self._step()
        x, y = (_twice(self.x), _twice(self.y)) if doubled else (self.x, self.y)
        report = packet(self.buttons, x, y, self.wheel, self.identity)
        self.x = self.y = self.wheel = 0
        self.shown, self.calling = self.buttons, False
        self.output.extend(report)
        self.last = list(report)

    def _step(self) -> None:
        """The next part of what the host asked for; a button changes when its way is done."""
        if not self.waiting:
            return
        step = self.waiting[0]
        most = STEP // 2 if self.doubled else STEP
        x, y, wheel = (
            _clamp(step[0], most),
            _clamp(step[1], most),
            _clamp(step[2], WHEEL_STEP),
        )
        self.x = _clamp(self.x + x, COUNTER + 1)
        self.y = _clamp(self.y + y, COUNTER + 1)
        self.wheel = wheel
        step[0], step[1], step[2] = step[0] - x, step[1] - y, step[2] - wheel
        if not any(step[:3]):
            self.buttons = step[3]
            self.waiting.popleft()

    # The controller's side

    def has_data(self) -> bool:
        """Is there a byte to take?"""
        return bool(self.output)

    def take(self) -> int:
        """The next byte for the controller; only when there is data."""
        byte = self.output.popleft()
        self._plan()
        return byte

    def write(self, value: int) -> None:
        """A command, or the argument of the one before. What was to be sent is forgotten."""
        if self.wrapped and value not in (END_WRAP, RESET):
            self._answer(value)
        elif self.command and value != RESET:
            command, self.command = self.command, 0
            self._argument(command, value)
        else:
            self.command = 0
            self._command(value)
        self._plan()
        if self.output:
            self._on_data()

    def _answer(self, *answer: int) -> None:
        self.output.clear()
        self.output.extend(answer)
        self.last = list(answer[-4:])

    def _argument(self, command: int, value: int) -> None:
        if command == SET_RATE and value in RATES:
            self._set_rate(value)
        elif command == SET_RESOLUTION and value <= 3:
            self.resolution = value
        else:
            self._answer(ERROR if self.wrong else RESEND)  # once it may be said again
            self.command = 0 if self.wrong else command
            self.wrong = not self.wrong
            return
        self.wrong = False
        self._answer(ACK)

    def _set_rate(self, rate: int) -> None:
        knock = (*self.knock, rate)
        identity = KNOCKS.get(knock, STANDARD)
        if identity == WHEEL or (identity == FIVE_BUTTONS and self.identity != STANDARD):
            self.identity = identity
        self.knock = list(knock[-2:])
        self.rate = rate

    def _command(self, value: int) -> None:
        self.wrong = False
        if value == RESEND_LAST:
            self._answer(*self.last)
            return
        if value in WITH_ARGUMENT:
            self.command = value
        elif value in (SCALE_1, SCALE_2):
            self.doubled = value == SCALE_2
        elif value in (STREAM, REMOTE):
            self.remote = value == REMOTE
            self._forget_motion()
        elif value in (WRAP, END_WRAP):
            self.wrapped = value == WRAP
            self._forget_motion()
        elif value in (ENABLE, DISABLE):
            self.reporting = value == ENABLE
            self._forget_motion()
        elif value == DEFAULTS:
            self._set_defaults()
        elif value == RESET:
            self.reset()
        elif value not in (STATUS, READ_DATA, IDENTIFY):
            self._answer(RESEND)
            return
        self._answer(ACK)
        self._reply(value)

    def _reply(self, value: int) -> None:
        """What follows the acknowledgement of some."""
        if value == RESET:
            self.output.extend((SELF_TEST_PASSED, STANDARD))
        elif value == IDENTIFY:
            self.output.append(self.identity)
        elif value == STATUS:
            self.output.extend((self._status(), self.resolution, self.rate))
        elif value == READ_DATA:
            self._send_packet(doubled=False)
            return
        self.last = list(self.output)[-4:]

    def _status(self) -> int:
        buttons = self.buttons
        return (
            self.remote << 6
            | self.reporting << 5
            | self.doubled << 4
            | (buttons & LEFT) << 2
            | (buttons & MIDDLE) >> 1
            | (buttons & RIGHT) >> 1
        )

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if not all(0 <= step[3] <= ALL_BUTTONS for step in state["waiting"]):
            return "it waits for buttons that it does not have"
        return None


def _clamp(value: int, most: int) -> int:
    return max(-most, min(most, value))


def _twice(count: int) -> int:
    size = abs(count)
    scaled = TWICE[size] if size < len(TWICE) else 2 * size
    return scaled if count >= 0 else -scaled

"""A PS/2 keyboard with scan code set 2, on the wire to the keyboard controller.

Manual: IBM PS/2 Technical Reference, "Keyboard", commands from and to the system.

The buffer of 16 bytes never overflows: what the host types waits with the host until a whole key
fits, and until the guest switches the keyboard on if it is off. Replies to commands go out before
keys, but never inside one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, FLAG, TIMER, choice, fields, number, sequence
from devices.scancodes import BREAK, EXTENDED, MAKE, PAUSE_PREFIX, keys_for, release_sequence

ACK, RESEND, ECHO, SELF_TEST_PASSED = 0xFA, 0xFE, 0xEE, 0xAA
IDENTITY = (0xAB, 0x83)
SCAN_CODE_SET = 2
BUFFER_SIZE = 16
PREFIXES = frozenset((BREAK, EXTENDED, PAUSE_PREFIX))

SET_LEDS, SCAN_CODES, IDENTIFY, SET_TYPEMATIC = 0xED, 0xF0, 0xF2, 0xF3
ENABLE, DISABLE, DEFAULTS, RESEND_LAST, RESET = 0xF4, 0xF5, 0xF6, 0xFE, 0xFF
KEY_TYPES = range(0xF7, 0xFE)  # make-only, typematic and so on: for scan code set 3
WITH_ARGUMENT = frozenset((SET_LEDS, SCAN_CODES, SET_TYPEMATIC))
DEFAULT_TYPEMATIC = 0x2B  # 10.9 repeats a second after half a second
TYPEMATIC_UNIT_NS = 4_170_000
TYPEMATIC_DELAY_NS = 250_000_000


class Ps2Keyboard(Chip):
    """``on_data`` is told when there is something new to take."""

    name = "ps2-keyboard"
    state = fields(
        replies=sequence(BYTE, most=BUFFER_SIZE),
        buffer=sequence(BYTE, most=BUFFER_SIZE),
        typed=sequence(choice([way + key for way in "+-" for key in MAKE])),
        scanning=FLAG,
        command=choice((0, *WITH_ARGUMENT)),
        leds=number(0, 7),
        typematic=number(0, 0x7F),
        repeating=choice(("", *MAKE)),
        timer=TIMER,
        last_sent=BYTE,
        inside_key=FLAG,
    )
    wiring = ("_bus", "_on_data")

    def __init__(self, bus: Bus, on_data: Callable[[], None]) -> None:
        self._bus = bus
        self._on_data = on_data
        self.timer = bus.timer(self._repeat)
        self.typed: deque[str] = deque()  # "+key" and "-key", waiting with the host
        self.reset()

    def reset(self) -> None:
        """Power on. What the host has typed ahead stays with the host."""
        self.replies: deque[int] = deque()
        self.buffer: deque[int] = deque()
        self.command = 0
        self.last_sent = 0
        self.inside_key = False
        self._set_defaults()
        self.scanning = True
        self._scan()

    def _set_defaults(self) -> None:
        self.leds = 0
        self.typematic = DEFAULT_TYPEMATIC
        self.buffer.clear()
        self._stop_repeating()

    # The host's side

    def press(self, key: str) -> None:
        """Somebody presses a key, by its name in scancodes.py."""
        self._type("+", key)

    def release(self, key: str) -> None:
        """Somebody lets go of it."""
        self._type("-", key)

    def type(self, text: str) -> None:
        """Press and release the keys of a US keyboard for a text."""
        for key, shifted in keys_for(text):
            strokes = ["+" + key, "-" + key]
            self.typed.extend(["+shift", *strokes, "-shift"] if shifted else strokes)
        self._scan()

    def _type(self, direction: str, key: str) -> None:
        if key not in MAKE:
            raise ValueError(f"no key named {key!r}; one of: {' '.join(MAKE)}")
        self.typed.append(direction + key)
        self._scan()

    # Keys

    def _scan(self) -> None:
        """Move whole keys into the buffer while they fit."""
        had_data = self.has_data()
        while self.typed and self._send_key(self.typed[0]):
            self.typed.popleft()
        if not had_data and self.has_data():
            self._on_data()

    def _send_key(self, stroke: str) -> bool:
        key = stroke[1:]
        pressed = stroke[0] == "+"
        sequence = MAKE[key] if pressed else release_sequence(key)
        if not self.scanning or len(self.buffer) + len(sequence) > BUFFER_SIZE:
            return False
        self.buffer.extend(sequence)
        if pressed or key == self.repeating:
            self._stop_repeating()
        if pressed and len(self.typed) == 1 and key != "pause":
            self._start_repeating(key)
        return True

    def _start_repeating(self, key: str) -> None:
        delay = (self.typematic >> 5 & 3) + 1
        self.repeating = key
        self._repeat_after(delay * TYPEMATIC_DELAY_NS)

    def _stop_repeating(self) -> None:
        self.repeating = ""
        self.timer.cancel()

    def _repeat_after(self, nanoseconds: int) -> None:
        self.timer.set(self._bus.clock.now() + nanoseconds)

    def repeat_ns(self) -> int:
        """(8 + bits 0-2) * 2 ** (bits 3-4) units of 4.17 ms."""
        return (8 + (self.typematic & 7) << (self.typematic >> 3 & 3)) * TYPEMATIC_UNIT_NS

    def _repeat(self) -> None:
        """The held key once more, if there is room; a full buffer only loses a repetition."""
        had_data = self.has_data()
        make = MAKE[self.repeating]
        if self.scanning and len(self.buffer) + len(make) <= BUFFER_SIZE:
            self.buffer.extend(make)
        self._repeat_after(self.repeat_ns())
        if not had_data and self.has_data():
            self._on_data()

    # The controller's side

    def has_data(self) -> bool:
        """Is there a byte to take?"""
        return bool(self.replies or self.buffer)

    def take(self) -> int:
        """The next byte for the controller; only when there is data."""
        if self.replies and not (self.inside_key and self.buffer):
            byte = self.replies.popleft()
        else:
            byte = self.buffer.popleft()
            self.inside_key = byte in PREFIXES
        if byte != RESEND:
            self.last_sent = byte
        self._scan()
        return byte

    def write(self, value: int) -> None:
        """A command, or the argument of the one before."""
        had_data = self.has_data()
        command, self.command = self.command, 0
        if command and value < SET_LEDS:  # a command in place of an argument ends the waiting
            self._argument(command, value)
        else:
            self._command(value)
        self._scan()
        if not had_data and self.has_data():
            self._on_data()

    def _reply(self, *answer: int) -> None:
        """Answers wait in a buffer too, and what has no room in it is lost."""
        if len(self.replies) + len(answer) <= BUFFER_SIZE:
            self.replies.extend(answer)

    def _argument(self, command: int, value: int) -> None:
        self._reply(ACK)
        if command == SET_LEDS:
            self.leds = value & 7
        elif command == SET_TYPEMATIC:
            self.typematic = value & 0x7F
        elif value == 0:  # which scan code set? there is but one
            self._reply(SCAN_CODE_SET)

    def _command(self, value: int) -> None:
        if value == ECHO:
            self._reply(ECHO)
        elif value == RESEND_LAST:
            self._reply(self.last_sent)
        elif value in WITH_ARGUMENT:
            self._reply(ACK)
            self.command = value
        elif value in KEY_TYPES:
            self._reply(ACK)
        elif value == IDENTIFY:
            self._reply(ACK, *IDENTITY)
        elif value in (ENABLE, DISABLE, DEFAULTS, RESET):
            self._restart(value)
        else:
            self._reply(RESEND)

    def _restart(self, value: int) -> None:
        if value != ENABLE:
            self._set_defaults()
        self.buffer.clear()
        self.inside_key = False
        self.replies.clear()
        self._reply(ACK)
        if value == RESET:
            self._reply(SELF_TEST_PASSED)
        if value != DEFAULTS:
            self.scanning = value != DISABLE

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if (state["repeating"] == "") != (state["timer"] is None):
            return "a key repeats and no timer is set for it, or the other way round"
        return None

"""A PS/2 keyboard with scan code sets 1 to 3, on the wire to the keyboard controller.

Manual: IBM PS/2 Technical Reference, "Keyboard", commands from and to the system.

What the host types waits with the host until a whole key fits into the buffer of 16 bytes, and
until the guest switches the keyboard on if it is off. Only what is struck by somebody who does not
wait overruns it. Replies to commands go out before keys, but never inside one.

    F0 n      scan code set; 0 asks         FB..FD key   set 3: this key repeats; says that it
    F7..FA    the same for all keys                      goes up; does neither, until a command
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, FLAG, TIMER, choice, fields, number, sequence
from devices.hands import STROKES, strokes_for
from devices.scan_sets import (
    BOTH,
    BREAKS,
    DEFAULT_TYPES,
    INDEX,
    KEY_OF_SET_3,
    MAKE_ONLY,
    TYPEMATIC,
    pause_with,
    print_screen_with,
    scan_code,
)
from devices.scancodes import BREAK, EXTENDED, MAKE, PAUSE_PREFIX

ACK, RESEND, ECHO, SELF_TEST_PASSED = 0xFA, 0xFE, 0xEE, 0xAA
IDENTITY = (0xAB, 0x83)
DEFAULT_SET = 2
BUFFER_SIZE = 16
OVERRUN = {1: 0xFF, 2: 0x00, 3: 0x00}  # in place of the seventeenth byte
PREFIXES = frozenset((BREAK, EXTENDED, PAUSE_PREFIX))

SET_LEDS, SCAN_CODES, IDENTIFY, SET_TYPEMATIC = 0xED, 0xF0, 0xF2, 0xF3
ENABLE, DISABLE, DEFAULTS, RESEND_LAST, RESET = 0xF4, 0xF5, 0xF6, 0xFE, 0xFF
ALL_KEYS = {0xF7: TYPEMATIC, 0xF8: BREAKS, 0xF9: MAKE_ONLY, 0xFA: BOTH}
ONE_KEY = {0xFB: TYPEMATIC, 0xFC: BREAKS, 0xFD: MAKE_ONLY}
WITH_ARGUMENT = frozenset((SET_LEDS, SCAN_CODES, SET_TYPEMATIC, *ONE_KEY))
DEFAULT_TYPEMATIC = 0x2B  # 10.9 repeats a second after half a second
TYPEMATIC_UNIT_NS = 4_170_000
TYPEMATIC_DELAY_NS = 250_000_000


class Ps2Keyboard(Chip):
    """``on_data`` is told when there is something new to take."""

    name = "ps2-keyboard"
    state = fields(
        replies=sequence(BYTE, most=BUFFER_SIZE),
        buffer=sequence(BYTE, most=BUFFER_SIZE + 1),
        typed=sequence(choice(STROKES)),
        down=sequence(choice(MAKE), most=len(MAKE)),
        modifier=choice(("", "ctrl", "alt")),
        scan_set=number(1, 3),
        types=sequence(number(MAKE_ONLY, BOTH), most=len(MAKE), least=len(MAKE)),
        scanning=FLAG,
        command=choice((0, *WITH_ARGUMENT)),
        leds=number(0, 7),
        typematic=number(0, 0x7F),
        repeating=choice(("", *MAKE)),
        timer=TIMER,
        last_sent=BYTE,
        inside_key=FLAG,
    )
    wiring = ("_bus", "_on_data", "_on_taken")

    def __init__(self, bus: Bus, on_data: Callable[[], None]) -> None:
        self._bus = bus
        self._on_data = on_data
        self._on_taken: Callable[[], None] = _nothing  # what was typed is in the buffer
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
        self.down: list[str] = []
        self.modifier = ""  # with which Print Screen went down
        self._set_defaults()
        self.scanning = True
        self._scan()

    def _set_defaults(self) -> None:
        self.leds = 0
        self.typematic = DEFAULT_TYPEMATIC
        self.scan_set = DEFAULT_SET
        self.types = bytearray(DEFAULT_TYPES)
        self.buffer.clear()
        self._stop_repeating()

    # The host's side

    def on_taken(self, call: Callable[[], None]) -> None:
        """Have somebody told when all that was typed has gone into the buffer."""
        self._on_taken = call

    def press(self, key: str) -> None:
        """Somebody presses a key, by its name in scancodes.py."""
        self._type("+", key)

    def release(self, key: str) -> None:
        """Somebody lets go of it."""
        self._type("-", key)

    def type(self, text: str) -> None:
        """Press and release the keys of a US keyboard for a text."""
        self.strokes(strokes_for(text))

    def stroke(self, stroke: str) -> None:
        """ "+a": a key goes down, "-a": it comes up. It waits for room."""
        self.strokes((stroke,))

    def strokes(self, strokes: Iterable[str]) -> None:
        """Several, one after the other."""
        self.typed.extend(strokes)
        self._scan()

    def strike(self, stroke: str) -> None:
        """The same by somebody who does not wait: lost if the keyboard is off or full."""
        if not self.scanning:
            return
        had_data = self.has_data()
        if self.typed or not self._send_key(stroke, held=True):
            self._overrun()
        if not had_data and self.has_data():
            self._on_data()

    def _overrun(self) -> None:
        code = OVERRUN[self.scan_set]
        if len(self.buffer) <= BUFFER_SIZE and not (self.buffer and self.buffer[-1] == code):
            self.buffer.append(code)

    def _type(self, direction: str, key: str) -> None:
        if key not in MAKE:
            raise ValueError(f"no key named {key!r}; one of: {' '.join(MAKE)}")
        self.stroke(direction + key)

    # Keys

    def _scan(self) -> None:
        """Move whole keys into the buffer while they fit."""
        had_data, had_typed = self.has_data(), bool(self.typed)
        while self.typed and self._send_key(self.typed[0], held=len(self.typed) == 1):
            self.typed.popleft()
        if had_typed and not self.typed:
            self._on_taken()
        if not had_data and self.has_data():
            self._on_data()

    def _send_key(self, stroke: str, held: bool) -> bool:
        """Into the buffer, if it fits. `held`: nothing that is known of follows it."""
        key = stroke[1:]
        pressed = stroke[0] == "+"
        modifier = self._modifier(key, pressed)
        codes = scan_code(self.scan_set, key, pressed, modifier)
        if not pressed and self.scan_set == 3 and not self.types[INDEX[key]] & BREAKS:
            codes = b""
        if not self.scanning or len(self.buffer) + len(codes) > BUFFER_SIZE:
            return False
        self.buffer.extend(codes)
        self._note(key, pressed, modifier)
        if pressed or key == self.repeating:
            self._stop_repeating()
        if pressed and held and key != "pause" and self._repeats(key):
            self._start_repeating(key)
        return True

    def _modifier(self, key: str, pressed: bool) -> str:
        if key == "pause":
            return pause_with(self.down)
        if key != "printscreen":
            return ""
        return print_screen_with(self.down) if pressed else self.modifier

    def _note(self, key: str, pressed: bool, modifier: str) -> None:
        """Remember what is down."""
        if key == "printscreen":
            self.modifier = modifier
        if pressed and key not in self.down:
            self.down.append(key)
        elif not pressed and key in self.down:
            self.down.remove(key)

    def _repeats(self, key: str) -> bool:
        return self.scan_set != 3 or bool(self.types[INDEX[key]] & TYPEMATIC)

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
        modifier = self.modifier if self.repeating == "printscreen" else ""
        make = scan_code(self.scan_set, self.repeating, True, modifier)
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
        if command == SCAN_CODES and value > 3:
            self.command = command  # it is asked for again
            self._reply(RESEND)
            return
        self._reply(ACK)
        if command == SET_LEDS:
            self.leds = value & 7
        elif command == SET_TYPEMATIC:
            self.typematic = value & 0x7F
        elif command in ONE_KEY:
            self.command = command  # more keys may follow
            if value in KEY_OF_SET_3:
                self.types[INDEX[KEY_OF_SET_3[value]]] = ONE_KEY[command]
        elif value == 0:
            self._reply(self.scan_set)
        else:
            self._forget_keys()
            self.scan_set = value

    def _forget_keys(self) -> None:
        """What the buffer holds was meant otherwise."""
        self.buffer.clear()
        self.inside_key = False
        self._stop_repeating()

    def _command(self, value: int) -> None:
        if value == ECHO:
            self._reply(ECHO)
        elif value == RESEND_LAST:
            self._reply(self.last_sent)
        elif value in WITH_ARGUMENT:
            self._reply(ACK)
            self.command = value
            if value in ONE_KEY:
                self._forget_keys()
        elif value in ALL_KEYS:
            self._reply(ACK)
            self._forget_keys()
            self.types = bytearray((ALL_KEYS[value],)) * len(self.types)
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
        if len(set(state["down"])) != len(state["down"]):
            return "a key is down twice"
        return None


def _nothing() -> None:
    """Nobody waits for it."""

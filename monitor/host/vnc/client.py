"""One client's connection: what it says, taken apart as it comes. Manual: RFC 6143, 7.3 to 7.5.

Whatever a client sends, no more than one message of it is kept, and while it does not read what it
was sent, nothing further is taken from it and nothing is drawn for it. What makes no sense ends the
connection.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from monitor.host.user_input import UserInput
from monitor.host.vnc.greeting import Ended, Talk, greet
from monitor.host.vnc.keysyms import NUMBERED, chord_of
from monitor.host.vnc.messages import (
    CUT,
    CUT_TEXT,
    ENCODINGS,
    INIT,
    KEY,
    KEY_EVENT,
    POINTER,
    POINTER_EVENT,
    QEMU_KEY,
    QEMU_KEY_EVENT,
    QEMU_MESSAGE,
    SET_ENCODINGS,
    SET_PIXEL_FORMAT,
    UPDATE,
    UPDATE_REQUEST,
    Area,
)
from monitor.host.vnc.pixels import LAYOUT, SERVERS, BadFormat, colour_map, format_of
from monitor.host.vnc.updates import Picture, Updates

CHUNK = 1 << 16
MOST_UNSENT = 1 << 16  # bytes, beyond which a client has to read first
BUTTONS = {1: "left", 2: "middle", 4: "right"}
WHEEL_UP, WHEEL_DOWN = 8, 16
STANDS = 0.5  # seconds after which a machine that is seen to do nothing stands
STILL = 0x7FFF  # where a mouse that tells its motion does not move


class Client:
    """Over one socket, which does not block."""

    def __init__(
        self, link: socket.socket, inputs: UserInput, updates: Updates, name: str, password: str
    ) -> None:
        self.link = link
        #: It may see the screen.
        self.welcome = False
        self._inputs = inputs
        self._updates = updates
        self._name = name
        self._password = password
        self._unsent = bytearray()
        self._came = bytearray()
        self._seen_before, self._patience = 0, 0.0
        self._buttons = 0
        self._at: tuple[int, int] | None = None
        self._messages: dict[int, Callable[[], Talk]] = {
            SET_PIXEL_FORMAT: self._pixel_format, SET_ENCODINGS: self._encodings,
            UPDATE_REQUEST: self._update_request, KEY_EVENT: self._key,
            POINTER_EVENT: self._pointer, CUT_TEXT: self._cut_text, QEMU_MESSAGE: self._qemu,
        }  # fmt: skip
        self._talk = self._conversation()
        self._wants = next(self._talk)

    def fileno(self) -> int:
        """For select()."""
        return self.link.fileno()

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self.link.close()

    # --- bytes ------------------------------------------------------------------------------------

    @property
    def listens(self) -> bool:
        """May it say something?"""
        return len(self._unsent) <= MOST_UNSENT

    @property
    def unsent(self) -> bool:
        """Is there something for it?"""
        return bool(self._unsent)

    def receive(self) -> None:
        """It has said something. Ended; OSError."""
        data = self.link.recv(CHUNK)
        if not data:
            raise Ended
        self._came += data

    def proceed(self) -> None:
        """Do what it has said, as long as it reads what it is answered. Ended."""
        try:
            while len(self._came) >= self._wants and self.listens:
                piece = bytes(self._came[: self._wants])
                del self._came[: self._wants]
                self._wants = self._talk.send(piece)
        except Ended:
            with suppress(OSError):  # the reason
                self.flush()
            raise

    def flush(self) -> None:
        """Send what it takes. OSError."""
        with suppress(BlockingIOError):
            sent = self.link.send(self._unsent)
            del self._unsent[:sent]

    def _send(self, data: bytes) -> None:
        self._unsent += data

    # --- the screen -------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Would it take a picture now?"""
        return self.welcome and self._updates.asked and not self._unsent

    def show(self, picture: Picture, looks: int, runs: bool) -> None:
        """Send what it has asked for, if there is something of it. OSError.

        `looks`: the screen has been looked at so often. Who asks wants to see it as it is now, and
        waits for the next look; not for long while the machine stands.
        """
        if not self.waits:
            return
        if self._updates.asked_anew:
            self._updates.asked_anew = False
            self._seen_before, runs = looks, True
        if runs:
            self._patience = time.monotonic() + STANDS
        if looks != self._seen_before or time.monotonic() > self._patience:
            self._send(self._updates.answer(picture, self._inputs.follows))
            if self._unsent:
                self.flush()

    # --- the conversation -------------------------------------------------------------------------

    def _conversation(self) -> Talk:
        yield from greet(self._send, self._password)
        yield 1  # ClientInit: may others see it, too? They may
        name = self._name.encode()
        size = self._updates.width, self._updates.height
        self._send(INIT.pack(*size, SERVERS.pack(), len(name)) + name)
        self.welcome = True
        while True:
            kind = (yield 1)[0]
            if kind not in self._messages:
                raise Ended
            yield from self._messages[kind]()

    def _pixel_format(self) -> Talk:
        data = yield 3 + LAYOUT.size
        try:
            self._updates.form, mapped = format_of(data[3:])
        except BadFormat:
            raise Ended from None
        if mapped:
            self._send(colour_map())

    def _encodings(self) -> Talk:
        (count,) = ENCODINGS.unpack((yield ENCODINGS.size))
        data = (yield 4 * count) if count else b""
        self._updates.set_encodings(struct.unpack(f">{count}i", data))

    def _update_request(self) -> Talk:
        incremental, *area = UPDATE.unpack((yield UPDATE.size))
        self._updates.ask(Area(*area), bool(incremental))

    def _key(self) -> Talk:
        down, keysym = KEY.unpack((yield KEY.size))
        chord = chord_of(keysym)
        if chord is None:
            return
        key = chord[-1]
        capital = key.isalpha() and self._inputs.capitals
        if down and len(chord) > 1 and not (self._inputs.shifted or capital):
            self._inputs.character(chord)  # a program types, which holds no Shift down
        else:
            self._inputs.key(key, bool(down))

    def _qemu(self) -> Talk:
        if (yield 1)[0] != QEMU_KEY_EVENT:
            raise Ended
        down, _, number = QEMU_KEY.unpack((yield QEMU_KEY.size))
        if number in NUMBERED:
            self._inputs.key(NUMBERED[number], bool(down))

    def _pointer(self) -> Talk:
        mask, x, y = POINTER.unpack((yield POINTER.size))
        if self._inputs.follows:
            self._inputs.move_to(x, y, self._updates.width, self._updates.height)
            self._at = None
        elif self._updates.by_motion:
            self._inputs.move(x - STILL, y - STILL)
        else:
            if self._at is not None:
                self._inputs.move(x - self._at[0], y - self._at[1])
            self._at = x, y
        for bit, name in BUTTONS.items():
            self._inputs.button(name, bool(mask & bit))
        pressed = mask & ~self._buttons
        self._inputs.scroll(bool(pressed & WHEEL_DOWN) - bool(pressed & WHEEL_UP))
        self._buttons = mask

    def _cut_text(self) -> Talk:
        (left,) = CUT.unpack((yield CUT.size))
        while left:  # it is not kept
            left -= len((yield min(left, CHUNK)))

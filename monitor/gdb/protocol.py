"""Packets of gdb's remote protocol (Debugging with GDB, E.1 Overview).

    $OK#9a      a packet: data, and the sum of its bytes modulo 256 in two hex digits
    +  -        acknowledgements: arrived, send again
    \\x03        interrupt, outside of packets

In the data `}` escapes: the byte after it was XORed with 0x20. What arrives may be anything: bytes
that belong to no packet are skipped, and a packet that grows beyond MAX_PACKET is dropped.

>>> encode(b"OK")
b'$OK#9a'
>>> list(Decoder().feed(b"+$g#67\\x03"))
[Ack(), Packet(data=b'g'), Interrupt()]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_PACKET = 1 << 16  # bytes of data that we take; what PacketSize promises is less
PACKET_SIZE = 0x4000  # what qSupported tells gdb

DOLLAR, HASH, ESCAPE, STAR, CTRL_C = b"$"[0], b"#"[0], b"}"[0], b"*"[0], 0x03
TO_ESCAPE = frozenset((DOLLAR, HASH, ESCAPE, STAR))


@dataclass(frozen=True)
class Packet:
    """A whole packet whose sum is right; its data, unescaped."""

    data: bytes


@dataclass(frozen=True)
class Broken:
    """A packet whose sum is wrong."""


@dataclass(frozen=True)
class TooLong:
    """A packet that nobody should send. It is over."""


@dataclass(frozen=True)
class Ack:
    """The last packet that we sent has arrived."""


@dataclass(frozen=True)
class Nack:
    """It has not: send it again."""


@dataclass(frozen=True)
class Interrupt:
    """Ctrl-C."""


Event = Packet | Broken | TooLong | Ack | Nack | Interrupt
OUTSIDE: dict[int, Event] = {b"+"[0]: Ack(), b"-"[0]: Nack(), CTRL_C: Interrupt()}


def checksum(data: bytes) -> bytes:
    """The two hex digits behind the #."""
    return b"%02x" % (sum(data) & 0xFF)


def escape(data: bytes) -> bytes:
    """Data as it may stand in a packet."""
    if TO_ESCAPE.isdisjoint(data):
        return data
    out = bytearray()
    for byte in data:
        out += bytes((ESCAPE, byte ^ 0x20)) if byte in TO_ESCAPE else bytes((byte,))
    return bytes(out)


def unescape(data: bytes) -> bytes:
    """The reverse; an escape with nothing behind it is dropped."""
    if ESCAPE not in data:
        return data
    out = bytearray()
    escaped = False
    for byte in data:
        if escaped:
            out.append(byte ^ 0x20)
            escaped = False
        elif byte == ESCAPE:
            escaped = True
        else:
            out.append(byte)
    return bytes(out)


def encode(data: bytes) -> bytes:
    """A packet with this data."""
    body = escape(data)
    return b"$" + body + b"#" + checksum(body)


class Decoder:
    """Takes a stream in pieces as they come, and gives what it means."""

    def __init__(self) -> None:
        self._body: bytearray | None = None  # of the packet that has begun
        self._sum: bytearray | None = None  # its digits, once the # has come

    def feed(self, received: bytes) -> Iterator[Event]:
        for byte in received:
            event = self._take(byte)
            if event is not None:
                yield event

    def _take(self, byte: int) -> Event | None:
        if self._body is None:
            if byte == DOLLAR:
                self._body = bytearray()
            return OUTSIDE.get(byte)
        if self._sum is not None:
            self._sum.append(byte)
            return self._end() if len(self._sum) == 2 else None
        if byte == HASH:
            self._sum = bytearray()
        elif byte == DOLLAR:  # the last one broke off
            self._body.clear()
        elif len(self._body) <= MAX_PACKET:
            self._body.append(byte)
        return None

    def _end(self) -> Event:
        body, digits = bytes(self._body or b""), bytes(self._sum or b"")
        self._body = self._sum = None
        if len(body) > MAX_PACKET:
            return TooLong()
        return Packet(unescape(body)) if digits.lower() == checksum(body) else Broken()

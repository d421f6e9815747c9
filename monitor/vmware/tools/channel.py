"""One channel of the message protocol: messages in pieces, both ways.

Above the backdoor's registers, below what the messages mean. The guest does everything: it sends a
message (its size, then its bytes) and asks for one (a size, then bytes, then it says how it went).
Bytes go four to a call at the low-bandwidth port, or all of them in one string instruction at the
high-bandwidth port (open-vm-tools: lib/include/guest_msg_def.h, lib/message/message.c).

    SENDSIZE 5, SENDPAYLOAD "ping", SENDPAYLOAD " "     -> endpoint.receive(b"ping ")
    RECVSIZE -> 2, RECVPAYLOAD -> "OK", RECVSTATUS      -> endpoint.delivered()
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol

from devices.shapes import BYTE, COUNT, DWORD, FLAG, Hex, Number, Record, exactly, maybe, some

MAX_IN_SIZE = 64 * 1024  # GUESTMSG_MAX_IN_SIZE: no guest may send a longer message
MAX_OUT_SIZE = 2 * 1024 * 1024  # of a message to the guest: more than all of guestinfo by default
PIECE = 4  # bytes that fit in EBX


class Type(IntEnum):
    """What a call asks for, in the upper half of ECX."""

    OPEN = 0
    SENDSIZE = 1
    SENDPAYLOAD = 2
    RECVSIZE = 3
    RECVPAYLOAD = 4
    RECVSTATUS = 5
    CLOSE = 6


# What a call comes back with, in the upper half of ECX, or of EBX at the high-bandwidth port.
SUCCESS = 0x01
DORECV = 0x02  # there is a message for the guest
CLOSED = 0x04  # the channel is not open, or not any more
UNSENT = 0x08  # the message was taken back while the guest was fetching it
CHECKPOINT = 0x10  # the machine was restored in between: do it again from the size on
POWEROFF = 0x20
TIMEOUT = 0x40  # the channel was closed because nothing happened on it
HIGH_BANDWIDTH = 0x80  # the bytes may go through the other port
FAILED = 0


class Endpoint(Protocol):
    """What a channel leads to. It deals in whole messages."""

    protocol: str

    @property
    def said(self) -> bytes | None:
        """What pending() said last, if it still stands: nothing changes by asking."""

    def snapshot(self) -> dict[str, Any]:
        """Its state by names."""

    def restore(self, saved: Any) -> None:
        """Be as the one that said so. WrongField."""

    def receive(self, message: bytes) -> None:
        """The guest sent a message, maybe amid a string instruction: nothing here may fail."""

    def work(self) -> None:
        """Between instructions, before anything else on the channel: the time for what may."""

    def pending(self) -> bytes | None:
        """The message that the guest should fetch next: the same object until it is settled."""

    def delivered(self) -> None:
        """The guest has the pending message."""

    def rejected(self) -> None:
        """The guest could not take the pending message: forget it."""

    def close(self) -> None:
        """The channel is gone."""


class Channel:
    """An open channel. Each method is one call; it returns the status."""

    shape = Record(
        {
            "cookie": maybe(exactly(DWORD, 2)),
            "last_used": COUNT,
            "expected": Number(0, MAX_IN_SIZE),
            "in": some(BYTE, MAX_IN_SIZE),
            "out": maybe(Hex(MAX_OUT_SIZE)),
            "out_pending": FLAG,  # it is what the endpoint would say now
            "fetched": Number(0, MAX_OUT_SIZE),
            "checkpointed": FLAG,
        }
    )

    def __init__(self, number: int, cookie: tuple[int, int] | None, endpoint: Endpoint) -> None:
        self.number = number
        self.cookie = cookie  # None: opened without, as very old tools do
        self.endpoint = endpoint
        self.last_used = 0  # nanoseconds of the machine's clock
        self._expected = 0  # bytes of the message that the guest is sending; 0: none
        self._in = bytearray()
        self._out: bytes | None = None  # the message that the guest is fetching
        self._fetched = 0  # bytes of it
        self.checkpointed = False  # a restore came between the pieces of a message

    @property
    def busy(self) -> bool:
        """In the middle of a message."""
        return bool(self._expected) or self._out is not None

    def send_size(self, size: int) -> int:
        """A message of `size` bytes follows. An empty one is complete with that."""
        self._forget()
        if size > MAX_IN_SIZE:
            return FAILED
        self._expected = size
        if size == 0:
            self.endpoint.receive(b"")
        return SUCCESS | HIGH_BANDWIDTH

    def send(self, data: bytes) -> int:
        """The next bytes; what goes beyond the size in the last piece is padding."""
        if self.checkpointed:
            return self._restart()
        if not self._expected:
            return FAILED
        self._in += data
        if len(self._in) >= self._expected:
            message = bytes(self._in[: self._expected])
            self._forget()
            self.endpoint.receive(message)
        return SUCCESS

    @property
    def left_to_send(self) -> int:
        """Bytes that the guest still has to send."""
        return self._expected - len(self._in)

    def receive_size(self) -> tuple[int, int]:
        """Is there a message? The status and the size."""
        self._forget()
        self._out = self.endpoint.pending()
        if self._out is None:
            return SUCCESS, 0
        return SUCCESS | DORECV | HIGH_BANDWIDTH, len(self._out)

    def receive(self, count: int, guest_status: int = SUCCESS) -> tuple[int, bytes]:
        """The next bytes of the message: the status and at most `count` of them."""
        status = self._fetch_status(guest_status)
        if status != SUCCESS or self._out is None:
            return status, b""
        data = self._out[self._fetched : self._fetched + count]
        if not data:
            return FAILED, b""
        self._fetched += len(data)
        return SUCCESS, data

    @property
    def left_to_fetch(self) -> int:
        """Bytes that the guest still has to fetch."""
        return len(self._out) - self._fetched if self._out is not None else 0

    def receive_status(self, guest_status: int) -> int:
        """The guest says whether it has the message."""
        status = self._fetch_status(guest_status)
        if status != SUCCESS or self._out is None:
            return status
        if self.left_to_fetch:
            return FAILED
        self._forget()
        self.endpoint.delivered()
        return SUCCESS

    def snapshot(self, pending: bytes | None) -> dict[str, Any]:
        """By names; `pending` is what its endpoint has for the guest."""
        return {
            "cookie": None if self.cookie is None else list(self.cookie),
            "last_used": self.last_used,
            "expected": self._expected,
            "in": list(self._in),
            "out": None if self._out is None else self._out.hex(),
            "out_pending": self._out is not None and self._out is pending,
            "fetched": self._fetched,
            "checkpointed": self.checkpointed,
        }

    def restore(self, saved: Any, pending: bytes | None) -> None:
        """Be as the channel that said so. WrongField."""
        values = self.shape.check(saved)
        self.cookie = None if values["cookie"] is None else tuple(values["cookie"])
        self.last_used = values["last_used"]
        self._expected = values["expected"]
        self._in = bytearray(values["in"])
        self._out = None if values["out"] is None else bytes.fromhex(values["out"])
        if values["out_pending"] and self._out == pending:
            self._out = pending
        self._fetched = values["fetched"]
        self.checkpointed = values["checkpointed"]

    def checkpoint(self) -> None:
        """The machine was restored: a message half-way has to start again."""
        self.checkpointed = self.busy

    def close(self) -> None:
        self._forget()
        self.endpoint.close()

    def _fetch_status(self, guest_status: int) -> int:
        """Of a call that is about the message being fetched. With SUCCESS there is one, unless the
        guest just gave it up: then saying so is what succeeds."""
        if self.checkpointed:
            return self._restart()
        if self._out is None:
            return FAILED
        if self.endpoint.pending() is not self._out:
            self._forget()
            return UNSENT
        if not guest_status & SUCCESS:
            self._forget()
            self.endpoint.rejected()
        return SUCCESS

    def _restart(self) -> int:
        self._forget()
        return CHECKPOINT

    def _forget(self) -> None:
        """No message is half-way."""
        self._expected = 0
        self._in = bytearray()
        self._out = None
        self._fetched = 0
        self.checkpointed = False

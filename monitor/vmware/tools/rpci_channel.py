"""Where a channel of the protocol RPCI leads: each message has a reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.shapes import Hex, Record, maybe
from monitor.vmware.tools.channel import MAX_IN_SIZE, MAX_OUT_SIZE
from monitor.vmware.tools.rpci import Rpci


class RpciChannel:
    """One channel.

    A user's command waits for the guest's next call, mostly the one that asks for its reply: the
    message may have come amid a string instruction, where the processor cannot be left.
    """

    def __init__(self, rpci: Rpci, closed: Callable[[], None]) -> None:
        self.rpci = rpci
        self.close = closed
        self._postponed: bytes | None = None
        self._reply: bytes | None = None

    shape = Record(
        {"postponed": maybe(Hex(MAX_IN_SIZE)), "reply": maybe(Hex(MAX_OUT_SIZE + 2))}
    )
    protocol = "RPCI"

    def snapshot(self) -> dict[str, Any]:
        """By names."""
        return {"postponed": _hex(self._postponed), "reply": _hex(self._reply)}

    def restore(self, saved: Any) -> None:
        """Be as the one that said so. WrongField."""
        values = self.shape.check(saved)
        self._postponed, self._reply = _bytes(values["postponed"]), _bytes(values["reply"])

    @property
    def said(self) -> bytes | None:
        """What pending() said last, if it still stands."""
        return self._reply

    def receive(self, message: bytes) -> None:
        self._reply = None
        if self.rpci.is_users(message):
            self._postponed = message
        else:
            self._reply = self.rpci.execute(message)

    def work(self) -> None:
        message, self._postponed = self._postponed, None
        if message is not None:
            self._reply = self.rpci.execute(message)

    def pending(self) -> bytes | None:
        return self._reply

    def delivered(self) -> None:
        self._reply = None

    rejected = delivered


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)

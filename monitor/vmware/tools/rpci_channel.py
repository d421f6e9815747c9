"""Where a channel of the protocol RPCI leads: each message has a reply."""

from __future__ import annotations

from collections.abc import Callable

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

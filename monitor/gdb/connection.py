"""A socket with one debugger at its other end: packets both ways, acknowledged.

Whatever goes wrong with it is Gone, and the machine does not wait long for a debugger that sends
without ever reading.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from monitor.gdb.protocol import Ack, Broken, Decoder, Interrupt, Nack, Packet, TooLong, encode

RECEIVE = 1 << 16
PATIENCE = 10.0  # seconds to wait for a debugger to read


class Gone(Exception):
    """The debugger has closed its end, or the connection broke."""


class Connection:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._decoder = Decoder()
        self._last = b""
        self.acknowledge = True
        link.settimeout(PATIENCE)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()

    def receive(self) -> Iterator[Packet | TooLong | Interrupt]:
        """What has arrived; for a socket that is ready. Raises Gone."""
        try:
            received = self._link.recv(RECEIVE)
        except OSError as error:
            raise Gone from error
        if not received:
            raise Gone
        for event in self._decoder.feed(received):
            if isinstance(event, Nack):
                if self.acknowledge:  # gdb sends one all the same when it has waited for 2 s
                    self._write(self._last)
            elif isinstance(event, Broken):
                if self.acknowledge:
                    self._write(b"-")
            elif not isinstance(event, Ack):
                if isinstance(event, Packet | TooLong) and self.acknowledge:
                    self._write(b"+")
                yield event

    def send(self, data: bytes) -> None:
        """Send a packet. Raises Gone."""
        self._last = encode(data)
        self._write(self._last)

    def _write(self, data: bytes) -> None:
        try:
            self._link.sendall(data)
        except OSError as error:
            raise Gone from error

"""A debugger of a few lines, which can also misbehave."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from patience import PATIENCE

from monitor import Machine, Outcome
from monitor.gdb.protocol import Decoder, Packet, encode
from monitor.gdb.server import GdbServer


class Client:
    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = Decoder()
        self._waiting: list[bytes] = []

    def ask(self, packet: bytes) -> bytes:
        self.send(packet)
        return self.reply()

    def send(self, packet: bytes) -> None:
        self.link.sendall(encode(packet))

    def reply(self) -> bytes:
        """The next packet; ConnectionError if none can come any more."""
        while not self._waiting:
            data = self.link.recv(4096)
            if not data:
                raise ConnectionError("the server hung up")
            for event in self._decoder.feed(data):
                if isinstance(event, Packet):
                    self._waiting.append(event.data)
                    self.link.sendall(b"+")
        return self._waiting.pop(0)

    def close(self) -> None:
        self.link.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()


class Running:
    """A server whose machine runs in a thread, for a test that plays the debugger."""

    def __init__(self, machine: Machine, wait: bool, **limits: object) -> None:
        self.machine = machine
        self.server = GdbServer(machine, 0, wait)
        self._clients: list[Client] = []
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        limits.setdefault("timeout", PATIENCE)
        self._thread = threading.Thread(target=self._run, kwargs=limits, daemon=True)
        self._thread.start()

    def _run(self, **limits: object) -> None:
        try:
            self._outcome = self.server.run(**limits)  # type: ignore[arg-type]
        except BaseException as error:
            self._error = error

    def connect(self) -> Client:
        self._clients.append(Client(self.server.port))
        return self._clients[-1]

    def end(self) -> Outcome:
        """Wait for the machine's end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the machine hangs"
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome

    def stop(self) -> Outcome:
        self.server.stop()
        return self.end()

    def close(self) -> None:
        """End whatever still runs."""
        if self._thread.is_alive():
            self.server.stop()
            self._thread.join(PATIENCE)
        self.server.close()
        for client in self._clients:
            client.close()


@contextmanager
def running(machine: Machine, wait: bool = True, **limits: object) -> Iterator[Running]:
    run = Running(machine, wait, **limits)
    try:
        yield run
    finally:
        run.close()

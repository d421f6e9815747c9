"""The guest's serial console on a connection or a pseudo-terminal, both directions.

A peer may come late, read slowly, go away and come again: the guest never waits for it and never
notices. Output that cannot be sent at once is kept, the newest OUTPUT bytes of it, also while
nobody is there: who connects sees what came last. Input is taken from the peer only while the guest
has less than INPUT bytes to read, so a flood stays where it comes from. Input is given to the
machine as the terminal's is: it gets the guest time at which the machine takes it.

Output is written where it arises, by the machine's own thread; a thread of ours does the rest:
peers, input, and output that was kept.

    machine's thread    __call__: write, or keep            under the lock: peer, kept, lost
    ours                accept, read, write what is kept
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from monitor.host.guest_line import Guest
from monitor.host.serial_endpoint import Endpoint, open_endpoint
from monitor.host.serial_output import Serial, SerialOutput
from monitor.host.terminal import ATTENTION, CHUNK
from monitor.host.terminal import MOST as INPUT
from monitor.settings.serial_config import LINKS, SerialConfig

if TYPE_CHECKING:
    from typing_extensions import Self

OUTPUT = 1 << 16  # bytes
LINGER = 2.0  # seconds that a peer gets at the end for what it has not read yet


def open_serial(config: SerialConfig, machine: Guest, on_change: Callable[[str], None]) -> Serial:
    """The serial console as `--serial` says; a context manager, and a listener of on_serial.

    `on_change` is told when a peer has come or gone, from any thread.
    """
    if config.kind in LINKS:
        return SerialLink(config, machine, on_change)
    return SerialOutput(config)


class SerialLink(Serial):
    """Both directions. Entered, it opens its endpoint. Who connects is sent the `greeting`.

    Of what cannot be sent the newest `most` bytes are kept.
    """

    def __init__(
        self,
        config: SerialConfig,
        machine: Guest,
        on_change: Callable[[str], None],
        greeting: bytes = b"",
        most: int = OUTPUT,
    ) -> None:
        self._config = config
        self._greeting = greeting
        self._most = most
        self._machine = machine
        self._lock = threading.Lock()
        self._peer: int | None = None  # None: nobody is there
        self._hears = False  # may the peer still send?
        self._kept = bytearray()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="serial link", daemon=True)
        #: Bytes of output that were dropped.
        self.lost = 0
        self._on_change = on_change
        self.on_trouble: Callable[[], None] = _nothing  # there is none that ends a machine

    def __enter__(self) -> Self:
        self._endpoint: Endpoint = open_endpoint(self._config)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        if self._endpoint.listener is not None:
            self._endpoint.listener.setblocking(False)
        if self._endpoint.peer is not None:
            self._came(self._endpoint.peer)
        self._machine.serial.input_open = True
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping = True
        self._wake()
        try:
            self._thread.join()
        finally:  # somebody is in a hurry
            self._endpoint.close()
        self._machine.serial.input_open = False
        with self._lock:
            self._gone()
        os.close(self._wake_write)
        os.close(self._wake_read)

    def check(self) -> None:
        """Nothing that a peer does is an error of ours."""

    @property
    def unsent(self) -> int:
        """Bytes of output that the peer has not taken yet."""
        return len(self._kept)

    def __call__(self, data: bytes) -> None:
        """Output of the guest; called in the middle of an instruction, so nothing is raised."""
        with self._lock:
            if self._peer is not None and not self._kept:
                data = data[self._write(self._peer, data) :]
                if not data:
                    return
            before = len(self._kept)
            self._kept += data
            too_many = len(self._kept) - self._most
            if too_many > 0:
                del self._kept[:too_many]
                self.lost += too_many
        if not before:
            self._wake()

    @staticmethod
    def _write(peer: int, data: bytes) -> int:
        """How much of it was written now. A peer that is gone is noticed by our thread."""
        try:
            return os.write(peer, data)
        except OSError:
            return 0

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake
            os.write(self._wake_write, b"x")

    # --- our thread -----------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._stopping:
            self._attend(None)
        end = time.monotonic() + LINGER
        while self._kept and self._peer is not None and (left := end - time.monotonic()) > 0:
            self._attend(left)

    def _attend(self, longest: float | None) -> None:
        """Wait until something can be done, and do it."""
        reads = [self._wake_read]
        if self._endpoint.listener is not None and not self._hears and not self._stopping:
            reads.append(self._endpoint.listener.fileno())
        full = self._machine.input_waiting >= INPUT
        if self._peer is not None and self._hears and (self._stopping or not full):
            reads.append(self._peer)
        writes = [self._peer] if self._peer is not None and self._kept else []
        ready, writable, _ = select.select(reads, writes, [], ATTENTION if full else longest)
        if self._wake_read in ready:
            os.read(self._wake_read, CHUNK)
        if self._peer is not None and self._peer in ready:
            self._hear(self._peer)
        if self._peer is not None and self._peer in writable:
            self._send(self._peer)
        listener = self._endpoint.listener
        if listener is not None and listener.fileno() in ready:
            self._next_peer()

    def _hear(self, peer: int) -> None:
        try:
            data = os.read(peer, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._lose("broken")
            return
        if data:
            if not self._stopping:
                self._machine.send(data)
            return
        # It sends no more, but may still read (`echo ls | socat - ...`).
        self._hears = False
        if self._endpoint.listener is None:
            self._machine.serial.input_open = False
        self._on_change(f"{self._config.name}: the peer of {self._endpoint.name} sends no more")

    def _send(self, peer: int) -> None:
        with self._lock:
            try:
                del self._kept[: os.write(peer, self._kept)]
            except BlockingIOError:
                return
            except OSError:
                pass
            else:
                return
        self._lose("gone")

    def _lose(self, how: str) -> None:
        with self._lock:
            self._gone()
        if self._endpoint.listener is None:
            self._machine.serial.input_open = False
        self._on_change(f"{self._config.name}: the peer of {self._endpoint.name} is {how}")

    def _next_peer(self) -> None:
        try:
            peer = self._endpoint.accept()
        except OSError:  # it did not wait
            return
        with self._lock:
            self._gone()  # one that no longer sends makes room
            self._came(peer)
        self._on_change(f"{self._config.name}: a peer has connected to {self._endpoint.name}")

    def _came(self, peer: int) -> None:
        self._peer, self._hears = peer, True
        self._kept += self._greeting

    def _gone(self) -> None:
        if self._peer is not None:
            os.close(self._peer)
        self._peer, self._hears = None, False


def _nothing() -> None:
    pass

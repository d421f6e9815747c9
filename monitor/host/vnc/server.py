"""The VNC server: a thread that listens, and talks to the clients that have come.

    with VncServer(machine, VncConfig(port=0)) as server:
        print(server.port)
        machine.run()

The machine's thread is never waited for, and never waits: it puts a picture down when one is wanted
(monitor/host/screen_feed.py) and finds what was typed among its inputs
(monitor/host/user_input.py). All clients see the same screen and have the same keyboard.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from monitor.host.screen_feed import FRAMES, ScreenFeed
from monitor.host.user_input import UserInput
from monitor.host.vnc.client import Client
from monitor.host.vnc.greeting import Ended, encrypted
from monitor.host.vnc.messages import CHALLENGE_BYTES
from monitor.host.vnc.updates import Updates
from monitor.settings.vnc_config import VncConfig
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor import Machine

MOST_CLIENTS = 16
GREETING_SECONDS = 30.0  # for a client that does not get on with it
WAIT_SECONDS = 1 / FRAMES


class VncServer:
    """A context manager. `name` is what clients' windows are called. UserError: no such address."""

    def __init__(self, machine: Machine, config: VncConfig, name: str = "Virtual Platform") -> None:
        self._machine = machine
        self._config = config
        self._name = name
        self._feed = ScreenFeed(machine)
        self._inputs = UserInput(machine, typed=True)
        self._clients: dict[Client, float] = {}  # and until when it has to be greeted
        self._closing = False
        if config.password:
            encrypted(bytes(CHALLENGE_BYTES), config.password)  # can we?
        self._listener = _listen(config)
        #: Where it listens.
        self.port: int = self._listener.getsockname()[1]
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._serve, name="vnc", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT, as clients have to say it."""
        return VncConfig(self._config.host, self.port).shown

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stack.enter_context(self._feed)
        self._stack.enter_context(self._inputs)
        self._feed.on_picture = self._wake
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._closing = True
        self._wake()
        self._thread.join()
        self._stack.close()
        self._listener.close()
        for client in self._clients:
            client.close()
        for end in (self._wake_read, self._wake_write):
            os.close(end)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake
            os.write(self._wake_write, b"x")

    # --- the thread -------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            readable, writable = self._ready()
            if self._wake_read in readable:
                with suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            for client in tuple(self._clients):
                self._attend(client, client in readable, client in writable)
            if self._listener in readable:
                self._accept()

    def _ready(self) -> tuple[list[Any], list[Any]]:
        """Wait until there is something to do."""
        sources: list[Any] = [each for each in self._clients if each.listens]
        targets = [each for each in self._clients if each.unsent]
        patience = None if all(each.welcome for each in self._clients) else GREETING_SECONDS
        if any(each.waits for each in self._clients):
            self._feed.want()
            patience = WAIT_SECONDS
        readable, writable, _ = select.select(
            [self._listener, self._wake_read, *sources], targets, [], patience
        )
        return readable, writable

    def _attend(self, client: Client, readable: bool, writable: bool) -> None:
        try:
            if readable:
                client.receive()
            if writable:
                client.flush()
            client.proceed()
            if client.unsent and not writable:
                client.flush()
            looks = self._feed.looks  # first: the picture is then no older
            client.show(self._feed.picture, looks, self._machine.loop.executing)
            if not client.welcome and time.monotonic() > self._clients[client]:
                raise Ended
        except BlockingIOError:
            return
        except (Ended, OSError):
            del self._clients[client]
            client.close()
            self._inputs.let_go()

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:  # it has gone again
            return
        if len(self._clients) >= MOST_CLIENTS:
            link.close()
            return
        link.setblocking(False)
        with suppress(OSError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        height, width = self._feed.picture.shape[:2]
        updates = Updates(max(width, 1), max(height, 1), self._machine.screen.between)
        client = Client(link, self._inputs, updates, self._name, self._config.password)
        self._clients[client] = time.monotonic() + GREETING_SECONDS


def _listen(config: VncConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--display vnc={config.shown}: cannot listen there: {reason}") from error
    listener.setblocking(False)
    return listener

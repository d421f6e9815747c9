"""The other end of the guest's serial line: opened before the guest starts, closed after its end.

socket(7), unix(7), pty(7). Everything that can be wrong with an address is a UserError here. What
listens tells on standard error where, since a free port and a pseudo-terminal have to be known.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import tty
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.settings.serial_config import SerialConfig
from monitor.vmm.errors import UserError

CONNECT_SECONDS = 10.0
LONGEST_PATH = 107  # bytes, sun_path of unix(7) without its zero


def _nothing() -> None:
    pass


@dataclass
class Endpoint:
    """`listener` accepts peers, one after the other; `peer` is a descriptor, if one is there."""

    name: str
    listener: socket.socket | None = None
    peer: int | None = None
    forget: Callable[[], None] = _nothing  # what was made is removed

    def accept(self) -> int:
        """The next peer. OSError: it is gone already."""
        assert self.listener is not None
        return _descriptor(self.listener.accept()[0])

    def close(self) -> None:
        """Nobody is listened to any more. The peers belong to whoever has them."""
        if self.listener is not None:
            self.listener.close()
        self.forget()


def open_endpoint(config: SerialConfig) -> Endpoint:
    """Connect, or listen and, if asked to, wait for the first peer. UserError."""
    if config.kind == "pty":
        return _pty(config)
    try:
        if not config.server:
            return _connect(config)
        endpoint = _listen(config)
    except OSError as error:
        raise UserError(f"{config.option} {name_of(config)}: {_what(config, error)}") from error
    try:
        waits = ", and the guest waits for a connection" if config.wait else ""
        _tell(config, endpoint.name + waits)
        if config.wait:
            endpoint.peer = _first_peer(endpoint)
    except BaseException:  # Ctrl-C
        endpoint.close()
        raise
    return endpoint


def name_of(config: SerialConfig, port: int | None = None) -> str:
    """As `--serial` has it, without flags."""
    if config.kind == "socket":
        return f"socket:{config.path}"
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"tcp:{host}:{config.port if port is None else port}"


def _what(config: SerialConfig, error: OSError) -> str:
    """What went wrong, and what to do about it."""
    why = os.strerror(error.errno) if error.errno else error.strerror or str(error)
    if isinstance(error, PermissionError):
        return f"{why}: choose another place"
    if config.server:
        return f"cannot listen there: {why}"
    return f"cannot connect: {why}; is somebody listening? (,server listens here)"


def _tell(config: SerialConfig, text: str) -> None:
    print(f"{config.name}: {text}", file=sys.stderr, flush=True)


def _descriptor(connection: socket.socket) -> int:
    """A peer as a descriptor that never blocks; TCP sends single bytes at once."""
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection.detach()


def _connect(config: SerialConfig) -> Endpoint:
    if config.kind == "tcp":
        connection = socket.create_connection((config.host, config.port), CONNECT_SECONDS)
    else:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(_path(config))
        except BaseException:
            connection.close()
            raise
    return Endpoint(name_of(config), peer=_descriptor(connection))


def _path(config: SerialConfig) -> str:
    path = str(config.path)
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(0, f"a socket's path has {LONGEST_PATH} bytes at most")
    return path


def _listen(config: SerialConfig) -> Endpoint:
    if config.kind == "tcp":
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((config.host, config.port), family=family, backlog=1)
        return Endpoint(name_of(config, listener.getsockname()[1]), listener)
    path = _path(config)
    if os.path.lexists(path):
        raise OSError(0, "it exists already; remove it, or choose another path")
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    made = os.lstat(path)

    def forget() -> None:
        with suppress(OSError):  # somebody has removed it already
            if os.path.samestat(os.lstat(path), made):
                Path(path).unlink()

    return Endpoint(name_of(config), listener, forget=forget)


def _first_peer(endpoint: Endpoint) -> int:
    """Wait for it; Ctrl-C interrupts."""
    assert endpoint.listener is not None
    endpoint.listener.setblocking(False)
    while True:
        select.select([endpoint.listener], [], [])
        with suppress(OSError):  # gone before it was accepted
            return endpoint.accept()


def _pty(config: SerialConfig) -> Endpoint:
    """The guest's side is the master; we hold the other one open too, raw and without echo, so
    that programs may come and go."""
    try:
        master, slave = os.openpty()
    except OSError as error:
        raise UserError(f"{config.option} pty: no pseudo-terminal: {error.strerror}") from error
    tty.setraw(slave)
    os.set_blocking(master, False)
    name = os.ttyname(slave)
    _tell(config, name)
    return Endpoint(name, peer=master, forget=lambda: os.close(slave))

"""Clients that mean no good, or know no better: nothing ends, hangs, or grows but their own."""

from __future__ import annotations

import random
import socket
import struct

import pytest
from video_lab import DATA
from vnc_lab import RawClient, listening, served

from monitor import Machine
from monitor.host.user_input import MOST
from monitor.host.vnc.client import CHUNK, MOST_UNSENT, Client
from monitor.host.vnc.server import MOST_CLIENTS, VncServer
from monitor.settings.vnc_config import VncConfig

SEED = 1998


@pytest.fixture(scope="module")
def machine() -> Machine:
    return listening("bare")


def still_serves(port: int) -> None:
    """Somebody else comes in and sees something."""
    with RawClient(port) as client:
        assert client.greet()[:2] == (720, 400)
        client.ask(0, 0, 1, 1)
        assert client.update() == 1
        assert client.rectangle() == (0, 0, 1, 1, 0)
        client.take(4)


def test_nonsense_is_hung_up_on(machine: Machine) -> None:
    greeting = b"RFB 003.008\n"
    into = greeting + b"\x01\x01"
    openings = [
        b"GET / HTTP/1.1\r\n\r\n", b"RFB 004.000\n", b"RFB 003.0x8\n", b"\0" * 64,
        greeting + b"\x07", into + b"\x63", into + b"\xff\x01",
        into + struct.pack(">Bxxx4B3H3Bxxx", 0, 77, 24, 0, 1, 255, 255, 255, 0, 8, 16),
    ]  # fmt: skip

    def clients(port: int) -> None:
        for opening in openings:
            with RawClient(port) as client:
                client.send(opening)
                client.rest()
        still_serves(port)

    served(machine, clients)


def test_older_versions_come_in_as_they_know_it(machine: Machine) -> None:
    def clients(port: int) -> None:
        for version, security, answered in (
            (b"RFB 003.003\n", bytes((0, 0, 0, 1)), 0), (b"RFB 003.005\n", bytes((0, 0, 0, 1)), 0),
            (b"RFB 003.007\n", b"\x01\x01", 0), (b"RFB 003.889\n", b"\x01\x01", 4),
        ):  # fmt: skip
            with RawClient(port) as client:
                client.take(12)
                client.send(version)
                assert client.take(len(security)) == security
                if len(security) == 2:
                    client.send(b"\x01")
                assert client.take(answered) == bytes(answered)
                client.send(b"\x00")
                assert struct.unpack(">HH", client.take(24)[:4]) == (720, 400)

    served(machine, clients)


def test_random_messages_and_halves_of_them(machine: Machine) -> None:
    dice = random.Random(SEED)
    kinds = (0, 2, 3, 4, 5, 6, 255)

    def clients(port: int) -> None:
        for _ in range(40):
            with RawClient(port) as client:
                client.send(b"RFB 003.008\n\x01\x01")
                noise = b"".join(
                    bytes((dice.choice(kinds),)) + dice.randbytes(dice.randrange(24))
                    for _ in range(dice.randrange(30))
                )
                try:
                    client.send(noise)
                except OSError:
                    continue
        still_serves(port)

    served(machine, clients)


def test_a_long_text_is_not_kept_and_many_encodings_are() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    client = a_client(theirs)
    ours.sendall(b"RFB 003.008\n\x01\x01")
    for message in (b"\x06" + struct.pack(">xxxI", 0xFFFFFFFF), *[bytes(CHUNK)] * 20):
        ours.sendall(message)
        client.receive()
        client.proceed()
        assert len(client._came) <= CHUNK
    ours.close()
    client.close()


def a_client(link: socket.socket) -> Client:
    from monitor.host.vnc.updates import Updates
    from monitor.screen.rectangles import changes

    class Nobody:
        follows = shifted = capitals = False

        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    return Client(link, Nobody(), Updates(720, 400, changes), "n", "")  # type: ignore[arg-type]


def test_who_does_not_read_is_sent_nothing_more() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    client = a_client(theirs)
    ours.sendall(b"RFB 003.008\n\x01\x01")
    mapped = struct.pack(">Bxxx4B12x", 0, 8, 8, 0, 0)
    largest = 0
    for _ in range(200):
        if client.listens:
            ours.sendall(mapped * 10)
            client.receive()
        client.proceed()
        client.flush()
        largest = max(largest, len(client._unsent) + len(client._came))
    assert not client.listens and largest < MOST_UNSENT + 4 * CHUNK
    assert not client.waits
    while client._unsent or client._came:  # it reads after all
        ours.recv(1 << 20)
        client.flush()
        client.proceed()
    ours.close()
    client.close()


def test_too_many_are_sent_away(machine: Machine) -> None:
    def clients(port: int) -> None:
        inside = [RawClient(port) for _ in range(MOST_CLIENTS)]
        for client in inside:
            client.greet()
        with RawClient(port) as late:
            assert late.rest() == b""
        for client in inside:
            client.link.close()

    served(machine, clients)
    served(machine, still_serves)


def test_keys_without_end_are_lost_and_shift_comes_up_again(machine: Machine) -> None:
    """While nobody runs the machine."""
    with VncServer(machine, VncConfig(port=0)) as server, RawClient(server.port) as client:
        client.greet()
        client.send(struct.pack(">BBxxI", 4, 1, 0xFFE1))
        client.send(struct.pack(">BBxxI", 4, 1, 0x61) * 20_000)
        client.ask(0, 0, 1, 1)
        client.update()
        given = machine.board.real_inputs._given
        assert not given, "it waits"
        assert len(server._inputs._acts) == MOST  # what comes up as the client goes is one more
    assert given[0] == ("keys", ["+shift"]) and given[-1] == ("keys", ["-shift"])
    assert len(given) == MOST + 1
    at = machine.memory.map()[DATA]
    assert at == 0

"""The serial console on a socket or a pseudo-terminal; peers on the loopback only."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from patience import PATIENCE
from vp_command import Result, spawn

from bt.assembler import assemble
from monitor import Machine
from monitor.host import serial_link
from monitor.host.serial_link import INPUT, OUTPUT, SerialLink, open_serial
from monitor.host.serial_output import Serial, SerialOutput
from monitor.settings.serial_config import SerialConfig, parse_serial
from monitor.vmm.errors import UserError

Vp = Callable[..., Result]

# --- what --serial says ---------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "config"), [
    ("stdio", SerialConfig("stdio")), ("null", SerialConfig("null")), ("pty", SerialConfig("pty")),
    ("file:a:b,c", SerialConfig("file", Path("a:b,c"))),
    ("tcp:localhost:5555", SerialConfig("tcp", port=5555)),
    ("tcp::0,server", SerialConfig("tcp", port=0, server=True)),
    ("tcp:[::1]:23,server,nowait",
     SerialConfig("tcp", host="::1", port=23, server=True, wait=False)),
    ("socket:/run/a:b", SerialConfig("socket", Path("/run/a:b"))),
    ("socket:a,server,nowait", SerialConfig("socket", Path("a"), server=True, wait=False)),
])  # fmt: skip
def test_what_it_means(text: str, config: SerialConfig) -> None:
    assert parse_serial(text) == config


FORMS = ("choose from stdio, null, file:NAME, pty, tcp:HOST:PORT[,server][,nowait], "
         "socket:PATH[,server][,nowait]")  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [
    ("file:", FORMS), ("socket:", FORMS), ("socket:,server", FORMS),
    ("unix:/a", f"{FORMS}; did you mean socket:?"), ("tpc:1:2", f"{FORMS}; did you mean tcp?"),
    ("nul", f"{FORMS}; did you mean null?"),
    ("tcp:5555", "say on which port, as tcp:localhost:5555"),
    ("tcp:localhost:http", "choose a port from 0 (any that is free) to 65535"),
    ("tcp:localhost:65536", "choose a port from 0 (any that is free) to 65535"),
    ("tcp:localhost:²", "choose a port from 0 (any that is free) to 65535"),
    ("tcp:a:1,sever", "no flag 'sever': choose from server, nowait; did you mean server?"),
    ("socket:a,nowait", "nowait goes with server: say who listens"),
])  # fmt: skip
def test_what_it_cannot_mean(vp: Vp, text: str, message: str) -> None:
    for verb in (("run", "--elf", "a"), ("tc", "--demo")):
        told = vp(*verb, "--serial", text)
        assert told == Result(2, "", f"vp: error: --serial {text}: {message}\n")


# --- a link without a machine ---------------------------------------------------------------------


class Guest:
    """The part of Machine that a link uses."""

    def __init__(self) -> None:
        self.serial = SimpleNamespace(input_open=False)
        self.input_waiting = 0
        self.heard = b""

    def send(self, data: bytes) -> None:
        self.heard += data
        self.input_waiting += len(data)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def read(peer: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if no more will come."""
    peer.settimeout(PATIENCE)
    got = b""
    while len(got) < size and (data := peer.recv(size - len(got))):
        got += data
    return got


def read_until(peer: socket.socket, text: bytes) -> None:
    peer.settimeout(PATIENCE)
    end = b""
    while not end.endswith(text):
        data = peer.recv(1 << 16)
        assert data, f"{text!r} never came"
        end = (end + data)[-len(text) :]


def address_of(told: str) -> Any:
    """What the link said it listens on, as connect() wants it."""
    name = re.search(r"^serial: (tcp|socket):(.+?)(, and.*)?$", told, re.MULTILINE)
    assert name, told
    if name[1] == "socket":
        return name[2]
    host, _, port = name[2].rpartition(":")
    return host.strip("[]"), int(port)


def connect(address: Any) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=PATIENCE)
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(PATIENCE)
    peer.connect(address)
    return peer


def link_to(where: str, guest: Guest, told: Callable[[str], None] = lambda _: None) -> Serial:
    return open_serial(parse_serial(where), guest, told)  # type: ignore[arg-type]


class Linked:
    """A link that listens, and the guest behind it."""

    def __init__(self, where: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.guest = Guest()
        self.changes: list[str] = []
        link = link_to(where, self.guest, self.changes.append)
        assert isinstance(link, SerialLink)
        self.link = link
        self.link.__enter__()
        self.ended = False
        self.address = address_of(capsys.readouterr().err)

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.link.__exit__()

    def peer(self) -> socket.socket:
        """Somebody who connects, and is seen."""
        before = len(self.changes)
        peer = connect(self.address)
        until(lambda: "connected" in "".join(self.changes[before:]))
        return peer


@pytest.fixture(params=["tcp", "socket"])
def linked(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Linked]:
    where = "tcp:127.0.0.1:0" if request.param == "tcp" else f"socket:{tmp_path / 'line'}"
    made = Linked(f"{where},server,nowait", capsys)
    try:
        yield made
    finally:
        made.end()


def test_both_directions(linked: Linked) -> None:
    assert linked.guest.serial.input_open
    with linked.peer() as peer:
        linked.link(b"login: ")
        assert read(peer, 7) == b"login: "
        peer.sendall(b"root\n")
        until(lambda: linked.guest.heard == b"root\n")


def test_who_comes_late_sees_what_came_last(linked: Linked) -> None:
    for number in range(OUTPUT // 8 + 5):
        linked.link(b"%8d" % number)
    with linked.peer() as peer:
        got = read(peer, OUTPUT)
        assert got[:8] == b"%8d" % 5 and got[-8:] == b"%8d" % (OUTPUT // 8 + 4)
    assert linked.link.lost == 5 * 8


def test_a_peer_may_go_and_another_come(linked: Linked) -> None:
    for number in range(3):
        with linked.peer() as peer:
            peer.sendall(b"%d" % number)
            until(lambda: linked.guest.heard.endswith(b"%d" % number))  # noqa: B023
            linked.link(b"hello")
            assert read(peer, 5) == b"hello"
        until(lambda: "sends no more" in linked.changes[-1])
        assert linked.guest.serial.input_open


def test_a_peer_that_breaks_off_is_forgotten(linked: Linked) -> None:
    peer = linked.peer()
    peer.sendall(b"x")  # something to read
    until(lambda: linked.guest.heard == b"x")
    linked.link(b"never read")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()  # TCP: a reset
    until(lambda: re.search("sends no more|broken", linked.changes[-1]))
    for _ in range(1000):  # into nothing
        linked.link(b"more")
    with linked.peer() as other:
        linked.link(b"!")
        read_until(other, b"!")


def test_a_slow_peer_does_not_stop_the_guest(linked: Linked) -> None:
    with linked.peer() as peer:
        fill(linked.link)
        assert len(linked.link._kept) == OUTPUT
        linked.link(b"the end")
        read_until(peer, b"the end")


def test_a_flood_of_input_waits_outside(linked: Linked) -> None:
    with linked.peer() as peer:
        peer.setblocking(False)
        with suppress(BlockingIOError):
            while True:  # until the socket takes no more
                peer.send(bytes(1 << 16))
        until(lambda: linked.guest.input_waiting >= INPUT)
        heard = len(linked.guest.heard)
        assert heard < INPUT + serial_link.CHUNK
        linked.guest.input_waiting = 0  # it has read that
        until(lambda: len(linked.guest.heard) > heard)


def test_who_has_said_all_still_hears(linked: Linked) -> None:
    with linked.peer() as peer:
        peer.sendall(b"ls\n")
        peer.shutdown(socket.SHUT_WR)
        until(lambda: "sends no more" in linked.changes[-1])
        linked.link(b"file")
        assert read(peer, 4) == b"file"
        with linked.peer() as other:  # and makes room for who wants to speak
            linked.link(b"more")
            assert read(other, 4) == b"more"
            assert read(peer, 1) == b""


def test_what_was_said_last_is_read_after_the_end(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_link, "LINGER", PATIENCE)
    with linked.peer() as peer:
        fill(linked.link)
        linked.link(b"the end")
        reader = Reader(peer)
        linked.end()
        reader.join(PATIENCE)
        assert reader.end == b"the end"


def test_who_never_reads_is_not_waited_for_at_the_end(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_link, "LINGER", 0.01)
    with linked.peer():
        fill(linked.link)
        linked.end()


def fill(link: SerialLink) -> None:
    """Send until the socket is full, and what is kept."""
    while not link.lost:
        link(bytes(4096))


class Reader(threading.Thread):
    """Reads what comes until the end."""

    def __init__(self, peer: socket.socket) -> None:
        super().__init__()
        self.end = b""
        self._peer = peer
        peer.settimeout(PATIENCE)
        self.start()

    def run(self) -> None:
        while data := self._peer.recv(1 << 16):
            self.end = (self.end + data)[-7:]


# --- who connects ---------------------------------------------------------------------------------


def test_a_link_that_connects_knows_when_nobody_can_type(tmp_path: Path) -> None:
    path = tmp_path / "line"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        guest = Guest()
        with link_to(f"socket:{path}", guest) as link:
            peer = listener.accept()[0]
            assert guest.serial.input_open
            link(b"?")
            assert read(peer, 1) == b"?"
            peer.sendall(b"!")
            peer.close()
            until(lambda: not guest.serial.input_open)
            assert guest.heard == b"!"
            link(b"nobody hears this")
    assert path.exists()  # it is not ours


def test_a_pseudo_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    guest = Guest()
    try:
        link = link_to("pty", guest).__enter__()
    except UserError as error:
        pytest.skip(f"no pseudo-terminals here: {error}")
    name = capsys.readouterr().err.removeprefix("serial: ").strip()
    try:
        for _ in range(2):  # programs may come and go
            terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
            link(b"a\r\n\x03\x04")  # as it is, and without an echo
            assert select.select([terminal], [], [], PATIENCE)[0]
            assert os.read(terminal, 100) == b"a\r\n\x03\x04"
            os.write(terminal, b"b\r\x03")
            until(lambda: guest.heard == b"b\r\x03")
            guest.heard = b""
            os.close(terminal)
            assert guest.serial.input_open
    finally:
        link.__exit__()
    assert not guest.serial.input_open


# --- what cannot be opened ------------------------------------------------------------------------


def refused(where: str) -> str:
    with pytest.raises(UserError) as error:
        link_to(where, Guest()).__enter__()
    return str(error.value)


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(f"tcp:127.0.0.1:{port},server") == (
            f"--serial tcp:127.0.0.1:{port}: cannot listen there: Address already in use"
        )
    assert refused(f"tcp:127.0.0.1:{port}") == (
        f"--serial tcp:127.0.0.1:{port}: cannot connect: Connection refused; is somebody "
        "listening? (,server listens here)"
    )


def test_a_path_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "line"
    path.write_text("mine")
    assert refused(f"socket:{path},server") == (
        f"--serial socket:{path}: cannot listen there: it exists already; remove it, or choose "
        "another path"
    )
    assert path.read_text() == "mine"


def test_other_paths(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "line"
    missing = "No such file or directory"
    assert refused(f"socket:{gone},server").endswith(f"cannot listen there: {missing}")
    assert f"cannot connect: {missing}" in refused(f"socket:{gone}")
    assert refused(f"socket:{tmp_path / ('x' * 120)},server").endswith(
        "a socket's path has 107 bytes at most"
    )


def test_no_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forbidden(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    path = tmp_path / "line"
    assert refused(f"socket:{path},server") == (
        f"--serial socket:{path}: Permission denied: choose another place"
    )


def test_others_are_no_links() -> None:
    machine = Guest()
    for where in ("stdio", "null", "file:a"):
        assert type(link_to(where, machine)) is SerialOutput


def test_a_socket_that_somebody_replaced_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "line"
    linked = Linked(f"socket:{path},server,nowait", capsys)
    path.unlink()
    path.write_text("somebody else's")
    linked.end()
    assert path.read_text() == "somebody else's"


# --- a real machine -------------------------------------------------------------------------------

#: Reads a byte when there is one, sends it back, and ends.
ECHO = """
    mov dx, 0x3fd
again:
    in al, dx; test al, 1; jz again
    mov dx, 0x3f8
    in al, dx; out dx, al
    xor eax, eax; out 0xf4, al
"""


def test_a_machine_hears_and_answers(tmp_path: Path) -> None:
    machine = Machine(memory_mb=4)
    machine.load_flat(assemble(ECHO, 0x100000), 0x100000)
    path = tmp_path / "line"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with open_serial(parse_serial(f"socket:{path}"), machine, lambda _: None) as link:
            machine.serial.listeners.append(link)
            with listener.accept()[0] as peer:
                peer.sendall(b"xyz")
                assert machine.run(timeout=PATIENCE).kind == "exit"
                assert read(peer, 1) == b"x"


def test_what_was_sent_and_not_read_is_counted() -> None:
    machine = Machine(memory_mb=4)
    machine.load_flat(assemble(ECHO, 0x100000), 0x100000)
    machine.send(b"xyz")
    assert machine.input_waiting == 3
    machine.run(timeout=PATIENCE)
    assert machine.input_waiting == 1  # one was read, and the next one is in the receiver


# --- vp run ---------------------------------------------------------------------------------------


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    image = tmp_path / "guest"
    image.write_text("prompt / # \nread\nprint done\nend reset")
    return image


@pytest.mark.parametrize("flags", [",server", ",server,nowait"])
def test_a_session_over_a_socket(guest: Path, tmp_path: Path, flags: str) -> None:
    path = tmp_path / "line"
    process = spawn("run", "--flat", f"{guest}@0", "--serial", f"socket:{path}{flags}", "--quiet",
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    told = process.stderr.readline().decode()
    assert told == f"serial: socket:{path}" + (
        "\n" if "nowait" in flags else ", and the guest waits for a connection\n"
    )
    with connect(str(path)) as peer:
        assert read(peer, 4) == b"/ # "
        peer.sendall(b"ls\n")
        assert read(peer, 100) == b"ls\r\ndone\r\n"
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, b"", b"")
    assert not path.exists()


def test_what_is_typed_goes_over_the_line_too(guest: Path, tmp_path: Path) -> None:
    path = tmp_path / "line"
    process = spawn("run", "--flat", f"{guest}@0", "--serial", f"socket:{path},server",
                    "--type", "uname\\n", "--quiet", stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None and process.stderr.readline()
    with connect(str(path)) as peer:
        assert read(peer, 100) == b"/ # uname\r\ndone\r\n"
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_ctrl_c_while_nobody_connects(guest: Path, tmp_path: Path) -> None:
    path = tmp_path / "line"
    process = spawn("run", "--flat", f"{guest}@0", "--serial", f"socket:{path},server",
                    stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    told = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err in (b"", told)  # interrupted while it was being written, it is written again
    assert not path.exists()

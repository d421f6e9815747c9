"""The page's server: who is let in, what hostile browsers achieve, many of them, and slow ones."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from attending import Attending, needs
from patience import PATIENCE

from monitor.vmm.errors import UserError

pytestmark = needs("aiohttp", "PIL")
HOSTILE = [
    "",
    "garbage",
    "[]",
    "7",
    "{}",
    '{"kind": "no such kind"}',
    '{"kind": ["key"]}',
    '{"kind": "key", "code": "KeyA"}',
    '{"kind": "mouse", "x": 1e999, "y": 0, "wheel": 0, "buttons": 0}',
    '{"kind": "serial", "data": 5}',
    '{"kind": "ask"}',
    '{"kind": "ask", "what": "statistics", "number": "one"}',
    '{"kind": "ask", "what": "secrets", "number": 1}',
    '{"kind": "ask", "what": "line", "number": 1}',
    '{"kind": "ask", "what": "line", "text": "' + "x" * 5000 + '", "number": 1}',
    "[" * 50_000,
    '{"kind": ' + "9" * 10_000 + "}",
    "x" * 200_000,
]


def status(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def visit(attending: Attending, talk: Callable[[Any], Awaitable[Any]], **headers: str) -> Any:
    """Be a browser, as long as `talk` takes."""
    import aiohttp

    async def run() -> Any:
        url = f"{attending.origin}/socket?token={attending.token}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers={"Origin": attending.origin} | headers) as ws,
        ):
            return await asyncio.wait_for(talk(ws), PATIENCE)

    return asyncio.run(run())


async def answer(ws: Any, what: str, number: int = 1, **more: Any) -> dict[str, Any]:
    await ws.send_json({"kind": "ask", "what": what, "number": number} | more)
    while True:
        message = await ws.receive()
        if isinstance(message.data, str):
            found = json.loads(message.data)
            if found.get("number") == number:
                return dict(found)
        assert message.type.name in ("TEXT", "BINARY"), message


async def first_frame(ws: Any) -> bytes:
    while True:
        message = await ws.receive()
        assert message.type.name in ("TEXT", "BINARY"), message
        if message.type.name == "BINARY" and message.data[:1] == b"F":
            return bytes(message.data[1:])


def still_runs(attending: Attending) -> bool:
    async def talk(ws: Any) -> bool:
        first = now = await answer(ws, "statistics")
        while now == first:
            now = await answer(ws, "statistics")
        return True

    return bool(visit(attending, talk))


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/screen.js", "/page.css", "/socket", "/nothing"]
)
def test_without_the_token_everything_is_refused(attending: Attending, path: str) -> None:
    assert status(attending.origin + path) == 403
    assert status(f"{attending.origin}{path}?token=wrong") == 403
    assert status(f"{attending.origin}{path}?token=") == 403
    assert status(f"{attending.origin}{path}?token={attending.token[:-1]}") == 403


def test_with_it_there_are_the_page_and_its_files(attending: Attending) -> None:
    for path in ("/", "/page.js", "/screen.js", "/page.css"):
        assert status(f"{attending.origin}{path}?token={attending.token}") == 200
    for path in ("/nothing", "/../server.py", "/%2e%2e%2fserver.py", "/index.html"):
        assert status(f"{attending.origin}{path}?token={attending.token}") == 404


def test_another_name_for_this_machine_is_refused(attending: Attending) -> None:
    url = attending.server.url
    assert status(url, Host="evil.example") == 403
    assert status(url, Host="evil.example:80") == 403
    assert status(url, Host="127.0.0.1.evil.example") == 403
    assert status(url, Host="localhost:1") == 200  # a tunnel


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1"])
def test_a_websocket_of_another_page_is_refused(attending: Attending, origin: str) -> None:
    import aiohttp

    async def talk(_ws: Any) -> None:
        raise AssertionError("it was let in")

    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        visit(attending, talk, Origin=origin)


@pytest.mark.parametrize("message", HOSTILE, ids=range(len(HOSTILE)))
def test_whoever_says_something_else_is_shown_the_door(attending: Attending, message: str) -> None:
    async def talk(ws: Any) -> int | None:
        await ws.send_str(message)
        while not ws.closed:
            await ws.receive()
        return ws.close_code  # type: ignore[no-any-return]

    assert visit(attending, talk) in (1008, 1009)
    assert still_runs(attending)


def test_bytes_are_no_message(attending: Attending) -> None:
    async def talk(ws: Any) -> int | None:
        await ws.send_bytes(bytes(range(256)))
        while not ws.closed:
            await ws.receive()
        return ws.close_code  # type: ignore[no-any-return]

    assert visit(attending, talk) == 1008
    assert still_runs(attending)


def test_too_many_questions_at_once(attending: Attending) -> None:
    async def talk(ws: Any) -> int | None:
        await answer(ws, "line", text="stop")
        for number in range(2000):
            if not ws.closed:
                with_number = {"kind": "ask", "what": "mmu", "number": number + 10}
                await ws.send_json(with_number)
        while not ws.closed:
            await ws.receive()
        return ws.close_code  # type: ignore[no-any-return]

    with suppress(ConnectionError):  # the door was shut while we spoke
        assert visit(attending, talk) in (1008, 1006)

    async def go_on(ws: Any) -> None:
        await answer(ws, "line", text="cont")

    visit(attending, go_on)
    assert still_runs(attending)


def test_a_broken_handshake_and_no_http(attending: Attending) -> None:
    host, port = attending.origin.removeprefix("http://").split(":")
    for data in (b"\xff\x00" * 100, b"GET / HTTP/1.1\r\n", b"", b"GET /?" + b"x" * 100_000):
        with socket.create_connection((host, int(port)), PATIENCE) as peer:
            peer.sendall(data)
    assert still_runs(attending)


def test_what_is_asked_is_answered(attending: Attending) -> None:
    async def talk(ws: Any) -> list[dict[str, Any]]:
        return [await answer(ws, "line", 1, text="info status"),
                await answer(ws, "line", 2, text="nonsense"),
                await answer(ws, "statistics", 3),
                await answer(ws, "mmu", 4),
                await answer(ws, "tc", 5)]  # fmt: skip

    status_, nonsense, statistics, mmu, tc = visit(attending, talk)
    assert "running" in status_["answer"]
    assert "there is no command" in nonsense["answer"]
    assert statistics["answer"]["running"] is True
    assert mmu["answer"].startswith("<svg")
    assert "mode bare has no translation cache" in tc["error"]


def test_the_cache_is_drawn() -> None:
    async def talk(ws: Any) -> Any:
        return (await answer(ws, "tc"))["answer"]

    with Attending(mode="translate") as attending:
        assert visit(attending, talk).startswith("<svg")


def test_a_machine_that_stands_shows_its_screen_and_answers(attending: Attending) -> None:
    async def stop(ws: Any) -> None:
        await answer(ws, "line", text="stop")

    async def talk(ws: Any) -> tuple[bytes, Any]:
        frame = await first_frame(ws)  # first: whoever waits for an answer drops what else comes
        return frame, await answer(ws, "statistics")

    visit(attending, stop)
    frame, statistics = visit(attending, talk)
    assert statistics["answer"]["running"] is False
    assert json.loads(frame[4 : 4 + frame[0]])["width"] > 0


def test_keys_and_serial_input_are_the_machines(attending: Attending) -> None:
    machine = attending.machine

    async def talk(ws: Any) -> None:
        await ws.send_json({"kind": "key", "code": "KeyA", "down": True, "repeat": False})
        await ws.send_json({"kind": "serial", "data": "été"})
        await ws.send_json({"kind": "serial", "data": "\ud800"})
        while len(sent) < len("été?".encode()) or not typed:
            await answer(ws, "statistics")

    typed: list[Any] = []
    sent = bytearray()
    machine.board.real_inputs.connect("com1", sent.extend, machine.serial)
    machine.board.real_inputs.connect("keys", typed.append)
    visit(attending, talk)
    assert typed == [["+a", "-a"]]
    assert bytes(sent) == "été?".encode()


def test_what_is_said_on_the_serial_console_is_heard_by_all_from_the_beginning() -> None:
    source = """mov edx, 0x3f8; mov ecx, 100
    l: mov al, 'x'; out dx, al; dec ecx; jnz l
    again: inc eax; jmp again"""

    async def talk(ws: Any) -> bytes:
        heard = b""
        while len(heard) < 100:
            message = await ws.receive()
            if message.type.name == "BINARY" and message.data[:1] == b"S":
                heard += message.data[1:]
        return heard

    with Attending(source) as attending:
        for _ in range(2):
            assert visit(attending, talk) == b"x" * 100


def test_many_browsers_and_those_who_leave_in_the_middle(attending: Attending) -> None:
    import aiohttp

    async def one(session: Any, number: int) -> bool:
        url = f"{attending.origin}/socket?token={attending.token}"
        ws = await session.ws_connect(url, headers={"Origin": attending.origin})
        await first_frame(ws)
        await ws.send_json({"kind": "key", "code": "KeyA", "down": True, "repeat": False})
        if number % 2:
            ws._response.connection.transport.abort()  # without a word
        else:
            await ws.close()
        return True

    async def run() -> list[bool]:
        async with aiohttp.ClientSession() as session:
            rounds = []
            for _ in range(3):
                rounds += await asyncio.gather(*(one(session, number) for number in range(8)))
            return rounds

    assert all(asyncio.run(run()))
    assert still_runs(attending)


def test_there_is_a_last_one_who_is_let_in(attending: Attending) -> None:
    import aiohttp

    from monitor.web.site import MOST_VISITORS

    async def run() -> int:
        url = f"{attending.origin}/socket?token={attending.token}"
        headers = {"Origin": attending.origin}
        async with aiohttp.ClientSession() as session:
            let_in = [await session.ws_connect(url, headers=headers) for _ in range(MOST_VISITORS)]
            try:
                await session.ws_connect(url, headers=headers)
            except aiohttp.WSServerHandshakeError as error:
                assert len(let_in) == MOST_VISITORS
                return error.status
            return 0

    assert asyncio.run(run()) == 503


def test_a_browser_that_reads_nothing_does_not_hold_the_machine_up(attending: Attending) -> None:
    """Its window is full, and the machine counts on; the end comes all the same."""
    host, port = attending.origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        peer.sendall(
            f"GET /socket?token={attending.token} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Origin: {attending.origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()
        )
        assert b"101" in peer.recv(100)
        for _ in range(200):
            attending.server._hear(b"y" * 10_000)
        assert still_runs(attending)
        attending.attended.stop()
        attending._thread.join(PATIENCE)
        assert not attending._thread.is_alive()


def test_what_is_heard_in_the_end(attending: Attending) -> None:
    async def talk(ws: Any) -> list[Any]:
        await ws.send_json({"kind": "ask", "what": "line", "text": "quit", "number": 1})
        said: list[Any] = []
        while len(said) < 2:
            message = await ws.receive()
            if message.type.name == "TEXT":
                said.append(json.loads(message.data))
        return said

    said = visit(attending, talk)
    assert {"kind": "ended", "text": "it has ended"} in said
    assert {"kind": "answer", "number": 1, "answer": ""} in said


def test_a_machine_without_a_screen_has_a_page() -> None:
    with Attending(vga="none") as attending:
        assert still_runs(attending)


def test_a_port_that_is_taken_is_one_sentence(attending: Attending) -> None:
    from monitor.web.server import PageServer

    port = int(attending.origin.rpartition(":")[2])
    server = PageServer(attending.machine, attending.attended, port=port)
    with pytest.raises(
        UserError, match=rf"--listen 127.0.0.1:{port}: cannot listen there: .*in use"
    ):
        server.__enter__()

"""One browser at the page: a websocket, in both directions.

    to the browser      binary: "F" and a frame (frames.py), "S" and bytes of the serial console
                        text: an answer (questions.py), {"kind": "ended", "text": ...}
    from the browser    text: keys and mouse (hands.py), questions, {"kind": "drawn"},
                        {"kind": "serial", "data": ...}

Whoever says something else is shown the door (RFC 6455, 7.4.1: 1008, "policy violation"). What a
visitor is sent goes out one after the other, each when the one before has been taken; so for a slow
one there are at most so many bytes in memory, and the machine never waits.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from monitor.host.user_input import UserInput
from monitor.web.frames import Frames
from monitor.web.hands import BadMessage, Person
from monitor.web.pictures import Pictures
from monitor.web.questions import Questions
from monitor.web.subject import Subject
from monitor.web.tail import Tail

if TYPE_CHECKING:
    from aiohttp import web

LONGEST = 1 << 16  # bytes of a message
MOST_TYPED = 1 << 16  # bytes of the serial console that the guest has not read yet
MOST_QUESTIONS = 4  # at once
PATIENCE = 0.25  # seconds between looks for a frame that a silent viewer gets
GOING_AWAY, VIOLATION = 1001, 1008


class Visitor:
    """Served until it leaves, or is shown the door."""

    def __init__(
        self, machine: Subject, socket: web.WebSocketResponse, pictures: Pictures,
        inputs: UserInput, serial: Tail, questions: Questions,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._socket = socket
        self._frames = Frames(pictures)
        self._person = Person(inputs)
        self._serial = serial
        self._heard = 0  # of the serial console
        self._questions = questions
        self._asked: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._said: list[str] = []  # answers that wait to be sent

    def tell(self) -> None:
        """There is something new. In the page's thread."""
        self._news.set()

    def say(self, message: dict[str, Any]) -> None:
        """Send this, too. In the page's thread."""
        self._said.append(json.dumps(message))
        self._news.set()

    async def serve(self) -> None:
        """Until the end."""
        sender = asyncio.create_task(self._send())
        try:
            await self._receive()
        except BadMessage as error:
            await self._close(str(error))
        finally:
            self._person.leave()
            for task in (sender, *self._asked):
                task.cancel()
            await asyncio.gather(sender, *self._asked, return_exceptions=True)

    async def goodbye(self) -> None:
        """The page is closed: send what there is, and hang up."""
        with suppress(ConnectionError, RuntimeError):
            async with self._sending:
                await self._send_news()
            await self._socket.close(code=GOING_AWAY)

    async def _close(self, why: str) -> None:
        with suppress(ConnectionError):
            await self._socket.close(code=VIOLATION, message=why.encode()[:120])

    # --- from the browser -------------------------------------------------------------------------

    async def _receive(self) -> None:
        from aiohttp import WSMsgType

        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                raise BadMessage("messages are text")
            self._hear(_parsed(message.data))

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message.get("kind")
        if self._person.hear(message):
            return
        if kind == "drawn":
            self._frames.drawn()
            self._news.set()
        elif kind == "serial":
            self._type(message.get("data"))
        elif kind == "ask":
            self._ask(message)
        else:
            raise BadMessage("no such kind of message")

    def _type(self, data: Any) -> None:
        if not isinstance(data, str):
            raise BadMessage("what is typed is text")
        if self._machine.input_waiting < MOST_TYPED:  # what a guest that does not read loses
            self._machine.send(data.encode("utf-8", "replace"))

    def _ask(self, message: dict[str, Any]) -> None:
        if len(self._asked) >= MOST_QUESTIONS:
            raise BadMessage("too many questions at once")
        task = asyncio.create_task(self._answer(message))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _answer(self, message: dict[str, Any]) -> None:
        try:
            self.say(await self._questions.answer(message))
        except BadMessage as error:
            await self._close(str(error))

    # --- to the browser ---------------------------------------------------------------------------

    async def _send(self) -> None:
        with suppress(ConnectionError, RuntimeError):  # it is closing
            while True:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._news.wait(), PATIENCE)
                self._news.clear()
                async with self._sending:
                    await self._send_news()

    async def _send_news(self) -> None:
        self._heard, said = self._serial.since(self._heard)
        if said:
            await self._socket.send_bytes(b"S" + said)
        while self._said:
            await self._socket.send_str(self._said.pop(0))
        frame = self._frames.next()
        if frame is not None:
            await self._socket.send_bytes(b"F" + frame)


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("messages are JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("messages are objects")
    return message

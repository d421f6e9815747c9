"""The page of one machine: a server for browsers on a thread of its own, beside the machine's.

    machine's thread    takes pictures, hands over what was typed, answers questions
    ours                HTTP, websockets, encoding pictures, drawing what was read

What crosses from one to the other is a call that the other makes soon: `call_soon_threadsafe` here,
`Attended.call` and the chores of the loop there.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from monitor.console.attended import Attended
from monitor.host.user_input import UserInput
from monitor.vmm.errors import UserError
from monitor.web.access import Access, new_token
from monitor.web.pictures import Pictures
from monitor.web.questions import Questions
from monitor.web.subject import Subject
from monitor.web.tail import Tail
from monitor.web.visitor import Visitor

if TYPE_CHECKING:
    from aiohttp import web
    from typing_extensions import Self

MISSING = "vp web needs the package aiohttp: pip install 'virtual-platform[web]'"
NO_PILLOW = "vp web needs the package Pillow: pip install 'virtual-platform[web]'"
GOODBYE = 1.0  # seconds for browsers to take what they are told in the end


class PageServer:
    """A context manager: within it the page is there. UserError: it cannot be."""

    def __init__(
        self, machine: Subject, attended: Attended, host: str = "127.0.0.1", port: int = 0,
        title: str = "guest",
    ) -> None:  # fmt: skip
        check_packages()
        self._machine = machine
        self._attended = attended
        self._address = host, port
        self._title = title
        self._token = new_token()
        self._visitors: set[Visitor] = set()
        self._serial = Tail()
        self._questions = Questions(machine, attended)
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def url(self) -> str:
        """What to open in a browser."""
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}/?token={self._token}"

    def __enter__(self) -> Self:
        self._listener = _listen(*self._address)
        self._stack = ExitStack()
        self._pictures = Pictures(self._machine)
        self._inputs = self._stack.enter_context(UserInput(self._machine))
        self._machine.serial.listeners.append(self._hear)
        self._machine.serial.input_open = True
        self._loop = asyncio.new_event_loop()  # which its thread closes
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._stack.close()
            self._listener.close()
            raise self._error
        return self

    def __exit__(self, *_exception: object) -> None:
        self._machine.serial.input_open = False
        self._machine.serial.listeners.remove(self._hear)
        self._pictures.close()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._stack.close()
        self._listener.close()

    def finish(self, how: str) -> None:
        """The machine has ended: show what it shows now, and say so. In the machine's thread."""
        self._pictures.take()
        self._soon(self._say, {"kind": "ended", "text": how})

    # --- the machine's thread ---------------------------------------------------------------------

    def _hear(self, data: bytes) -> None:
        """Of the serial console, amid an instruction."""
        self._serial.write(data)
        if self._visitors:
            self._soon(self._tell)

    def _pictured(self) -> None:
        self._soon(self._tell)

    def _soon(self, call: Any, *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, *arguments)

    # --- the page's thread ------------------------------------------------------------------------

    def _tell(self) -> None:
        for visitor in self._visitors:
            visitor.tell()

    def _say(self, message: dict[str, Any]) -> None:
        for visitor in self._visitors:
            visitor.say(message)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # a bug; whoever made the page gets it
            self._error = error
        finally:
            self._loop.close()
            self._started.set()

    async def _serve(self) -> None:
        from aiohttp import web

        from monitor.web.site import Site

        self._stopping = asyncio.Event()
        access = Access(self._token, self._address[0])
        site = Site(access, self._token, self._title, self._welcome)
        runner = web.AppRunner(site.application(), access_log=None, shutdown_timeout=GOODBYE)
        await runner.setup()
        await web.SockSite(runner, self._listener).start()
        self._started.set()
        await self._stopping.wait()
        self._tell()
        await self._farewell()
        await runner.cleanup()

    async def _welcome(self, socket: web.WebSocketResponse) -> None:
        visitor = Visitor(
            self._machine, socket, self._pictures, self._inputs, self._serial, self._questions
        )
        self._visitors.add(visitor)
        self._watch()
        try:
            await visitor.serve()
        finally:
            self._visitors.discard(visitor)
            if not self._visitors:
                self._pictures.watchers.clear()

    def _watch(self) -> None:
        """Somebody is here: have pictures taken, the first one also of a machine that stands."""
        if self._pictured not in self._pictures.watchers:
            self._pictures.watchers.append(self._pictured)
        self._attended.call(self._pictures.take)

    async def _farewell(self) -> None:
        """What was said last goes out, as far as browsers take it; then all are shown the door."""
        visitors = tuple(self._visitors)
        if visitors:
            closing = asyncio.gather(*(visitor.goodbye() for visitor in visitors))
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(closing, GOODBYE)


def check_packages() -> None:
    """UserError: one is missing."""
    try:
        import aiohttp  # noqa: F401
    except ImportError as error:
        raise UserError(MISSING) from error
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise UserError(NO_PILLOW) from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror or str(error)
        shown = f"[{host}]" if ":" in host else host
        raise UserError(
            f"--listen {shown}:{port}: cannot listen there: {why}; port 0 is one that is free"
        ) from error

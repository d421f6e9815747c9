"""What a page asks of the machine: lines of the monitor's console, figures, pictures of its inside.

    {"kind": "ask", "what": "line", "text": "info registers", "number": 7}
    {"kind": "ask", "what": "statistics" | "tc" | "mmu", "number": 8}

The answer has the question's number, and either `answer` or `error`, a sentence. The machine's own
thread reads what is asked about, between two turns and also while the machine stands; what is drawn
from that is drawn on the thread of the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from monitor.console.attended import Attended
from monitor.vmm.errors import UserError
from monitor.watch.mmu_model import MmuView
from monitor.watch.tc_model import CacheView
from monitor.web.hands import BadMessage
from monitor.web.subject import Subject

Read = TypeVar("Read")
BLOCKS = 24  # of the translation cache that are drawn
LONGEST = 1000  # characters of a line


class Questions:
    """To one machine, whose console is `attended`."""

    def __init__(self, machine: Subject, attended: Attended) -> None:
        self._machine = machine
        self._attended = attended

    async def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question, for JSON. BadMessage: no page of ours asks that."""
        number, what = message.get("number"), message.get("what")
        if isinstance(number, bool) or not isinstance(number, int):
            raise BadMessage("a question has a number")
        made: Coroutine[Any, Any, str | dict[str, Any]]
        if what == "line":
            made = self._line(message.get("text"))
        elif what == "statistics":
            made = self._statistics()
        elif what == "tc":
            made = self._cache()
        elif what == "mmu":
            made = self._memory()
        else:
            raise BadMessage("nobody asks that")
        answer: dict[str, Any] = {"kind": "answer", "number": number}
        try:
            return answer | {"answer": await made}
        except UserError as error:
            return answer | {"error": str(error)}

    async def _line(self, text: Any) -> str:
        if not isinstance(text, str) or len(text) > LONGEST:
            raise BadMessage(f"a line is a text of {LONGEST} characters at most")
        return await self._soon(lambda done: self._attended.submit(text, done))

    async def _statistics(self) -> dict[str, Any]:
        machine, attended = self._machine, self._attended
        return await self._read(lambda: machine.statistics() | {"running": attended.running})

    async def _cache(self) -> str:
        from monitor.watch.tc_svg import svg_of

        watch = self._machine.watch
        view: CacheView = await self._read(lambda: watch.tc())
        return await asyncio.to_thread(lambda: svg_of(replace(view, blocks=view.blocks[:BLOCKS])))

    async def _memory(self) -> str:
        from monitor.watch.mmu_svg import svg_of

        watch = self._machine.watch
        view: MmuView = await self._read(lambda: watch.mmu())
        return await asyncio.to_thread(svg_of, view)

    async def _read(self, read: Callable[[], Read]) -> Read:
        """What a function gives in the machine's thread. UserError, if it raises that."""

        def ask(done: Callable[[Read | UserError], None]) -> None:
            def work() -> None:
                found: Read | UserError
                try:
                    found = read()
                except UserError as error:
                    found = error
                done(found)

            self._attended.call(work)

        found = await self._soon(ask)
        if isinstance(found, UserError):
            raise found
        return found

    @staticmethod
    async def _soon(ask: Callable[[Callable[[Read], None]], None]) -> Read:
        """Wait for the machine's thread. CancelledError: whoever asked is gone."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Read] = loop.create_future()

        def put(found: Read) -> None:
            if not answered.done():
                answered.set_result(found)

        def done(found: Read) -> None:
            try:
                loop.call_soon_threadsafe(put, found)
            except RuntimeError:  # the page is closed
                return

        ask(done)
        return await answered

"""Making a trace: from what the machine notes and tells to events in order.

    with machine.watch.trace("exit", "interrupt") as trace:
        machine.run(until="# ")
    trace.events

Instructions are noted by the processors themselves, in memory (FrameTable.record); exits,
interrupts and port accesses are told as they happen. Before one of those becomes an event, the
notes are taken, so that all stand in the order in which they happened. An instruction that is
begun twice without anything done in between, by the engine and then by the ideal processor, is
one. """

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bt.interp.state import RECORD_CODE, RECORD_RING_SHIFT
from monitor.vmm.errors import UserError
from monitor.vmm.events import ExitEvent
from monitor.vmm.loop import LONGEST_SLICE
from monitor.watch.disassembly import CodeLine
from monitor.watch.guest_code import LONGEST, GuestCode
from monitor.watch.trace_model import (
    BLOCK,
    DEVICE,
    EXIT,
    INSTRUCTION,
    INTERRUPT,
    Filter,
    TraceEvent,
    access_text,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from monitor.watch.subject import Subject

ROOM = 1 << 17  # notes between two looks at them
MOST = 1 << 14  # instructions of a turn, so that this is enough for them
SHOWN = 200  # events that a notebook shows


class Trace:
    """Traces a machine while it is entered as a context.

    Without a `sink` the events are kept in `events`. After `limit` of them the machine is stopped,
    and `full` says so; `taken` is their number. UserError, when it is entered, for a machine that
    is being traced already.
    """

    def __init__(
        self,
        machine: Subject,
        wanted: Filter,
        limit: int | None = None,
        sink: Callable[[TraceEvent], None] | None = None,
    ) -> None:
        self.wanted = wanted
        self.limit = limit
        #: What happened, in order; empty with a `sink`.
        self.events: list[TraceEvent] = []
        #: How many events there were.
        self.taken = 0
        #: Was the limit reached?
        self.full = False
        self._machine = machine
        self._processor = machine.processor
        self._sink = sink or self.events.append
        self._code = GuestCode(machine.processor.ideal, machine.memory, machine.ram)
        self._ended = False  # nothing runs that could be stopped
        self._last = (-1, -1)  # count and EIP of the last instruction
        self._next = -1  # EIP behind it

    @property
    def lost(self) -> int:
        """Instructions that there was no room for."""
        return self._machine.ram.record_lost()

    def __enter__(self) -> Trace:
        machine = self._machine
        if machine.loop.on_turn is not None:
            raise UserError("this machine is being traced already")
        machine.loop.on_turn = self._take
        machine.on_exit.append(self._exit)
        machine.board.on_access.append(self._access)
        if self.wanted.instructions:
            machine.loop.most = MOST
            self._processor.record(ROOM)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        machine = self._machine
        self._ended = True
        self._take()
        if self.wanted.instructions:
            self._processor.record(0)
            machine.loop.most = LONGEST_SLICE
        machine.loop.on_turn = None
        machine.on_exit.remove(self._exit)
        machine.board.on_access.remove(self._access)

    # --- what is told -------------------------------------------------------------------

    def _exit(self, event: ExitEvent) -> None:
        self._take()
        kind = INTERRUPT if event.reason.startswith("interrupt 0x") else EXIT
        self._put(TraceEvent(event.count, kind, event.eip, self._ring(), event.reason))

    def _access(self, kind: str, port: int, size: int, value: int) -> None:
        self._take()
        place = "address" if kind in ("read", "write") else "port"
        data = {place: port, "size": size, "value": value}
        if kind == "hypercall":  # served when the processor has left run()
            count, eip = self._processor.count(), int(self._processor.ideal.eip)
        else:
            count, eip = self._processor.io_count(), self._processor.io_place()
        text = access_text(kind, port, size, value)
        self._put(TraceEvent(count, DEVICE, eip, self._ring(), text, data))

    def _ring(self) -> int:
        return int(self._processor.ideal.cpl)

    # --- what is noted ------------------------------------------------------------------

    def _take(self) -> None:
        if not self.wanted.instructions:
            return
        notes = self._processor.take_record()
        if self.full:
            return
        self._code.look_anew()
        for place, root, count, low, high in notes:
            eip = place & 0xFFFFFFFF
            if (count, eip) != self._last:
                self._last = (count, eip)
                code = (high << 64 | low).to_bytes(16, "little")
                known = code[:LONGEST] if place & RECORD_CODE else b""
                line = self._code.at(eip, root, known)
                self._instruction(count, eip, place >> RECORD_RING_SHIFT & 3, line)

    def _instruction(self, count: int, eip: int, ring: int, line: CodeLine) -> None:
        if eip != self._next:
            self._put(TraceEvent(count, BLOCK, eip, ring, f"from {self._next:08x}"
                                 if self._next >= 0 else "the beginning"))
        self._next = eip + line.size & 0xFFFFFFFF
        self._put(TraceEvent(count, INSTRUCTION, eip, ring, line.text))

    def _put(self, event: TraceEvent) -> None:
        if self.full or not self.wanted.lets(event):
            return
        self._sink(event)
        self.taken += 1
        if self.limit is not None and self.taken >= self.limit:
            self.full = True
            if not self._ended:
                self._machine.stop()

    # --- for people ---------------------------------------------------------------------

    def __rich__(self) -> RenderableType:
        from monitor.watch.trace_text import trace_table

        return trace_table(self.events[:SHOWN], len(self.events))

    def _repr_html_(self) -> str:
        from monitor.watch.html import html_of

        return html_of(self.__rich__())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Where a notebook has no HTML."""
        printer.text(f"Trace: {self.taken:,} events")

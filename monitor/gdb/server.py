"""The server: runs the machine, and lets a debugger in between.

It stands where Machine.run() would, in the same thread, so nobody looks at a machine that runs:

    running   the machine runs; a thread waits for the debugger and asks the machine to stop
    stopped   the debugger asks, the guest stands still

A debugger that connects stops the guest. One that detaches or disappears takes its breakpoints
with it and lets the guest go on. Neither shows in the guest, whose time is counted in instructions;
under the real clock the time that it stood still has passed.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from monitor.checkpoint.rewind import Rewind
from monitor.gdb.commands import ERROR, OK, Commands, Resume, output_packets
from monitor.gdb.connection import Connection, Gone
from monitor.gdb.protocol import Interrupt, Packet, TooLong
from monitor.gdb.stops import LOOKABLE, REVERSIBLE, SIGABRT, SIGINT, SIGTRAP, STOPS, end_packet
from monitor.machine import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

LOOPBACK = "127.0.0.1"
NO_ACKS = b"QStartNoAckMode"


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Arrival:
    """While this context lasts: call `told` once, when there is something to read."""

    def __init__(self, sources: Sequence[HasDescriptor], told: Callable[[], None]) -> None:
        self._sources = [source.fileno() for source in sources]
        self._told = told
        self._cancel_read, self._cancel_write = os.pipe()
        self._thread = threading.Thread(target=self._wait, name="gdb", daemon=True)

    def __enter__(self) -> Arrival:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        os.write(self._cancel_write, b"x")
        self._thread.join()
        os.close(self._cancel_write)
        os.close(self._cancel_read)

    def _wait(self) -> None:
        ready, _, _ = select.select([*self._sources, self._cancel_read], [], [])
        if self._cancel_read not in ready:
            self._told()


class GdbServer:
    """Listens on loopback; `port` 0 finds a free one. With `wait`, before the first instruction."""

    def __init__(
        self,
        machine: Machine,
        port: int = 0,
        wait: bool = False,
        rewind: Rewind | None = None,
    ) -> None:
        """`rewind`: the debugger may go back in time."""
        self._machine = machine
        self._rewind = rewind
        self._commands = Commands(machine, rewind)
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._debugger: Connection | None = None
        self._stopped = wait
        self._step_to: int | None = None  # the count at which a step is over
        self._final: Outcome | None = None  # the machine's end, while a debugger looks at it
        self._asked = threading.Event()  # stop() was called
        self._wake_read, self._wake_write = os.pipe()
        self._until: str | bytes | None = None
        self._deadline: float | None = None
        self._last_count: int | None = None

    def __enter__(self) -> GdbServer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._debugger is not None:
            self._debugger.close()
            self._debugger = None
        self._listener.close()
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)

    @property
    def stopped(self) -> bool:
        """Does the guest stand still, for a debugger or until one comes?"""
        return self._stopped

    def stop(self) -> None:
        """Make run() return soon, as Machine.stop() does. Safe from any thread."""
        self._asked.set()
        os.write(self._wake_write, b"x")
        self._machine.stop()

    def run(
        self,
        until: str | bytes | None = None,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Outcome:
        """As Machine.run(). The time limit holds while the guest is stopped, too."""
        self._until = until
        self._deadline = None if timeout is None else time.monotonic() + timeout
        if max_instructions is not None:
            self._last_count = self._machine.instructions + max_instructions
        outcome = None
        while outcome is None:
            outcome = self._attend() if self._stopped else self._let_run()
        self._say_goodbye(outcome)
        return outcome

    # --- the two states -----------------------------------------------------------------

    def _attend(self) -> Outcome | None:
        """Stopped: wait for the debugger's next word."""
        waited = [source.fileno() for source in self._sources()]
        ready, _, _ = select.select([*waited, self._wake_read], [], [], self._remaining())
        if self._asked.is_set():
            return Outcome("stopped", detail="stopped on request")
        if not ready:
            return Outcome("timeout", detail="the time limit was reached")
        self._take_input()
        return self._end_if_over()

    def _let_run(self) -> Outcome | None:
        """Running, until something happens that concerns the debugger or ends the machine."""
        with Arrival(self._sources(), self._machine.stop):
            outcome = self._machine.run(
                until=self._until,
                timeout=self._remaining(),
                max_instructions=self._allowed(),
            )
        if outcome.kind == "stopped" and not self._asked.is_set():
            self._take_input()
            return self._end_if_over()
        if outcome.kind in STOPS:
            self._report(SIGTRAP, outcome)
        elif outcome.kind == "instructions" and self._step_is_over():
            self._report(SIGTRAP)
        elif outcome.kind in self._lookable and self._debugger is not None:
            self._final = outcome
            self._send(*output_packets(f"{outcome.detail}\n"))
            self._report(SIGABRT)
        else:
            return outcome
        return self._end_if_over()

    @property
    def _lookable(self) -> tuple[str, ...]:
        """Ends that the debugger is shown: those that it may want to understand."""
        return LOOKABLE if self._rewind is None else (*LOOKABLE, *REVERSIBLE)

    def _go_back(self, rewind: Rewind, how: Resume) -> None:
        """It takes its time; the debugger may interrupt it."""
        with Arrival(self._sources(), self._machine.stop):
            outcome = rewind.step_back() if how is Resume.STEP_BACK else rewind.run_back()
        self._final = None
        if outcome.kind == "stopped":
            self._report(SIGINT)
        else:
            self._report(SIGTRAP, outcome)

    def _end_if_over(self) -> Outcome | None:
        """The machine's end, once nobody looks at it any more."""
        return None if self._stopped else self._final

    def _step_is_over(self) -> bool:
        return self._step_to is not None and self._machine.instructions >= self._step_to

    def _remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _allowed(self) -> int | None:
        """Instructions up to the end of a step, or of the run."""
        ends = [end for end in (self._step_to, self._last_count) if end is not None]
        return max(0, min(ends) - self._machine.instructions) if ends else None

    def _sources(self) -> list[HasDescriptor]:
        """The debugger first: if it has gone, there is room for the next."""
        return [self._listener] if self._debugger is None else [self._debugger, self._listener]

    # --- the debugger -------------------------------------------------------------------

    def _take_input(self) -> None:
        """Whatever has arrived."""
        ready, _, _ = select.select(self._sources(), [], [], 0)
        try:
            for source in ready:
                if source is self._debugger:
                    self._hear(self._debugger)
                elif source is self._listener:
                    self._accept()
        except Gone:
            self._let_go()

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:  # it has gone again
            return
        if self._debugger is not None:  # one at a time
            link.close()
            return
        self._debugger = Connection(link)
        self._stopped = True
        self._step_to = None
        self._commands.stopped(SIGTRAP)

    def _hear(self, debugger: Connection) -> None:
        for event in debugger.receive():
            if isinstance(event, Interrupt):
                if not self._stopped:
                    self._report(SIGINT)
            elif isinstance(event, TooLong):
                debugger.send(ERROR)
            elif isinstance(event, Packet):
                self._answer(debugger, event.data)

    def _answer(self, debugger: Connection, packet: bytes) -> None:
        if packet == NO_ACKS:
            debugger.send(OK)
            debugger.acknowledge = False
            return
        reply = self._commands.handle(packet)
        for data in reply.packets:
            debugger.send(data)
        if reply.resume is not None:
            self._resume(reply.resume)

    def _resume(self, how: Resume) -> None:
        if how in (Resume.STEP_BACK, Resume.BACK):
            assert self._rewind is not None
            self._go_back(self._rewind, how)
            return
        self._stopped = False
        self._step_to = self._machine.instructions + 1 if how is Resume.STEP else None
        if how is Resume.DETACH:
            self._let_go()
        elif how is Resume.KILL:
            self._final = Outcome("stopped", detail="killed by the debugger")
            self._let_go()

    def _let_go(self) -> None:
        """The debugger has gone: nothing of it stays."""
        if self._debugger is not None:
            self._debugger.close()
            self._debugger = None
        self._commands.stops.clear()
        self._commands.target.physical = False
        self._step_to = None
        self._stopped = False

    def _report(self, signal: int, outcome: Outcome | None = None) -> None:
        """Tell the debugger that the guest stopped."""
        self._stopped = True
        self._step_to = None
        self._send(self._commands.stopped(signal, outcome))

    def _send(self, *packets: bytes) -> None:
        try:
            for data in packets:
                if self._debugger is not None:
                    self._debugger.send(data)
        except Gone:
            self._let_go()

    def _say_goodbye(self, outcome: Outcome) -> None:
        if not self._stopped:
            self._send(end_packet(outcome))
        if self._debugger is not None:
            self._let_go()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(f"--gdb {port}: cannot listen there: {error.strerror}") from error
    listener.setblocking(False)
    return listener

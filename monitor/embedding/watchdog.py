"""A time limit that holds while a function of a device, or of the embedder's, does not return.

The machine's loop looks at the time between its turns. Within a turn the processor calls out: a
port access to a chip, a timer of one, a listener, a host application that serves a guest call. The
monitor's own chips answer in microseconds; somebody else's may loop or sleep for ever. So a thread
looks at the machine's when the time is over, and asks the processor to leave its loop: a turn may
hold thousands of slow calls. If it finds it LOOKS times in the very same call out, it raises
TimeOver there, and the run ends with kind "timeout" and says in which call it was:

    with limit(deadline, board, processor, hooks):  # does nothing while the machine is in time
        loop.run(limits)

Where the machine is, its stack says: a call out is a frame of one of the functions in CALLS. That
costs an access nothing, and tells one call from the next exactly. Guest code is never interrupted,
only calls out. The guest's instruction completes as if nobody had answered the access: what it
reads is all ones.

In the main thread the exception comes out of a signal's handler, which also ends a system call that
waits. In another thread it waits for the call to come back to Python, as it always does for C code
that holds the interpreter's lock. Where no thread can be started (a sandbox) there is no watchdog.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import CodeType, FrameType
from typing import Any

from devices.bus import Bus
from monitor.embedding.hooks import Hooks
from monitor.vmm.board import Board
from monitor.vmm.outcome import Outcome
from monitor.vmm.processor import Processor
from monitor.vmware.guest_calls import GuestCalls

EVERY = 0.1  # seconds between looks
LOOKS = 4  # in the same call: a process that was stopped in between is woken for one at most

Locals = dict[str, Any]


class TimeOver(BaseException):
    """The time is over and a call out did not return. `where` says which, for people.

    It is no Exception: a device's `except Exception` shall not take it for an error of its own.
    """

    where = ""
    board: Board | None = None  # the machine's whose time is over

    def outcome(self) -> Outcome:
        """How the run ended."""
        return Outcome(
            "timeout", detail=f"the time limit was reached in {self.where}, which did not return"
        )


def _port(what: str) -> Callable[[Board, Locals], str]:
    def describe(board: Board, found: Locals) -> str:
        port = found.get("port", 0)
        return f"{what} port {port:#x} ({board.bus.owner_of(port) or 'nobody answers there'})"

    return describe


def _memory(board: Board, found: Locals) -> str:
    return f"an access to a device's memory at {found.get('address', 0):#010x}"


def _name(function: object) -> str:
    return str(getattr(function, "__name__", function))


#: The calls out, by the code of the function that makes them: whose it is, and how to name it.
CALLS: dict[CodeType, Callable[[Board, Locals], str]] = {
    Board.read_port.__code__: _port("IN from"),
    Board.write_port.__code__: _port("OUT to"),
    Board.read_memory.__code__: _memory,
    Board.write_memory.__code__: _memory,
    Board.backdoor.__code__: lambda board, found: "a backdoor call",
    Board.read_counter.__code__: lambda board, found: "RDPMC",
    Board.take_input.__code__: lambda board, found: "the serial port's input",
    Bus.run_due.__code__: lambda board, found: "a device's timer",
    GuestCalls.serve.__code__: lambda board, found: "a guest call",
    GuestCalls.resume.__code__: lambda board, found: "a guest call",
    Hooks.call.__code__: lambda board, found: "a hook",
    Processor.ask.__code__: lambda board, found: f"the extension {_name(found.get('function'))}",
    Processor.tell.__code__: lambda board, found: f"a listener of {found.get('reason', 'exits')!r}",
}
# Looked for by identity: the thread runs on between two steps of a walk along its stack, and what
# is asked of a frame that is gone by then may be anything.
_CALLED = {id(code) for code in CALLS}


@contextmanager
def limit(
    deadline: float | None, board: Board, processor: Processor, hooks: Hooks
) -> Iterator[None]:
    """Watch this thread from `deadline` on, by time.monotonic(). TimeOver out of a call out."""
    if deadline is None:
        yield
        return
    watch = _Watch(deadline, board, processor, hooks)
    _patrol.add(watch)
    try:
        yield
    finally:
        try:
            _patrol.remove(watch)
        except TimeOver:  # raised on the way in, in a thread; the next one is EVERY away
            _patrol.remove(watch)
            raise


class _Watch:
    """One machine that runs in one thread."""

    def __init__(
        self, deadline: float, board: Board, processor: Processor, hooks: Hooks
    ) -> None:
        self.due = deadline
        self.thread = threading.get_ident()
        self._by_signal = _signal_ready()
        self._board = board
        self._processor = processor
        self._owners = (board, board.bus, board.guest_calls, processor, hooks)
        self._call: FrameType | None = None  # that it was in when it was looked at
        self._looks = 0
        self._over: type[TimeOver] | None = None  # what to raise in it

    def look(self) -> None:
        """In the patrol's thread; Python code of this machine's stands still meanwhile."""
        self._processor.stop()
        self._processor.notice()  # behind the next access, if it is at one after the other
        call = self._call_out(sys._current_frames().get(self.thread))
        self._looks = self._looks + 1 if call is not None and call is self._call else 0
        self._call = call
        if call is None or self._looks < LOOKS:
            return
        where = CALLS[call.f_code](self._board, call.f_locals)
        self._over = type("TimeOver", (TimeOver,), {"where": where, "board": self._board})
        if self._by_signal:
            signal.pthread_kill(self.thread, _SIGNAL)
        else:
            _raise_in(self.thread, self._over)

    def strike(self, frame: FrameType | None) -> None:
        """In the machine's thread, by the signal: is it still there?

        Where it runs a machine within, it may be in the middle of add() or remove(), whose work
        must not be left half done, least of all the lock taken. The next look tries again.
        """
        over, self._over = self._over, None
        if over is None or self._call_out(frame) is not self._call:
            return
        while frame is not None and frame is not self._call:
            if frame.f_code in WHOLE:
                return
            frame = frame.f_back
        raise over

    def end(self) -> None:
        """In the machine's thread: what has not been raised by now never is."""
        if self._over is not None and not self._by_signal:
            _take_back(self._over)
        self._over = None

    def _call_out(self, frame: FrameType | None) -> FrameType | None:
        """The outermost call out of this machine on a stack, so not one of a machine within."""
        found = None
        while frame is not None:
            if id(frame.f_code) in _CALLED and frame.f_locals.get("self") in self._owners:
                found = frame
            frame = frame.f_back
        return found


class _Patrol:
    """One thread for all machines of the process, started when the first one has a limit."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As new; after a fork there is no thread, and the lock may be anybody's.

        A run that forked goes on in the child with the limit that its loop looks at alone.
        """
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._watches: list[_Watch] = []
        self._thread: threading.Thread | None = None
        self._wakes = math.inf  # when the thread does so by itself

    def add(self, watch: _Watch) -> None:
        with self._lock:  # itself, not the condition, whose code could be interrupted holding it
            self._watches.append(watch)
            if self._thread is None:
                thread = threading.Thread(target=self._walk, name="time limits", daemon=True)
                with suppress(RuntimeError):  # no threads here
                    thread.start()
                    self._thread = thread
            if watch.due < self._wakes:
                self._change.notify()

    def remove(self, watch: _Watch) -> None:
        with self._lock:
            if watch in self._watches:  # else this is a process that was forked in between
                self._watches.remove(watch)
            watch.end()

    def watches_of(self, thread: int) -> list[_Watch]:
        """The machine within a machine last."""
        return [watch for watch in self._watches if watch.thread == thread]

    def _walk(self) -> None:
        while True:
            with self._change:
                now = time.monotonic()
                for watch in self._watches:
                    if watch.due <= now:
                        watch.due = now + EVERY
                        watch.look()
                self._wakes = min((watch.due for watch in self._watches), default=math.inf)
                wait = self._wakes - time.monotonic()
                self._change.wait(None if wait == math.inf else min(max(0.0, wait),
                                                                    threading.TIMEOUT_MAX))


#: What is not interrupted, with all that it calls.
WHOLE = frozenset((_Patrol.add.__code__, _Patrol.remove.__code__))

_patrol = _Patrol()
os.register_at_fork(after_in_child=_patrol.restart)

# One that nobody uses; its handler stays, since a signal that comes late must not end the process.
_SIGNAL = int(signal.SIGRTMAX) - 2 if hasattr(signal, "SIGRTMAX") else 0


def _signal_ready() -> bool:
    """Can this thread be interrupted by the signal? Only the main one can, if it is free."""
    if not _SIGNAL or threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(_SIGNAL)
    if handler == signal.SIG_DFL:
        signal.signal(_SIGNAL, _signalled)
        return True
    return handler is _signalled


def _signalled(_number: int, frame: FrameType | None) -> None:
    for watch in _patrol.watches_of(threading.get_ident()):
        watch.strike(frame)


class _TakenBack(BaseException):
    """Raised and caught in place of a TimeOver that is not wanted any more."""


def _take_back(over: type[TimeOver]) -> None:
    """In this thread: what has not been raised yet never is.

    CPython has a call for that (an exception of NULL), but up to 3.12 a note remains that there is
    one: every thread asks at every call and jump, for ever, and 3.11 hangs once a tracer is set.
    """
    with suppress(over, _TakenBack):
        _raise_in(threading.get_ident(), _TakenBack)
        while True:  # raised at the jump at the latest
            pass


def _raise_in(thread: int, exception: type[BaseException]) -> None:
    """At the thread's next call or jump in Python, instead of one that was to be raised before."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception)
    )

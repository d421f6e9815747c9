"""The user's terminal as the guest's serial console: raw mode, keys, signals.

A terminal in raw mode (termios(3), "raw mode") hands over each key as it is pressed and does not
act on any: Ctrl-C and Ctrl-Z go to the guest. One key stays ours, Ctrl-A, as on other consoles:

    Ctrl-A x        leave                    Ctrl-A h    help
    Ctrl-A s        statistics               Ctrl-A Ctrl-A   one Ctrl-A for the guest
    Ctrl-A c        the monitor's console    Ctrl-A w        write a checkpoint

Whatever happens, the terminal gets its settings back: on return, on an exception, on a signal
that ends us, and while we are stopped (SIGTSTP from elsewhere), until SIGCONT.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from types import FrameType
from typing import Any

CTRL_A = 0x01
HELP = """\
Ctrl-A x        leave the machine
Ctrl-A s        statistics so far
Ctrl-A c        the monitor's console, and back to the guest
Ctrl-A w        write the machine into the file of --checkpoint
Ctrl-A h        this help
Ctrl-A Ctrl-A   send one Ctrl-A to the guest
"""
CHUNK = 4096
MOST = 1 << 16  # bytes of input that may wait for the guest
ATTENTION = 0.02  # seconds between looks at whether it has read them


def owns_terminal(descriptor: int) -> bool:
    """Is this a terminal, and are we in its foreground? (A job in the background must not read.)"""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # a terminal, but not our session's
        return os.isatty(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, now; wait where the descriptor was left in non-blocking mode."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


class RawMode:
    """Raw mode as a context manager that can be left and taken again. Not a terminal: no effect."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: Any = None  # what termios.tcgetattr gives

    def __enter__(self) -> RawMode:
        if owns_terminal(self._descriptor):
            self._saved = termios.tcgetattr(self._descriptor)
        self.take()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.leave()

    @property
    def active(self) -> bool:
        """Does the terminal belong to the guest?"""
        return self._saved is not None

    def take(self) -> None:
        """Give the keys to the guest. (In the background the terminal is somebody else's.)"""
        if self._saved is not None and owns_terminal(self._descriptor):
            tty.setraw(self._descriptor, termios.TCSADRAIN)

    def leave(self) -> None:
        """Give the terminal its settings back."""
        if self._saved is not None and owns_terminal(self._descriptor):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)


class Signals:
    """What the host tells us while a machine runs. Main thread only (signal(7)).

    SIGINT, SIGTERM and SIGHUP ask the machine to stop, by `stop`; `received` remembers which one
    it was, so that the caller can end as that signal demands. A second one does not wait for the
    machine. SIGTSTP gives the terminal back, stops us, and takes it again afterwards; within
    `aside` nothing is drawn there. What our parent made us ignore (nohup, a shell's background job)
    stays ignored.
    """

    ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(
        self,
        stop: Callable[[], None],
        raw: RawMode,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._stop = stop
        self._raw = raw
        self._aside = aside
        self._before: dict[signal.Signals, Any] = {}
        self.received: signal.Signals | None = None

    def __enter__(self) -> Signals:
        handlers = dict.fromkeys(self.ENDING, self._end)
        handlers[signal.SIGTSTP] = self._suspend
        for number, handler in handlers.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        self._stop()

    def _suspend(self, number: int, _frame: FrameType | None) -> None:
        with self._aside():
            self._raw.leave()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            # Stopped here, until SIGCONT.
            signal.signal(number, self._suspend)
            self._raw.take()


class EscapeKeys:
    """Splits what is typed into bytes for the guest and commands for us.

    >>> keys = EscapeKeys({ord("x"): lambda: print("leave")})
    >>> keys.feed(b"ls\\x01"), keys.feed(b"x\\x01\\x01")
    leave
    (b'ls', b'\\x01')
    """

    def __init__(self, commands: Mapping[int, Callable[[], None]]) -> None:
        self._commands = commands
        self._escaped = False

    def feed(self, typed: bytes) -> bytes:
        """Carry out the commands among the keys; the other keys."""
        rest = bytearray()
        for key in typed:
            if self._escaped:
                self._escaped = False
                if key == CTRL_A:
                    rest.append(key)
                else:
                    self._commands.get(key, _unknown_key)()
            elif key == CTRL_A:
                self._escaped = True
            else:
                rest.append(key)
        return bytes(rest)


def _unknown_key() -> None:
    """Ctrl-A and a key without a meaning: nothing happens."""


class InputReader:
    """A thread that reads a descriptor and passes the bytes on, until the end of the file.

    While MOST bytes are `waiting` for the guest nothing is read: what comes out of an endless pipe
    stays there. `ended` is called when no more bytes will come.
    """

    def __init__(
        self,
        descriptor: int,
        deliver: Callable[[bytes], None],
        waiting: Callable[[], int],
        ended: Callable[[], None],
    ) -> None:
        self._descriptor = descriptor
        self._deliver = deliver
        self._waiting = waiting
        self._ended = ended
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._read, name="console input", daemon=True)

    def __enter__(self) -> InputReader:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        os.close(self._wake_write)
        os.close(self._wake_read)

    def _read(self) -> None:
        try:
            self._pass_on()
        finally:
            self._ended()

    def _pass_on(self) -> None:
        while True:
            full = self._waiting() >= MOST
            sources = [self._wake_read] if full else [self._descriptor, self._wake_read]
            ready, _, _ = select.select(sources, [], [], ATTENTION if full else None)
            if self._wake_read in ready:
                return
            if full:
                continue
            try:
                data = os.read(self._descriptor, CHUNK)
            except OSError:  # the terminal is gone
                return
            if not data:
                return
            self._deliver(data)


def say(text: str, raw: bool) -> None:
    """Print a message of ours; a raw terminal needs its carriage returns written out."""
    if raw:
        text = text.replace("\n", "\r\n")
    with suppress(OSError):  # nobody is left to tell
        write_all(sys.stderr.fileno(), text.encode(errors="replace"))

"""The console of a machine that runs: lines come from any thread, and are answered by its own.

    attended = Attended(machine)
    attended.submit("info status", print)       # from another thread
    outcome = attended.run(until="login: ")     # as machine.run()

A line is answered between two turns of the machine. After `stop` the machine stands, run() does not
return, and lines are answered all the same, until `cont`.

    running   -- stop -->  standing       the machine's run() has ended, ours waits for lines
    standing  -- cont -->  running        it begins again, with what is left of its limits
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from monitor.console.command import Context
from monitor.console.subject import Subject
from monitor.console.words import answer_to
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

Answered = Callable[[str], None]
Work = Callable[[], None]


class Runner(Protocol):
    """What runs the machine: itself, or a debugger's server."""

    def run(
        self,
        until: str | bytes | None = None,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Outcome:
        """Run until the guest ends or a limit is reached."""

    def stop(self) -> None:
        """Let run() return soon."""


class _Line(NamedTuple):
    text: str
    answered: Answered


class Attended:
    """A machine with a console. With `debugger`, which runs it, the console only looks."""

    def __init__(self, machine: Subject, runner: Runner, debugger: bool = False) -> None:
        self._machine = machine
        self._runner = runner
        self._debugger = debugger
        self._context = Context(machine, self)
        self._lines: queue.SimpleQueue[_Line | Work | None] = queue.SimpleQueue()  # None: look
        self._standing = False
        self._asked = False  # somebody called stop()
        machine.loop.chores.append(self)

    # --- from any thread --------------------------------------------------------------------------

    def submit(self, line: str, answered: Answered) -> None:
        """Answer a line soon; `answered` is called by the machine's thread."""
        self._lines.put(_Line(line, answered))
        self._machine.loop.look_soon()

    def call(self, work: Work) -> None:
        """Do something else soon, in the machine's thread; it raises nothing."""
        self._lines.put(work)
        self._machine.loop.look_soon()

    def stop(self) -> None:
        """Let run() return soon. Also from a signal's handler."""
        self._asked = True
        self._runner.stop()
        self._lines.put(None)

    # --- the machine's thread ---------------------------------------------------------------------

    def run(
        self,
        until: str | bytes | None = None,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Outcome:
        """As Machine.run(); the time limit holds while the machine stands, too."""
        end = None if timeout is None else time.monotonic() + timeout
        last = None if max_instructions is None else self._machine.instructions + max_instructions
        while True:
            if self._standing:
                outcome = self._stand(end)
            else:
                outcome = self._runner.run(until, timeout, max_instructions)
                if outcome.kind == "stopped" and self._standing and not self._asked:
                    continue
            if outcome is not None:
                self._asked = False
                return outcome
            timeout = _left(end)
            max_instructions = None if last is None else max(0, last - self._machine.instructions)

    def look(self) -> int | None:
        """Between two turns (monitor/vmm/loop.py)."""
        while not self._standing:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                break
            self._answer(line)
        return None

    def _stand(self, end: float | None) -> Outcome | None:
        """Answer lines until the machine shall run on (None), or end."""
        while self._standing:
            if self._asked:
                return Outcome("stopped", detail="stopped on request")
            try:
                line = self._lines.get(timeout=_left(end))
            except queue.Empty:
                return Outcome("timeout", detail="the time limit was reached")
            self._answer(line)
        return None

    def _answer(self, line: _Line | Work | None) -> None:
        if line is None:
            return
        if not isinstance(line, _Line):
            line()
            return
        try:
            answer = answer_to(self._context, line.text, self._debugger)
        except UserError as error:
            answer = str(error)
        line.answered(answer)

    # --- what a line may ask of whoever runs it (command.Attendant) -------------------------------

    @property
    def running(self) -> bool:
        """Not standing."""
        return not self._standing

    def halt(self) -> None:
        """Let the machine stand."""
        if not self._standing:
            self._standing = True
            self._machine.stop()

    def cont(self) -> None:
        """Let it run on."""
        self._standing = False

    def quit(self) -> None:
        """End the run."""
        self.stop()


class Alone:
    """Whoever asks from a program: nobody attends the machine but the program itself."""

    def __init__(self, machine: Subject) -> None:
        self._machine = machine

    @property
    def running(self) -> bool:
        """Is it within run()?"""
        return self._machine.loop.executing

    def halt(self) -> None:
        """Let run() return, if it is under way."""
        if self.running:
            self._machine.stop()

    def cont(self) -> None:
        """Only the program can."""
        raise UserError("cont: the program that made the machine lets it run on, with run()")

    def quit(self) -> None:
        """The same, as far as a machine can."""
        self.halt()


def answer(machine: Subject, line: str) -> str:
    """For a program: the answer to a line, between two runs or from a hook. UserError."""
    return answer_to(Context(machine, Alone(machine)), line)


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())

"""One run of a machine with its serial console attached to this process.

Standard output and input are the console's two directions. On a terminal the input is raw, key by
key, with Ctrl-A commands; from a pipe or a file it is fed to the guest as it comes. Its end ends
nothing, as a serial line has none, unless the guest is halted and only input could wake it.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from io import UnsupportedOperation
from typing import TYPE_CHECKING

from monitor.cli import report
from monitor.cli.console_prompt import LineReader, TerminalPrompt, print_answer
from monitor.cli.run_progress import RunProgress
from monitor.console.attended import Attended
from monitor.host.serial_output import Serial
from monitor.host.terminal import (
    HELP,
    EscapeKeys,
    InputReader,
    RawMode,
    Signals,
    owns_terminal,
    say,
)
from monitor.host.typist import TypedLine
from monitor.screen.watch import type_at_cues
from monitor.settings.config import LimitConfig, unescape

if TYPE_CHECKING:
    from monitor import Machine, Outcome
    from monitor.cli.checkpoints import CheckpointWriter
    from monitor.gdb.server import GdbServer
    from monitor.host.guest_line import Guest
    from monitor.host.terminal_display import TerminalDisplay

NO_INPUT = -1


@dataclass(frozen=True)
class Finished:
    """How the machine ended, and the signal that ended it, if one did."""

    outcome: Outcome
    signal: signal.Signals | None = None


class Session:
    """Attends a machine while it runs. `doing` says what the guest is doing, for the progress.

    Standard input is the serial console's (`stdio`), the monitor's (`console`), or nobody's.
    """

    def __init__(
        self,
        machine: Machine,
        output: Serial,
        *,
        stdio: bool,
        progress: bool,
        console: bool = False,
        doing: Callable[[], str] = str,
        typing: Sequence[TypedLine] = (),
        debugger: GdbServer | None = None,
        checkpoint: CheckpointWriter | None = None,
        display: TerminalDisplay | None = None,
        guest: Guest | None = None,
    ) -> None:
        self._machine = machine
        self._guest = machine if guest is None else guest  # whose the standard input is
        runner = machine if debugger is None else debugger
        #: What runs the machine, and answers the monitor's console.
        self.attended = Attended(machine, runner, debugger is not None)
        self._checkpoint = checkpoint
        if checkpoint is not None:
            checkpoint.say = lambda text: self._say(f"vp: {text}\n")
        self._running = report.Running(machine)
        self._progress = RunProgress(machine, doing, stdio and _shared()) if progress else None
        self._aside = nullcontext if self._progress is None else self._progress.aside
        self._display = display
        self._input = _standard_input() if stdio or console or display else NO_INPUT
        self._console = console
        self._raw = RawMode(self._input)
        output.on_trouble = self.attended.stop
        if self._progress is not None:
            machine.serial.listeners.append(self._progress.on_output)
        machine.serial.listeners.append(output)
        if typing:
            type_at_cues(machine, typing)

    @property
    def takes_keys(self) -> bool:
        """Are there keys for Ctrl-A to be one of?"""
        return self._input != NO_INPUT and owns_terminal(self._input)

    def run(self, limits: LimitConfig) -> Finished:
        """Run the machine to its end; the terminal is as before afterwards."""
        with ExitStack() as stack:
            signals = stack.enter_context(Signals(self.attended.stop, self._raw, self._aside))
            stack.enter_context(self._raw)
            if self._input != NO_INPUT:
                self._guest.serial.input_open |= not self._console
                stack.enter_context(self._reader())
            if self._progress is not None:
                stack.enter_context(self._progress)
            if self._display is not None:
                stack.enter_context(self._display)
            outcome = self.attended.run(
                until=None if limits.until is None else unescape(limits.until, "--until"),
                timeout=limits.timeout,
                max_instructions=limits.max_instructions,
            )
        return Finished(outcome, signals.received)

    def _reader(self) -> InputReader:
        def waiting() -> int:
            """A terminal is always read: there may be a command among its keys."""
            feeds_guest = not (self._console or owns_terminal(self._input))
            return self._guest.input_waiting if feeds_guest else 0

        return InputReader(self._input, self._deliver(), waiting, self._end_input)

    def _deliver(self) -> Callable[[bytes], None]:
        """What to do with input: keys of a terminal hold commands, a pipe's bytes do not."""
        if not owns_terminal(self._input):
            return self._line_reader().feed if self._console else self._guest.send
        prompt = TerminalPrompt(self.attended, self._write, self._end_progress)
        send = self._guest.send if self._display is None else self._display.type
        keys = EscapeKeys(
            {
                ord("x"): self.attended.stop,
                ord("c"): prompt.toggle,
                ord("w"): self._write_checkpoint,
                ord("h"): lambda: self._say(HELP),
                ord("s"): lambda: self._say(report.as_text(self._running.statistics())),
            }
        )

        def deliver(typed: bytes) -> None:
            rest = keys.feed(typed)
            if rest and (prompt.open or self._console):
                prompt.feed(rest)
            elif rest:
                send(rest)

        if self._console:
            prompt.toggle()

        return deliver

    def _line_reader(self) -> LineReader:
        return LineReader(lambda line: self.attended.submit(line, print_answer))

    def _write_checkpoint(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.key()

    def _end_progress(self) -> None:
        """It would draw over the prompt."""
        if self._progress is not None:
            self._progress.end()

    def _end_input(self) -> None:
        if not self._console:
            self._guest.serial.input_open = False

    def _say(self, text: str) -> None:
        self._write("\n" + text)

    def _write(self, text: str) -> None:
        if self._display is not None:
            self._display.pause()
        with self._aside():
            say(text, raw=self._raw.active)


def _shared() -> bool:
    """May standard output lead to the terminal that progress is drawn on? Not if it is a file."""
    return not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)


def _standard_input() -> int:
    """The descriptor to read, unless there is none or it belongs to a job in the foreground."""
    if sys.stdin is None:
        return NO_INPUT
    try:
        descriptor = sys.stdin.fileno()
    except UnsupportedOperation:  # a program has put something else there
        return NO_INPUT
    if sys.stdin.isatty() and not owns_terminal(descriptor):
        return NO_INPUT
    return descriptor

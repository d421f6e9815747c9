"""`--log FILE` and `-v`: what the monitor did, line by line as it does it, in a file or on standard
error.

    vp 0.1.0, Python 3.11.7, interpreter compiled
    option  mode translate
    device  uart16550 at ports 0x3f8-0x3ff
    begin   2026-11-30 12:00:00
    exit    shadow fill at 00100000 after 0 instructions
    event   serial: a peer has connected to tcp:localhost:5555
    end     the guest reset the machine, after 7,006 instructions
    total   chain 1,000

It is bounded: of each reason for an exit the first FIRST are written and all are counted, so what
is rare is all there; after MOST lines of exits and events the rest is counted only. Lines about the
guest have no time of the clock: two runs that are alike have logs that are.

A listener of exits is called in the middle of an instruction, where nothing may be raised: a file
that cannot be written stops the machine, and check() says why.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor import Machine
    from monitor.vmm.events import ExitEvent

FIRST = 3
MOST = 5000
INTERRUPT = "interrupt 0x"


def add_log(group: argparse._ActionsContainer) -> None:
    """The options."""
    group.add_argument("--log", type=Path, metavar="FILE",
                       help="write there what the monitor does: options as understood, devices, "
                       "rare exits, the end")
    group.add_argument("-v", "--verbose", action="store_true",
                       help="the same on standard error, as it happens")


class RunLog:
    """A context manager: entered, the file is open or UserError. Without a file and not verbose, it
    does nothing and costs nothing."""

    def __init__(self, path: Path | None, verbose: bool) -> None:
        self._path = path
        self._verbose = verbose
        self._file: IO[str] | None = None
        self._machine: Machine | None = None
        self._lock = threading.Lock()  # peers come and go on a thread of their own
        self._counts: Counter[str] = Counter()
        self._lines = 0  # of exits and events
        self._trouble: OSError | None = None
        self._said = ""  # of the firmware's line, so far

    @property
    def on(self) -> bool:
        """Does anybody read it?"""
        return self._path is not None or self._verbose

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace",
                                             buffering=1)  # fmt: skip
            except OSError as error:
                raise self._cannot(error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 _trace: object) -> None:  # fmt: skip
        if error is not None and kind is not None:
            said = " ".join(str(error).split())
            self._write(f"end     {kind.__name__}{': ' if said else ''}{said}")
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def check(self) -> None:
        """UserError if the file could not be written."""
        if self._trouble is not None:
            raise self._cannot(self._trouble)

    def _cannot(self, error: OSError) -> UserError:
        why = os.strerror(error.errno) if error.errno else str(error)
        return UserError(f"cannot write --log {self._path}: {why}")

    # --- what is told -------------------------------------------------------------------

    def begin(self, machine: Machine, *settings: object) -> None:
        """The machine is ready to run. `settings` are what the options have become: dataclasses,
        whose fields are options, or mappings."""
        if not self.on:
            return
        from bt.engine import BUILD
        from monitor.cli.parser import version_text

        self._machine = machine
        self._write(f"{version_text()}, Python {platform.python_version()}, interpreter {BUILD}")
        for setting in settings:
            for name, value in _items(setting):
                self._write(f"option  {name} {value}")
        for name, ranges in _devices(machine).items():
            self._write(f"device  {name} at {', '.join(ranges)}")
        self._write(f"begin   {time.strftime('%Y-%m-%d %H:%M:%S')}")
        machine.on_exit.append(self._exit)
        machine.firmware_log.listeners.append(self._firmware)

    def _firmware(self, data: bytes) -> None:
        """What firmware says of itself, a line at a time."""
        *lines, self._said = (self._said + data.decode("latin-1")).split("\n")
        for line in filter(None, lines):
            self.event(f"firmware: {line[:200]}")
        self._said = self._said[-200:]

    def event(self, text: str) -> None:
        """Something that the machine did not do itself. From any thread."""
        with self._lock:
            self._rare(f"event   {text}")

    def end(self, sentence: str, statistics: Mapping[str, Any]) -> None:
        """The machine has stopped."""
        if not self.on:
            return
        assert self._machine is not None
        self._machine.on_exit.remove(self._exit)
        self._write(f"end     {sentence}, after {statistics['instructions']:,} instructions")
        for name, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0])):
            self._write(f"total   {name} {count:,}")

    def _exit(self, event: ExitEvent) -> None:
        self._counts[event.reason] += 1
        count = self._counts[event.reason]
        if count > FIRST:
            return
        word = "deliver" if event.reason.startswith(INTERRUPT) else "exit   "
        last = f"; from now on {event.reason} is only counted" if count == FIRST else ""
        with self._lock:
            self._rare(f"{word} {event.reason} at {event.eip:08x} after {event.count:,} "
                       f"instructions{last}")  # fmt: skip

    def _rare(self, line: str) -> None:
        self._lines += 1
        if self._lines < MOST:
            self._write(line)
        elif self._lines == MOST:
            self._write(f"event   {MOST - 1:,} lines of exits and events: the rest is only counted")

    def _write(self, line: str) -> None:
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        if self._verbose and sys.stderr is not None:
            # A terminal may be in raw mode, where a line end alone does not return the carriage.
            end = "\r\n" if sys.stderr.isatty() else "\n"
            with suppress(OSError):
                print(f"vp: {text}", end=end, file=sys.stderr, flush=True)
        if self._file is None or self._trouble is not None:
            return
        try:
            self._file.write(f"{text}\n")
        except OSError as error:
            self._trouble = error
            if self._machine is not None:
                self._machine.stop()


def _items(setting: object) -> Iterator[tuple[str, str]]:
    """What was asked for, without what was not."""
    if isinstance(setting, Mapping):
        pairs = list(setting.items())
    else:
        pairs = [(each.name, getattr(setting, each.name)) for each in fields(setting)]  # type: ignore[arg-type]
    for name, value in pairs:
        if value in (None, (), "", False):
            continue
        if name in ("address", "entry"):
            value = f"{value:#x}"
        elif name == "memory_mb":
            name, value = "memory", f"{value} MiB"
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        yield name.replace("_", "-"), "on" if value is True else shown


def _devices(machine: Machine) -> dict[str, list[str]]:
    """Each device of the board by name, and where it answers."""
    found: dict[str, list[str]] = {}
    for first, last, name in machine.board.bus.port_ranges():
        where = f"port {first:#x}" if first == last else f"ports {first:#x}-{last:#x}"
        found.setdefault(name, []).append(where)
    for first, end in machine.board.bus.memory_ranges():
        found.setdefault("memory", []).append(f"{first:#010x}-{end - 1:#010x}")
    return found

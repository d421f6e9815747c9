"""A trace in Chrome's trace-event format, as Perfetto reads it (ui.perfetto.dev).

One file is one JSON object. Times (`ts`, `dur`) are guest instructions, which the viewers call
microseconds: the number beside an event is the number that the text has. Instructions are complete
events (X), blocks pairs of begin and end (B, E), everything else is an instant (i). Each kind has a
track of its own; what is written is written as it comes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from monitor.watch.trace_model import BLOCK, DEVICE, EXIT, INSTRUCTION, INTERRUPT, TraceEvent

PROCESS = 1
TRACKS = {BLOCK: 1, INSTRUCTION: 2, EXIT: 3, INTERRUPT: 4, DEVICE: 5}
NAMES = {BLOCK: "blocks", INSTRUCTION: "instructions", EXIT: "exits", INTERRUPT: "interrupts",
         DEVICE: "devices"}


class ChromeWriter:
    """Turns events into text, piece by piece; `finish` closes the object."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._open_block = False
        self._count = 0
        write('{"displayTimeUnit": "ns", "otherData": {"ts": "guest instructions"},\n')
        write('"traceEvents": [')
        self._separator = "\n"
        self._put({"ph": "M", "name": "process_name", "args": {"name": "guest"}}, 0)
        for kind, track in TRACKS.items():
            self._put({"ph": "M", "name": "thread_name", "args": {"name": NAMES[kind]}}, track)

    def __call__(self, event: TraceEvent) -> None:
        self._count = event.count
        track = TRACKS[event.kind]
        if event.kind == BLOCK:
            self._end_block()
            self._open_block = True
        shape: dict[str, Any] = {"ph": "i", "s": "t"}
        if event.kind == INSTRUCTION:
            shape = {"ph": "X", "dur": 1}
        elif event.kind == BLOCK:
            shape = {"ph": "B"}
        name = f"{event.eip:08x}" if event.kind == BLOCK else event.text
        args = {"eip": f"{event.eip:#010x}", "ring": event.ring} | dict(event.data)
        self._put(shape | {"name": name, "cat": event.kind, "ts": event.count, "args": args}, track)

    def finish(self) -> None:
        """Nothing comes any more."""
        self._count += 1
        self._end_block()
        self._write("\n]}\n")

    def _end_block(self) -> None:
        if self._open_block:
            self._put({"ph": "E", "ts": self._count}, TRACKS[BLOCK])
            self._open_block = False

    def _put(self, event: dict[str, Any], track: int) -> None:
        self._write(self._separator + json.dumps(event | {"pid": PROCESS, "tid": track}))
        self._separator = ",\n"

"""One point of the grid, run: a guest in a machine, and the row that comes of it.

Whatever a guest does ends as a row. `ended` is the outcome's kind (monitor/vmm/outcome.py), or

    refused   the guest could not be loaded into this machine, or is an operation of the user's
              own that cannot be measured
    error     the monitor failed: a bug, please report it
    died      the worker did (backend.py says so: it is not there to do so itself)

`ok` is 1 where `vp run` would leave with status 0. A run that the host's clock stopped is at
another place each time, so its row has no counts; `max-instructions` stops at the same one.

A row is flat: column to value, and None where there is nothing to say.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.bench.model import Model
from monitor.bench.own_plan import SECONDS
from monitor.bench.own_trial import TooLongError
from monitor.bench.profile import Profile
from monitor.bench.rows import Counts
from monitor.bench.runner import counts_of
from monitor.bench.store import COUNTS, count_columns
from monitor.host.typist import Typist
from monitor.machine import Machine
from monitor.sweep.grid import Point
from monitor.sweep.guests import Guest, OwnImage
from monitor.sweep.own import columns
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome
from monitor.writing.ending import AS_ASKED, exit_status

Row = dict[str, Any]
REFUSED, ERROR, DIED, TIMEOUT = "refused", "error", "died", "timeout"
NOT_COUNTED = ("exits_by_reason",)  # one cell in vp bench; here a column each
COUNTED = tuple(name for name in COUNTS if name not in NOT_COUNTED)
EXIT, CYCLES, MONITOR_CYCLES = "exit:", "cycles:", "monitor cycles:"
ENDING = ("ok", "ended", "status", "detail")
CONSOLE = ("console", "console_bytes")
DIGEST_DIGITS = 16
LEAST_SECONDS = 0.001
ASTRAY = "wrong answers led the operation astray"


@dataclass(frozen=True)
class Job:
    """What all rows of a sweep have in common."""

    guests: Mapping[str, Guest]
    models: Sequence[Model]
    time: bool


def run_point(guest: Guest, point: Point, models: Sequence[Model], timed: bool) -> Row:
    """The row of a point. Memory that the host does not have is the worker's end, not a row."""
    try:
        machine = Machine(memory_mb=point.memory_mb, mode=point.mode, clock=point.clock,
                          without=point.without)  # fmt: skip
        guest.image.load(machine)
    except UserError as error:
        return failed(REFUSED, str(error))
    try:
        return _measured(machine, guest, point, models, timed)
    except MemoryError:
        raise
    except Exception as error:  # whatever it is, the other rows can do without
        return failed(ERROR, f"{type(error).__name__}: {error}")


def failed(ended: str, detail: str) -> Row:
    """The row of a point that has nothing to count."""
    return {"ok": 0, "ended": ended, "status": None, "detail": plain(detail)}


def _measured(
    machine: Machine, guest: Guest, point: Point, models: Sequence[Model], timed: bool
) -> Row:
    """The run, and for an operation of the user's own what its costs are made of."""
    begun = time.monotonic()
    row = _run(machine, guest, models, timed)
    if not isinstance(guest.image, OwnImage) or row["ended"] == TIMEOUT:
        return row
    left = (guest.limits.timeout or SECONDS) - (time.monotonic() - begun)
    try:
        apart = columns(guest.image, point, models, max(left, LEAST_SECONDS))
    except TooLongError as error:
        return failed(TIMEOUT, str(error))
    except UserError as error:
        return failed(REFUSED, str(error))
    return row | apart if apart else row | {"ok": 0, "detail": ASTRAY}


def _run(machine: Machine, guest: Guest, models: Sequence[Model], timed: bool) -> Row:
    if guest.typing:
        machine.serial.listeners.append(Typist(guest.typing, machine.send))
    limits = guest.limits
    begun = time.thread_time()
    outcome = machine.run(limits.until, limits.timeout, limits.max_instructions)
    spent = time.thread_time() - begun
    row = _ending(outcome, limits.until)
    if outcome.kind == TIMEOUT:
        return row
    counts = counts_of(machine.statistics())
    row |= {name: value for name, value in count_columns(counts).items() if name in COUNTED}
    row |= {EXIT + plain(reason): n for reason, n in counts.exits.items() if n}
    row |= _cycles(counts, guest.image.profile(), models)
    console = machine.output
    row |= {"console": console.digest()[:DIGEST_DIGITS], "console_bytes": console.total}
    return row | ({"seconds": f"{spent:.6f}"} if timed else {})


def _ending(outcome: Outcome, until: str | None) -> Row:
    return {
        "ok": int(exit_status(outcome, until) == AS_ASKED),
        "ended": outcome.kind,
        "status": outcome.status,
        "detail": plain(outcome.detail),
    }


def _cycles(counts: Counts, profile: Profile | None, models: Sequence[Model]) -> Row:
    """What the monitor does has a price in every guest, what the guest does only in one whose
    instructions are known by class, and were all run."""
    row: Row = {}
    for model in models:
        parts = {} if "bare" in counts.by_kind else model.parts(counts, Profile({}))
        row[MONITOR_CYCLES + model.name] = sum(parts.values()) - parts.get("native", 0)
        fits = profile is not None and profile.instructions == counts.instructions
        row[CYCLES + model.name] = model.cycles(counts, profile) if profile and fits else None
    return row


def plain(text: str) -> str:
    """One line without what a CSV file would have to quote, so that every reader can read it."""
    return " ".join(text.replace('"', "'").replace(",", ";").split())

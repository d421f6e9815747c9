"""One run of a submission, from the grader's side: start the keeper, read what comes, all bounded.

    run = Sandbox("monitor.labs.check:Check", Limits()).run(3, "lab3.py", source)
    run.reports, run.output, run.ending

The submission is copied into a folder of its own, which goes when the run is over. Nothing is
trusted that came from the worker: reports are bytes here, and verdict.py reads them.
"""

from __future__ import annotations

import os
import secrets
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from monitor.grading.confine import readable_places, user_site
from monitor.grading.limits import Limits
from monitor.grading.plan import Ending, GradingPlan
from monitor.labs.printed import Sorter

KEPT = 1 << 16  # bytes of output that are kept
GRACE = 60.0  # seconds beyond the limit until the keeper itself must have ended
TICK = 0.25  # seconds between looks at `stop`
SOURCES = Path(__file__).parents[2]


class Stopped(Exception):
    """The grader was told to end before this run was over."""


@dataclass(frozen=True)
class Run:
    """What a run left behind."""

    nonce: str
    reports: bytes
    output: bytes  # its beginning
    printed: int  # bytes in all
    by_test: dict[int, str]  # what was printed in each test, the first lines of it
    ending: Ending | None  # None: the keeper did not tell
    ended_for: str  # the limit for which the grader ended it: "output", "reports", or nothing
    folder: str  # where the submission was, as its messages may say


@dataclass
class _Stream:
    """One pipe: how much to keep and how much is too much."""

    name: str
    keep: int
    most: int
    data: bytearray = field(default_factory=bytearray)
    seen: int = 0
    sorter: Sorter | None = None

    def take(self, piece: bytes) -> bool:
        """Is it still within bounds?"""
        self.seen += len(piece)
        if self.sorter is not None:
            self.sorter.feed(piece)
        self.data += piece[: max(0, self.keep - len(self.data))]
        return self.seen <= self.most


class Sandbox:
    """Runs submissions, from any number of threads at once; `stop` ends them all."""

    def __init__(
        self, check: str, limits: Limits, extra: Iterable[Path] = (), *, filtered: bool = True
    ) -> None:
        """`check`: "module:class"; `extra`: folders to import from besides the monitor's."""
        self.limits = limits
        self.stop = threading.Event()
        self._check = check
        self._extra = [path.resolve() for path in extra]
        self._readable = tuple(str(path) for path in [*readable_places(), *self._extra])
        self._filtered = filtered

    def run(self, lab: int, name: str, source: bytes) -> Run:
        """Check `source` as a file `name`. Stopped if `stop` is set meanwhile."""
        with tempfile.TemporaryDirectory(prefix="vp-grade-", ignore_cleanup_errors=True) as folder:
            place = Path(folder).resolve() / name
            place.write_bytes(source)
            return self._run(lab, place)

    def _run(self, lab: int, file: Path) -> Run:
        pipes = [os.pipe() for _ in range(3)]
        try:
            (_, output), (_, report), (_, ending) = pipes
            nonce, marks = secrets.token_hex(16), secrets.token_hex(16)
            plan = GradingPlan(
                check=self._check, lab=lab, file=str(file), limits=self.limits,
                readable=self._readable, report=report, ending=ending, parent=os.getpid(),
                nonce=nonce, marks=marks, filtered=self._filtered,
            )  # fmt: skip
            keeper = self._start(plan, output)
        finally:
            for _, end in pipes:
                os.close(end)
        sorter = Sorter(marks, KEPT)
        streams = {
            pipes[0][0]: _Stream("output", 0, self.limits.output, sorter=sorter),
            pipes[1][0]: _Stream("reports", self.limits.reports, self.limits.reports),
            pipes[2][0]: _Stream("ending", KEPT, KEPT),
        }
        try:
            ended_for = self._read(streams, keeper.kill)
        finally:
            keeper.kill()  # it has ended, unless we are interrupted; the kernel ends its worker
            keeper.wait()
            for each, _ in pipes:
                os.close(each)
        printed, reports, told = streams.values()
        sorter.close()
        return Run(
            nonce, bytes(reports.data), bytes(sorter.plain), printed.seen, sorter.all(),
            Ending.from_json(told.data.decode()) if told.data else None, ended_for,
            str(file.parent),
        )  # fmt: skip

    def _start(self, plan: GradingPlan, output: int) -> subprocess.Popen[bytes]:
        keeper = subprocess.Popen(
            [sys.executable, "-B", "-m", "monitor.grading.keeper"],
            stdin=subprocess.PIPE, stdout=output, stderr=output, cwd="/",  # Python imports from it
            env=self._environment(), pass_fds=(plan.report, plan.ending), start_new_session=True,
        )  # fmt: skip
        assert keeper.stdin is not None
        with suppress(BrokenPipeError), keeper.stdin as stream:
            stream.write(plan.to_json().encode())
        return keeper

    def _environment(self) -> dict[str, str]:
        """Little of ours, and nothing that changes from run to run (PYTHONHASHSEED)."""
        threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        kept = {name: os.environ[name] for name in ("VP_PURE", "PATH") if name in os.environ}
        return kept | dict.fromkeys(threads, "1") | {
            "LANG": "C.UTF-8",
            "HOME": "/nonexistent",
            "PYTHONPATH": os.pathsep.join(map(str, [SOURCES, *self._extra, *user_site()])),
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "PYTHON_COLORS": "0",
        }

    def _read(self, streams: dict[int, _Stream], end: Callable[[], None]) -> str:
        """Until every pipe is at its end; the name of the stream that was too long."""
        too_long = ""
        overdue = time.monotonic() + self.limits.wall + GRACE
        with selectors.DefaultSelector() as selector:
            for descriptor in streams:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(TICK):
                    piece = os.read(key.fd, 1 << 16)
                    if not piece:
                        selector.unregister(key.fd)
                    elif not streams[key.fd].take(piece) and not too_long:
                        too_long = streams[key.fd].name
                        end()
                if self.stop.is_set():
                    raise Stopped
                if time.monotonic() > overdue:
                    end()
                    return too_long
        return too_long

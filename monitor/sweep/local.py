"""Points of a sweep in processes of this machine.

Each worker is a process (worker.py) at the other end of a socket pair: it gets the job once, says
that it is ready, then gets points one at a time and answers each with its row. A worker that is
gone shows as the end of its pipe. One that does not answer long after its guest's time limit is
killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from multiprocessing.connection import Pipe, wait
from tempfile import TemporaryFile

from monitor.sweep.backend import Rows, Task
from monitor.sweep.identity import ROOT
from monitor.sweep.task import DIED, Job, Row, failed
from monitor.vmm.errors import UserError

TRIES = 2
GRACE = 60.0  # seconds beyond a guest's own limit, for loading it and for its profile


class Worker:
    """One process. `task` is what it runs, None while it starts."""

    def __init__(self, job: bytes) -> None:
        self.connection, theirs = Pipe()
        self._errors = TemporaryFile()  # noqa: SIM115  (closed in `end`)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitor.sweep.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),), env=_environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors,
            )  # fmt: skip
        self.task: Task | None = None
        self.deadline = time.monotonic() + GRACE
        self._job: bytes | None = job

    def send(self, task: Task, seconds: float) -> None:
        self.task = task
        self.deadline = time.monotonic() + seconds + GRACE
        try:
            if self._job is not None:
                self.connection.send_bytes(self._job)
                self._job = None
            self.connection.send(task[1])
        except OSError:
            pass  # it died; its end of the pipe says so to whoever waits

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> str:
        """No more of it. Returns of what it died, if it did."""
        self.kill()
        status = self._process.wait()
        self.connection.close()
        with self._errors:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return said[-1] if said else f"exit status {status}"


class LocalBackend:
    """`jobs` processes."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._workers: list[Worker] = []

    @property
    def running(self) -> int:
        return sum(worker.task is not None for worker in self._workers)

    def run(self, job: Job, tasks: Sequence[Task]) -> Rows:
        self._waiting = deque(tasks)
        self._deaths: Counter[int] = Counter()
        self._stillborn = 0
        self._sent = pickle.dumps(job)
        try:
            for _ in range(min(self._jobs, len(tasks))):
                self._workers.append(Worker(self._sent))
            while self._workers:
                for worker in self._answering():
                    done, row = worker.task, _receive(worker)
                    if row is None:
                        row = self._bury(worker)
                    else:
                        self._next(worker, job)
                    if done is not None and row is not None:
                        yield done[0], row
        finally:
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    def _answering(self) -> list[Worker]:
        """Workers that have something to say, if only that they are gone."""
        now = time.monotonic()
        seconds = min(worker.deadline for worker in self._workers) - now
        heard = wait([worker.connection for worker in self._workers], max(0.0, seconds))
        for worker in self._workers:
            if time.monotonic() > worker.deadline:
                worker.kill()
        return [worker for worker in self._workers if worker.connection in heard]

    def _next(self, worker: Worker, job: Job) -> None:
        if not self._waiting:
            self._workers.remove(worker)
            worker.end()
            return
        task = self._waiting.popleft()
        worker.send(task, job.guests[task[1].guest].limits.timeout or 0.0)

    def _bury(self, worker: Worker) -> Row | None:
        """Its point is tried again by a new worker, or has a row that says what became of it."""
        self._workers.remove(worker)
        why = worker.end()
        row = None
        if worker.task is None:
            self._stillborn += 1
            if self._stillborn == TRIES:
                raise UserError(f"a worker could not start: {why}")
        else:
            number = worker.task[0]
            self._deaths[number] += 1
            if self._deaths[number] < TRIES:
                self._waiting.appendleft(worker.task)
            else:
                row = failed(DIED, f"the worker died twice: {why}")
        if self._waiting:
            self._workers.append(Worker(self._sent))
        return row


def _receive(worker: Worker) -> Row | None:
    """A row, empty from a worker that has just started; None from one that is gone."""
    try:
        row: Row = worker.connection.recv()
    except (EOFError, OSError):
        return None
    return row


def _environment() -> dict[str, str]:
    """A worker finds this package where it is, installed or not."""
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([path] if path else [])])}

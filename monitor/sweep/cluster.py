"""Points of a sweep on a cluster, through Dask (dask.distributed, the extra `cluster`).

The scheduler holds each guest once, as the result of a task, so that it comes back where a worker
that had it is lost. The workers need this package, of the same version, and nothing else: a guest
carries its files.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

from monitor.bench.model import Model
from monitor.sweep.backend import Rows, Task
from monitor.sweep.grid import Point
from monitor.sweep.guests import Guest
from monitor.sweep.identity import program
from monitor.sweep.task import DIED, Job, Row, failed, run_point
from monitor.vmm.errors import UserError

CONNECT_SECONDS = 30.0


class OtherProgramError(Exception):
    """A worker has another version of this package."""


def keep(guest: Guest) -> Guest:
    """A guest as a task's result."""
    return guest


def run_there(
    guest: Guest, point: Point, models: Sequence[Model], timed: bool, wanted: str
) -> Row:
    """A point, on a worker."""
    if program() != wanted:
        raise OtherProgramError
    return run_point(guest, point, models, timed)


class DaskBackend:
    """The cluster whose scheduler is at this address. Raises UserError."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise UserError("a sweep on a cluster needs Dask: pip install "
                            "'virtual-platform[cluster]'") from error  # fmt: skip
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # we say it in a line
        self._dask = distributed
        self._address = address
        self.running = 0
        try:
            self._client = distributed.Client(address, timeout=CONNECT_SECONDS,
                                              set_as_default=False)  # fmt: skip
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f"no Dask scheduler at {address}: {_first_line(error)}") from error

    def run(self, job: Job, tasks: Sequence[Task]) -> Rows:
        futures: dict[Any, int] = {}
        try:
            guests = {point.guest for _, point in tasks}
            kept = {name: self._submit(keep, job.guests[name]) for name in guests}
            for number, point in tasks:
                future = self._submit(run_there, kept[point.guest], point, job.models, job.time,
                                      program())  # fmt: skip
                futures[future] = number
            self.running = len(futures)
            for future in self._dask.as_completed(list(futures), loop=self._client.loop):
                row = self._row(future)
                self.running -= 1
                yield futures.pop(future), row
        finally:
            self.running = 0
            self._leave(list(futures))

    def _submit(self, function: Any, *arguments: Any) -> Any:
        return self._client.submit(function, *arguments, pure=False)

    def _row(self, future: Any) -> Row:
        try:
            row: Row = future.result()
        except (self._dask.KilledWorker, MemoryError) as error:
            return failed(DIED, f"{type(error).__name__}: {_first_line(error)}")
        except OtherProgramError:
            raise UserError("a worker of the cluster has another version of this program: install "
                            "the same one everywhere") from None  # fmt: skip
        except (CancelledError, OSError, TimeoutError) as error:
            raise UserError(f"the cluster at {self._address} is gone ({_first_line(error)}); the "
                            "same command goes on when it is back") from error  # fmt: skip
        return row

    def _leave(self, futures: Sequence[Any]) -> None:
        """What still runs there is not wanted any more."""
        if futures:
            self._client.cancel(futures)
        self._client.close()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

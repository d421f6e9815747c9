"""A limit on each test that counts processor time: what hangs is ended, what waits its turn is not.

The `timeout` of pytest-timeout (pyproject.toml, `--timeout`, `@pytest.mark.timeout`) is the seconds
of processor time that a test may use, with its fixtures and the processes that it starts. By the
clock it has WALL times as long, for a test that sleeps for ever.

One alarm (SIGALRM) rings at the earliest moment at which the time could be up with all processors
at work, looks, and is set again if it is not: most tests never notice. Where Python cannot be
interrupted, in a loop of compiled code, the kernel ends the process at HARD times the limit
(RLIMIT_CPU), and faulthandler writes where that was; a run on several workers names the test
and goes on with a new one.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import threading
import time
from types import FrameType
from typing import Any

import psutil
import pytest

WALL = 10
HARD = 2
LOOKS = 50  # at most so many in one limit's time


class Watch:
    """Over one test, from its first fixture to its last."""

    def __init__(self, name: str, limit: float, *, debugging: Any = lambda: False) -> None:
        self.name = name
        self.limit = limit
        self._debugging = debugging
        self._began = time.monotonic()
        self._began_at = time.time()
        self._used_before = _own_time()
        self._old_limit = resource.getrlimit(resource.RLIMIT_CPU)
        self._old_handler = signal.signal(signal.SIGALRM, self._ring)
        self._set_alarm(limit)
        self._set_hard_limit()

    def used(self) -> float:
        """Seconds of processor time: this process, and those that were started since."""
        return _own_time() - self._used_before + _time_of_the_living(self._began_at)

    def passed(self) -> float:
        return time.monotonic() - self._began

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._old_handler)
        resource.setrlimit(resource.RLIMIT_CPU, self._old_limit)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        __tracebackhide__ = True
        used, passed = self.used(), self.passed()
        left = min(self.limit - used, WALL * self.limit - passed)
        if left > 0 or self._debugging():
            self._set_alarm(left)
            return
        what = (f"{used:.0f} s of processor time" if used >= self.limit
                else f"{passed:.0f} s, most of them idle")  # fmt: skip
        pytest.fail(f"{self.name} has used {what}, and is ended as one that hangs: it has "
                    f"{self.limit:g} s of processor time and {WALL} times that by the clock "
                    "(tests/time_limit.py)")  # fmt: skip

    def _set_alarm(self, left: float) -> None:
        soonest = left / (os.cpu_count() or 1)
        signal.setitimer(signal.ITIMER_REAL, max(self.limit / LOOKS, soonest))

    def _set_hard_limit(self) -> None:
        """The soft limit alone: what a test starts may set its own. A process starts at 0 again."""
        here = resource.getrusage(resource.RUSAGE_SELF)
        last = int(here.ru_utime + here.ru_stime + HARD * self.limit) + 1
        _, most = self._old_limit
        if most == resource.RLIM_INFINITY or last < most:
            resource.setrlimit(resource.RLIMIT_CPU, (last, most))


def _own_time() -> float:
    """Of this process, and of its children that have ended and been waited for."""
    user, system, children_user, children_system, _ = os.times()
    return user + system + children_user + children_system


def _time_of_the_living(since: float) -> float:
    """Of descendants. One that is older than the test is a wider fixture's: only the clock's."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if process.create_time() >= since - 1:
                total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue  # it has just ended
    return total


# --- what pytest and pytest-timeout call ----------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Where a process is ended in the midst of compiled code, say where: on the true stderr."""
    stderr = os.fdopen(os.dup(2), "w")
    config.add_cleanup(stderr.close)
    faulthandler.register(signal.SIGXCPU, file=stderr, all_threads=True, chain=True)
    config.add_cleanup(lambda: faulthandler.unregister(signal.SIGXCPU))


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Instead of pytest-timeout's own timer, which counts what others do too."""
    if threading.current_thread() is not threading.main_thread():
        return None
    from pytest_timeout import is_debugging

    watch = Watch(item.nodeid, settings.timeout, debugging=is_debugging)
    item.cancel_timeout = watch.end  # type: ignore[attr-defined]
    return True

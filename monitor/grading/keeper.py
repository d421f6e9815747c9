"""The keeper: a process that forks the worker, waits for it, and lets nothing outlive it.

    python -m monitor.grading.keeper < plan.json

It ends the worker with SIGKILL, which cannot be ignored, when the time is over. Processes whose
parent is gone become the keeper's (PR_SET_CHILD_SUBREAPER), however they detached themselves, so
it can end them too. If the grader dies, the kernel ends the keeper, and with it the worker.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from itertools import pairwise
from pathlib import Path

from monitor.grading import linux, memory_use
from monitor.grading.limits import LOOKS, MIB, Limits
from monitor.grading.plan import Ending, GradingPlan
from monitor.grading.worker import work

ROUNDS = 1000  # of killing what was left behind


def main() -> int:
    plan = GradingPlan.from_json(sys.stdin.read())
    linux.die_with_parent(plan.parent)
    os.chdir(Path(plan.file).parent)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # so that it can be waited for
    worker = _fork(plan)
    os.close(plan.report)
    ending = _wait(worker, plan)
    os.write(plan.ending, ending.to_json().encode())
    return 0


def _fork(plan: GradingPlan) -> int:
    keeper = os.getpid()
    worker = os.fork()
    if worker == 0:
        status = 255
        try:
            linux.die_with_parent(keeper)
            memory_use.first_to_go()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _keep_only(0, 1, 2, plan.report)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            status = work(plan)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)  # nothing of the submission's runs at an exit of Python's
    return worker


def _keep_only(*descriptors: int) -> None:
    """The ending's descriptor above all: the submission could write its own."""
    edges = [-1, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]
    for low, high in pairwise(edges):
        if low + 1 < high:  # an empty range that begins at 0 would close every descriptor
            os.closerange(low + 1, high)


def _wait(worker: int, plan: GradingPlan) -> Ending:
    begin = time.monotonic()
    ended_for = ""
    while True:
        done, status, usage = os.wait4(worker, os.WNOHANG)
        if done:
            break
        ended_for = _over_limit(worker, plan.limits, begin)
        if ended_for:
            os.kill(worker, signal.SIGKILL)
            _done, status, usage = os.wait4(worker, 0)
            break
        signal.sigtimedwait({signal.SIGCHLD}, 1 / LOOKS)
    return Ending(
        status=os.waitstatus_to_exitcode(status),
        ended_for=ended_for,
        cpu=round(usage.ru_utime + usage.ru_stime, 3),
        wall=round(time.monotonic() - begin, 3),
        peak=usage.ru_maxrss >> 10,
        strays=_end_strays(),
    )


def _over_limit(worker: int, limits: Limits, begin: float) -> str:
    """Which limit it is over, if any."""
    if time.monotonic() - begin >= limits.wall:
        return "wall"
    return "memory" if memory_use.of(worker) > limits.memory * MIB else ""


def _end_strays() -> int:
    """End and bury every descendant; how many there were."""
    ended: set[int] = set()
    for _ in range(ROUNDS):
        for process in _children():
            os.kill(process, signal.SIGKILL)
            ended.add(process)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    return len(ended)


def _children() -> list[int]:
    """By the parent in /proc/PID/stat, the second field behind the name in brackets."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = place.read_text(errors="replace").rpartition(")")[2].split()[1]
        except OSError:
            continue  # gone in the meantime
        if int(parent) == os.getpid():
            found.append(int(place.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(main())

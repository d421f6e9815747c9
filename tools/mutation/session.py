"""A pytest session that runs its tests again and again, each time in a child with one mutant.

First all tests run once, watched: which lines of the files does each reach, and how long does it
take? Then for every mutant a child is forked, gets the mutated function, and runs only the tests
that reach the mutated lines: those first that have caught most mutants of that function, then one
of each kind, the quickest first. A child ends at the first test that fails. What is decided while
modules are imported needs a child that has imported nothing yet: `anew`.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import pytest

from tools.mutation.mutants import MODULE, ROOT, Mutant, mutated, read
from tools.mutation.patching import Importer, exchange, forget_results

PATIENCE = 4.0  # seconds of tests that one mutant is worth, watched
PATIENCE_OF_A_SAMPLE = 20.0  # there are fewer of them, and the tests take longer uncompiled
SECONDS_MORE = 3  # CPU seconds that a child may take beyond what its tests took without it
MEMORY = 6 << 30  # bytes of address space that a child may take beyond what it got
SURVIVED, CAUGHT = 0, 3  # a child's status
OPTIONS = ("-s", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout=0",
           "-p", "no:faulthandler", "-p", "no:terminal", "-p", "no:warnings")  # fmt: skip


@dataclass
class Result:
    mutant: Mutant
    caught: bool
    by: str  # the test that failed, or how the child ended
    seconds: float


Place = tuple[str, int]  # file, line


@dataclass
class Session:
    """What happens to the mutants of some files; a plugin of pytest."""

    mutants: list[Mutant]
    report: Callable[[Result], None]
    by_line: bool = True  # note the lines that a test reaches; else the functions: less to watch
    patience: float = PATIENCE  # seconds of tests
    later: list[Mutant] = field(default_factory=list)  # to be imported
    failing: list[str] = field(default_factory=list)  # tests that fail without a mutant
    _items: list[pytest.Item] = field(default_factory=list)
    _reached: dict[str, set[Place]] = field(default_factory=dict)
    _took: dict[str, float] = field(default_factory=dict)
    _imported: set[Place] = field(default_factory=set)  # lines that run while all is imported
    _kills: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def run(self, tests: Iterable[str]) -> None:
        self._sources = {file: read(file) for file in {mutant.file for mutant in self.mutants}}
        self._watch(self._imported)
        status = pytest.main([*OPTIONS, *tests], plugins=[self])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise SystemExit(f"the tests cannot be collected: pytest says {status!r}")

    # --- pytest's hooks -------------------------------------------------------------------

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._unwatch()
        if session.testsfailed:
            raise session.Failed("a test file cannot be imported; try it with pytest alone")
        self._items = session.items
        for item in session.items:
            self._first_run(item)
        for mutant in self.mutants:
            if not compiles(mutated(mutant, self._sources[mutant.file])):
                continue  # a `continue` in place of a `try`'s only statement, and such
            if self._by_import(mutant):
                self.later.append(mutant)
                continue
            result = self._try(mutant)
            if result.by == ANEW:
                self.later.append(mutant)
            else:
                self.report(result)
        return True

    def _first_run(self, item: pytest.Item) -> None:
        """Which lines does a test reach, and how long does it take, watched?"""
        failed = item.session.testsfailed
        for file in self._sources:
            forget_results(file)  # else only the first test reaches what computes them
        begun = time.process_time()
        self._watch(self._reached.setdefault(item.nodeid, set()))
        _protocol(item)
        self._unwatch()
        self._took[item.nodeid] = time.process_time() - begun
        if len(self._took) % 16 == 0:
            gc.collect()  # a machine that is gone holds gigabytes of address space until then
        if item.session.testsfailed > failed:
            self.failing.append(item.nodeid)
            item.session.testsfailed = failed
            self._reached[item.nodeid] = set()

    # --- which lines run --------------------------------------------------------------------

    def _watch(self, lines: set[Place]) -> None:
        def everywhere(frame: FrameType, event: str, argument: Any) -> Any:
            return watchers.get(frame.f_code.co_filename)

        def calls(frame: FrameType, event: str, argument: Any) -> None:
            code = frame.f_code
            file = files.get(code.co_filename)
            if file is not None and code not in seen:
                seen.add(code)
                lines.update((file, line) for _, _, line in code.co_lines() if line is not None)

        def watcher(file: str) -> Callable[[FrameType, str, Any], Any]:
            def in_file(frame: FrameType, event: str, argument: Any) -> Any:
                lines.add((file, frame.f_lineno))
                return in_file

            return in_file

        files = {str(ROOT / file): file for file in self._sources}
        watchers = {path: watcher(file) for path, file in files.items()}
        seen: set[CodeType] = set()
        trace = everywhere if self.by_line else calls
        sys.settrace(trace)
        threading.settrace(trace)

    def _unwatch(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _by_import(self, mutant: Mutant) -> bool:
        """Does the mutated code run while modules are imported?"""
        return mutant.function == MODULE or bool(_places(mutant) & self._imported)

    # --- one mutant ----------------------------------------------------------------------------

    def _try(self, mutant: Mutant) -> Result:
        tests = self._choose(mutant)
        if not tests:
            return Result(mutant, False, "no test reaches it", 0.0)
        source = mutated(mutant, self._sources[mutant.file])
        limit = sum(self._took[item.nodeid] for item in tests)

        def child() -> str | None:
            if not exchange(mutant.file, mutant.function, source):
                return ANEW
            return _first_failure(tests)

        result = in_a_child(mutant, child, limit)
        if result.caught:
            self._killers(mutant)[result.by] += 1
        return result

    def _killers(self, mutant: Mutant) -> Counter[str]:
        return self._kills.setdefault((mutant.file, mutant.function), Counter())

    def _choose(self, mutant: Mutant) -> list[pytest.Item]:
        """The tests that reach it, in order, as many as patience is good for."""
        kills, places = self._killers(mutant), _places(mutant)
        tests = [item for item in self._items if self._reached[item.nodeid] & places]
        tests.sort(key=lambda item: self._took[item.nodeid])
        rank = _ranks(tests)
        tests.sort(key=lambda item: (-kills[item.nodeid], rank[item.nodeid]))
        total = 0.0
        for index, item in enumerate(tests):
            total += self._took[item.nodeid]
            if total > self.patience and index:
                return tests[:index]
        return tests


def compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _places(mutant: Mutant) -> set[Place]:
    return {(mutant.file, line) for line in mutant.lines}


def _ranks(tests: list[pytest.Item]) -> dict[str, int]:
    """Which of its kind, of the same function with other parameters, a test is."""
    seen: Counter[str] = Counter()
    ranks = {}
    for item in tests:
        kind = item.nodeid.partition("[")[0]
        ranks[item.nodeid] = seen[kind]
        seen[kind] += 1
    return ranks


ANEW = "needs to be imported"


def anew(mutant: Mutant, tests: list[str]) -> Result:
    """A mutant that is imported, in a child of a process that has not imported the project."""

    def child() -> str | None:
        Importer(mutant.file, mutated(mutant, read(mutant.file))).install()
        plugin = FirstFailure()
        status = pytest.main([*OPTIONS, "-x", *tests], plugins=[plugin])
        return plugin.failed or (None if status == pytest.ExitCode.OK else f"pytest: {status!r}")

    return in_a_child(mutant, child, 3 * PATIENCE)


class FirstFailure:
    failed: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


def _protocol(item: pytest.Item) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def _first_failure(tests: list[pytest.Item]) -> str | None:
    for item in tests:
        failed = item.session.testsfailed
        _protocol(item)
        if item.session.testsfailed > failed:
            return item.nodeid
    return None


def in_a_child(mutant: Mutant, work: Callable[[], str | None], limit: float) -> Result:
    """Do the work in a fork: it says which test failed. Whatever else ends the child, caught too.

    `limit`: seconds that the work takes where nothing is wrong.
    """
    begun = time.perf_counter()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _be_a_child(work, writer, limit)
    os.close(writer)
    status = _wait(pid, 30 * (limit + SECONDS_MORE))
    with os.fdopen(reader, errors="replace") as pipe:
        failed = pipe.read()
    seconds = round(time.perf_counter() - begun, 3)
    if failed == ANEW:
        return Result(mutant, False, ANEW, seconds)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Result(mutant, True, f"ended by {name}", seconds)
    ended = os.WEXITSTATUS(status)
    caught = ended != SURVIVED
    return Result(mutant, caught, failed or (f"status {ended}" if caught else ""), seconds)


def _be_a_child(work: Callable[[], str | None], writer: int, limit: float) -> None:
    status = CAUGHT
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        seconds = int(limit) + SECONDS_MORE
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        memory = _data_in_use() + MEMORY
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        failed = work()
        os.write(writer, (failed or "").encode())
        status = SURVIVED if failed is None or failed == ANEW else CAUGHT
    except BaseException as error:
        os.write(writer, f"{type(error).__name__} outside of any test".encode())
    finally:
        os._exit(status)


def _data_in_use() -> int:
    """Bytes that count against RLIMIT_DATA."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))


def _wait(pid: int, seconds: float) -> int:
    """Wait for a child; kill it where it only sleeps."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1]
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)

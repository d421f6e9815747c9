"""For all tests: a limit on each, the long ones first, and how long it took.

Tests marked `slow` are left out where the interpreter is uncompiled.
"""

from __future__ import annotations

import gc
import os
import signal
import time

import pytest
from time_limit import pytest_configure, pytest_timeout_set_timer  # noqa: F401  (they are hooks)

from bt.engine import BUILD

TOO_LONG = "too long for the uncompiled interpreter: install gcc and Python's headers, `make build`"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    # A long test at the end leaves the other workers idle. Files stay together: tests share boots.
    files = {item.path for item in slow}
    items.sort(key=lambda item: item.path not in files)
    if BUILD == "compiled":
        return
    for item in slow:
        item.add_marker(pytest.mark.skip(reason=TOO_LONG))


# Tests shall not depend on the width of somebody's terminal; xdist tells its workers.
os.environ.pop("COLUMNS", None)

# A shell's background job ignores Ctrl-C, one under nohup SIGHUP; and so would what tests start and
# then interrupt.
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


# Ten thousand tests are half a million objects that stay: a collector that looks at them again and
# again takes a third of the time in which they are made, and a part of each test's after that.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


BEGUN = pytest.StashKey[float]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[BEGUN] = time.monotonic()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    minutes = (time.monotonic() - config.stash.get(BEGUN, time.monotonic())) / 60
    terminalreporter.write_line(f"It took {minutes:.1f} minutes on the {BUILD} interpreter.")

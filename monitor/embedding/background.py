"""A machine that runs while its program does something else: `start`, `stop`, `wait`.

    machine.start()
    machine.type("dir\\n")          from any thread
    machine.stop()
    outcome = machine.wait()

A machine belongs to one thread, and this is another one than the program's: until wait() has said
how the run ended only what may be called from any thread may be called.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

Run = Callable[[], Outcome]
GOODBYE = 5.0  # seconds for a machine to stop at the program's end


class Background:
    """One machine's run on a thread of its own, if there is one."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._thread: threading.Thread | None = None
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        #: Called, in the machine's thread, when the run has ended.
        self.on_end: list[Callable[[], None]] = []

    @property
    def running(self) -> bool:
        """Is it on its way?"""
        return self._thread is not None and self._thread.is_alive()

    def check(self) -> None:
        """UserError: it runs in another thread than this one."""
        if self.running and threading.current_thread() is not self._thread:
            raise UserError("the machine runs in the background: stop() and wait() come first")

    def start(self, run: Run) -> None:
        """Begin. UserError: it has begun already."""
        if self.running:
            raise UserError("the machine runs in the background already")
        self._outcome, self._error = None, None
        self._thread = threading.Thread(target=self._run, args=(run,), name="machine", daemon=True)
        atexit.register(self._leave)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """How it ended; None: it has not, after so many seconds. Raises what the run raised."""
        if self._thread is None:
            raise UserError("the machine does not run in the background: start() comes first")
        self._thread.join(timeout)
        if self.running:
            return None
        if self._error is not None:
            raise self._error
        return self._outcome

    def _run(self, run: Run) -> None:
        try:
            self._outcome = run()
        except BaseException as error:  # it is raised by wait()
            self._error = error
        finally:
            atexit.unregister(self._leave)
            for tell in tuple(self.on_end):
                tell()

    def _leave(self) -> None:
        """The program ends: no thread may be amid guest code then."""
        self._stop()
        if self._thread is not None:
            self._thread.join(GOODBYE)

"""Ctrl-C while `vp` is this process: no traceback, exit status 130, whenever it comes.

Until the verb runs, and when it is over, there is nothing to clean up, and the process ends at
once. While it runs SIGINT is a KeyboardInterrupt, so that terminals are restored and drafts removed
on its way out. One that is raised where Python cannot pass it on (a finalizer, a callback of the
import system) would be printed and forgotten, so it is sent again. And it waits for an import to
end, since modules have been seen to catch whatever is raised while they look for another one.

Imports nothing that takes time (`_signal` and `_thread` are built into Python): between the start
of the process and this module a Ctrl-C is a traceback of the import system's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import os
import sys
import time

TYPE_CHECKING = False  # typing would be the slowest import of all these
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from typing_extensions import Self

STATUS = 130
MOMENT = 0.01  # seconds
LONGEST = 300  # moments


class Interrupts:
    """A context manager. SIGINT that our parent ignores (a job in the background) stays ignored."""

    def __init__(self) -> None:
        self.seen = False
        self._raise = False
        self._held = 0  # moments that it has waited for an import
        self._unraisable = sys.unraisablehook

    def __enter__(self) -> Self:
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, self._interrupted)
            sys.unraisablehook = self._could_not_be_raised
        return self

    def raise_from_now_on(self) -> None:
        """There may be something to clean up."""
        self._raise = True

    def __exit__(self, *_exception: object) -> None:
        self._raise = False

    def _interrupted(self, _number: int, frame: FrameType | None) -> None:
        if not self._raise:
            os._exit(STATUS)
        self.seen = True
        if _importing(frame) and self._held < LONGEST:
            self._held += 1
            _thread.start_new_thread(self._send_again, ())
            return
        raise KeyboardInterrupt

    def _send_again(self) -> None:
        """From another thread, a moment later: here it would be raised in the hook."""
        time.sleep(MOMENT)
        _thread.interrupt_main()

    def _could_not_be_raised(self, lost: Any) -> None:
        """Once interrupted, finalizers complain of objects that were never finished."""
        if lost.exc_type is KeyboardInterrupt:
            _thread.start_new_thread(self._send_again, ())
        elif not self.seen:
            self._unraisable(lost)


def _importing(frame: FrameType | None) -> bool:
    """Is a module being imported?"""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False

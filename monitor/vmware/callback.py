"""Calling user code from inside a machine: what raises or takes too long ends the machine.

A function runs in a thread of its own, since no other way stops waiting for it. When its time is
up it is left behind: it may run on, but nobody waits for it any more, not even the interpreter when
it ends.

    caller = Caller(seconds=10)
    caller.call(function, argument)      # its result; CallbackFailed if it raised or was slow
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from monitor.vmm.errors import CallbackFailed

LIMIT = 10.0  # seconds

Result = TypeVar("Result")


class Caller:
    """One thread that calls, again and again, so that a call costs two switches of threads."""

    def __init__(self, seconds: float | None = LIMIT) -> None:
        """`seconds`: the limit; None calls directly, and waits for ever."""
        self.seconds = seconds
        self._thread: threading.Thread | None = None
        self._requests: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] | None = None
        self._answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def call(self, function: Callable[..., Result], *args: Any) -> Result:
        """What the function returns. A function may lead to another call: that has no limit of
        its own, since the first one's holds for both."""
        name = getattr(function, "__qualname__", repr(function))
        if self.seconds is None or self._thread is threading.current_thread():
            value, error = _result(function, args)
        else:
            value, error = self._ask(name, function, args)
        if isinstance(error, Exception):
            raise CallbackFailed(f"{name} raised {type(error).__name__}: {error}") from error
        if error is not None:
            raise error  # Ctrl-C and its like
        result: Result = value
        return result

    def _ask(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Any, BaseException | None]:
        if self._requests is None:
            self._requests = queue.SimpleQueue()
            self._answers = queue.SimpleQueue()
            self._thread = threading.Thread(
                target=_serve, args=(self._requests, self._answers), daemon=True, name="callback"
            )
            self._thread.start()
        self._requests.put((function, args))
        try:
            return self._answers.get(timeout=self.seconds)
        except queue.Empty:
            self._requests = None  # and the thread with it
            raise CallbackFailed(f"{name} did not return within {self.seconds:g} seconds") from None
        except BaseException:
            self._requests = None  # Ctrl-C: its answer must not be taken for the next one's
            raise

    def close(self) -> None:
        """Let the thread end."""
        if self._requests is not None:
            self._requests.put((_leave, ()))
            self._requests = None

    def __del__(self) -> None:
        self.close()


def call_user(function: Callable[..., Result], *args: Any, seconds: float = LIMIT) -> Result:
    """One call with a thread of its own."""
    caller = Caller(seconds)
    try:
        return caller.call(function, *args)
    finally:
        caller.close()


class _Leave(BaseException):
    """Ends the thread."""


def _leave() -> None:
    raise _Leave


def _result(
    function: Callable[..., Any], args: tuple[Any, ...]
) -> tuple[Any, BaseException | None]:
    try:
        return function(*args), None
    except BaseException as error:
        return None, error


def _serve(
    requests: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]],
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]],
) -> None:
    while True:
        function, args = requests.get()
        result = _result(function, args)
        if isinstance(result[1], _Leave):
            return
        answers.put(result)
        del function, args, result  # keep nothing of the user's alive while waiting

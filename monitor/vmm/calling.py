"""Calling an extension: whatever it raises ends the machine, with the file and line that did it.

    answer = call(fill, fault, guest, shadow)

    lab4.py:31, in fill: ZeroDivisionError: division by zero
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from monitor.vmm.errors import CallbackFailed

Result = TypeVar("Result")


class ExtensionFailed(CallbackFailed):
    """An extension raised, or answered with nonsense: `str()` says which, where and what."""


def call(function: Callable[..., Result], *args: Any) -> Result:
    """What the function returns; ExtensionFailed in place of any other exception."""
    try:
        return function(*args)
    except ExtensionFailed as failure:
        raise ExtensionFailed(f"{place_of(failure.__traceback__, function)}: {failure}") from None
    except NotImplementedError as error:
        said = f" ({error})" if str(error) else ""
        where = place_of(error.__traceback__, function)
        raise ExtensionFailed(f"{where}: not written yet{said}") from error
    except Exception as error:
        where = place_of(error.__traceback__, function)
        said = f": {error}" if str(error) else ""
        raise ExtensionFailed(f"{where}: {type(error).__name__}{said}") from error


def nonsense(function: Callable[..., Any], why: str) -> NoReturn:
    """The function's answer cannot be used."""
    raise ExtensionFailed(f"{_definition(function)}: {why}")


def place_of(trace: TracebackType | None, function: Callable[..., Any]) -> str:
    """The innermost line of the extension's own file that was running."""
    code = getattr(function, "__code__", None)
    if code is None:
        return _definition(function)
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if frame.filename == code.co_filename]
    if not own:  # it was called with the wrong number of arguments, say
        return _definition(function)
    return f"{os.path.basename(own[-1].filename)}:{own[-1].lineno}, in {own[-1].name}"


def _definition(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", repr(function))
    code = getattr(function, "__code__", None)
    if code is None:
        return name
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}, {name}"

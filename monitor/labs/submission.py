"""A student's file: imported under a name of its own, and blamed by file and line.

Nothing here protects anybody from what the file does: it runs in this process. For strangers' work
there is monitor/grading/, which runs the check in a process with limits.
"""

from __future__ import annotations

import sys
import traceback
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from monitor.vmm.errors import UserError


class Refused(Exception):
    """The submission cannot be used, or ended its machine: `str()` says why and where."""


class TimeIsUp(BaseException):
    """A test takes too long. Not an Exception, so that a submission that catches those does not
    catch it."""


class Submission:
    """The module that a file was imported as."""

    def __init__(self, path: Path, module: ModuleType) -> None:
        self.path = path
        self.module = module

    def part(self, name: str) -> Any:
        """A function, class or table of the file, by its name."""
        try:
            return getattr(self.module, name)
        except AttributeError:
            message = f"{self.path.name} has no {name}: keep the skeleton's names"
            raise Refused(message) from None


def check_readable(path: Path) -> None:
    """UserError if there is no file that can be read."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; `vp lab start N` writes a skeleton")
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path}: cannot read it ({(error.strerror or '').lower()})") from None


def load(path: Path) -> Submission:
    """Import the file, whatever its name ends in. Raises what it raises."""
    name = f"submission_{path.stem}"
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module  # dataclasses and pickle look a class's module up
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = keep
        sys.modules.pop(name, None)
    return Submission(path, module)


def describe(error: BaseException, path: Path) -> str:
    """An exception in a line, blamed on the student's innermost line if one was running.

    >>> describe(NotImplementedError(), Path("lab3.py"))
    'the monitor stopped with NotImplementedError'
    """
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path.name}:{error.lineno}: SyntaxError: {error.msg}"
    where = blame(error.__traceback__, path)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if where is None:
        return str(error) if isinstance(error, TimeIsUp) else f"the monitor stopped with {text}"
    if isinstance(error, NotImplementedError):
        return f"{where}: not written yet" + (f" ({error})" if str(error) else "")
    if isinstance(error, ModuleNotFoundError):
        text += "; a submission is one file: what lies beside it is not there when it is checked"
    return f"{where}: {text}"


def blame(trace: TracebackType | None, path: Path) -> str | None:
    """File, line and function of the innermost frame of `path`; None if it has none."""
    found = [frame for frame in traceback.extract_tb(trace) if frame.filename == str(path)]
    if not found:
        return None
    return f"{path.name}:{found[-1].lineno}, in {found[-1].name}"

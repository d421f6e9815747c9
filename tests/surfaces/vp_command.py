"""What a `vp` command left behind, and `vp` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import fake_machine

import monitor

FAKE_VP = [sys.executable, fake_machine.__file__]
REAL_VP = [sys.executable, "-m", "monitor"]


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


def last_machine() -> fake_machine.FakeMachine:
    """The machine that the last command made."""
    return fake_machine.FakeMachine.made[-1]


def spawn(
    *arguments: object,
    shell_program: str = "",
    real: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
    **options: object,
) -> subprocess.Popen[bytes]:
    """`vp` with the fake machine (or a `real` one), as a process of its own.

    Or as a child of a Python program.
    """
    root = Path(monitor.__file__).parent.parent
    own = {"PYTHONPATH": str(root), "TERM": "xterm", "PYTHON_COLORS": "0", **environment}
    shell = [sys.executable, "-c", shell_program] if shell_program else []
    command = [*shell, *(REAL_VP if real else FAKE_VP), *map(str, arguments)]
    return subprocess.Popen(command, env={**os.environ, **own}, **options)  # type: ignore[call-overload,no-any-return]

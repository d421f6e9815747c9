"""What the tests of sweeps share: small specs, and `vp sweep` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from patience import PATIENCE

import monitor

ROOT = Path(monitor.__file__).parent.parent
SPIN = bytes.fromhex("eb fe")  # jmp to itself
SMALL = """
[grid]
mode = ["bare", "translate"]
without = ["", "chaining"]
repetitions = 2

[[guest]]
bench = "nano"
only = ["callret", "flags"]
rounds = 20
"""
SMALL_ROWS = 3 * 3 * 2  # two operations and the empty loop, in three setups


def spec(folder: Path, text: str = SMALL, name: str = "spec.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def spinning(folder: Path, more: str) -> Path:
    """The spec of a guest that never ends by itself."""
    (folder / "spin.bin").write_bytes(SPIN)
    return spec(folder, f'[[guest]]\nflat = "spin.bin@0x100000"\nmemory = 2\n{more}')


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """`vp sweep ARGUMENTS`, the leader of a process group with its workers."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "monitor", "sweep", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, start_new_session=True, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]  # fmt: skip


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)

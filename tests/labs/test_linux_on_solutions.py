"""Debian's Linux on the stubs, the page walk and the chaining of the solutions, all at once.

The best judge of the labs is a guest that nobody wrote for them. It must not notice: the same
console and the same number of instructions as bare, to the prompt of its shell.
"""

from __future__ import annotations

from typing import Any

import pytest
from patience import PATIENCE

from monitor import Machine
from monitor.extensions import Extensions
from monitor.guests.linux import INITRD, KERNEL, MEMORY_MB, PROMPT, QUICK, missing
from monitor.labs import FOLDER
from monitor.labs.submission import load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.guest,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


def solution(number: int, name: str) -> Any:
    return load(FOLDER / "solutions" / f"lab{number}.py").part(name)


def boot(mode: str, extensions: Extensions | None = None) -> Machine:
    machine = Machine(memory_mb=MEMORY_MB, mode=mode, extensions=extensions)
    machine.load_linux(KERNEL, INITRD, QUICK)
    assert machine.run(until=PROMPT, timeout=PATIENCE).kind == "until"
    return machine


def test_linux_does_not_notice() -> None:
    plugged = boot("translate", Extensions(
        stubs=solution(3, "STUBS"), fill=solution(4, "fill"),
        table_written=solution(4, "table_written"), chaining=solution(5, "Chaining"),
    ))  # fmt: skip
    bare = boot("bare")
    assert plugged.console == bare.console
    assert plugged.instructions == bare.instructions
    exits = plugged.statistics()["exits"]
    assert exits["chain"] < exits["emulate"], "branches are linked"

"""Debian's kernel under gdb: a breakpoint in start_kernel, found without symbols.

The kernel's boot path leads there: when it prints its version, the outermost CALL on its stack is
that of start_kernel. The kernel has put itself at a random address; under the instruction clock it
is the same one every time, in every mode.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from gdb_session import debug_machine, needs_gdb

from monitor import Machine
from monitor.errors import UserError

GUESTS = Path(__file__).parents[2] / "guests"
KERNEL = GUESTS / "vmlinuz"
CMDLINE = "console=ttyS0,115200 noapic nolapic nosmp acpi=off earlyprintk=serial,ttyS0,115200"
VERSION = "Linux version"
STACK = 8192  # bytes of a kernel stack, aligned to as much
KERNEL_SPACE = 0xC0000000
CALL = b"\xe8"

pytestmark = [
    needs_gdb,
    pytest.mark.slow,
    pytest.mark.guest,
    pytest.mark.skipif(not KERNEL.exists(), reason="no guests/vmlinuz: make guests"),
]


def linux(mode: str) -> Machine:
    machine = Machine(memory_mb=128, mode=mode)
    machine.load_linux(KERNEL, cmdline=CMDLINE)
    return machine


def callees(machine: Machine) -> list[int]:
    """What the CALLs called whose return addresses lie on the stack, innermost first."""
    esp = machine.registers["esp"]
    words = machine.read_memory(esp, STACK - esp % STACK)
    found = []
    for at in range(0, len(words), 4):
        back = int.from_bytes(words[at : at + 4], "little")
        if back < KERNEL_SPACE:
            continue
        try:
            code = machine.read_memory(back - 5, 5)
        except UserError:
            continue
        if code[:1] == CALL:
            found.append(back + int.from_bytes(code[1:], "little") & 0xFFFFFFFF)
    return found


@cache
def version_printed() -> tuple[int, int]:
    """start_kernel, and the number of instructions until the kernel prints its version."""
    machine = linux("bare")
    assert machine.run(until=VERSION, timeout=200).kind == "until"
    return callees(machine)[-1], machine.instructions


def test_a_breakpoint_in_start_kernel() -> None:
    start_kernel, count = version_printed()
    session = debug_machine(
        linux("translate"), f"hbreak *{start_kernel}", "continue", "print/x $eip",
        "print $cr0", "info registers cs", "x/i $pc", "print/x *(int *)$esp > 0xc0000000",
        "monitor tc", "delete", "detach", until=VERSION,
    )  # fmt: skip
    session.says(f"Breakpoint 1, 0x{start_kernel:08x}", f"= {start_kernel:#x}", "PG ]", "cs 0x60",
                 f"=> {start_kernel:#x}", "guest_instructions_translated")  # fmt: skip
    assert session.outcome.kind == "until"
    assert session.machine.console.endswith(VERSION.encode()), "nothing was printed before"
    assert len(session.machine.console) < 40
    assert session.machine.instructions == count

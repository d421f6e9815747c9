"""Debian's kernel under gdb: a breakpoint in start_kernel, by its own symbols.

They are found in memory once the kernel prints its version; then the outermost CALL on its stack is
that of start_kernel, whatever the symbols say. The kernel has put itself at a random address; under
the instruction clock it is the same one every time, in every mode.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_session import debug_machine, needs_gdb
from patience import PATIENCE

from monitor import Machine
from monitor.guests.linux import INITRD, KERNEL
from monitor.symbols.elf_file import symbol_file
from monitor.vmm.errors import UserError

CMDLINE = "console=ttyS0,115200 noapic nolapic nosmp acpi=off earlyprintk=serial,ttyS0,115200"
FAST = f"{CMDLINE} cryptomgr.notests noisapnp mitigations=off"
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


def test_a_breakpoint_in_start_kernel(tmp_path: Path) -> None:
    bare = linux("bare")
    assert bare.run(until=VERSION, timeout=PATIENCE).kind == "until"
    count = bare.instructions
    symbols = bare.watch.linux_symbols()
    start_kernel = callees(bare)[-1]
    assert symbols.address("start_kernel") == start_kernel
    (tmp_path / "linux.sym").write_bytes(symbol_file(symbols))
    session = debug_machine(
        linux("translate"), "hbreak start_kernel", "continue", "print/x $eip", "backtrace",
        "print $cr0", "info registers cs", "x/i $pc", "print/x *(int *)$esp > 0xc0000000",
        "monitor tc", "delete", "detach", until=VERSION, symbols=tmp_path / "linux.sym",
    )  # fmt: skip
    session.says(f"Breakpoint 1, 0x{start_kernel:08x} in start_kernel ()", f"= {start_kernel:#x}",
                 "#0 0x", "in start_kernel ()", "#1 0x", "PG ]", "cs 0x60",
                 f"=> {start_kernel:#x} <start_kernel>",
                 "guest_instructions_translated")
    assert session.outcome.kind == "until"
    assert session.machine.console.endswith(VERSION.encode()), "nothing was printed before"
    assert len(session.machine.console) < 40
    assert session.machine.instructions == count


def test_a_system_call_by_its_name(tmp_path: Path) -> None:
    """Attached to a Linux that runs: its names, a breakpoint in write(2) as init calls it."""
    machine = Machine(memory_mb=64, mode="bare")
    machine.load_linux(KERNEL, initrd=INITRD, cmdline=FAST)
    assert machine.run(until="Run /init", timeout=PATIENCE).kind == "until"
    path = tmp_path / "linux.sym"
    session = debug_machine(
        machine, f"monitor symbols {path}", f"symbol-file {path}", "info symbol $eip",
        "break ksys_write", "continue", "backtrace", "delete", "detach", until="# ",
    )  # fmt: skip
    session.says("symbols of the guest's kernel are in", "io_serial_out + ",
                 "in ksys_write ()", "#0 0x", "in ksys_write ()", "in __ia32_sys_write ()")
    assert session.outcome.kind == "until"

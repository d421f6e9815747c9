"""The real gdb going back in time: reverse-stepi, reverse-continue, watchpoints met backwards."""

from __future__ import annotations

import re
from pathlib import Path

import debuggee
import pytest
from gdb_session import Session, debug_machine, needs_gdb
from patience import PATIENCE

from monitor import Machine
from monitor.checkpoint.rewind import Rewind
from monitor.guests.linux import INITRD, KERNEL, QUICK

modes = pytest.mark.parametrize("mode", ["bare", "translate"])
pytestmark = [needs_gdb, pytest.mark.slow]


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    assembly = debuggee.debuggee()
    size = len(assembly.image)
    return debuggee.symbol_file(tmp_path / "d.elf", assembly.symbols, debuggee.ORIGIN, size)


def debug(mode: str, symbols: Path, *commands: str) -> Session:
    machine = Machine(memory_mb=debuggee.MEMORY_MB, mode=mode)
    debuggee.load(machine)
    return debug_machine(machine, *commands, symbols=symbols, rewind=Rewind(machine))


@modes
def test_back_over_a_popf_in_translated_kernel_code(mode: str, symbols: Path) -> None:
    """Its IF is virtual there: it comes back as it was, and the other way again."""
    session = debug(
        mode, symbols, "break flag_if_after", "continue", "info registers eflags",
        "reverse-stepi", "info registers eip eflags", "reverse-stepi", "info registers eip",
        "stepi", "stepi", "info registers eip eflags", "delete", "detach",
    )  # fmt: skip
    session.says(
        "Breakpoint 1,", "eflags 0x202", "IF ]",
        "eip 0x", "<flag_popf_if>", "eflags 0x8d7",
        "eip 0x", "<flag_after+",
        "eip 0x", "<flag_if_after>", "eflags 0x202",
    )  # fmt: skip


@modes
def test_back_to_the_last_write_of_a_variable(mode: str, symbols: Path) -> None:
    session = debug(
        mode, symbols, "break put_out", "continue", "delete", "print *(int *)&calls",
        "watch *(int *)&calls", "reverse-continue", "print *(int *)&calls", "x/i $pc",
        "continue", "print *(int *)&calls", "delete", "detach",
    )  # fmt: skip
    session.says(
        "Breakpoint 1,", "= 1", "Hardware watchpoint 2", "Old value = 1", "New value = 0",
        "= 0", "<sys_write+", "inc", "Old value = 0", "New value = 1", "= 1",
    )  # fmt: skip


@modes
def test_back_to_a_breakpoint_and_to_the_beginning(mode: str, symbols: Path) -> None:
    session = debug(
        mode, symbols, "break put_out", "continue", "continue 5", "print *(int *)&calls",
        "reverse-continue", "print *(int *)&calls", "reverse-continue", "print *(int *)&calls",
        "delete", "reverse-continue", "info registers eip", "reverse-stepi",
        "break count_up", "continue", "info symbol $pc", "delete", "detach",
    )  # fmt: skip
    session.says("= 6", "Breakpoint 1,", "= 5", "Breakpoint 1,", "= 4",
                 "No more reverse-execution history", "eip 0x100000",
                 "No more reverse-execution history", "count_up + 3")  # fmt: skip
    assert session.machine.console.startswith(debuggee.LETTERS.encode())


def test_from_the_end_of_the_guest_back(symbols: Path) -> None:
    """It has ended, and is looked at; what it printed is printed once."""
    session = debug(
        "translate", symbols, "continue", "info symbol $pc", "reverse-stepi", "reverse-stepi",
        "info symbol $pc", "continue", "kill",
    )  # fmt: skip
    session.says("the guest asked to end", "leave_machine", "leave_machine")
    assert session.machine.console.startswith(debuggee.LETTERS.encode())


def test_without_rewind_gdb_says_that_it_cannot(symbols: Path) -> None:
    machine = Machine(memory_mb=debuggee.MEMORY_MB, mode="bare")
    debuggee.load(machine)
    session = debug_machine(machine, "reverse-stepi", "detach")
    session.says("does not support")


def test_a_register_changed_in_the_past(symbols: Path) -> None:
    session = debug(
        "bare", symbols, "break count_up", "continue", "break leave_machine", "continue",
        "reverse-continue", "stepi", "stepi", "stepi", "set $ecx = 3", "delete 1", "continue",
        "print *(int *)&counter", "delete", "detach",
    )  # fmt: skip
    session.says("leave_machine", "count_up", "leave_machine", "= 3")


@pytest.mark.guest
@pytest.mark.skipif(not KERNEL.exists(), reason="no guests/vmlinuz: make guests")
def test_the_last_write_of_a_variable_in_linux(tmp_path: Path) -> None:
    """jiffies at the shell's prompt, and the way there went through many moments."""
    machine = Machine(memory_mb=64, mode="translate")
    machine.load_linux(KERNEL, initrd=INITRD, cmdline=QUICK)
    rewind = Rewind(machine)
    assert machine.run(until="/ # ", timeout=PATIENCE).kind == "until"
    path = tmp_path / "linux.sym"
    jiffies = f"*(unsigned *){jiffies_of(machine):#x}"
    session = debug_machine(
        machine, f"monitor symbols {path}", f"symbol-file {path}",
        f"print $before = {jiffies}", f"watch {jiffies}",
        "reverse-continue", f"print $before - {jiffies}", "info symbol $pc",
        "reverse-continue", f"print $before - {jiffies}", "delete",
        "reverse-stepi", "kill", rewind=rewind,
    )  # fmt: skip
    session.says("Hardware watchpoint 1", "= 1", "do_timer", "Hardware watchpoint 1", "= 2")


def jiffies_of(machine: Machine) -> int:
    """Debian's kernel carries no names of data: do_timer begins with ADD [jiffies_64], EAX."""
    code = machine.read_memory(machine.watch.linux_symbols().address("do_timer"), 64)
    found = re.search(rb"\x01[\x05\x0d\x15\x1d\x35\x3d](....)", code, re.DOTALL)
    assert found is not None, code.hex()
    return int.from_bytes(found[1], "little")

"""Sessions with the real gdb: breakpoints, steps, watchpoints, registers, memory, the end.

What it does to the guest is held against the same guest undisturbed: output and count must agree.
"""

from __future__ import annotations

import signal
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest
from debuggee import DIRECTORY, MAPPED, ORIGIN, TABLE, UPPER, address, debuggee, load, symbol_file
from gdb_session import Session, debug, debug_machine, needs_gdb
from patience import PATIENCE

from monitor import Machine
from monitor.vmm.shadow import HIDDEN_BASE

pytestmark = needs_gdb
MODES = ("bare", "trap", "translate")
modes = pytest.mark.parametrize("mode", MODES)
PAGE_ENTRY = TABLE + MAPPED // 1024


@cache
def undisturbed(mode: str) -> tuple[str, int | None, bytes, int]:
    machine = Machine(memory_mb=8, mode=mode)
    load(machine)
    outcome = machine.run(timeout=PATIENCE)
    return outcome.kind, outcome.status, machine.console, machine.instructions


def lived_as_ever(session: Session) -> None:
    """The guest came to the same end as without a debugger, to the instruction."""
    machine = session.machine
    life = session.outcome.kind, session.outcome.status, machine.console, machine.instructions
    assert life == undisturbed(machine.mode), session.output


@pytest.fixture(scope="module")
def symbols(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("symbols") / "debuggee.elf"
    assembly = debuggee()
    return symbol_file(path, assembly.symbols, ORIGIN, len(assembly.image))


# --- attaching ------------------------------------------------------------------------------------


@modes
def test_attach_and_detach_leave_no_trace(mode: str) -> None:
    session = debug(mode, "info registers eip", "detach")
    session.says("eip 0x100000", "detached")
    lived_as_ever(session)


def test_attaching_to_a_guest_that_runs() -> None:
    machine = Machine(memory_mb=8, mode="translate")
    load(machine, "spin")
    again = ("shell sleep 0.3", "target remote 127.0.0.1:PORT", "print $ebx > 1000", "kill")
    session = debug_machine(machine, "detach", *again)
    session.says("detached", "$1 = 1", "killed")
    assert (session.outcome.kind, session.outcome.detail) == ("stopped", "killed by the debugger")


# --- breakpoints ----------------------------------------------------------------------------------


@modes
def test_a_backtrace_in_a_system_call(mode: str, symbols: Path) -> None:
    session = debug(
        mode, "break put_char", "continue", "bt", "info registers cs", "up", "up",
        "print/x $eip", symbols=symbols,
    )  # fmt: skip
    session.says(
        "Breakpoint 1,", "in put_char ()", "#0", "in put_char ()", "#1", "in sys_write ()", "#2",
        "in system_call ()", "#3", "in user_call ()", "cs 0x8",
    )  # fmt: skip
    lived_as_ever(session)


@modes
def test_a_hardware_breakpoint_in_ring_3(mode: str) -> None:
    session = debug(
        mode, f"hbreak *{address('user_back')}", "continue", "info registers cs", "continue 3",
        "print (char)$bl", "print/x $cs_base", "delete", "detach",
    )  # fmt: skip
    session.says("Breakpoint 1,", "cs 0x1b", "Breakpoint 1,", "' '", "= 0x0")
    lived_as_ever(session)


def test_a_breakpoint_is_nowhere_in_the_guests_memory() -> None:
    place = address("sys_write")
    session = debug(
        "translate", "set breakpoint always-inserted on", f"break *{place}",
        f"maintenance packet m{place:x},1", "continue", f"maintenance packet m{place:x},1",
    )  # fmt: skip
    session.says('received: "55"', "Breakpoint 1,", 'received: "55"')
    lived_as_ever(session)


def test_forty_breakpoints() -> None:
    places = [address("idt") + i for i in range(40)]  # where nothing runs
    session = debug("translate", *(f"break *{place}" for place in places),
                    f"tbreak *{address('timer')}", "continue", "bt 1")  # fmt: skip
    assert "Cannot insert" not in session.output
    session.says("Temporary breakpoint 41,")
    lived_as_ever(session)


@modes
def test_a_breakpoint_in_the_timers_handler(mode: str) -> None:
    session = debug(mode, f"break *{address('timer')}", "continue", "print/x $eip", "continue",
                    "continue", f"print *(int *){address('ticks')}")  # fmt: skip
    session.says(f"= {address('timer'):#x}", "$2 = 2")
    lived_as_ever(session)


def test_finishing_a_function(symbols: Path) -> None:
    session = debug("translate", "break map_page", "continue", "finish", "x/i $pc",
                    symbols=symbols)  # fmt: skip
    session.says("in map_page ()", "in reload ()", "add $0x4,%esp")
    lived_as_ever(session)


# --- steps ----------------------------------------------------------------------------------------


@modes
def test_stepping_through_popf(mode: str) -> None:
    """In translate the instruction is a stub of several; one step does it, and the flags are
    the guest's."""
    session = debug(
        mode, f"break *{address('flag_popf')}", "continue", "stepi", "print $eip", "print $eflags",
        "stepi", "print (int)$al",
    )  # fmt: skip
    session.says(f"{address('flag_after'):#x}", "[ CF PF AF ZF SF OF ]", "= 1")
    lived_as_ever(session)


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_stepping_through_popf_that_sets_if(mode: str) -> None:
    session = debug(
        mode, f"break *{address('flag_popf_if')}", "continue", "print $eflags", "stepi",
        "print $eip", "print $eflags", "print/x *(int *)($esp - 4)",
    )  # fmt: skip
    session.says("[ ", f"{address('flag_if_after'):#x}", "[ IF ]", "= 0x202")
    lived_as_ever(session)


@modes
def test_many_steps(mode: str) -> None:
    """Past the beginning of paging, and through interrupts."""
    session = debug(mode, "stepi 600", f"hbreak *{address('user')}", "continue", "stepi 300",
                    "print $cs != 0")  # fmt: skip
    session.says("$1 = 1")
    lived_as_ever(session)


# --- watchpoints ----------------------------------------------------------------------------------


@modes
def test_a_watchpoint_on_a_page_table_entry(mode: str) -> None:
    session = debug(
        mode, f"break *{address('map_page')}", "continue", f"watch *(int *){PAGE_ENTRY}",
        "continue", "print $eip", "output/x $eax", "delete",
    )  # fmt: skip
    session.says(
        "Hardware watchpoint 2", "Old value = 0", f"New value = {MAPPED + 0x100003}",
        f"{address('map_done'):#x}",
    )  # fmt: skip
    lived_as_ever(session)


@modes
def test_reads_are_watched(mode: str) -> None:
    other = address("other")
    session = debug(
        mode, f"rwatch *(int *){other}", "continue", "print/x $eip", "continue",
        "print $ecx", "delete",
    )  # fmt: skip
    after = address("count_next") + 11  # behind the INC and the MOV
    session.says("Hardware read watchpoint 1", "Value = 119", f"= {after:#x}", "Value = 119",
                 f"= {UPPER - 1}")  # fmt: skip
    lived_as_ever(session)


def test_reads_and_writes_are_watched() -> None:
    counter = address("counter")
    session = debug("translate", f"awatch *(int *){counter}", "continue", "continue", "continue",
                    "delete")  # fmt: skip
    session.says("access (read/write) watchpoint", "Value = 0", "New value = 1", "New value = 2")
    lived_as_ever(session)


@modes
def test_a_conditional_watchpoint(mode: str) -> None:
    counter = address("counter")
    session = debug(mode, f"watch *(int *){counter} if *(int *){counter} == 150", "continue",
                    "print $ecx", "delete")  # fmt: skip
    session.says("New value = 150", f"= {UPPER - 149}")
    lived_as_ever(session)


@modes
def test_a_watched_stack(mode: str) -> None:
    """A CALL's push, and what an interrupt from ring 3 stores."""
    session = debug(
        mode, f"break *{address('user')}", "continue", f"watch *(int *)({0x98000} - 20)",
        "continue", "print $cs", "print $eip", "delete",
    )  # fmt: skip
    session.says("Hardware watchpoint 2", "New value =", "= 8")
    lived_as_ever(session)


# --- registers and memory -------------------------------------------------------------------------


def test_all_the_systems_registers() -> None:
    session = debug("translate", f"break *{address('user_back')}", "continue",
                    "info registers")  # fmt: skip
    symbols = debuggee().symbols
    session.says(
        "cr0 0x80000011 [ PE ET PG ]", f"cr3 {DIRECTORY:#x}", "tr 0x28",
        f"tr_base {symbols['tss']:#x}", f"gdtr_base {symbols['gdt']:#x}", "gdtr_limit 0x2f",
        f"idtr_base {symbols['idt']:#x}", "idtr_limit 0x7ff", "cpl 0x3",
    )  # fmt: skip


@modes
def test_writing_registers(mode: str) -> None:
    session = debug(
        mode, f"break *{address('flag_work')}", "continue", "set $eax = 0x11223344",
        "set $fs = 0x23", "set $cr2 = 0x5000", "set $st0 = 2.5", "set $fctrl = 0x27f",
        "set $eflags = 0x246", "stepi", "info registers eax fs cr2 fctrl eflags", "print $st0",
        "print $fs_base", "set $eflags = 2", "set $fs = 0", "set $fctrl = 0x37f",
        "set $xmm3.v4_int32[2] = 77", "set $xmm7.uint128 = 5", "set $mxcsr = 0x1fa0", "stepi",
        "print $xmm3.v4_int32", "print $xmm7.v2_double", "print $mxcsr",
    )  # fmt: skip
    session.says("eax 0x11223344", "fs 0x23", "cr2 0x5000", "fctrl 0x27f", "[ PF ZF IF ]", "= 2.5")
    session.says("= {0, 0, 77, 0}", "= {2.4703", ", 0}", "= [ PE IM DM ZM OM UM PM ]")
    lived_as_ever(session)


def test_what_cannot_be_written() -> None:
    session = debug("translate", f"break *{address('flag_work')}", "continue", "set $tr = 0x10",
                    "print/x $tr")  # fmt: skip
    session.says("Could not write register \"tr\"")
    bad = debug("translate", f"break *{address('flag_work')}", "continue", "set $fs = 0x1000")
    bad.says("Could not write register")
    lived_as_ever(bad)


def test_another_instruction_pointer() -> None:
    session = debug("translate", f"tbreak *{address('count_up')}", "continue",
                    f"jump *{address('leave_machine')}")  # fmt: skip
    session.says("exited with code 07")
    assert session.machine.console == b"00000000"


@modes
def test_writing_data_and_code(mode: str) -> None:
    """A letter of the text, and code that has run already: DEC for INC."""
    place = address("count_next")
    session = debug(
        mode, f"set *(char *){address('text')} = 'G'", f"tbreak *{place}", "continue 1",
        f"print/x *(short *){place}", "stepi 8", f"set *(short *){place} = 0x0dff",
        f"tbreak *{address('user')}", "continue", f"print *(int *){address('counter')}",
    )  # fmt: skip
    session.says("= 0x5ff", f"= {2 - (UPPER - 2)}")
    assert session.machine.console.startswith(b"Gdb on the machine")


def test_physical_addresses() -> None:
    behind = MAPPED + 0x100000
    session = debug(
        "translate", f"break *{address('count_up')}", "continue", f"x/wx {MAPPED}",
        f"x/wx {behind}", "monitor physical on", f"x/wx {MAPPED}", f"x/wx {behind}",
        "maintenance packet Qqemu.PhyMemMode:0", f"x/wx {MAPPED}",
    )  # fmt: skip
    session.says("0x12345678", "Cannot access memory",
                 "addresses are physical", "0x00000000", "0x12345678", "0x12345678")  # fmt: skip
    lived_as_ever(session)


@modes
def test_nothing_of_the_monitors_can_be_reached(mode: str) -> None:
    session = debug(
        mode, f"x/wx {HIDDEN_BASE}", f"break *{address('user')}", "continue",
        f"x/wx {HIDDEN_BASE}", "monitor physical on", f"x/wx {8 << 20}", "x/wx 0xb8000",
    )  # fmt: skip
    assert session.output.count("Cannot access memory") == 4, session.output
    lived_as_ever(session)


# --- interrupting, ending -------------------------------------------------------------------------


@modes
def test_ctrl_c(mode: str) -> None:
    machine = Machine(memory_mb=8, mode=mode)
    load(machine, "spin")

    def press(machine: Machine, gdb: subprocess.Popen[str]) -> None:
        while machine.instructions < 100_000:
            time.sleep(0.01)
        gdb.send_signal(signal.SIGINT)

    session = debug_machine(machine, "continue", "print $ebx > 10000", "x/2i $pc - 1", "kill",
                            meanwhile=press)  # fmt: skip
    session.says("SIGINT", "$1 = 1")


def test_the_guest_ends_by_itself() -> None:
    session = debug("translate", "continue")
    session.says("exited with code 07")
    lived_as_ever(session)


def test_a_triple_fault_can_be_looked_at() -> None:
    machine = Machine(memory_mb=8, mode="translate")
    code = bytes.fromhex("b8 78 56 34 12 0f 0b")  # mov eax, 0x12345678; ud2, and no IDT
    machine.load_flat(code, ORIGIN)
    session = debug_machine(machine, "continue", "print/x $eax", "continue")
    session.says("triple fault", "SIGABRT", "= 0x12345678", "terminated with signal SIGABRT")
    assert session.outcome.kind == "shutdown"


@modes
def test_monitor_commands(mode: str) -> None:
    names = ("help", "exits", "tc", "shadow", "where", "registers", "statistics", "physical", "no")
    session = debug(mode, f"break *{address('user_back')}", "continue",
                    *(f"monitor {name}" for name in names))  # fmt: skip
    session.says("help this list", "eip=", '"mode": "' + mode, "linear", "there is no command 'no'")
    if mode == "translate":
        session.says("shadow fill", "guest_instructions_translated", "hidden_region_accesses")
    lived_as_ever(session)

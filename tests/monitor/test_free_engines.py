"""The monitor on engines that use every freedom of the contract (tests/engine/inexact.py).

`free` leaves more often than it is asked to, and loads segment registers by itself; it counts
exactly, so it is held to the bare machine. `inexact` does not count exactly either, and `host` has
selectors of its own in the segment registers, so that nothing can run directly.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from inexact import offered
from monitor_lab import ORIGIN, STACK
from patience import PATIENCE
from test_shadow_descriptors import descriptor

from bt.assembler import assemble
from monitor import Machine
from monitor.checkpoint.rewind import Rewind
from monitor.cli import main as vp
from monitor.cli import run
from monitor.guests import embedded_image
from monitor.lockstep import Lockstep, Stage
from monitor.lockstep.pair import Pair
from monitor.settings import machine as settings
from monitor.vmm.errors import UserError
from monitor.vmm.translating import TranslatingProcessor
from monitor.vmm.virtual import FEW, VirtualProcessor

GUEST = embedded_image()


@pytest.fixture(autouse=True)
def engines() -> Iterator[None]:
    with offered():
        yield


def embedded(mode: str = "translate", engine: str = "free", clock: str = "icount") -> Machine:
    machine = Machine(memory_mb=4, mode=mode, engine=engine, clock=clock)
    machine.load_flat(GUEST.image, GUEST.load_address, eip=GUEST.entry)
    return machine


def inexact(*code: str, mode: str = "translate") -> Machine:
    """In flat protected mode at ORIGIN."""
    machine = Machine(memory_mb=2, mode=mode, engine="inexact", clock="host")
    machine.load_flat(assemble("\n".join(code), ORIGIN), ORIGIN, esp=STACK)
    return machine


def virtual(machine: Machine) -> VirtualProcessor:
    assert isinstance(machine.processor, VirtualProcessor)
    return machine.processor


# --- what a machine refuses ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["translate", "trap"])
def test_the_clock_that_counts_instructions_needs_exact_counts(mode: str) -> None:
    with pytest.raises(UserError, match=r"not count instructions exactly.*--clock host") as why:
        Machine(mode=mode, engine="inexact")
    assert why.value.status == 2
    Machine(memory_mb=1, mode=mode, engine="inexact", clock="host")


def test_a_bare_machine_needs_no_engine() -> None:
    machine = Machine(memory_mb=1, mode="bare", engine="inexact")
    assert machine.step().kind != "stopped"


def test_the_command_says_so_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ENGINES", settings.ENGINES)
    image = os.path.join(str(tmp_path), "guest.bin")
    with open(image, "wb") as file:
        file.write(b"\xf4")
    assert vp(["run", "--engine", "inexact", "--flat", f"{image}@0x1000"]) == 2
    said = capsys.readouterr().err
    assert "--clock host" in said and said.count("\n") == 1


def test_mode_trap_needs_an_engine_that_runs_directly() -> None:
    with pytest.raises(UserError, match=r"runs translated code only.*--mode translate"):
        Machine(mode="trap", engine="host", clock="host")


def test_lockstep_needs_exact_counts() -> None:
    def make(mode: str) -> Machine:
        return embedded(mode, "inexact", "host")

    with pytest.raises(UserError, match=r"lockstep .* choose another engine") as why:
        Lockstep(make).run(Stage(instructions=10))
    assert why.value.status == 2


def test_a_place_that_is_a_count_needs_exact_counts(tmp_path: Path) -> None:
    machine = embedded("translate", "inexact", "host")
    with pytest.raises(UserError, match=r"a checkpoint at a number of .* choose another engine"):
        machine.checkpoints.when(tmp_path / "a.vpcheck", instructions=100)
    machine.checkpoints.when(tmp_path / "a.vpcheck", text="never")
    with pytest.raises(UserError, match="needs a run that repeats"):
        Rewind(machine)
    bare = embedded("bare", "inexact", "host")  # where no engine counts
    bare.checkpoints.when(tmp_path / "b.vpcheck", instructions=100)


def test_what_notes_nothing_cannot_be_traced() -> None:
    machine = embedded(engine="free")
    with pytest.raises(UserError, match="does not note"):
        machine.watch.count_entries()
    with pytest.raises(UserError, match="does not note"), machine.watch.trace("instruction"):
        pass
    assert machine.step(10).kind == "instructions"
    assert machine.watch.tc().blocks


# --- it leaves more often, and the guest cannot tell ---------------------------------------------


@pytest.mark.slow
def test_a_guests_whole_life_is_the_bare_ones() -> None:
    """Every 97 instructions; with segments loaded by the engine, and every port access an exit."""
    report = Lockstep(embedded).run(Stage(step=97, memory_every=100))
    assert report.difference is None, report.difference
    assert report.guest_ended
    pair = Pair(embedded, ("bare", "translate"))
    pair.advance(10_000_000)
    assert pair.agree()
    exits = pair.other.statistics()["exits"]
    assert exits["shadow descriptor"] > 0
    assert exits["#GP"] > 1000, "each port access"
    assert "stubs" in pair.other.statistics()["by_kind"]


def test_a_page_with_code_and_data_is_traced_as_a_whole() -> None:
    """Each write to it is emulated; the counter's value is what it must be."""
    code = ("mov ecx, 50", "top:", f"inc dword ptr [{ORIGIN + 0x800:#x}]", "dec ecx", "jnz top",
            "end: jmp end")  # fmt: skip
    machine = Machine(memory_mb=2, engine="free")
    machine.load_flat(assemble("\n".join(code), ORIGIN), ORIGIN, esp=STACK)
    machine.run(max_instructions=200)
    assert machine.read_physical(ORIGIN + 0x800, 4) == (50).to_bytes(4, "little")
    assert machine.statistics()["exits"]["traced write"] >= 50
    assert virtual(machine).ram.is_traced(ORIGIN)
    assert not virtual(machine).ram.is_traced(ORIGIN + 0x800)


# --- estimates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "mode"), [("inexact", "translate"), ("inexact", "trap"), ("host", "translate")]
)
def test_a_guest_lives_to_its_end(engine: str, mode: str) -> None:
    machine = embedded(mode, engine, "host")
    outcome = machine.run(timeout=PATIENCE)
    assert (outcome.kind, outcome.status) == ("exit", 1 if mode == "translate" else 3)
    text = machine.console.decode()
    if mode == "translate":
        assert "WRONG" not in text and "checks, 0 wrong" in text
    bare = embedded("bare")
    bare.run(timeout=PATIENCE)
    wanted = [line.split()[1] for line in bare.console.decode().splitlines() if "check " in line]
    assert [line.split()[1] for line in text.splitlines() if "check " in line] == wanted


def test_nothing_runs_directly_where_selectors_are_the_hosts() -> None:
    machine = embedded(engine="host", clock="host")
    machine.run(timeout=PATIENCE)
    kinds = machine.statistics()["by_kind"]
    assert "direct" not in kinds
    assert kinds["translated"] > 5 * kinds["emulated"]


def test_a_few_instructions_are_exact() -> None:
    machine = inexact("top:", "inc eax", "inc ebx", "jmp top")
    machine.set_register("eax", 0)
    for count in (1, 1, 1, 5, FEW):
        before = machine.instructions
        machine.step(count)
        assert machine.instructions == before + count
    assert machine.registers["eax"] == -(-(8 + FEW) // 3)


def test_many_are_as_many_as_there_are() -> None:
    """More or less; the guest is never in the middle of one."""
    machine = inexact("top:", "inc eax", "inc ebx", "jmp top")
    for name in ("eax", "ebx"):
        machine.set_register(name, 0)
    for _ in range(20):
        assert machine.run(max_instructions=1000).kind == "instructions"
        registers = machine.registers
        assert registers["eax"] - registers["ebx"] == (registers["eip"] == ORIGIN + 1)
        assert registers["eip"] in (ORIGIN, ORIGIN + 1, ORIGIN + 2)
    assert 5_000 < machine.registers["eax"] < 20_000


@pytest.mark.parametrize("mode", ["translate", "trap"])
def test_a_breakpoint_is_met_each_time_and_once(mode: str) -> None:
    machine = inexact("top:", "inc eax", "mov ebx, eax", "jmp top", mode=mode)
    machine.set_register("eax", 0)
    machine.debug.add_breakpoint(ORIGIN + 1)
    for turn in range(1, 8):
        assert machine.run(max_instructions=100_000).kind == "address"
        assert (machine.registers["eip"], machine.registers["eax"]) == (ORIGIN + 1, turn)


def test_a_hook_is_called_each_time_and_once() -> None:
    machine = inexact("mov ecx, 500", "top:", "inc eax", "dec ecx", "jnz top", "end: jmp end")
    seen: list[int] = []
    machine.hooks.on_address(ORIGIN + 5, lambda: seen.append(machine.registers["ecx"]))
    machine.run(max_instructions=20_000)
    assert seen == list(range(500, 0, -1))


def test_a_watchpoint_is_met_each_time_and_its_pages_neighbours_never() -> None:
    machine = inexact(
        "mov ecx, 5", "top:", "mov dword ptr [0x20010], ecx", "mov dword ptr [0x20100], ecx",
        "dec ecx", "jnz top", "end: jmp end",
    )  # fmt: skip
    machine.debug.add_watchpoint(0x20100, 4, "write")
    for left in range(5, 0, -1):
        assert machine.run(max_instructions=10_000).kind == "watchpoint"
        assert machine.registers["ecx"] == left
    assert machine.run(max_instructions=10_000).kind == "instructions"


def test_an_interrupt_waits_for_the_instruction_behind_sti() -> None:
    """STI; HLT wakes up: were the interrupt taken in between, HLT would wait for the next one."""
    machine = embedded(engine="inexact", clock="host")
    assert machine.run(until="check hlt-wakes", timeout=PATIENCE).kind == "until"
    machine.run(timeout=PATIENCE)
    assert "check hlt-wakes ok" in machine.console.decode()


@pytest.mark.parametrize("mode", ["translate", "trap"])
def test_it_can_be_stopped(mode: str) -> None:
    machine = inexact("top:", "inc eax", "jmp top", mode=mode)
    for _ in range(3):
        threading.Timer(0.05, machine.stop).start()
        assert machine.run(timeout=PATIENCE).kind == "stopped"


# --- shadow descriptors in use ------------------------------------------------------------------

USER = 0x110000  # linear and physical: user code, its stack behind it
GDT = 0x5000
SMALL, OTHER = 0x2B, 0x33  # selectors of small segments at these bases:
BASE, OTHER_BASE, NEW_BASE = 0x12000, 0x13000, 0x15000
LOADS = ("top:", "mov ax, 0x2b", "mov fs, ax", "inc ecx", "jmp top")


def user_guest(*code: str, engine: str = "free") -> Machine:
    """User code that reaches all of memory, its own GDT too."""
    clock = "icount" if engine == "free" else "host"
    machine = Machine(memory_mb=2, engine=engine, clock=clock)
    rows = ((0, 0, 0), (0, 0xFFFFF, 0xC09B), (0, 0xFFFFF, 0xC093), (0, 0xFFFFF, 0xC0FB),
            (0, 0xFFFFF, 0xC0F3), (BASE, 0xFFF, 0x40F3), (OTHER_BASE, 0xFFF, 0x40F3))  # fmt: skip
    machine.memory.write(GDT, b"".join(descriptor(*row) for row in rows))
    machine.load_flat(assemble("\n".join(code), USER), USER, esp=USER + 0x2000,
                      gdt=(GDT, 0xFFF), selectors=(0x08, 0x10))  # fmt: skip
    for name in ("ss", "ds", "es", "fs", "gs"):
        machine.set_register(name, 0x23)
    machine.set_register("cs", 0x1B)
    machine.set_register("eflags", 0x202)
    machine.set_register("ecx", 0)
    return machine


def fs(machine: Machine) -> int:
    return machine.segments["fs"].base


def test_a_load_costs_an_exit_once() -> None:
    machine = user_guest(*LOADS[:-2], "mov ax, 0x33", "mov gs, ax", *LOADS[-2:])
    machine.run(max_instructions=60_000)
    exits = machine.statistics()["exits"]
    assert exits["shadow descriptor"] == 2
    assert "#GP" not in exits
    assert machine.registers["ecx"] == 10_000


def test_the_guests_registers_are_its_own() -> None:
    """Limits, too; the engine's are truncated."""
    machine = user_guest("mov ax, 0x23", "mov es, ax", "mov ax, 0x2b", "mov fs, ax", "end: jmp end")
    machine.run(max_instructions=100)
    assert machine.registers["fs"] == SMALL
    assert (fs(machine), machine.segments["fs"].limit) == (BASE, 0xFFF)
    assert machine.segments["es"].limit == 0xFFFFFFFF
    assert virtual(machine).engine.segment(0)[2] == 0xFF7FFFFF


@pytest.mark.parametrize("engine", ["free", "inexact"])
def test_a_descriptor_that_the_guest_writes_is_loaded_anew(engine: str) -> None:
    """What is in a register stays until then."""
    machine = user_guest(
        "mov ax, 0x2b", "mov fs, ax", "mov edx, fs:[0]",
        f"mov byte ptr [{GDT + 0x2B:#x}], {NEW_BASE >> 8 & 0xFF:#x}", "mov ebx, fs:[0]",
        "mov fs, ax", "mov ecx, fs:[0]", "end: jmp end", engine=engine,
    )  # fmt: skip
    for base, value in ((BASE, 1), (NEW_BASE, 2)):
        machine.write_physical(base, value.to_bytes(4, "little"))
    machine.run(max_instructions=1000)
    assert [machine.registers[name] for name in ("edx", "ebx", "ecx")] == [1, 1, 2]
    assert fs(machine) == NEW_BASE


def test_a_descriptor_that_the_embedder_writes_is_loaded_anew() -> None:
    machine = user_guest(*LOADS)
    machine.run(max_instructions=3000)
    assert fs(machine) == BASE
    machine.write_physical(GDT + 0x28, descriptor(NEW_BASE, 0xFFF, 0x40F3))
    machine.run(max_instructions=4)
    assert fs(machine) == NEW_BASE
    assert virtual(machine).descriptors.derived == 2


def test_a_table_that_moves() -> None:
    machine = user_guest(*LOADS)
    machine.run(max_instructions=3000)
    machine.write_physical(0x6000, machine.read_physical(GDT, 0x38))
    machine.write_physical(0x6028, descriptor(NEW_BASE, 0xFFF, 0x40F3))
    machine.set_register("gdtr_base", 0x6000)
    machine.run(max_instructions=4)
    assert fs(machine) == NEW_BASE
    assert not virtual(machine).ram.is_traced(GDT + 0x28)
    assert virtual(machine).ram.is_traced(0x6028)


def test_a_descriptor_that_is_taken_away_faults_as_ever() -> None:
    """Not present: the ideal processor raises #NP, here without a handler."""
    machine = user_guest(*LOADS)
    machine.run(max_instructions=3000)
    machine.write_physical(GDT + 0x28, descriptor(BASE, 0xFFF, 0x4073))
    assert machine.run(max_instructions=100).kind == "shutdown"


def test_translations_come_and_go_and_its_bytes_stay_traced() -> None:
    machine = user_guest(*LOADS)
    processor = machine.processor
    assert isinstance(processor, TranslatingProcessor)
    machine.run(max_instructions=3000)
    processor.forget_translations()
    assert processor.ram.is_traced(GDT + 0x28)
    processor.descriptors.forget()
    assert not processor.ram.is_traced(GDT + 0x28)


def test_another_guest_has_other_descriptors() -> None:
    machine = user_guest(*LOADS)
    machine.run(max_instructions=3000)
    machine.load_flat(assemble("end: jmp end", ORIGIN), ORIGIN, esp=STACK)
    assert len(virtual(machine).descriptors) == 0


def test_an_engine_that_loads_nothing_asks_for_none() -> None:
    other = Machine(memory_mb=2)
    other.load_flat(assemble("mov ax, 0x18; mov ds, ax; end: jmp end", ORIGIN), ORIGIN, esp=STACK)
    other.run(max_instructions=100)
    assert virtual(other).descriptors.derived == 0

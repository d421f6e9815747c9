"""The checker itself: does it see a difference, and does it name the right instruction?"""

from __future__ import annotations

import pytest
from lockstep_guests import COUNTER, LOOP, START, STORE, altered, counter, load

from monitor.lockstep import Difference, Lockstep, Stage
from monitor.lockstep.__main__ import main
from monitor.lockstep.pair import MakeMachine, Pair, digest
from monitor.machine import Machine

AT = 1234
ROUGH = Stage(instructions=4000, step=500, memory_every=1000)


def difference(make: MakeMachine, stage: Stage = ROUGH) -> Difference:
    found = Lockstep(make).run(stage).difference
    assert found is not None
    return found


def names(found: Difference) -> list[str]:
    return [name for name, _, _ in found.rows]


def change_register(machine: Machine) -> None:
    machine.set_register("esi", 1)


def change_flag(machine: Machine) -> None:
    machine.set_register("eflags", machine.registers["eflags"] ^ 0x400)


def change_memory(machine: Machine) -> None:
    machine.write_memory(0x7001, b"\x80")


def change_segment(machine: Machine) -> None:
    selector, base, limit, attributes = machine.processor.ideal.segment(4)
    machine.processor.ideal.set_segment(4, selector, base, limit - 1, attributes)
    machine.processor.restarted()


def change_time(machine: Machine) -> None:
    machine.processor.ideal.tsc_offset += 1


def change_gdtr(machine: Machine) -> None:
    machine.processor.ideal.gdtr_limit ^= 8


def change_x87(machine: Machine) -> None:
    """FLDPI and back to an empty stack: the value stays in its register."""
    other = Machine(memory_mb=1, mode="bare")
    other.load_flat(bytes.fromhex("d9eb ddd8"), START)
    other.step(2)
    cpu, donor = machine.processor.ideal, other.processor.ideal
    stack = {n: v for n, v in donor.save_state().items() if n.startswith("fpr")}
    cpu.load_state(cpu.save_state() | stack)


def test_machines_that_agree() -> None:
    report = Lockstep(counter).run(Stage(instructions=3001, step=7, memory_every=70, digests=True))
    assert report.difference is None
    assert report.instructions == 3001
    assert report.states == -(-3001 // 7)
    assert report.memories == len(report.digests) == 43
    assert len(set(report.digests.values())) == 43
    assert report.outcome is not None and report.outcome.kind == "instructions"


@pytest.mark.parametrize(
    ("alter", "name"),
    [
        (change_register, "esi"),
        (change_flag, "eflags"),
        (change_memory, "memory 00007000"),
        (change_segment, "fs_limit"),
        (change_time, "tsc_offset"),
        (change_gdtr, "gdtr_limit"),
    ],
)
def test_the_instruction_is_found(alter: object, name: str) -> None:
    found = difference(altered(AT, alter))  # type: ignore[arg-type]
    assert (found.agreed, found.count, found.found_again) == (AT - 1, AT, True)
    assert names(found) == [name]
    place = START + (0, 5, 6, 8)[(AT - 1) % LOOP]
    assert found.instruction.startswith(f"{place:08x}")


@pytest.mark.parametrize("step", [1, 3, 4000])
def test_whatever_the_step(step: int) -> None:
    stage = Stage(instructions=4000, step=step, memory_every=4000)
    found = difference(altered(AT, change_memory), stage)
    assert (found.agreed, found.count) == (AT - 1, AT)


def test_x87_registers_are_looked_at() -> None:
    found = difference(altered(AT, change_x87))
    assert found.count == AT
    assert names(found) == ["fpr7_significand", "fpr7_exponent"]


def test_what_the_report_says() -> None:
    text = str(difference(altered(AT, change_memory)))
    assert "bare and translate differ after 1,234 guest instructions and agreed after 1,233" in text
    assert "bare 00000000000000000000000000000000  translate 00800000000000000000000000000" in text
    assert "0001000" in text and "last exits" in text


def test_many_bytes_are_summed_up() -> None:
    def fill(machine: Machine) -> None:
        machine.write_memory(0x20000, b"\x55" * 5000)

    found = difference(altered(AT, fill))
    assert found.rows[-1] == ("memory", "5,000 bytes differ", "in all")


def test_a_difference_that_only_long_runs_show() -> None:
    found = difference(altered(AT, change_register, needs=400))
    assert (found.count, found.found_again) == (AT - AT % 500 + 400, True)


def test_a_difference_that_only_the_first_schedule_shows() -> None:
    """The search cuts lives into fewer runs: said, not hidden."""
    found = difference(altered(AT, change_register, needs=500, runs=3))
    assert (found.agreed, found.count, found.found_again) == (1000, 1500, False)
    assert names(found) == ["esi"]
    assert "cut at other places" in str(found)


def test_another_end_is_a_difference() -> None:
    """One machine runs into UD2 without an IDT, the other goes on."""

    def make(mode: str) -> Machine:
        machine = counter(mode)
        if mode != "bare":
            machine.load_flat(COUNTER[:5] + b"\x0f\x0b", START)
        return machine

    assert not Pair(make, ("bare", "translate")).memories_agree()
    pair = Pair(altered(20, lambda m: m.write_memory(START, b"\x0f\x0b")), ("bare", "translate"))
    pair.advance(50)
    assert not pair.processors_agree()
    assert pair.rows()[0][0] == "outcome"


def test_digests() -> None:
    pair = Pair(counter, ("bare", "translate"))
    pair.advance(1000)
    assert digest(pair.one) == digest(pair.other)
    assert pair.one.read_memory(STORE, 4) == (249).to_bytes(4, "little")
    pair.one.write_memory(STORE, b"\0")
    assert digest(pair.one) != digest(pair.other)
    assert not pair.memories_agree() and pair.processors_agree()


def test_what_is_typed_is_typed_again_in_the_search() -> None:
    """The guest echoes the serial line into memory; the machines differ after that."""
    # loop: mov dx, 0x3fd; in al, dx; test al, 1; jz loop; mov dx, 0x3f8; in al, dx; add [STORE], al
    echo = bytes.fromhex("66bafd03 ec a801 74f7 66baf803 ec 000500500000 ebea")

    def make(mode: str) -> Machine:
        machine = altered(AT, change_memory)(mode)
        machine.load_flat(echo, START)
        return machine

    first = Stage(instructions=600, step=50, memory_every=100)
    second = Stage(instructions=1400, step=50, memory_every=100, send="A")
    found = Lockstep(make).run(first, second).difference
    assert found is not None
    assert (found.count, names(found)) == (AT, ["memory 00007000"])


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kernel", "/nowhere/vmlinuz"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lockstep: ") and error.count("\n") == 1


def test_load_is_shared() -> None:
    """The altered machine is the counter until then."""
    assert load(Machine(memory_mb=1, mode="bare")).registers == counter("translate").registers

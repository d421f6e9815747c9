"""Going back in time (monitor/checkpoint/rewind.py): one instruction, to a stop, over input."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.checkpoint.history import RamHistory
from monitor.checkpoint.rewind import Rewind
from monitor.guests import embedded_image
from monitor.vmm.errors import UserError

modes = pytest.mark.parametrize("mode", ["bare", "translate"])
BASE = 0x100000


def embedded(mode: str) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    guest = embedded_image()
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    return machine


def small(mode: str, source: str) -> Machine:
    machine = Machine(memory_mb=2, mode=mode)
    machine.load_flat(assemble(source, BASE), BASE, esp=0x90000)
    return machine


def everything(machine: Machine) -> tuple[object, ...]:
    return (
        machine.instructions, machine.registers, machine.system_registers, machine.x87,
        machine.clock.now(), machine.output.digest(), machine.board.snapshot(),
        hashlib.sha256(machine.memory.map()).hexdigest(),
    )  # fmt: skip


@modes
@pytest.mark.slow
def test_each_instruction_back_is_the_one_before(mode: str) -> None:
    machine, other = embedded(mode), embedded(mode)
    rewind = Rewind(machine)
    chance = random.Random(mode)
    for at in sorted(chance.randrange(450_000) for _ in range(10)):
        machine.run(max_instructions=at - machine.instructions)
        if chance.random() < 0.5:
            rewind._take(exact=False)
    here = machine.instructions
    wanted = []
    for at in (here - 3, here - 2, here - 1, here):
        other.run(max_instructions=at - other.instructions)
        wanted.append(everything(other))
    for state in reversed(wanted[:-1]):
        assert rewind.step_back().kind == "instructions"
        assert everything(machine) == state
    assert rewind.in_the_past
    machine.run(max_instructions=3)
    assert everything(machine) == wanted[-1] and not rewind.in_the_past


@modes
@pytest.mark.slow
def test_back_to_any_place_and_on_to_the_same_end(mode: str) -> None:
    machine, other = embedded(mode), embedded(mode)
    rewind = Rewind(machine)
    shown: list[bytes] = []
    machine.serial.listeners.append(shown.append)
    machine.run(max_instructions=200_000)
    rewind._take(exact=False)
    machine.run(max_instructions=200_000)
    rewind._to_count(150_000)
    assert machine.instructions == 150_000
    assert machine.run().kind == other.run().kind == "exit"
    assert everything(machine) == everything(other)
    assert b"".join(shown) == machine.console  # nothing was shown twice


COUNTING = """
    xor ecx, ecx
again:
    mov [0x110000], ecx
    inc ecx
    mov [0x110004], ecx
    cmp ecx, 1000
    jne again
    cli
    hlt
"""


@modes
def test_back_to_the_last_write_and_the_one_before_it(mode: str) -> None:
    machine = small(mode, COUNTING)
    rewind = Rewind(machine)
    machine.run(max_instructions=3000)
    machine.debug.add_watchpoint(0x110000, 4, "write")
    for back in range(3):
        assert rewind.run_back().kind == "watchpoint"
        assert machine.debug.watchpoint_hit is not None
        assert machine.read_physical(0x110000, 4) != machine.registers["ecx"].to_bytes(4, "little")
        assert machine.registers["ecx"] == 599 - back
        assert machine.registers["eip"] == BASE + 2
    assert machine.run().kind == "watchpoint"
    assert machine.read_physical(0x110000, 4) == (597).to_bytes(4, "little")
    assert rewind.run_back().kind == "watchpoint"  # over the write that was just met
    assert machine.read_physical(0x110000, 4) == (596).to_bytes(4, "little")


@modes
def test_back_to_breakpoints_and_to_the_beginning(mode: str) -> None:
    machine = small(mode, COUNTING)
    rewind = Rewind(machine)
    machine.run(max_instructions=16)
    machine.debug.add_breakpoint(BASE + 2)
    counts = []
    while rewind.run_back().kind == "address":
        counts.append(machine.instructions)
    assert counts == [11, 6, 1]
    assert machine.instructions == 0 and machine.registers["eip"] == BASE
    assert rewind.run_back().kind == rewind.step_back().kind == "beginning"
    machine.debug.remove_breakpoint(BASE + 2)
    assert machine.run(max_instructions=100_000).kind == "stuck"


ECHO = """
    mov dx, 0x3fd
wait_for_it:
    in al, dx
    test al, 1
    jz wait_for_it
    mov dx, 0x3f8
    in al, dx
    inc al
    out dx, al
    mov dx, 0x3fd
    jmp wait_for_it
"""


@modes
def test_what_was_typed_comes_again_where_it_came(mode: str) -> None:
    machine = small(mode, ECHO)
    rewind = Rewind(machine)
    shown: list[bytes] = []
    machine.serial.listeners.append(shown.append)
    for letter in "abc":
        machine.run(max_instructions=777)
        machine.send(letter)
    machine.run(max_instructions=10_000)
    assert machine.console == b"bcd"
    end = everything(machine)
    for count in (9_000, 2_000, 800, 100):
        rewind._to_count(count)
        machine.run(max_instructions=12_331 - count)
        assert everything(machine) == end, count
    assert b"".join(shown) == b"bcd"
    rewind._to_count(100)
    machine.send("x")  # it waits until the past is over
    machine.run(max_instructions=12_331 - 100)
    assert machine.console == b"bcd"
    machine.run(max_instructions=1000)
    assert machine.console == b"bcdy" and b"".join(shown) == b"bcdy"


@modes
def test_who_changes_the_past_has_another_future(mode: str) -> None:
    machine = small(mode, COUNTING)
    rewind = Rewind(machine)
    machine.run(max_instructions=2000)
    rewind._take(exact=False)
    machine.run(max_instructions=1000)
    rewind._to_count(1000)
    machine.set_register("ecx", 900)
    rewind.changed()
    assert not rewind.in_the_past and rewind.moments == 2
    machine.run(max_instructions=100)
    assert 900 < machine.registers["ecx"] < 1000
    rewind.step_back()
    rewind._to_count(1000)
    assert machine.registers["ecx"] == 900  # as it was changed
    rewind.step_back()
    assert machine.registers["ecx"] < 250  # and before


REP = """
    mov edi, 0x110000
    mov ecx, 64
    mov al, 7
    cld
    rep stosb
    cli
    hlt
"""


@modes
def test_a_rep_is_more_than_one_place(mode: str) -> None:
    machine = small(mode, REP)
    rewind = Rewind(machine)
    machine.run(max_instructions=5)
    machine.debug.add_watchpoint(0x110010, 1, "write")
    assert rewind.run_back().kind == "watchpoint"
    assert machine.instructions == 4 and machine.registers["ecx"] == 64
    assert machine.run().kind == "watchpoint"
    assert machine.read_physical(0x110010, 1) == b"\7"
    amid = machine.registers
    assert rewind.step_back().kind == "instructions"
    assert machine.instructions == (3 if amid["ecx"] == 64 else 4)
    assert machine.registers["ecx"] == 64


def test_real_time_cannot_be_rewound() -> None:
    with pytest.raises(UserError, match="--clock icount"):
        Rewind(Machine(memory_mb=1, clock="host"))


def test_moments_stay_right_when_others_are_left_out() -> None:
    ram = np.zeros(3 << 20, np.uint8)
    history = RamHistory(ram, lambda: range(3))
    chance = random.Random(1)
    pictures = []
    for _ in range(30):
        for _ in range(20):
            ram[chance.randrange(len(ram))] = chance.randrange(256)
        history.take()
        pictures.append(ram.copy())
    while len(pictures) > 3:
        at = chance.randrange(len(pictures) - 1)
        before = history.bytes
        history.leave_out(at)
        del pictures[at]
        assert history.bytes <= before and len(history) == len(pictures)
        for moment in chance.sample(range(len(pictures)), 3):
            history.go(moment)
            assert np.array_equal(ram, pictures[moment])
    history.forget_after(1)
    del pictures[2:]
    ram[:] = 1
    for moment in (1, 0):
        history.go(moment)
        assert np.array_equal(ram, pictures[moment])


SWEEPING = """
begin:
    mov edi, 0x110000
again:
    inc dword ptr [edi]
    add edi, 0x1000
    cmp edi, 0x1f0000
    jne again
    jmp begin
"""


def test_moments_go_when_memory_is_short() -> None:
    machine = small("bare", SWEEPING)
    rewind = Rewind(machine, memory_mb=2)
    for _ in range(30):
        machine.run(max_instructions=1000)
        rewind._take(exact=False)
    assert rewind.bytes <= 2 << 20 and rewind.moments < 30
    for back in (29_999, 20_000, 10_000):
        rewind._to_count(back)
        assert machine.instructions >= back

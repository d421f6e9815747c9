"""Functions at ports, instructions and memory accesses: monitor/embedding/hooks.py."""

from __future__ import annotations

import pytest
from api_lab import ORIGIN, agree, asm, live, modes
from patience import PATIENCE

from monitor import Machine
from monitor.vmm.errors import UserError

LOOP = "mov ecx, 5; again: mov [0x200000], ecx; mov eax, [0x200000]; cli; nop; loop again; hlt"
AGAIN = ORIGIN + 5


def test_at_an_instruction() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.hooks.on_address(AGAIN, lambda: said.append(machine.registers["ecx"]))

    life = agree(LOOP, prepare)
    assert life.said == [5, 4, 3, 2, 1]
    assert life.outcome.kind == "stuck"
    assert life.machine.instructions == live("bare", LOOP).machine.instructions


def test_at_an_access() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        hooks = machine.hooks
        hooks.on_memory(0x200000, 4, "write", lambda: said.append(("w", machine.registers["eip"])))
        hooks.on_memory(0x200000, 4, "read", lambda: said.append(("r", machine.registers["eax"])))

    life = agree(LOOP, prepare)
    assert life.said[:4] == [("w", AGAIN + 6), ("r", 5), ("w", AGAIN + 6), ("r", 4)]
    assert len(life.said) == 10


def test_at_a_port() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.hooks.on_port(range(0x80, 0x82), lambda *access: said.append(access))
        machine.hooks.on_port([0xE9], lambda *access: said.append(access))

    life = agree("mov al, 0x34; out 0x80, al; out 0x7f, al; in al, 0x80; in al, 0xe9; hlt", prepare)
    assert life.said == [("out", 0x80, 1, 0x34), ("in", 0x80, 1, 0x34), ("in", 0xE9, 1, 0xE9)]


@modes
def test_functions_may_change_the_machine(mode: str) -> None:
    """Registers, EIP, memory; what runs on is what they left."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("mov eax, 1; mov ebx, 2; mov ecx, 3; hlt"), ORIGIN)
    machine.hooks.on_address(ORIGIN + 5, lambda: machine.set_register("eip", ORIGIN + 10))
    machine.hooks.on_address(ORIGIN + 10, lambda: machine.write_memory(ORIGIN + 11, b"\x09"))
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    values = machine.registers
    assert (values["eax"], values["ebx"], values["ecx"]) == (1, 0, 9)


@modes
def test_functions_may_stop_it(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm(LOOP), ORIGIN)
    machine.hooks.on_address(AGAIN, machine.stop)
    for ecx in (5, 4, 3):
        assert machine.run(timeout=PATIENCE).kind == "stopped"
        assert machine.registers["ecx"] == ecx and machine.registers["eip"] == AGAIN


@modes
def test_limits_hold_all_the_same(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("again: inc eax; jmp again"), ORIGIN)
    calls: list[int] = []
    machine.hooks.on_address(ORIGIN, lambda: calls.append(machine.instructions))
    assert machine.run(max_instructions=100).kind == "instructions"
    assert machine.instructions == 100 and calls == list(range(0, 100, 2))


@modes
def test_beside_breakpoints_and_watchpoints(mode: str) -> None:
    """Both are told: the function is called, and run() returns."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm(LOOP), ORIGIN)
    calls: list[str] = []
    machine.hooks.on_address(AGAIN, lambda: calls.append("address"))
    write = machine.hooks.on_memory(0x200000, 4, "write", lambda: calls.append("write"))
    machine.debug.add_breakpoint(AGAIN)
    machine.debug.add_watchpoint(0x200000, 4, "write")
    assert machine.run(timeout=PATIENCE).kind == "address" and calls == ["address"]
    assert machine.run(timeout=PATIENCE).kind == "watchpoint" and calls == ["address", "write"]
    assert machine.debug.watchpoint_hit is not None
    machine.debug.remove_breakpoint(AGAIN)
    machine.debug.remove_watchpoint(0x200000, 4, "write")
    assert machine.run(until_address=AGAIN).kind == "address"
    assert calls == ["address", "write", "address"]
    machine.hooks.remove(write)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert calls == ["address", "write", "address", "address", "address", "address"]


@modes
def test_a_hook_that_takes_itself_out(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm(LOOP + "; nop"), ORIGIN)
    calls: list[str] = []

    def once() -> None:
        calls.append("once")
        machine.hooks.remove(hook)

    def once_more(*access: object) -> None:
        calls.append("port")
        machine.hooks.remove(port)

    hook = machine.hooks.on_address(AGAIN, once)
    port = machine.hooks.on_port(range(0x80, 0x81), once_more)
    machine.board.write_port(0x80, 1, 0)
    machine.board.write_port(0x80, 1, 0)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert calls == ["port", "once"] and not machine.board.on_access
    with pytest.raises(UserError, match="not in the machine"):
        machine.hooks.remove(hook)


def test_too_many() -> None:
    machine = Machine(memory_mb=4)
    for number in range(200):
        machine.debug.add_breakpoint(number)
    for number in range(200, 255):
        machine.hooks.on_address(number, lambda: None)
    machine.hooks.on_address(254, lambda: None)
    with pytest.raises(UserError, match="255"):
        machine.hooks.on_address(255, lambda: None)
    with pytest.raises(UserError, match="255"):
        machine.debug.add_breakpoint(255)
    for number in range(16):
        machine.hooks.on_memory(4 * number, 4, "read", lambda: None)
    with pytest.raises(UserError, match="16"):
        machine.debug.add_watchpoint(100)
    with pytest.raises(UserError, match="access 'execute'"):
        machine.hooks.on_memory(0, 4, "execute", lambda: None)

"""Somebody at the keyboard: monitor/embedding/keyboard.py."""

from __future__ import annotations

import pytest
from api_lab import agree, live, modes
from patience import PATIENCE

from monitor import Machine
from monitor.vmm.errors import UserError

# Reads scan codes from the controller until ESC goes up, as firmware's tables have them: set 1.
READS = """
    mov  edi, 0x300000
again:
    in   al, 0x64
    test al, 1
    jz   again
    in   al, 0x60
    stosb
    cmp  al, 0x81
    jne  again
    hlt
"""


def codes(prepare) -> bytes:
    life = agree(READS, lambda machine, said: prepare(machine.keyboard))
    return life.machine.read_physical(0x300000, life.registers["edi"] - 0x300000)


def test_pressing_and_releasing() -> None:
    def keys(keyboard) -> None:
        keyboard.press("a")
        keyboard.release("a")
        keyboard.press("left", "esc")
        keyboard.release("esc")

    assert codes(keys).hex(" ") == "1e 9e e0 4b 01 81"


def test_typing() -> None:
    """More than its buffer holds: the rest waits."""

    def keys(keyboard) -> None:
        keyboard.type("Hi!\n")
        keyboard.chord("esc")

    assert codes(keys).hex(" ") == "2a 23 a3 aa 17 97 2a 02 82 aa 1c 9c 01 81"


def test_a_chord() -> None:
    def keys(keyboard) -> None:
        keyboard.chord("ctrl", "alt", "delete")
        keyboard.chord("esc")

    assert codes(keys).hex(" ") == "1d 38 e0 53 e0 d3 b8 9d 01 81"


@modes
def test_while_it_runs_and_between_runs(mode: str) -> None:
    """A key that is pressed inside an instruction is there after the time a byte takes."""
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.devices.plug_ports(
            0x300, 1, write=lambda offset, size, value: machine.keyboard.press("b")
        )

    life = live(mode, f"mov dx, 0x300; out dx, al; {READS}", prepare, most=20_000)
    assert life.machine.read_physical(0x300000, 1) == b"\x30"
    life.machine.keyboard.release("b")
    life.machine.keyboard.chord("esc")
    assert life.machine.run(timeout=PATIENCE).kind == "stuck"
    assert life.machine.read_physical(life.registers["edi"] - 3, 3).hex() == "b00181"


@modes
def test_a_key_wakes_a_halted_guest(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(bytes.fromhex("fb f4 43 fa f4"), 0x7C00, real_mode=True)  # sti hlt inc bx ...
    machine.write_physical(0x1000, b"\xcf")
    machine.write_physical(4 * 9, bytes.fromhex("0010 0000"))
    for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xFD)):
        machine.board.write_port(port, 1, value)
    assert machine.run(timeout=PATIENCE).kind == "stuck" and machine.registers["ebx"] == 0
    machine.keyboard.press("enter")
    assert machine.run(timeout=PATIENCE).kind == "stuck" and machine.registers["ebx"] == 1


def test_keys_that_there_are_not() -> None:
    keyboard = Machine(memory_mb=4).keyboard
    with pytest.raises(UserError, match="no key named 'any'; one of: esc f1"):
        keyboard.press("a", "any")
    with pytest.raises(UserError, match="no key named 'any'"):
        keyboard.chord("ctrl", "any")
    with pytest.raises(UserError, match="no key of a US keyboard types 'ä'"):
        keyboard.type("ä")
    assert {"a", "f12", "kpenter", "rshift"} <= set(keyboard.keys)
    assert not keyboard._keyboard.has_data() and not keyboard._keyboard.typed

"""Typing in virtual time, keys by name: monitor/embedding/keys.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest
from api_lab import ESP, MODES, ORIGIN, asm, modes
from patience import PATIENCE

from devices.hands import STROKE_NS
from monitor import Machine
from monitor.embedding.key_names import NAMES, key_named, strokes_of
from monitor.vmm.errors import UserError

# Notes the scan codes of IRQ1, each with the time-stamp counter, and halts between them.
READS = """
    lidt [idtr]
    mov  edi, 0x300000
    mov  al, 0x11
    out  0x20, al
    mov  al, 0x20
    out  0x21, al
    mov  al, 4
    out  0x21, al
    mov  al, 1
    out  0x21, al
    mov  al, 0xfd
    out  0x21, al
    sti
again:
    hlt
    jmp  again
idtr:
    .word 0x21 * 8 + 7
    .long 0x2000
handler:
    in   al, 0x60
    movzx ebx, al
    rdtsc
    mov  [edi], ebx
    mov  [edi + 4], eax
    add  edi, 8
    mov  al, 0x20
    out  0x20, al
    iretd
"""
GATE = 0x2000 + 8 * 0x21


def guest(mode: str = "bare", typed: Callable[[Machine], object] = lambda machine: None) -> Machine:
    """One that halts with its keyboard's interrupt on."""
    machine = Machine(memory_mb=4, mode=mode)
    typed(machine)
    machine.load_flat(asm(READS), ORIGIN, esp=ESP)
    handler = ORIGIN + len(asm(READS[: READS.index("handler:")]))
    gate = handler & 0xFFFF | machine.registers["cs"] << 16 | (handler >> 16) << 48 | 0x8E00 << 32
    machine.write_physical(GATE, gate.to_bytes(8, "little"))
    return machine


def arrived(machine: Machine) -> tuple[bytes, list[int]]:
    """Scan codes until nothing comes any more, and when each was read, in nanoseconds."""
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    size = machine.registers["edi"] - 0x300000
    words = memoryview(machine.read_physical(0x300000, size)).cast("I")
    return bytes(words[::2].tolist()), [5 * each for each in words[1::2]]


@modes
def test_a_text_comes_key_by_key(mode: str) -> None:
    codes, times = arrived(guest(mode, lambda machine: machine.type("Hi!\n")))
    assert codes.hex() == "2a23a3aa17972a0282aa1c9c"
    gaps = [after - before for before, after in pairwise(times)]
    assert all(abs(gap - STROKE_NS) < STROKE_NS / 10 for gap in gaps), gaps


def test_it_is_the_same_in_every_mode() -> None:
    def life(mode: str) -> tuple[object, ...]:
        machine = guest(mode)
        machine.keys.send("ctrl-alt-delete", "a", "kp_5", "ret")
        return arrived(machine), machine.instructions, machine.clock.now(), machine.registers

    lives = [life(mode) for mode in MODES]
    assert lives[0] == lives[1] == lives[2]
    assert lives[0][0][0].hex() == "1d38e053e0d3b89d1e9e4ccc1c9c"  # type: ignore[index]


def test_a_key_that_is_pressed_repeats_until_it_is_released() -> None:
    machine = guest()
    machine.keys.press("a")
    machine.run(max_instructions=300)
    machine.keys.release("a")
    codes, _ = arrived(machine)
    assert len(codes) > 10 and codes == b"\x1e" * (len(codes) - 1) + b"\x9e"


def test_from_another_thread() -> None:
    machine = guest()
    thread = threading.Thread(target=lambda: (machine.type("x"), machine.keys.send("esc")))
    thread.start()
    thread.join()
    assert arrived(machine)[0].hex() == "2dad0181"


def test_keys_that_wait_are_in_a_snapshot() -> None:
    machine = guest(typed=lambda machine: machine.type("ab"))
    machine.run(max_instructions=40)
    again = Machine.restore(machine.snapshot(), mode="translate")
    again.keys.send("esc")
    assert arrived(again)[0].hex() == "1e9e30b00181"


def test_lights() -> None:
    machine = Machine(memory_mb=4, mode="bare")
    assert machine.keys.leds == frozenset()
    for value in (0xED, 0x04):
        machine.board.write_port(0x60, 1, value)
    assert machine.keys.leds == {"capslock"}


def test_names() -> None:
    assert all(key_named(name) for name in NAMES)
    names = {*Machine(memory_mb=4).keys.names}
    assert {"ret", "pgup", "kp_5", "f12", "meta_l", "a", "enter"} <= names
    assert strokes_of(r"a\<ctrl-c>\n") == [
        "+a", "-a", "+ctrl", "+c", "-c", "-ctrl", "+enter", "-enter"
    ]  # fmt: skip


def test_what_there_is_not() -> None:
    machine = Machine(memory_mb=4)
    with pytest.raises(UserError, match="no key named 'any'; machine"):
        machine.keys.send("ctrl-any")
    with pytest.raises(UserError, match="did you mean delete"):
        machine.keys.press("delet")
    with pytest.raises(UserError, match="no key of a US keyboard types 'ä'"):
        machine.type("aä")
    assert machine.keys.waiting == 0
    machine.type("")
    assert not machine.board.inputs.waiting

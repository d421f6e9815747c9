"""Going back over input of every kind: keys, the mouse, the clipboard, serial lines."""

from __future__ import annotations

import hashlib

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.checkpoint.rewind import Rewind
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR


@pytest.fixture(autouse=True)
def fast_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests that poll need a bus cycle for every look."""
    monkeypatch.setattr("devices.hands.STROKE_NS", 300_000)


modes = pytest.mark.parametrize("mode", ["bare", "translate"])
BASE = 0x100000

# Copies what the keyboard controller and the serial port have to memory, with what is whose.
COPIES = """
    mov  edi, 0x180000
    mov  al, 0x60
    out  0x64, al
    mov  al, 0x44
    out  0x60, al
    mov  al, 0xd4
    out  0x64, al
    mov  al, 0xf4
    out  0x60, al
again:
    mov  dx, 0x3fd
    in   al, dx
    test al, 1
    jz   no_letter
    mov  dx, 0x3f8
    in   al, dx
    out  dx, al
    mov  ah, 0x10
    stosw
no_letter:
    in   al, 0x64
    test al, 1
    jz   again
    mov  ah, al
    in   al, 0x60
    stosw
    jmp  again
"""


def small(mode: str, source: str = COPIES, **options: object) -> Machine:
    machine = Machine(memory_mb=2, mode=mode, parts=["mouse"], **options)  # type: ignore[arg-type]
    machine.load_flat(assemble(source, BASE), BASE, esp=0x90000)
    return machine


def everything(machine: Machine) -> tuple[object, ...]:
    return (
        machine.instructions, machine.registers, machine.clock.now(), machine.board.snapshot(),
        machine.console, hashlib.sha256(machine.memory.map()).hexdigest(),
    )  # fmt: skip


def copied(machine: Machine) -> bytes:
    size = machine.registers["edi"] - 0x180000
    return machine.read_physical(0x180000, size)


def lived(mode: str) -> tuple[Machine, Rewind]:
    """A life with all kinds of input, noted."""
    machine = small(mode)
    rewind = Rewind(machine)
    for step in range(12):
        machine.run(max_instructions=2_001)
        match step % 6:
            case 0:
                machine.keyboard.press("a")
            case 1:
                machine.mouse.move(9, -step)
            case 2:
                machine.keys.send("ctrl-c")
            case 3:
                machine.send("x")
            case 4:
                machine.mouse.click()
            case 5:
                machine.keyboard.release("a")
        if step == 5:
            rewind._take(exact=False)
    machine.run(max_instructions=20_000)
    return machine, rewind


@modes
def test_all_of_it_comes_again_where_it_came(mode: str) -> None:
    machine, rewind = lived(mode)
    end, total = everything(machine), machine.instructions
    assert machine.console == b"xx" and len(copied(machine)) > 30
    for count in (total - 5, total - 10_000, 10_000, 2_001, 2_000, 100):
        rewind._to_count(count)
        machine.run(max_instructions=total - count)
        assert everything(machine) == end, count
    for _ in range(3):
        rewind.step_back()
    machine.run(max_instructions=3)
    assert everything(machine) == end


@modes
def test_what_comes_in_the_past_waits(mode: str) -> None:
    machine, rewind = lived(mode)
    total, before = machine.instructions, copied(machine)
    rewind._to_count(100)
    machine.keyboard.press("b")
    machine.keys.send("esc")
    machine.mouse.move(1)
    machine.run(max_instructions=total - 100)
    assert copied(machine) == before
    machine.run(max_instructions=10_000)
    more = copied(machine)[len(before) :]
    assert more[::2].count(0x30) == 1 and more[::2].count(0x01) >= 1


@modes
def test_who_changes_the_past_has_other_input(mode: str) -> None:
    machine, rewind = lived(mode)
    rewind._to_count(3_000)
    rewind.changed()
    before = copied(machine)
    machine.run(max_instructions=20_000)
    assert b"\x10x" not in copied(machine)[len(before) :] and machine.console == b""


@modes
def test_functions_that_are_called_again_press_no_key_twice(mode: str) -> None:
    """At a port, at an instruction; and by a listener of the output, which is not called again."""
    source = COPIES.replace("out  dx, al", "out  dx, al; out 0x80, al", 1)
    machine = small(mode, source)
    rewind = Rewind(machine)

    def press(*_: object) -> None:
        machine.keyboard.chord("q")
        machine.keys.send("w")

    machine.hooks.on_port([0x80], press)
    at = BASE + len(assemble(source[: source.index("mov  ah, 0x10")] + "no_letter:", BASE))
    machine.hooks.on_address(at, lambda: machine.keyboard.chord("e"))
    machine.serial.listeners.append(lambda data: machine.keyboard.chord("z"))
    machine.serial.listeners.append(lambda data: machine.keys.send("v"))
    for letter in "abc":
        machine.run(max_instructions=9_000)
        machine.send(letter)
        machine.keyboard.chord("k")
    machine.run(max_instructions=20_000)
    end, total = everything(machine), machine.instructions
    keys = copied(machine)[::2]
    assert keys.count(0x2C) == keys.count(0x2F) == 3  # z and v, of the listeners
    assert keys.count(0x10) == keys.count(0x11) == 3  # q and w, of the port's
    assert keys.count(0x12) == 3  # e, of the instruction's
    for count in (total - 9_000, 18_005, 10):
        rewind._to_count(count)
        machine.run(max_instructions=total - count)
        assert everything(machine) == end, count


ASKS = """
    mov  edi, 0x180000
again:
    mov  eax, 0x564d5868
    mov  ecx, 6
    mov  dx, 0x5658
    in   eax, dx
    stosd
    mov  eax, 0x564d5868
    mov  ecx, 7
    mov  dx, 0x5658
    in   eax, dx
    stosd
    mov  ecx, 500
wait:
    loop wait
    jmp  again
"""


@modes
def test_a_clipboard(mode: str) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    machine.enable(X86_VMWARE_BACKDOOR)
    machine.load_flat(assemble(ASKS, BASE), BASE, esp=0x90000)
    rewind = Rewind(machine)
    tools = machine.vmware.tools
    for text in ("one", "seven", "x"):
        machine.run(max_instructions=3_333)
        tools.clipboard = text
        assert tools.clipboard == text
    machine.run(max_instructions=5_000)
    end, total = everything(machine), machine.instructions
    assert {length for (length, _) in lengths(machine)} == {0, 3, 5, 1}
    for count in (total - 10, 7_000, 3_333, 50):
        rewind._to_count(count)
        machine.run(max_instructions=total - count)
        assert everything(machine) == end, count


def lengths(machine: Machine) -> list[tuple[int, int]]:
    words = memoryview(copied(machine)).cast("I")
    return list(zip(words[::2], words[1::2], strict=False))


class Shared:
    """The host's own clipboard, which somebody else uses too."""

    def __init__(self) -> None:
        self.asked = 0

    def paste(self) -> bytes:
        self.asked += 1
        return b"z" * (self.asked % 7)

    def copy(self, data: bytes) -> None:
        raise AssertionError("nobody copies")


@modes
def test_a_shared_clipboard_says_what_it_said(mode: str) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    machine.enable(X86_VMWARE_BACKDOOR)
    machine.vmware.tools.selection.shared = shared = Shared()  # type: ignore[assignment]
    machine.load_flat(assemble(ASKS, BASE), BASE, esp=0x90000)
    rewind = Rewind(machine)
    machine.run(max_instructions=20_000)
    rewind._take(exact=False)
    machine.run(max_instructions=20_000)
    end, asked = everything(machine), shared.asked
    assert asked > 10
    for count in (39_990, 25_000, 300):
        rewind._to_count(count)
        machine.run(max_instructions=40_000 - count)
        assert everything(machine) == end, count
    assert shared.asked == asked
    machine.run(max_instructions=5_000)
    assert shared.asked > asked

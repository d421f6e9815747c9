"""Devices of own: ports, memory-mapped registers, lines and timers (embedding/plugging.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_lab import ORIGIN, agree, asm, live, modes
from patience import PATIENCE
from pieces import controllers

from devices.bus import Bus
from devices.device import Chip
from devices.fields import MOMENT, fields
from monitor import Machine
from monitor.vmm.errors import UserError

PORT = 0x300
HOLE = 0xD0004  # in the hole of a PC, and in no aligned place
HIGH = 0xFED00000


def noting(said: list[object], value: int = 0x11223344):
    def read(offset: int, size: int) -> int:
        said.append(("read", offset, size))
        return value

    def write(offset: int, size: int, data: int) -> None:
        said.append(("write", offset, size, data))

    return {"read": read, "write": write}


def test_ports_by_two_functions() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.devices.plug_ports(PORT, 6, **noting(said))

    life = agree(
        """
        mov  dx, 0x300
        in   al, dx
        mov  bl, al
        in   ax, dx
        mov  cx, ax
        in   eax, dx
        out  dx, eax
        mov  dx, 0x304
        out  dx, ax                         # the last two
        out  dx, eax                        # two of it are somebody else's: bytes
        mov  dx, 0x306
        in   al, dx                         # nobody's
        mov  ah, al
        hlt
        """,
        prepare,
    )
    assert life.said == [
        ("read", 0, 1),
        ("read", 0, 2),
        ("read", 0, 4),
        ("write", 0, 4, 0x11223344),
        ("write", 4, 2, 0x3344),
        ("write", 4, 1, 0x44),
        ("write", 5, 1, 0x33),
    ]
    assert life.registers["ebx"] & 0xFF == 0x44 and life.registers["ecx"] & 0xFFFF == 0x3344
    assert life.registers["eax"] == 0x1122FFFF


def test_functions_that_are_missing() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.devices.plug_ports(PORT, 4)

    life = agree("mov dx, 0x300; out dx, eax; in eax, dx; hlt", prepare)
    assert life.registers["eax"] == 0xFFFFFFFF


@pytest.mark.parametrize("value", [-1, 0x1FF, 1 << 40])
def test_answers_are_cut_to_their_size(value: int) -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.devices.plug_ports(PORT, 1, read=lambda offset, size: value)

    life = agree("xor eax, eax; mov dx, 0x300; in al, dx; hlt", prepare)
    assert life.registers["eax"] == value & 0xFF


@pytest.mark.parametrize("address", [HOLE, HIGH])
def test_memory_by_two_functions(address: int) -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.devices.plug_memory(address, 8, **noting(said))

    life = agree(
        f"""
        mov  edi, {address:#x}
        mov  ebx, [edi - 4]                 # nobody's, in the same page
        mov  eax, [edi]
        mov  cl, [edi + 7]
        mov  [edi + 2], ax
        add  dword ptr [edi + 4], 1
        mov  edx, [edi + 6]                 # half of it nobody's
        hlt
        """,
        prepare,
    )
    assert life.said == [
        ("read", 0, 4),
        ("read", 7, 1),
        ("write", 2, 2, 0x3344),
        ("read", 4, 4),
        ("write", 4, 4, 0x11223345),
        ("read", 6, 1),
        ("read", 7, 1),
    ]
    values = life.registers
    assert (values["ebx"], values["eax"]) == (0xFFFFFFFF, 0x11223344)
    assert values["edx"] == 0xFFFF4444 and values["ecx"] & 0xFF == 0x44


@modes
def test_a_device_where_nobody_was_before(mode: str) -> None:
    """What a guest read there, as ones, is no longer cached."""
    life = live(mode, "again: mov ebx, [0xd0000]; out 0xf0, al; jmp again",
                lambda machine, said: machine.hooks.on_port(
                    range(0xF0, 0xF1), lambda *access: machine.stop()))  # fmt: skip
    assert life.registers["ebx"] == 0xFFFFFFFF
    life.machine.devices.plug_memory(0xD0000, 4, read=lambda offset, size: 7)
    life.machine.run(timeout=PATIENCE)
    assert life.registers["ebx"] == 7


class Ticker(Chip):
    """Port 0 is a delay in microseconds, after which IRQ 5 has an edge; port 1 how many there were.

    Made by the book: it claims its ports itself.
    """

    name = "ticker"
    state = fields(ticks=MOMENT, due=MOMENT)

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.line = bus.irq(5)
        self.ticks = self.due = 0
        bus.claim_ports(PORT, 2, self)

    def reset(self) -> None:
        self.ticks = self.due = 0

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        if self.due:
            yield self.line.number

    def read_port(self, offset: int, size: int) -> int:
        return self.ticks if offset else 0

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.due = self.bus.clock.now() + value * 1000
        self.bus.schedule(self.due, self.tick)

    def tick(self) -> None:
        self.due = 0
        self.ticks += 1
        self.line.pulse()


WAITS = f"""
    mov  eax, handler
    mov  [0x7128], ax
    mov  word ptr [0x712a], 0x10
    mov  word ptr [0x712c], 0x8e00
    shr  eax, 16
    mov  [0x712e], ax
    sub  esp, 8
    mov  word ptr [esp], 0x17f
    mov  dword ptr [esp + 2], 0x7000
    lidt [esp]
    {controllers()}
    mov  al, 0xdf
    out  0x21, al
    mov  dx, 0x300
    mov  al, 100
    out  dx, al
    sti
    hlt
    cli
    inc  dx
    in   al, dx
    hlt
handler:
    inc  ebx
    mov  al, 0x20
    out  0x20, al
    iretd
"""


def test_a_chip_with_a_timer_and_a_line() -> None:
    """It wakes a halted guest, at the same instruction in every mode, and is reset."""
    chips: list[Ticker] = []

    def prepare(machine: Machine, said: list[object]) -> None:
        chips.append(Ticker(machine.devices.bus))
        machine.devices.plug(chips[-1])

    life = agree(WAITS, prepare)
    assert life.registers["ebx"] == 1 and life.registers["eax"] & 0xFF == 1
    life.machine.reset()
    assert chips[0].ticks == 0 and chips[1].ticks == 1


def test_one_that_the_machine_does_not_know_of_wakes_nobody() -> None:
    life = live("bare", WAITS, lambda machine, said: Ticker(machine.devices.bus))
    assert life.outcome.kind == "stuck" and life.registers["ebx"] == 0


@modes
def test_what_a_function_raises_comes_out_of_run(mode: str) -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.devices.plug_ports(PORT, 1, read=lambda offset, size: 1 // 0)

    machine = Machine(memory_mb=4, mode=mode)
    prepare(machine, [])
    machine.load_flat(asm("mov dx, 0x300; in al, dx; inc ebx; hlt"), ORIGIN)
    with pytest.raises(ZeroDivisionError):
        machine.run(timeout=PATIENCE)
    assert machine.registers["ebx"] in (0, 1) and machine.registers["edx"] == 0x300


@modes
def test_what_a_function_raises_at_a_breakpoint_comes_out_of_run(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.devices.plug_ports(PORT, 1, read=lambda offset, size: 1 // 0)
    machine.load_flat(asm("mov edx, 0x300; in al, dx; inc ebx; hlt"), ORIGIN)
    machine.debug.add_breakpoint(ORIGIN + 5)
    assert machine.run(timeout=PATIENCE).kind == "address"
    with pytest.raises(ZeroDivisionError):
        machine.step()
    assert (machine.instructions, machine.registers["eip"]) == (2, ORIGIN + 6)
    assert machine.run(timeout=PATIENCE).kind == "stuck"


@modes
def test_what_a_memory_device_raises_comes_out_soon(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.devices.plug_memory(0xFED00000, 4, write=lambda offset, size, value: 1 // (value - 50))
    machine.load_flat(asm("again: inc ecx; mov [0xfed00000], ecx; jmp again"), ORIGIN)
    with pytest.raises(ZeroDivisionError):
        machine.run(max_instructions=100_000)
    assert machine.registers["ecx"] in (50, 51)


# --- what cannot be -------------------------------------------------------------------------------


def test_ports_that_are_taken() -> None:
    machine = Machine(memory_mb=4)
    with pytest.raises(UserError, match="0x3f8 belongs to uart"):
        machine.devices.plug_ports(0x3F8, 8)
    for first, count in ((0xFFFF, 2), (0x300, 0), (-1, 1)):
        with pytest.raises(UserError, match="0-0xffff"):
            machine.devices.plug_ports(first, count)


def test_memory_that_is_taken() -> None:
    machine = Machine(memory_mb=4)
    for first, size in ((0x9FFFC, 8), (0x100000, 4), (0x3FFFFF, 2), (0, 1)):
        with pytest.raises(UserError, match="cannot lie over RAM"):
            machine.devices.plug_memory(first, size)
    for first, size in ((0xFFFFFFFC, 8), (-4, 4), (0xD0000, 0)):
        with pytest.raises(UserError, match="4 GiB of physical memory"):
            machine.devices.plug_memory(first, size)
    machine.devices.plug_memory(0x400000, 0x1000, name="first")
    with pytest.raises(UserError, match="belongs to first"):
        machine.devices.plug_memory(0x400800, 4)
    machine.roms.add(0xC8000, b"rom")
    with pytest.raises(UserError, match="a ROM is at 0xc8000"):
        machine.devices.plug_memory(0xC8800, 4)


def test_a_device_is_not_plugged_in_by_half() -> None:
    class Both:
        name = "both"

        def read_port(self, offset: int, size: int) -> int:
            return 0

        def write_port(self, offset: int, size: int, value: int) -> None: ...

        read_memory, write_memory = read_port, write_port

    machine = Machine(memory_mb=4)
    machine.devices.plug_memory(HIGH, 16, name="the first")
    with pytest.raises(UserError, match="the first"):
        machine.devices.plug(Both(), range(PORT, PORT + 4), range(HIGH + 8, HIGH + 9))
    assert machine.devices.bus.owner_of(PORT) is None

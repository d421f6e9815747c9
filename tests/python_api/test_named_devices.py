"""Devices by name: in the machine's description, later, and while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from api_lab import ORIGIN, Life, agree, asm, live, modes
from patience import PATIENCE
from pieces import controllers

from devices.bus import Bus
from devices.claims import PortClaim
from devices.device import Chip
from devices.errors import Released, SnapshotError, UnknownDevice
from devices.fields import BYTE, LINE, TIMER, fields
from devices.slot import Slot
from monitor import Machine
from monitor.vmm.errors import UserError

PORT = 0x300
HIGH = 0xFED00000
CHIPS = ["pic", "wires", "dma", "pit", "port61", "uart", "rtc", "a20", "kbc", "port92",
         "debug_exit", "debugcon", "post"]  # fmt: skip


class Latch(Chip):
    """One byte at a port."""

    name = "latch"
    state = fields(value=BYTE)
    wiring = ("bus", "claim")

    def __init__(self, bus: Bus, port: int = PORT) -> None:
        self.bus = bus
        self.claim: PortClaim = bus.claim_ports(port, 1, self)
        self.reset()

    def reset(self) -> None:
        self.value = 0

    def read_port(self, offset: int, size: int) -> int:
        return self.value

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.value = value


def test_the_chips_of_the_board() -> None:
    machine = Machine(memory_mb=1)
    assert list(machine.devices) == CHIPS and len(machine.devices) == len(CHIPS)
    assert machine.devices["pit"] is machine.board.pc.pit
    assert "uart" in machine.devices and "disk" not in machine.devices
    with pytest.raises(UnknownDevice, match="no device 'disk'; there are pic, wires, dma"):
        machine.devices["disk"]


def test_in_the_machines_description() -> None:
    machine = Machine(memory_mb=1, devices=[Latch, partial(Latch, port=0x310)])
    assert list(machine.devices)[len(CHIPS) :] == ["latch", "latch-2"]
    assert machine.devices["latch-2"].claim.first == 0x310
    named = Machine(memory_mb=1, devices={"left": Latch, "right": partial(Latch, port=0x310)})
    assert list(named.devices)[len(CHIPS) :] == ["left", "right"]
    other = Machine.of(named.settings, devices=[Latch])
    assert "latch" in other.devices


def test_what_cannot_be_in_it() -> None:
    with pytest.raises(UserError, match="latch claims ports 0x300-0x300, but 0x300 belongs to"):
        Machine(memory_mb=1, devices=[Latch, Latch])
    with pytest.raises(UserError, match="there is a device 'pit' already"):
        Machine(memory_mb=1, devices={"pit": Latch})


def test_one_that_cannot_be_made_leaves_nothing() -> None:
    machine = Machine(memory_mb=1)

    def half(bus: Bus) -> Any:
        bus.claim_memory(HIGH, 4, Latch(bus))  # type: ignore[arg-type]
        bus.irq(5).raise_()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        machine.devices.add(half)
    assert machine.devices.bus.owner_of(PORT) is None
    assert not machine.board.bus.memory_in(HIGH, 4) and not machine.board.bus.wires.level(5)

    def over_ram(bus: Bus) -> Any:
        bus.claim_memory(0x8000, 4, Latch(bus))  # type: ignore[arg-type]

    with pytest.raises(UserError, match="cannot lie over RAM"):
        machine.devices.add(over_ram)
    assert not machine.board.bus.memory_in(0x8000, 4) and list(machine.devices) == CHIPS


def test_unplugged() -> None:
    machine = Machine(memory_mb=1, devices=[Latch])
    latch = machine.devices["latch"]
    assert machine.devices.unplug("latch") is latch
    assert "latch" not in machine.devices and machine.devices.bus.owner_of(PORT) is None
    with pytest.raises(UserError, match="there is no device 'latch'; there are pic"):
        machine.devices.unplug("latch")
    with pytest.raises(UserError, match="'uart' is soldered to the board"):
        machine.devices.unplug("uart")
    machine.devices.add(Latch)
    assert machine.devices["latch"] is not latch


def test_functions_are_unplugged_as_well() -> None:
    machine = Machine(memory_mb=1)
    machine.devices.plug_ports(PORT, 4, read=lambda offset, size: 7, name="seven")
    machine.devices.plug_memory(HIGH, 4, read=lambda offset, size: 8, name="eight")
    bus = machine.board.bus
    assert (bus.read_port(PORT, 1), bus.read_memory(HIGH, 1)) == (7, 8)
    machine.devices.unplug("seven"), machine.devices.unplug("eight")
    assert (bus.read_port(PORT, 1), bus.read_memory(HIGH, 1)) == (0xFF, 0xFF)


def test_made_by_hand_and_then_plugged_in() -> None:
    machine = Machine(memory_mb=1)
    latch = Latch(machine.devices.bus)
    machine.devices.plug(latch, name="mine")
    machine.devices.unplug("mine")
    assert machine.devices.bus.owner_of(PORT) is None


def test_reset_reaches_those_that_are_there() -> None:
    machine = Machine(memory_mb=1, devices=[Latch])
    latch = machine.devices["latch"]
    latch.value = 3
    machine.reset()
    assert latch.value == 0
    machine.devices.unplug("latch")
    latch.value = 3
    machine.reset()
    assert latch.value == 3


# --- in the middle of an instruction --------------------------------------------------------------


class Leaving(Latch):
    """Gone with the first write."""

    name = "leaving"

    def write_port(self, offset: int, size: int, value: int) -> None:
        assert isinstance(self.bus, Slot)
        self.bus.release()


READS = "mov dx, 0x300; in al, dx; mov bl, al; out dx, al; in al, dx; mov bh, al; hlt"


def test_a_device_that_leaves_the_machine_by_itself() -> None:
    life = agree(READS, lambda machine, said: machine.devices.add(Leaving))
    assert life.registers["ebx"] & 0xFFFF == 0xFF00
    assert list(life.machine.devices) == CHIPS


def test_a_device_that_plugs_in_another() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        class Loader(Leaving):
            def write_port(self, offset: int, size: int, value: int) -> None:
                super().write_port(offset, size, value)
                machine.devices.add(Latch).value = 0x55

        machine.devices.add(Loader)

    life = agree(READS, prepare)
    assert life.registers["ebx"] & 0xFFFF == 0x5500
    assert list(life.machine.devices) == [*CHIPS, "latch"]


class Mover(Latch):
    """Its port is where the guest says, as a base address register of PCI has it."""

    name = "mover"

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.claim.move(0x300 + value)
        self.value = value


def test_a_base_address_that_the_guest_moves() -> None:
    life = agree(
        """
        mov dx, 0x300; mov al, 0x10; out dx, al
        in  al, dx; mov bl, al              # nobody is here any more
        mov dx, 0x310; in al, dx; mov bh, al
        mov al, 0xf0; out dx, al; mov dx, 0x3f0; in al, dx; mov cl, al
        hlt
        """,
        lambda machine, said: machine.devices.add(Mover),
    )
    assert life.registers["ebx"] & 0xFFFF == 0x10FF and life.registers["ecx"] & 0xFF == 0xF0


@modes
def test_using_what_was_given_back_comes_out_of_run(mode: str) -> None:
    class Ghost(Latch):
        def write_port(self, offset: int, size: int, value: int) -> None:
            line = self.bus.irq(5)
            line.release()
            line.raise_()

    machine = Machine(memory_mb=4, mode=mode, devices=[Ghost])
    machine.load_flat(asm("mov dx, 0x300; out dx, al; hlt"), ORIGIN)
    with pytest.raises(Released, match="interrupt line 5 is driven by a device that gave it back"):
        machine.run(timeout=PATIENCE)


# --- a shared line --------------------------------------------------------------------------------

LINE_NUMBER = 11


class Card(Chip):
    """Port 0: so many microseconds from now it asks on IRQ 11, until port 1 is read."""

    name = "card"
    state = fields(asked=BYTE, line=LINE, timer=TIMER)
    wiring = ("bus",)

    def __init__(self, bus: Bus, port: int) -> None:
        self.bus = bus
        self.line = bus.shared_irq(LINE_NUMBER)
        self.timer = bus.timer(self.ask)
        self.asked = 0
        bus.claim_ports(port, 2, self)

    def reset(self) -> None:
        self.timer.cancel()
        self.line.lower()

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.timer.set(self.bus.clock.now() + 1000 * value)

    def ask(self) -> None:
        self.asked += 1
        self.line.raise_()

    def read_port(self, offset: int, size: int) -> int:
        asks = self.line.level
        self.line.lower()
        return int(asks)


SHARED = f"""
    mov  eax, handler
    mov  [0x7158], ax
    mov  word ptr [0x715a], 0x10
    mov  word ptr [0x715c], 0x8e00
    shr  eax, 16
    mov  [0x715e], ax
    sub  esp, 8
    mov  word ptr [esp], 0x17f
    mov  dword ptr [esp + 2], 0x7000
    lidt [esp]
    {controllers()}
    mov  al, 0xfb
    out  0x21, al
    mov  al, 0xf7
    out  0xa1, al
    mov  al, 8
    mov  dx, 0x4d1
    out  dx, al                 # by level
    mov  dx, 0x300
    mov  al, FIRST
    out  dx, al
    mov  dx, 0x310
    mov  al, SECOND
    out  dx, al
wait:
    sti
    hlt
    cli
    cmp  bl, 2
    jb   wait
    hlt                         # nothing can wake it now
handler:                        # one device at each interrupt, as a driver would
    inc  ecx
    mov  dx, 0x301
    in   al, dx
    cmp  al, 1
    je   one
    mov  dx, 0x311
    in   al, dx
    cmp  al, 1
    jne  done
one:
    inc  bl
done:
    mov  al, 0x20
    out  0xa0, al
    out  0x20, al
    iretd
"""


def two_cards(machine: Machine, said: list[object] | None = None) -> None:
    machine.devices.add_all({"one": partial(Card, port=0x300), "two": partial(Card, port=0x310)})


@pytest.mark.parametrize(("first", "second"), [(50, 50), (50, 200), (200, 50), (50, 49), (1, 2)])
def test_two_devices_on_one_line(first: int, second: int) -> None:
    """Both are served, also where they ask at the same moment, and at the same instruction in every
    mode; a halted guest is woken by either."""
    source = SHARED.replace("FIRST", str(first)).replace("SECOND", str(second))
    life: Life = agree(source, two_cards, trap=False)
    assert life.registers["ebx"] & 0xFF == 2 and life.registers["ecx"] == 2
    assert not life.machine.board.bus.wires.level(LINE_NUMBER)


@modes
def test_a_card_that_is_pulled_out_lets_go_of_the_line(mode: str) -> None:
    """The other one's request stays, and a halted guest that waits for the first one is stuck."""
    source = SHARED.replace("FIRST", "100").replace("SECOND", "200")
    life = live(mode, source, lambda machine, said: (
        two_cards(machine), machine.hooks.on_port(range(0x310, 0x311), lambda *access: (
            machine.devices.unplug("one")))))  # fmt: skip
    assert life.outcome.kind == "stuck"
    assert life.registers["ebx"] & 0xFF == 1 and life.registers["ecx"] == 1


# --- snapshots ------------------------------------------------------------------------------------


@modes
def test_a_machine_goes_on_with_its_devices_states(mode: str) -> None:
    """In the middle of it all: one card asks, the other one's time is running."""
    source = SHARED.replace("FIRST", "50").replace("SECOND", "90")

    def make() -> Machine:
        machine = Machine(memory_mb=4, mode=mode)
        two_cards(machine)
        machine.load_flat(asm(source), ORIGIN, esp=0x90000)
        return machine

    one, two = make(), make()
    for machine in (one, two):
        machine.run(max_instructions=40)
    saved = json.loads(json.dumps(one.board.snapshot()))
    assert saved["one"]["timer"] and saved["two"]["timer"] and saved["one"]["asked"] == 0
    two.board.devices["one"].timer.set(1 << 60)  # it is to be put right
    two.board.devices["two"].reset()
    two.board.restore(saved)
    assert two.board.snapshot() == saved
    for machine in (one, two):
        assert machine.run(timeout=PATIENCE, max_instructions=10_000).kind == "stuck"
    assert one.registers == two.registers and one.instructions == two.instructions
    assert one.clock.now() == two.clock.now()


def test_what_is_typed_is_part_of_the_snapshot() -> None:
    machine = Machine(memory_mb=1)
    machine.send("abc")
    assert machine.board.snapshot()["uart"]["waiting"] == b"bc".hex()
    assert machine.board.snapshot()["uart"]["receiver"] == [ord("a")]


def test_functions_have_no_snapshot() -> None:
    machine = Machine(memory_mb=1)
    machine.devices.plug_ports(PORT, 1, name="seven")
    with pytest.raises(SnapshotError, match="the device 'seven' cannot be saved"):
        machine.board.snapshot()


def test_what_a_snapshot_forgets_can_be_asked() -> None:
    machine = Machine(memory_mb=1, devices=[Latch])
    latch = machine.devices["latch"]
    assert latch.unsaved() == []
    latch.later = 1
    assert latch.unsaved() == ["later"]


class Sleeper(Chip):
    """It has a timer and a line, and says nothing of either."""

    name = "sleeper"
    state = fields(line=LINE, timer=TIMER)

    def __init__(self, bus: Bus) -> None:
        self.line, self.timer = bus.irq(7), bus.timer(lambda: None)


def test_what_a_chip_says_of_its_lines_by_itself() -> None:
    def coming(chip: Chip) -> list[int]:
        found: Iterator[int] = chip.coming_irqs(False)
        return list(found)

    machine = Machine(memory_mb=1, devices=[Sleeper])
    sleeper = machine.devices["sleeper"]
    assert coming(sleeper) == []
    sleeper.timer.set(1000)
    assert coming(sleeper) == [7]
    assert coming(machine.devices["post"]) == []

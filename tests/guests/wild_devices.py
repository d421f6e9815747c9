"""Random worlds with devices in memory: wild_user.py's, with some of the user's pages on the bus.

The user's data, its stack and sometimes its code lie in part where a device answers or in a frame
buffer; so do its LDT and a TSS. What the device does hangs on the offset, modulo 64:

    0   reads what time it is           12  bit 0 drives an interrupt line
    4   reads another number each time  16  some values end the machine
    8   arms a timer, which pulses one  20  changes the physical map, in a moving world
    24 to 63   storage

and every access goes into its journal, with the time. In a *moving* world the frame buffer changes
its place, shadow RAM is switched, ROM is programmed, A20 opens and shuts, a second device comes and
goes. The journals must be the same, too.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wild_code import World, dword
from wild_user import DATA, USER, USER_BYTES, USER_STACK, UserWorld

from monitor import Machine
from monitor.vmm.outcome import Outcome
from monitor.vmm.physical_map import PhysicalMap

PAGE = 4096
REGISTERS = 0x40000000  # two devices share its three pages
FIRST = range(REGISTERS + 0x10, REGISTERS + 0x1800)
SECOND = range(REGISTERS + 0x1800, REGISTERS + 0x2FEE)
GUEST = 0xD1004  # one that comes and goes, 0x1000 bytes: in parts of two pages
BUFFER_PAGES = 8
BUFFERS = (0xE0000000, 0xE0004000, 0xA0000, 0xD8000, USER)  # where it may be; the last is RAM
ROM = 0xC8000
FRAMES = (  # worth mapping: what they hold differs, and in a moving world from time to time
    *(REGISTERS // PAGE + page for page in (0, 0, 0, 0, 1, 1, 1, 2, 2)),
    *(BUFFERS[0] // PAGE + page for page in (0, 1, 4, 5)),
    *(0xA0, 0xC8, 0xC9, 0xD1, 0xD2, 0xD8, 0xDA, 0xF0),
)
END_KEY = 3  # of 64 values
LINES = (3, 4, 5, 10)
TIMERS = 4


class Probe:
    """A device of the world's; see above."""

    def __init__(
        self, name: str, machine: Machine, journal: Journal, size: int, world: int
    ) -> None:
        self.name = name
        self.machine = machine
        self.journal = journal
        self.store = bytearray(size + 8)
        self.number = world
        self.line = machine.board.bus.irq(LINES[size % len(LINES)])
        self.armed = 0
        self.mover: Mover | None = None

    def reset(self) -> None: ...

    def coming_irqs(self, _input_open: bool) -> Iterator[int]:
        if self.armed:
            yield self.line.number

    def read_memory(self, offset: int, size: int) -> int:
        place = offset % 64
        if place < 4:
            value = self.machine.clock.now() // 5
        elif place < 8:
            self.number = value = (self.number * 69069 + 1) & 0xFFFFFFFF
        else:
            value = int.from_bytes(self.store[offset : offset + size], "little")
        value &= (1 << 8 * size) - 1
        self.journal.note("r", self, offset, size, value)
        return value

    def write_memory(self, offset: int, size: int, value: int) -> None:
        self.journal.note("w", self, offset, size, value)
        self.store[offset : offset + size] = value.to_bytes(size, "little")
        place = offset % 64
        if 8 <= place < 12 and self.armed < TIMERS:
            self.armed += 1
            bus = self.machine.board.bus
            bus.schedule(bus.clock.now() + 5 * (value & 0x1FF), self.ring)
        elif 12 <= place < 16:
            self.line.set(bool(value & 1))
        elif 16 <= place < 20 and value & 63 == END_KEY:
            self.machine.board.end(Outcome("exit", value & 0xFF, "the device ended it"))
        elif 20 <= place < 24 and self.mover is not None:
            self.mover.move(value)

    def ring(self) -> None:
        self.armed -= 1
        self.journal.note("t", self, 0, 0, 0)
        self.line.pulse()


class Journal:
    """All accesses to all devices of a world."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.entries = 0
        self.last: deque[tuple[object, ...]] = deque(maxlen=1000)
        self._digest = hashlib.blake2b(digest_size=16)

    def note(self, kind: str, probe: Probe, offset: int, size: int, value: int) -> None:
        machine = self.machine
        if machine.processor.ideal.for_itself:  # how often code is fetched is nobody's business
            return
        entry = (kind, probe.name, offset, size, value, machine.clock.now())
        self.entries += 1
        self.last.append(entry)
        self._digest.update(repr(entry).encode())

    def digest(self) -> str:
        return self._digest.hexdigest()


class Mover:
    """What changes the physical map."""

    def __init__(self, machine: Machine, journal: Journal, salt: int) -> None:
        self.machine = machine
        self.map: PhysicalMap = machine.physical_map
        self.buffer = machine.devices.make_memory(BUFFER_PAGES * PAGE, "buffer")
        self.salt = salt
        self.visitor = Probe("visitor", machine, journal, 0x1000, salt)
        self.claim: Any = None
        self.moves = 0

    def move(self, value: int) -> None:
        self.moves += 1
        value ^= self.salt
        kind, value = value % 8, value >> 3 & 0xFFFFFF
        bus = self.machine.board.bus
        if kind == 0:
            self.buffer.move(BUFFERS[value % len(BUFFERS)])
        elif kind == 1:
            self.buffer.hide()
        elif kind in (2, 6):
            first = 0xC0000 + (value & 0x3F) * PAGE
            last = min(0x100000, first + (1 + (value >> 6 & 0xF)) * PAGE)
            self.map.shadow(range(first, last), bool(value & 0x400), bool(value & 0x800))
        elif kind == 3:
            if self.claim is None:
                self.claim = bus.claim_memory(GUEST, 0x1000, self.visitor)
            else:
                self.claim.release()
                self.claim = None
        elif kind == 4:
            if not self.map.shadowed(ROM)[0]:
                self.machine.roms.add(ROM, struct.pack("<I", value) * 0x700)
        elif kind == 5:
            port = bus.read_port(0x92, 1)
            bus.write_port(0x92, 1, port & ~3 | value & 2)
        else:
            self.buffer.show(0xA0000, (value & 3) * PAGE, 2 * PAGE)


@dataclass
class WithDevices(World):
    """A world, and what it has on the bus."""

    moving: bool = False
    salt: int = 0
    pictures: tuple[bytes, ...] = ()  # what device memory, registers and ROM begin with

    def load(self, machine: Machine) -> None:
        super().load(machine)
        journal = machine.journal = Journal(machine)  # type: ignore[attr-defined]
        mover = Mover(machine, journal, self.salt)
        mover.buffer.bytes[:] = bytearray(self.pictures[0])
        mover.buffer.wrote(0, mover.buffer.size)
        mover.buffer.show(BUFFERS[0])
        machine.roms.add(ROM, self.pictures[1])
        for name, where, picture in zip(
            ("first", "second"), (FIRST, SECOND), self.pictures[2:], strict=True
        ):
            probe = Probe(name, machine, journal, len(where), self.salt)
            probe.store[: len(picture)] = picture
            probe.mover = mover if self.moving else None
            machine.devices.plug(probe, memory=where)


class DeviceWorld(UserWorld):
    """The parts of wild_user.py's world that differ."""

    def __init__(self, dice: random.Random, moving: bool) -> None:
        super().__init__(dice)
        self.paging = True
        self.mask = 0x00
        self.moving = moving

    def random_page(self) -> int:
        """An entry that leads to the bus, or to memory."""
        rights = self.dice.choice((7, 7, 7, 7, 5, 0x107, 0x67))
        return self.dice.choice(FRAMES) * PAGE | rights

    def page_table(self) -> bytes:
        dice = self.dice
        entries = list(struct.unpack("<1024I", super().page_table()))
        data = range(DATA // PAGE, DATA // PAGE + 4)
        for page in dice.sample(data, dice.choice((1, 2, 3, 4, 4))):
            entries[page] = self.random_page()
        if dice.random() < 0.1:
            entries[USER_STACK // PAGE] = self.random_page() | 7
        if dice.random() < 0.2:
            page = dice.randrange(USER // PAGE, (USER + USER_BYTES) // PAGE)
            entries[page] = self.random_page()
        for page in dice.sample(range(0x200, 0x3FC), 60):
            entries[page] = self.random_page()
        return struct.pack("<1024I", *entries)

    def gdt(self) -> bytes:
        gdt = bytearray(super().gdt())
        if self.dice.random() < 0.15:  # the LDT among the user's data, wherever that lies
            at = self.dice.choice((DATA, DATA + 0x1000)) + 64 * self.dice.randrange(8) + 24
            low = 0x27 | (at & 0xFFFF) << 16
            gdt[0x40:0x48] = struct.pack("<II", low, at >> 16 & 0xFF | 0x8200 | at & 0xFF000000)
        return bytes(gdt)

    def page(self, at: int, data: int) -> tuple[bytes, bytes]:
        """A page-table entry that leads to the bus, and INVLPG."""
        if self.dice.random() < 0.4:
            return super().page(at, data)
        page = self.dice.choice((*range(DATA // PAGE, DATA // PAGE + 4), *range(0x200, 0x210)))
        code = b"\x36\xc7\x05" + dword(0x3FE000 + 4 * page) + dword(self.random_page())
        return self.then(code + b"\x36\x0f\x01\x3d" + dword(page << 12), at)

    def world(self) -> World:
        made = super().world()
        dice = self.dice
        buffer = bytearray(dice.randbytes(BUFFER_PAGES * PAGE))
        for page in range(0, BUFFER_PAGES, 2):  # code that makes sense, if it is run
            buffer[page * PAGE : (page + 1) * PAGE] = self.code[PAGE : 2 * PAGE]
        pictures = bytes(buffer), self.code[:0x1800], self.code[:0x1000], dice.randbytes(0x1000)
        return WithDevices(made.pieces, made.first, made.entry, made.stack, self.moving,
                           dice.getrandbits(31), pictures)  # fmt: skip


def make(dice: random.Random, moving: bool) -> World:
    return DeviceWorld(dice, moving).world()

"""What is done to the board of whole_board.py: any access, and some that make sense."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

from monitor import Machine
from monitor.vmm.errors import UserError

FRESH = 500  # accesses for which a list of ports and ranges is good
SIZES = (1, 1, 1, 2, 4)
PASSING = (0, 1_000, 60_000, 10**6, 30 * 10**6)
RARELY = (10**9, 60 * 10**9, 86_400 * 10**9)
BYTES = (0, 1, 2, 0x7F, 0x80, 0xFF)
FLOPPY = (0x03, 0x04, 0x07, 0x08, 0x0F, 0x46, 0x45, 0x4A, 0x4D, 0x42, 0x10, 0x13, 0x94, 0x0E, 0x66)
ATA = (0x20, 0x30, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0x25, 0x35, 0x24, 0x34, 0x29, 0x39, 0xEC, 0xA1,
       0xA0, 0xE7, 0xEA, 0x90, 0x91, 0xEF, 0x08, 0xF8, 0x27, 0xE0, 0xE1, 0x70, 0x40)  # fmt: skip
PACKETS = (0x00, 0x03, 0x12, 0x1B, 0x1E, 0x25, 0x28, 0xA8, 0x43, 0x46, 0x4A, 0x51, 0x5A, 0xBD, 0xBE)
KEYBOARD = (0x20, 0x60, 0xA7, 0xA8, 0xAA, 0xAB, 0xAD, 0xAE, 0xD0, 0xD2, 0xD3, 0xD4, 0xD4)
VBE = (0, 1, 4, 8, 15, 24, 32, 0x41, 0x61, 0xC1, 320, 640, 1024)
REGISTERS = (4, 0x10, 0x14, 0x18, 0x20, 0x40, 0x59, 0x60, 0x80)  # PCI's, and the chipset's own
KEYS = ("a", "pause", "up", "shift", "f1")
CD = bytes(0x8000) + b"\x01CD001\x01" + bytes(0x8000 - 7)
MEDIA = {"fda": (None, bytes(1474560), bytes(737280)), "fdb": (None, bytes(737280)),
         "cdrom": (None, CD)}  # fmt: skip


class Acts:
    """One machine, and dice."""

    def __init__(self, machine: Machine, dice: random.Random) -> None:
        self.machine = machine
        self.bus = machine.board.bus
        self.dice = dice
        self.accesses = 0
        self.kinds: Counter[str] = Counter()
        self._fresh = -1
        self._acts = (self._any_port,) * 6 + (self._registers, self._memory, self._pci, self._vga,
                      self._vbe, self._ata, self._packet, self._floppy, self._dma, self._timer,
                      self._master, self._keyboard, self._pic)  # fmt: skip

    def act(self) -> object:
        """One access or a few that belong together; what was read."""
        if self.accesses // FRESH != self._fresh:
            self._fresh = self.accesses // FRESH
            self._ranges = self.bus.port_ranges()
            self._memories = self.bus.memory_ranges()
            self._regions = [(each.first, each.end) for each in self.machine.physical_map.regions()]
        return self.dice.choice(self._acts)()

    # Single accesses

    def out(self, port: int, value: int, size: int = 1) -> None:
        self._count("port writes")
        self.machine.clock.wait(1000)
        self.bus.write_port(port, size, value)

    def inp(self, port: int, size: int = 1) -> int:
        self._count("port reads")
        self.machine.clock.wait(1000)
        value = self.bus.read_port(port, size)
        assert 0 <= value < 1 << 8 * size, f"port {port:#x} reads {value:#x} in {size} bytes"
        return value

    def _count(self, kind: str) -> None:
        self.accesses += 1
        self.kinds[kind] += 1

    def value(self) -> int:
        dice = self.dice
        return dice.choice((dice.choice(BYTES), dice.getrandbits(8), dice.getrandbits(32)))

    def _any_port(self) -> object:
        dice = self.dice
        if dice.random() < 0.1:
            port = dice.getrandbits(16)
        else:
            first, last, _ = dice.choice(self._ranges)
            port = dice.randint(first, last)
        size = dice.choice(SIZES)
        if dice.random() < 0.5:
            return self.inp(port, size)
        return self.out(port, self.value(), size)

    def _registers(self) -> object:
        """Registers in memory, on and over their edges."""
        return [self._register() for _ in range(40 if self._memories else 0)]

    def _register(self) -> object:
        dice = self.dice
        first, end = dice.choice(self._memories)
        address = dice.choice((dice.randrange(first, end), first, end - 1, end - 3))
        size = dice.choice(SIZES)
        address = min(max(address, 0), (1 << 32) - size)
        if dice.random() < 0.5:
            self._count("register reads")
            value = self.bus.read_memory(address, size)
            assert 0 <= value < 1 << 8 * size, f"{address:#x} reads {value:#x} in {size} bytes"
            return value
        self._count("register writes")
        return self.bus.write_memory(address, size, self.value())

    def _memory(self) -> object:
        """RAM, frame buffers, ROM, and what is nothing."""
        return [self._place() for _ in range(40)]

    def _place(self) -> object:
        dice = self.dice
        first, end = dice.choice(self._regions)
        address, size = dice.randrange(first, end), dice.choice(SIZES)
        if first < 0x200000:
            address = max(address, 0xA0000)  # leave the guest its tables, and mostly its code
        try:
            if dice.random() < 0.5:
                self._count("memory reads")
                return self.machine.read_physical(address, size)
            self._count("memory writes")
            value = self.value() & (1 << 8 * size) - 1
            return self.machine.write_physical(address, value.to_bytes(size, "little"))
        except UserError:
            return None  # there is none

    # What makes sense

    def _pci(self) -> object:
        dice = self.dice
        function = dice.choice((0, 8, 9, 11, 16, dice.randrange(256)))
        register = dice.choice((*REGISTERS, dice.randrange(256)))
        self.out(0xCF8, 0x80000000 | function << 8 | register & 0xFC, 4)
        if dice.random() < 0.4:
            return self.inp(0xCFC + register % 4, 1)
        value = dice.choice((0xFFFFFFFF, 7, 0xC001, 0xE0000000, 0xFEB00000, self.value()))
        return self.out(0xCFC, value, 4)

    def _vga(self) -> object:
        dice = self.dice
        port = dice.choice((0x3C4, 0x3CE, 0x3D4, 0x3B4))
        self.out(port, dice.randrange(32) | dice.getrandbits(8) << 8, 2)
        if dice.random() < 0.1:
            self.out(0x3C2, dice.choice((0x67, 0x63, 0xE3)))
            self.out(0x3C3, 1)
        return self.inp(0x3DA)

    def _vbe(self) -> object:
        self.out(0x1CE, self.dice.randrange(12), 2)
        if self.dice.random() < 0.3:
            return self.inp(0x1CF, 2)
        return self.out(0x1CF, self.dice.choice(VBE), 2)

    def _ata(self) -> object:
        dice = self.dice
        base = dice.choice((0x1F0, 0x170))
        for register in (1, 2, 3, 4, 5):
            self.out(base + register, dice.choice((0, 0, 1, 2, dice.getrandbits(8))))
        self.out(base + 6, dice.choice((0xE0, 0xF0, 0xA0, 0xB0)))
        self.out(base + 7, dice.choice(ATA))
        return self._data(base)

    def _data(self, base: int) -> object:
        read: list[int] = []
        self._pass(PASSING)
        for _ in range(self.dice.choice((0, 1, 6, 128, 256))):
            if self.dice.random() < 0.3:
                self.out(base, self.value(), self.dice.choice((2, 4)))
            else:
                read.append(self.inp(base, self.dice.choice((2, 4))))
        return read, self.inp(base + 7)

    def _packet(self) -> object:
        dice = self.dice
        self.out(0x176, dice.choice((0xA0, 0xB0)))
        for register, value in ((1, dice.getrandbits(1)), (4, 0xFE), (5, 0xFF), (7, 0xA0)):
            self.out(0x170 + register, value)
        self._pass(PASSING)
        packet = bytes((dice.choice(PACKETS), 0, *(dice.choice(BYTES) for _ in range(10))))
        for at in range(0, 12, 2):
            self.out(0x170, int.from_bytes(packet[at : at + 2], "little"), 2)
        return self._data(0x170)

    def _floppy(self) -> object:
        dice = self.dice
        if dice.random() < 0.3:
            self.out(0x3F2, dice.choice((0x1C, 0x2D, 0x0C, 0x08, 0x00, 0x3C)))
        if dice.random() < 0.2:
            self.out(0x3F7, dice.randrange(4))
        self.out(0x3F5, dice.choice(FLOPPY))
        for _ in range(dice.choice((1, 2, 8, 8))):
            self.out(0x3F5, dice.choice((0, 0, 1, 2, dice.getrandbits(8))))
        self._pass(PASSING)
        return [self.inp(0x3F4), *(self.inp(0x3F5) for _ in range(dice.choice((0, 2, 7))))]

    def _dma(self) -> object:
        """Channel 2 to somewhere in RAM."""
        dice = self.dice
        self.out(0x0C, 0)
        page, mode = dice.choice((0x20, 0x33, 0x0A, 0xFF)), dice.choice((0x46, 0x4A, 0x42, 0x5A))
        for port, value in ((0x04, dice.getrandbits(8)), (0x04, dice.getrandbits(8)),
                            (0x05, 0xFF), (0x05, dice.getrandbits(3)), (0x81, page), (0x0B, mode),
                            (0x0A, 2)):  # fmt: skip
            self.out(port, value)
        return self.inp(0x08)

    def _timer(self) -> object:
        dice = self.dice
        self.out(0x43, dice.choice((0x34, 0x36, 0xB6, 0x30, 0xE2, dice.getrandbits(8))))
        for port in (0x40, 0x42):
            self.out(port, self.value())
            self.out(port, self.value())
        return self.out(0x61, dice.getrandbits(2))

    def _master(self) -> object:
        """A descriptor table of the bus master's, and a start."""
        dice = self.dice
        entry = dice.choice((0x200000, 0x300000, 0xB8000, dice.getrandbits(32)))
        table = entry.to_bytes(4, "little") + dice.choice((512, 0, 4096)).to_bytes(4, "little")
        table = table[:7] + dice.choice((b"\x80", b"\0"))
        self.machine.write_physical(0x7000, table)
        at = 0x7000 if dice.random() < 0.9 else dice.getrandbits(32)
        self.out(0xCF8, 0x80000920, 4)
        base = self.inp(0xCFC, 4) & 0xFFF0
        base += dice.choice((0, 8))
        self.out(base + 4, at, 4)
        self.out(base + 2, 6)
        self.out(base, dice.choice((0, 1, 8, 9)))
        self._pass(PASSING)
        return self.inp(base + 2)

    def _keyboard(self) -> object:
        self.out(0x64, self.dice.choice(KEYBOARD))
        self.out(0x60, self.dice.choice((0x47, 0xF4, 0xF3, 0xED, 0xF2, 0xEB, self.value() & 0xFF)))
        return self.inp(0x60)

    def _pic(self) -> object:
        """Set up as a PC's, and ends of interrupts."""
        for base, first, third in ((0x20, 0x20, 4), (0xA0, 0x28, 2)):
            if self.dice.random() < 0.1:
                for port, value in ((0, 0x11), (1, first), (1, third), (1, 1), (1, 0)):
                    self.out(base + port, value)
            self.out(base, self.dice.choice((0x20, 0x20, 0x0A, 0x0B, 0x0C)))
        return self.inp(0x20)

    # Time, and the host

    def _pass(self, spans: tuple[int, ...]) -> None:
        self.machine.clock.wait(self.dice.choice(spans))
        self.bus.run_due()

    def host(self) -> None:
        """What somebody before the machine does."""
        machine, dice = self.machine, self.dice
        self._pass(RARELY if dice.random() < 0.02 else PASSING)
        match dice.randrange(20):
            case 0:
                machine.mouse.move(dice.randrange(-300, 300), dice.randrange(-300, 300))
            case 1 if machine.keys.waiting < 20:
                machine.keys.press(dice.choice(KEYS))
            case 2:
                cable = machine.cables[dice.choice(("com1", "com2", "com3", "com4"))]
                if cable.waiting < 64:
                    cable.send(bytes(5))
            case 3:
                plug = dice.choice(tuple(MEDIA))
                with suppress(UserError):  # it is locked, or takes no such disk
                    machine.storage[plug].change(dice.choice(MEDIA[plug]))
            case 4 if dice.random() < 0.2:
                assert machine.screen.array.ndim == 3

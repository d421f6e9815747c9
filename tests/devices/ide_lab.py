"""An IDE channel with devices on it, and the driver's side of it."""

from __future__ import annotations

from typing import Any

from devices.dma import PlainMemory
from devices.storage.ata_disk import AtaDisk
from devices.storage.atapi_cdrom import AtapiCdrom
from devices.storage.ide_bus_master import BusMasterPorts
from devices.storage.ide_channel import IdeChannel
from devices.storage.medium import MemoryMedium

BASE, CONTROL, MASTER = 0x1F0, 0x3F6, 0xC000
FEATURES, COUNT, LOW, MID, HIGH, DEVICE, COMMAND = range(BASE + 1, BASE + 8)
BSY, DRDY, DRQ, ERR = 0x80, 0x40, 0x08, 0x01
RAM = 0x200000
TABLE, BUFFER = 0x1000, 0x10000
SECOND = 10**9


def sectors(count: int, size: int = 512) -> bytes:
    """Each begins with its number."""
    return b"".join(n.to_bytes(4, "little") + bytes([n % 251]) * (size - 4) for n in range(count))


class IdeLab:
    """Disks of so many sectors, or a CD of so many blocks, as device 0 and 1."""

    def __init__(self, board: Any, disk: int | None = 0x1000, cd: int | None = None,
                 medium: Any = None) -> None:  # fmt: skip
        self.board = board
        board.bus.memory.behind = PlainMemory(RAM)
        self.memory = board.bus.memory.behind.bytes
        self.disk = self.cd = None
        cable: list[Any] = []
        if disk is not None:
            self.medium = medium or MemoryMedium(sectors(disk))
            self.disk = AtaDisk(board.bus, self.medium)
            cable.append(self.disk)
        if cd is not None:
            self.disc = MemoryMedium(sectors(cd, 2048), read_only=True) if cd else None
            self.cd = AtapiCdrom(board.bus, self.disc)
            cable.append(self.cd)
        self.channel = IdeChannel(board.bus, cable)
        ports = BusMasterPorts(self.channel.bus_master, self.channel.bus_master)
        board.bus.claim_ports(MASTER, 16, ports)
        board.devices.add("ide", self.channel)
        board.init_pics()

    def inb(self, port: int) -> int:
        return int(self.board.inb(port))

    def outb(self, port: int, value: int) -> None:
        self.board.outb(port, value)

    def inw(self) -> int:
        return int(self.board.bus.read_port(BASE, 2))

    def wait(self) -> int:
        """Let time pass; the status, which takes the interrupt away."""
        self.board.advance(SECOND)
        self.taken = self.interrupts()
        return self.inb(COMMAND)

    def interrupts(self) -> int:
        count = 0
        while self.board.bus.intr:
            count += self.board.take() == 0x3E
        return count

    def command(self, code: int, lba: int = 0, count: int = 1, device: int = 0xE0,
                features: int = 0) -> int:  # fmt: skip
        """One with a 28-bit address; the status when it has come so far."""
        for port, value in (
            (DEVICE, device | lba >> 24), (FEATURES, features), (COUNT, count & 0xFF),
            (LOW, lba & 0xFF), (MID, lba >> 8 & 0xFF), (HIGH, lba >> 16 & 0xFF),
            (COMMAND, code),
        ):  # fmt: skip
            self.outb(port, value)
        return self.wait()

    def command_48(self, code: int, lba: int, count: int) -> int:
        """One with a 48-bit address."""
        raw = lba.to_bytes(6, "little")
        self.outb(DEVICE, 0xE0)
        for port, high, low in (
            (COUNT, count >> 8 & 0xFF, count & 0xFF), (LOW, raw[3], raw[0]),
            (MID, raw[4], raw[1]), (HIGH, raw[5], raw[2]),
        ):  # fmt: skip
            self.outb(port, high)
            self.outb(port, low)
        self.outb(COMMAND, code)
        return self.wait()

    def pull(self, size: int) -> bytes:
        """Data out of the port, by words."""
        return b"".join(self.inw().to_bytes(2, "little") for _ in range(size // 2))

    def push(self, data: bytes) -> None:
        for i in range(0, len(data), 2):
            self.board.bus.write_port(BASE, 2, int.from_bytes(data[i : i + 2], "little"))

    def regions(self, *regions: tuple[int, int], end: bool = True) -> None:
        """The table of physical regions, and the bus master's pointer to it."""
        raw = bytearray()
        for i, (address, size) in enumerate(regions):
            last = 0x80000000 if end and i == len(regions) - 1 else 0
            raw += address.to_bytes(4, "little") + (size & 0xFFFF | last).to_bytes(4, "little")
        self.memory[TABLE : TABLE + len(raw)] = list(raw)
        self.board.bus.write_port(MASTER + 4, 4, TABLE)
        self.outb(MASTER + 2, 0x06)

    def packet(
        self, *packet: int, most: int = 0xFFFE, features: int = 0, device: int = 0xA0
    ) -> int:
        """PACKET with its 12 bytes; the status then."""
        for port, value in (
            (DEVICE, device), (FEATURES, features), (MID, most & 0xFF), (HIGH, most >> 8),
            (COMMAND, 0xA0),
        ):  # fmt: skip
            self.outb(port, value)
        assert self.inb(CONTROL) & (BSY | DRQ) == DRQ and self.inb(COUNT) & 3 == 1
        self.push(bytes(packet).ljust(12, b"\0"))
        return self.wait()

    def data(self, *packet: int, most: int = 0xFFFE, device: int = 0xA0) -> bytes:
        """The whole answer to a packet."""
        status, found = self.packet(*packet, most=most, device=device), b""
        while status & DRQ:
            assert self.inb(COUNT) & 3 == 2 and self.taken == 1
            size = self.inb(MID) | self.inb(HIGH) << 8
            assert 0 < size <= most
            found += self.pull(size + 1 & ~1)[:size]
            status = self.wait()
        assert self.inb(COUNT) & 3 == 3
        return found

    def sense(self, device: int = 0xA0) -> tuple[int, int, int]:
        """REQUEST SENSE: key, code, qualifier."""
        data = self.data(0x03, 0, 0, 0, 18, device=device)
        return data[2] & 0x0F, data[12], data[13]

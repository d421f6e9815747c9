"""The IDE channels' PCI function: where the bus masters are, and when they may reach memory."""

from __future__ import annotations

from typing import Any

from devices.chipset import build_chipset
from devices.dma import PlainMemory
from devices.storage.ata_disk import AtaDisk
from devices.storage.fitting import fit
from devices.storage.medium import MemoryMedium

AT, TABLE, BUFFER = 0xD000, 0x1000, 0x2000
SECOND = 10**9


def config(board: Any, register: int, value: int | None = None, size: int = 4) -> int:
    board.bus.write_port(0xCF8, 4, 0x80000900 | register & 0xFC)
    if value is not None:
        board.bus.write_port(0xCFC + (register & 3), size, value)
    return int(board.bus.read_port(0xCFC + (register & 3), size))


def test_the_bus_master_is_where_the_guest_puts_it(board: Any) -> None:
    board.bus.memory.behind = PlainMemory(0x10000)
    memory = board.bus.memory.behind.bytes
    build_chipset(board.bus)
    data = bytes(range(256)) * 8
    disk = AtaDisk(board.bus, MemoryMedium(data))
    chips = fit(board.bus, board.pc, [None, None], [disk, None, None, None], pci=True)
    assert list(chips) == ["ide0", "ide1", "ide"], "both channels, one function"
    assert config(board, 0x00) == 0x70108086 and config(board, 0x08) >> 8 == 0x010180
    assert config(board, 0x20, 0xFFFFFFFF) == 0xFFFFFFF1
    config(board, 0x20, AT)
    assert board.bus.owner_of(AT) is None
    config(board, 0x04, 0x0001, 2)
    assert board.bus.owner_of(AT) == "ide-bus-masters"
    memory[TABLE : TABLE + 8] = [0, 0x20, 0, 0, 0, 2, 0, 0x80]
    for enabled in (False, True):
        config(board, 0x04, 0x0005 if enabled else 0x0001, 2)
        board.outb(AT, 0)
        board.bus.write_port(AT + 4, 4, TABLE)
        for port, value in ((0x1F6, 0xE0), (0x1F2, 1), (0x1F3, 2), (0x1F4, 0), (0x1F5, 0),
                            (0x1F7, 0xC8), (AT, 0x09)):  # fmt: skip
            board.outb(port, value)
        for _ in range(3):
            board.clock.advance(SECOND)
            board.bus.run_due()
        assert bool(board.inb(AT + 2) & 4) == enabled
        assert (bytes(memory[BUFFER : BUFFER + 512]) == data[1024:1536]) == enabled
        board.outb(0x3F6, 4)
        board.outb(0x3F6, 0)
        board.clock.advance(SECOND)
        board.bus.run_due()
        board.outb(AT + 2, 4)


def test_an_empty_channel_has_nobody(board: Any) -> None:
    build_chipset(board.bus)
    disk = AtaDisk(board.bus, MemoryMedium(bytes(512)))
    fit(board.bus, board.pc, [None, None], [disk, None, None, None], pci=True)
    board.outb(0x172, 0x55)
    assert board.inb(0x172) == 0xFF and board.inb(0x177) == 0
    board.outb(0x177, 0xEC)
    assert board.inb(0x177) == 0 and board.bus.read_port(0x170, 2) == 0xFFFF

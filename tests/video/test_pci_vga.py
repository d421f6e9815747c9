"""The adapter on PCI: found, moved, with its registers in memory, saved."""

from __future__ import annotations

import json

import pytest
from vga_modes import MODE_12
from video_lab import Adapter

from devices.pci.mechanism1 import ConfigMechanism1
from devices.video.pci_vga import PciVga
from devices.video.vga import Vga

DEVICE = 2
REGISTERS = 0xFEB00000
FRAME_BUFFER = 0xFD000000


class PciAdapter(Adapter):
    """One that a guest finds in configuration space."""

    def make(self, memory_bytes: int) -> Vga:
        ConfigMechanism1(self.bus)
        self.function = PciVga(self.bus, DEVICE, memory_bytes)
        return self.function.vga

    def config(self, offset: int, value: int | None = None, size: int = 4) -> int:
        self.bus.write_port(0xCF8, 4, 0x80000000 | DEVICE << 11 | offset & 0xFC)
        port = 0xCFC + offset % 4
        if value is None:
            return self.bus.read_port(port, size)
        self.bus.write_port(port, size, value)
        return 0

    def place(self) -> None:
        """As firmware does it."""
        self.config(0x10, FRAME_BUFFER)
        self.config(0x18, REGISTERS)
        self.config(0x04, 3, 2)


@pytest.fixture
def adapter() -> PciAdapter:
    return PciAdapter()


def test_it_is_found_by_its_numbers(adapter: PciAdapter) -> None:
    assert adapter.config(0) == 0x11111234
    assert adapter.config(8) >> 8 == 0x030000
    for bar, size in ((0x10, 1 << 20), (0x18, 0x1000)):
        adapter.config(bar, 0xFFFFFFFF)
        assert adapter.config(bar) & 0xFFFFFFF0 == (1 << 32) - size
    adapter.config(0x14, 0xFFFFFFFF)
    assert adapter.config(0x14) == 0


def test_the_frame_buffer_is_where_the_guest_puts_it(adapter: PciAdapter) -> None:
    memory = adapter.memories[0]
    assert memory.windows == {}
    adapter.place()
    assert memory.windows == {FRAME_BUFFER: (0, 1 << 20)}
    adapter.set_mode(MODE_12)
    adapter.vbe(4, 0x41)
    adapter.config(0x10, 0xE0000000)
    assert memory.windows == {0xE0000000: (0, 1 << 20), 0xA0000: (0, 0x10000)}
    adapter.config(0x04, 0, 2)
    assert memory.windows == {0xA0000: (0, 0x10000)}, "fixed addresses stay"
    adapter.function.reset()
    assert memory.windows == {}


def test_registers_in_memory_are_the_ports(adapter: PciAdapter) -> None:
    adapter.place()
    write, read = adapter.bus.write_memory, adapter.bus.read_memory
    write(REGISTERS + 0x402, 1, 0x63)  # 3C2h
    assert read(REGISTERS + 0x40C, 1) == adapter.inp(0x3CC) == 0x63
    write(REGISTERS + 0x404, 2, 0x0F02)
    assert adapter.vga.sequencer.registers[2] == 0xF
    assert read(REGISTERS + 0x500, 2) == 0xB0C5
    for index, value in ((1, 800), (2, 600), (3, 32), (4, 0x41)):
        write(REGISTERS + 0x500 + 2 * index, 2, value)
    assert adapter.screen.size == (800, 600)
    assert adapter.read_vbe(3) == 32
    for offset, size in ((0, 4), (0x3FF, 2), (0x420, 1), (0x500, 1), (0x501, 2), (0x516, 2),
                         (0x600, 4)):  # fmt: skip
        write(REGISTERS + offset, size, 0)
        assert read(REGISTERS + offset, size) == (1 << 8 * size) - 1
    assert adapter.screen.size == (800, 600)


def test_it_is_saved_with_its_place(adapter: PciAdapter) -> None:
    adapter.place()
    adapter.set_mode(MODE_12)
    adapter.vbe(4, 0x41)
    state = json.loads(json.dumps(adapter.function.snapshot()))
    assert adapter.function.unsaved() == []
    other = PciAdapter()
    other.function.restore(state)
    assert other.function.snapshot() == state
    assert [m.windows for m in other.memories] == [m.windows for m in adapter.memories]

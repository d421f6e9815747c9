"""A VGA on a bus of its own, and guests that draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from patience import PATIENCE
from vga_modes import Mode

from bt.assembler import assemble
from devices.bus import Bus
from devices.clock import ManualClock
from devices.video.vga import Vga
from monitor import Machine
from monitor.screen.screen import Screen

CODE = 0x100000
DATA = 0x180000  # what a guest has beside its code
FRAME_BUFFER = 0xE0000000
MODES = ("bare", "translate")


class PlainMemory:
    """Memory of a device's own on a board without a machine: where it appears is noted."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self.bytes = np.zeros(size, np.uint8)
        self.windows: dict[int, tuple[int, int]] = {}
        self._written: set[int] = set()

    def show(self, first: int, offset: int = 0, size: int | None = None) -> None:
        self.windows[first] = offset, self.size - offset if size is None else size
        assert self.windows[first][0] + self.windows[first][1] <= self.size

    def hide(self, first: int | None = None) -> None:
        for at in [first] if first is not None else list(self.windows):
            self.windows.pop(at, None)

    def move(self, first: int) -> None:
        self.windows = {first: (0, self.size)}

    def written_pages(self) -> list[int]:
        found, self._written = sorted(self._written), set()
        return found

    def wrote(self, offset: int, size: int) -> None:
        self._written.update(range(offset & -4096, offset + size, 4096))

    stored = wrote


class Adapter:
    """A VGA, and a processor's way to it."""

    def __init__(self, memory_bytes: int = 1 << 20) -> None:
        self.clock = ManualClock()
        self.bus = Bus(self.clock)
        self.memories: list[PlainMemory] = []
        self.bus.on_make_memory = self._make
        self.vga = self.make(memory_bytes)

    def make(self, memory_bytes: int) -> Vga:
        """The adapter."""
        return Vga(self.bus, memory_bytes, FRAME_BUFFER)

    def _make(self, name: str, size: int) -> PlainMemory:
        self.memories.append(PlainMemory(name, size))
        return self.memories[-1]

    def out(self, port: int, value: int, size: int = 1) -> None:
        self.bus.write_port(port, size, value)

    def inp(self, port: int, size: int = 1) -> int:
        return self.bus.read_port(port, size)

    def indexed(self, port: int, index: int, value: int) -> None:
        self.bus.write_port(port, 2, value << 8 | index)

    def attribute(self, index: int, value: int) -> None:
        self.inp(self.vga.general.base + 10)
        self.out(0x3C0, index)
        self.out(0x3C0, value)

    def vbe(self, index: int, value: int) -> None:
        self.out(0x1CE, index, 2)
        self.out(0x1CF, value, 2)

    def read_vbe(self, index: int) -> int:
        self.out(0x1CE, index, 2)
        return self.inp(0x1CF, 2)

    def _window(self, address: int) -> tuple[PlainMemory, int] | None:
        """Memory that appears there, as a physical map has it."""
        for memory in self.memories:
            for first, (offset, size) in memory.windows.items():
                if first <= address < first + size:
                    return memory, offset + address - first
        return None

    def read(self, address: int) -> int:
        """A byte, as the guest reads it."""
        found = self._window(address)
        if found is None:
            return self.bus.read_memory(address, 1)
        return int(found[0].bytes[found[1]])

    def write(self, address: int, value: int) -> None:
        """A byte, as the guest writes it."""
        found = self._window(address)
        if found is None:
            self.bus.write_memory(address, 1, value)
        else:
            found[0].bytes[found[1]] = value
            found[0].wrote(found[1], 1)

    def set_mode(self, mode: Mode) -> None:
        for port, size, value in mode.writes():
            self.out(port, value, size) if size else self.inp(port)

    @property
    def screen(self) -> Screen:
        return Screen(self.vga)


# --- guests ---------------------------------------------------------------------------------------


def setting(mode: Mode) -> str:
    """Instructions that set a mode."""
    return outs(mode.writes())


def outs(writes: Iterable[tuple[int, int, int]]) -> str:
    """Instructions that write ports: port, size and value; a size of 0 reads."""
    lines = []
    for port, size, value in writes:
        lines.append(f"mov dx, {port:#x}")
        if size == 0:
            lines.append("in al, dx")
        elif size == 1:
            lines.append(f"mov al, {value:#x}; out dx, al")
        else:
            lines.append(f"mov ax, {value:#x}; out dx, ax")
    return "\n".join(lines) + "\n"


def vbe_mode(width: int, height: int, bpp: int, flags: int = 0x41) -> str:
    """Instructions that begin a mode of VBE's."""
    words = ((4, 0), (1, width), (2, height), (3, bpp), (4, flags))
    return outs(each for index, value in words for each in ((0x1CE, 2, index), (0x1CF, 2, value)))


def palette(colours: npt.NDArray[np.uint8]) -> str:
    """Instructions that write the DAC from a table at DATA, which load() puts there."""
    return f"""
        mov dx, 0x3c8; xor al, al; out dx, al
        mov dx, 0x3c9; mov esi, {DATA:#x}; mov ecx, {colours.size}; cld
        rep outsb
    """


def machine_with(mode: str, **options: Any) -> Machine:
    """A machine with an adapter."""
    return Machine(memory_mb=4, mode=mode, vga="std", **options)


def load(machine: Machine, source: str, data: bytes = b"") -> None:
    """A guest, and what lies at DATA."""
    machine.load_flat(assembled(source), CODE, esp=0x90000)
    if data:
        machine.write_physical(DATA, data)


@cache
def assembled(source: str) -> bytes:
    return assemble(source, CODE)


def run(mode: str, source: str, data: bytes = b"", **options: Any) -> Machine:
    """Run a guest until it halts."""
    machine = machine_with(mode, **options)
    load(machine, source + "\nhlt\n", data)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    return machine


Draw = Callable[[int, int], int]

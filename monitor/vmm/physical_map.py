"""The physical map: what answers at a physical address, said once, here.

    RAM                 from 0 to A0000, and from 1 MiB to its end
    ROM                 between A0000 and FFFFF, and firmware a second time below 4 GiB
    device memory       a device's own, RAM to the guest: a frame buffer
    registers           a device's, which is asked about each access (devices/bus.py)
    local APIC          registers of the processor's own: before all others, RAM too
    the open bus        everywhere else: reads find ones, writes vanish

A PC has no RAM between A0000 and FFFFF (HOLE): what the chips hold there is used otherwise, if at
all. From C0000 on it may be *shadow RAM*: a chipset lets a BIOS switch reads and writes to it, page
by page, so that ROM can be copied into RAM and runs from there (the PAM registers of a 440FX).

The map may change while the machine runs: a guest moves a BAR, a chipset switches shadow RAM, a
device comes or goes. Whoever changes it calls the method for it, from wherever he is: what the
ideal processor's TLB, the shadows, decoded blocks and translations know of the old map is taken
back by `changed`, before the guest's next instruction.

Where two would answer, the first of these does: shadow RAM, ROM, RAM, firmware's second place,
device memory in the order it was made, registers. As on a board, where the chipset keeps what is
below the end of RAM off the bus.

All memory lies in one array (memory.py). A *place* is an offset in it: RAM and ROM lie at their own
physical address, the rest behind RAM. Bytes, decoded code, translations and traces
go by places, so they are none the worse for a region that moves (bt/interp/physical.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bt.engine import Ram
from bt.interp.state import (
    FRAME_BELOW,
    FRAME_CLEAN,
    FRAME_MONITOR,
    FRAME_RAM,
    FRAME_ROM,
    MAP_BELOW,
    MAP_DEVICE,
    MAP_MEMORY,
)
from monitor.vmm.errors import UserError
from monitor.vmm.memory import PAGE, GuestMemory, by_page

Bytes = npt.NDArray[np.uint8]

TOP = 1 << 32
HOLE = range(0xA0000, 0x100000)  # video memory and ROMs of a PC: no RAM
SHADOW = range(0xC0000, 0x100000)  # where there may be shadow RAM
M32 = TOP - 1


class Kind(Enum):
    """What answers."""

    RAM = "RAM"
    ROM = "ROM"
    DEVICE_MEMORY = "device memory"
    REGISTERS = "registers"
    OPEN_BUS = "open bus"


@dataclass(frozen=True)
class Region:
    """A range of physical addresses; where it is memory, from which place on."""

    first: int
    end: int
    kind: Kind
    name: str
    place: int = -1

    def __str__(self) -> str:
        return f"{self.first:08x} to {self.end - 1:08x}: {self.name}"


class DeviceMemory:
    """Memory of a device's own, which the guest reads and writes at the speed of RAM.

    It appears nowhere until it is shown, and then in any number of places: a frame buffer in its
    BAR, and 64 KiB of it at A0000.
    """

    def __init__(self, owner: PhysicalMap, name: str, place: int, size: int) -> None:
        self._owner = owner
        self.name = name
        self.size = size
        self.place = place
        self._windows: dict[int, tuple[int, int]] = {}  # first address: offset and size

    @property
    def bytes(self) -> Bytes:
        """All of it, no copy. After writing, say so: wrote()."""
        return self._owner.array(self.place, self.size)

    @property
    def windows(self) -> tuple[tuple[int, int, int], ...]:
        """Where it appears: first address, offset in it, bytes."""
        return tuple((first, *part) for first, part in self._windows.items())

    def show(self, first: int, offset: int = 0, size: int | None = None) -> None:
        """Let it appear from a physical address on, all of it or a part; beside other places.

        What appeared from the same address on until now does so no more. UserError for what is not
        a multiple of 4096, or beyond 4 GiB or its end.
        """
        size = self.size - offset if size is None else size
        if first % PAGE or offset % PAGE or size % PAGE or size <= 0 or offset < 0:
            raise UserError(f"{self.name}: places and sizes of memory are multiples of 4096 bytes")
        if first < 0 or first + size > TOP or offset + size > self.size:
            raise UserError(f"{self.name}: {size:#x} bytes at {first:#x} do not fit")
        old = self._windows.pop(first, (0, 0))[1]
        self._windows[first] = (offset, size)
        self._owner.changed(range(first, first + max(size, old)))

    def hide(self, first: int | None = None) -> None:
        """Let it appear from this address on no more; nowhere, if none is given."""
        for at in [first] if first is not None else list(self._windows):
            if at in self._windows:
                _, size = self._windows.pop(at)
                self._owner.changed(range(at, at + size))

    def move(self, first: int) -> None:
        """Let it appear as a whole, here and nowhere else."""
        if self.windows != ((first, 0, self.size),):
            self._windows, gone = {}, self._windows
            for at, (_, size) in gone.items():
                self._owner.changed(range(at, at + size))
            self.show(first)

    def written_pages(self) -> list[int]:
        """Offsets of the pages that were written, by whoever, since this was asked last."""
        return [page - self.place for page in self._owner.written_pages(self.place, self.size)]

    def wrote(self, offset: int, size: int) -> None:
        """The device has written into `bytes`: a guest's code among them is looked at anew."""
        self._owner.wrote(self.place + offset, size)

    def stored(self, offset: int, size: int) -> None:
        """The same of a few bytes in one page, while a register in memory is being accessed.

        It costs less: the processor does not come back for it (Processor.memory_changed).
        """
        place = self.place + offset
        self._owner._ram.set_flags(place // PAGE, 1, FRAME_CLEAN, False)
        self._owner.on_written(place, size, False)


class PhysicalMap:
    """One machine's. `on_changed` is called after a change, `on_written` with place, bytes and

    whether the processor shall come back for it.
    """

    def __init__(self, memory: GuestMemory, ram: Ram) -> None:
        self._memory = memory
        self._ram = ram
        self._free = memory.size  # the next place that nobody has
        self.on_changed: Callable[[], None] = _nothing
        self.on_written: Callable[[int, int, bool], None] = _ignore
        self._roms: list[range] = []
        self._firmware = range(TOP, TOP)  # its second place
        self._memories: list[DeviceMemory] = []
        self._registers: tuple[tuple[int, int], ...] = ()
        self._inner: tuple[int, int] | None = None  # the local APIC's
        self._shadow_reads: set[int] = set()  # pages of shadow RAM that are read
        self._shadow_writes: set[int] = set()
        ram.set_frames(0, (memory.monitor + memory.extra) // PAGE, 0)
        for first, end in self._ram_ranges():
            ram.set_flags(first // PAGE, (end - first) // PAGE, FRAME_RAM, True)
        ram.set_flags(memory.monitor // PAGE, memory.extra // PAGE, FRAME_MONITOR, True)
        self._shadow_place = self._take(len(SHADOW), "shadow RAM")
        ram.bus_is_open(self._shadow_place - SHADOW.start)
        self._draw(range(memory.size))

    # --- what is where ------------------------------------------------------------------

    def regions(self) -> list[Region]:
        """All of the 4 GiB, by address; neighbours differ."""
        layers = self._layers(range(TOP))
        edges = sorted({0, TOP, *(r.first for r in layers), *(r.end for r in layers)})
        found: list[Region] = []
        for first, end in pairwise(edges):
            region = _cut(self._highest(layers, first), first, end)
            if found and _continues(found[-1], region):
                region = replace(found.pop(), end=region.end)
            found.append(region)
        return found

    def at(self, address: int) -> Region:
        """What answers there, as far as the next one begins above or below."""
        return next(region for region in self.regions() if address < region.end)

    def place(self, address: int) -> int:
        """Where the byte at a physical address lies; -1: there is no memory."""
        if not 0 <= address < TOP:
            return -1
        entry = self._ram.map_at(address // PAGE)
        return entry & -PAGE | address % PAGE if entry & MAP_MEMORY else -1

    def pieces(self, address: int, size: int) -> Iterator[tuple[int, int, int]]:
        """A range cut at the edges of memory: place or -1, physical address, bytes."""
        begun, place = address, self.place(address)
        for at in (*range((address | PAGE - 1) + 1, address + size, PAGE), address + size):
            here = self.place(at) if at < address + size else -2
            if here != (place + at - begun if place >= 0 else -1):
                yield place, begun, at - begun
                begun, place = at, here

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory, of whatever kind; UserError where there is none."""
        self._check(address, size)
        return b"".join(
            self._memory.buffer[place : place + n] for place, _, n in self.pieces(address, size)
        )

    def write(self, address: int, data: bytes) -> None:
        """Store bytes in memory, ROM too; UserError where there is none, then nothing is stored."""
        self._check(address, len(data))
        for place, at, n in self.pieces(address, len(data)):
            self._memory.buffer[place : place + n] = bytes(data[at - address : at - address + n])
            self.wrote(place, n)

    def _check(self, address: int, size: int) -> None:
        for place, at, _ in self.pieces(address, size) if size > 0 else ():
            if place < 0:
                raise UserError(f"there is no guest RAM at physical address {at & M32:#010x}")

    def array(self, place: int, size: int) -> Bytes:
        """Bytes from a place on, no copy."""
        return np.frombuffer(self._memory.buffer, np.uint8, size, place)

    def wrote(self, place: int, size: int) -> None:
        """Somebody other than the processor has written there."""
        first, end = place // PAGE, -(-(place + size) // PAGE)
        self._ram.set_flags(first, end - first, FRAME_CLEAN, False)
        for at in range(place & -PAGE, place + size, PAGE):
            begin = max(at, place)
            self.on_written(begin, min(at + PAGE, place + size) - begin, True)

    # What DMA sees of it (devices/dma.py: PhysicalMemory)

    def readable(self, address: int, size: int) -> Iterator[tuple[Bytes | None, int]]:
        """A range in pieces, in order: an array over memory or None, and its bytes."""
        for place, _, n in self.pieces(address, size):
            yield (self.array(place, n) if place >= 0 else None), n

    def writable(self, address: int, size: int) -> Iterator[tuple[Bytes | None, int]]:
        """The same for writing: None for ROM, too."""
        for place, n in self._written_pieces(address, size):
            yield (self.array(place, n) if place >= 0 else None), n

    def written(self, address: int, size: int) -> None:
        """Somebody other than the processor has written at these physical addresses."""
        for place, n in self._written_pieces(address, size):
            if place >= 0:
                self.wrote(place, n)

    def _written_pieces(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        """Places that a write goes to, in order, or -1; and bytes."""
        for place, at, n in self.pieces(address, size):
            if place >= 0 and place not in HOLE and not self._in_shadow(place):
                yield place, n
                continue
            for begin, part in by_page(at, n):  # ROM, shadow RAM, or nothing that can be read
                page = begin // PAGE
                shadow = self._shadow_place + begin - SHADOW.start
                yield (shadow if page in self._shadow_writes else -1), part

    def _in_shadow(self, place: int) -> bool:
        return self._shadow_place <= place < self._shadow_place + len(SHADOW)

    def all_memory(self) -> Bytes:
        """All bytes of the guest's, by place: RAM with the ROMs in it, then what lies behind."""
        return self.array(0, self._free)

    def hidden_memory(self) -> list[tuple[str, Bytes]]:
        """All memory of the guest's that lies behind its RAM, by name: what a copy of RAM lacks."""
        memories = [(memory.name, memory.bytes) for memory in self._memories]
        return [("shadow RAM", self.array(self._shadow_place, len(SHADOW))), *memories]

    def places_of(self, frames: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Of physical frames, by their numbers, those of the places; -1: no memory there."""
        frames = frames.astype(np.int64)
        places = np.full(frames.shape, -1, np.int64)
        for region in self.regions():
            if region.place >= 0:
                here = (frames >= region.first // PAGE) & (frames < region.end // PAGE)
                places[here] = frames[here] + (region.place - region.first) // PAGE
        return places

    # --- ROM ----------------------------------------------------------------------------

    @property
    def roms(self) -> tuple[range, ...]:
        """Where there is ROM, firmware's second place not among them."""
        return tuple(self._roms)

    @property
    def firmware(self) -> range:
        """Firmware's second place, below 4 GiB; empty where there is none."""
        return self._firmware

    def add_rom(self, place: range, data: bytes) -> None:
        """From now on these pages of HOLE are ROM, with these bytes."""
        if place not in self._roms:
            self._roms.append(place)
        self._memory.buffer[place.start : place.stop] = bytes(data)
        self.wrote(place.start, len(place))
        self.changed(place)

    def show_firmware(self, size: int) -> None:
        """The last bytes of HOLE appear once more, below 4 GiB."""
        self._firmware = range(TOP - size, TOP)
        self.changed(self._firmware)

    # --- shadow RAM ---------------------------------------------------------------------

    def shadow(self, place: range, reads: bool, writes: bool) -> None:
        """Switch pages from C0000 to FFFFF: is it shadow RAM that is read, and that is written?

        Without `reads` there is what was there before, ROM or the open bus. Without `writes`,
        writes go where they would without shadow RAM if `reads` is off too, and vanish otherwise.
        The RAM keeps its bytes while it is switched off. UserError for another range.
        """
        if place.start % PAGE or place.stop % PAGE or place.start not in SHADOW:
            raise UserError(f"no shadow RAM at {place.start:#x}: from 0xc0000, in pages")
        if not place or place[-1] not in SHADOW:
            raise UserError(f"no shadow RAM at {place.start:#x}: to 0xfffff, in pages")
        pages = set(range(place.start // PAGE, place.stop // PAGE))
        for known, on in ((self._shadow_reads, reads), (self._shadow_writes, writes)):
            known.difference_update(pages)
            if on:
                known.update(pages)
        self.changed(place)

    def shadowed(self, address: int) -> tuple[bool, bool]:
        """Is shadow RAM read, and written, at an address?"""
        return address // PAGE in self._shadow_reads, address // PAGE in self._shadow_writes

    # --- devices ------------------------------------------------------------------------

    def make_memory(self, name: str, size: int) -> DeviceMemory:
        """Memory for a device, in pages, all zeros. It stays for the machine's life.

        UserError: there is no room for that much.
        """
        size = -(-size // PAGE) * PAGE
        memory = DeviceMemory(self, name, self._take(size, name), size)
        self._ram.set_flags(memory.place // PAGE, size // PAGE, FRAME_CLEAN, True)
        self._memories.append(memory)
        return memory

    def _take(self, size: int, name: str) -> int:
        place = self._free
        if size <= 0 or place + size > self._memory.monitor:
            raise UserError(
                f"{name}: {size:#x} bytes of memory; a machine's devices have "
                f"{self._memory.room >> 20} MiB between them"
            )
        self._free += size
        self._ram.set_flags(place // PAGE, size // PAGE, FRAME_RAM, True)
        return place

    def written_pages(self, place: int, size: int) -> list[int]:
        """Places of the pages that were written since this was asked last."""
        frames = self._ram.written_frames(place // PAGE, size // PAGE)
        return [frame * PAGE for frame in frames]

    def set_registers(
        self, ranges: list[tuple[int, int]], inner: tuple[int, int] | None = None
    ) -> None:
        """Where devices answer: first address and end of each range; and the local APIC does."""
        old = {*self._registers, self._inner or (0, 0)}
        self._registers, self._inner = tuple(ranges), inner
        for first, end in (old ^ {*ranges, inner or (0, 0)}) - {(0, 0)}:
            self._draw(_pages(first, end))
        self.on_changed()

    def check_free(self, place: range, what: str) -> None:
        """UserError: there is memory in these pages, ROM or a device's, so `what` cannot be."""
        for layer in self._layers(_pages(place.start, place.stop)):
            if layer.kind is Kind.RAM:
                at = max(layer.first, place.start & -PAGE)
                raise UserError(
                    f"a device cannot lie over RAM, which is at {at:#x}: choose a place "
                    "from 0xa0000 to 0xfffff or behind the end of RAM"
                )
            if layer.kind is not Kind.REGISTERS:
                name = "a ROM" if layer.kind is Kind.ROM else layer.name
                raise UserError(
                    f"{what}: {name} is at {layer.first:#x} to {layer.end - 1:#x} already"
                )

    # --- saved ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """What a chipset and devices have switched, as JSON. ROMs are not in it, nor registers, nor
        bytes (all_memory())."""
        return {
            "shadow_reads": sorted(self._shadow_reads),
            "shadow_writes": sorted(self._shadow_writes),
            "memories": [
                {"name": memory.name, "size": memory.size, "shown": list(map(list, memory.windows))}
                for memory in self._memories
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the snapshot says. UserError: it is none of a machine with these devices.

        The memory of devices has to be made before, and ROMs put in; bytes are the caller's to put
        back.
        """
        memories = state["memories"]
        made = [(memory.name, memory.size) for memory in self._memories]
        if [(each["name"], each["size"]) for each in memories] != made:
            raise UserError("the devices of this machine have other memory of their own")
        shadow = [set(state["shadow_reads"]), set(state["shadow_writes"])]
        if not (shadow[0] | shadow[1]) <= {at // PAGE for at in SHADOW[::PAGE]}:
            raise UserError("there is shadow RAM where none can be")
        self._shadow_reads, self._shadow_writes = shadow
        for memory, each in zip(self._memories, memories, strict=True):
            memory.hide()
            for window in each["shown"]:
                memory.show(*window)
            pages = memory.place // PAGE, memory.size // PAGE
            self._ram.set_flags(*pages, FRAME_CLEAN, False)  # whoever draws begins anew
        self.changed(SHADOW)

    # --- drawing ------------------------------------------------------------------------

    def changed(self, place: range) -> None:
        """Something else answers in these addresses: what was known of them is taken back."""
        self._draw(_pages(place.start, place.stop))
        self.on_changed()

    def _layers(self, place: range) -> list[Region]:
        """What lies in a range, the highest first; some of it below others."""
        found: list[Region] = []
        if self._inner is not None:
            found.append(Region(*self._inner, Kind.REGISTERS, "local APIC"))
        found += self._shadow_layers()
        found += [Region(rom.start, rom.stop, Kind.ROM, "ROM", rom.start) for rom in self._roms]
        found += [Region(first, end, Kind.RAM, "RAM", first) for first, end in self._ram_ranges()]
        if self._firmware:
            first = HOLE.stop - len(self._firmware)
            found.append(Region(self._firmware.start, TOP, Kind.ROM, "firmware", first))
        for memory in self._memories:
            found += [
                Region(at, at + n, Kind.DEVICE_MEMORY, memory.name, memory.place + offset)
                for at, offset, n in memory.windows
            ]
        found += [Region(*ends, Kind.REGISTERS, "registers") for ends in self._registers]
        return [r for r in found if r.first < place.stop and place.start < r.end]

    def _ram_ranges(self) -> list[tuple[int, int]]:
        """Below HOLE and above."""
        size = self._memory.size
        ranges = [(0, min(size, HOLE.start)), (HOLE.stop, size)]
        return [(first, end) for first, end in ranges if first < end]

    def _shadow_layers(self) -> Iterator[Region]:
        for page in sorted(self._shadow_reads):
            place = self._shadow_place + page * PAGE - SHADOW.start
            yield Region(page * PAGE, page * PAGE + PAGE, Kind.RAM, "shadow RAM", place)

    @staticmethod
    def _highest(layers: list[Region], address: int) -> Region:
        for layer in layers:
            if layer.first <= address < layer.end:
                return layer
        return Region(0, TOP, Kind.OPEN_BUS, "open bus")

    def _draw(self, place: range) -> None:
        """Tell the interpreter what answers in these pages, from the lowest layer upwards."""
        ram = self._ram
        ram.map_frames(place.start // PAGE, len(place) // PAGE, 0, 0)
        for layer in reversed(self._layers(place)):
            covered = _pages(layer.first, layer.end)
            first, end = max(covered.start, place.start), min(covered.stop, place.stop)
            bits = MAP_MEMORY if layer.place >= 0 else MAP_DEVICE
            source = layer.place + first - layer.first if layer.place >= 0 else 0
            ram.map_frames(first // PAGE, (end - first) // PAGE, source // PAGE, bits)
        for rom in self._roms:
            ram.set_flags(rom.start // PAGE, len(rom) // PAGE, FRAME_RAM | FRAME_ROM, True)
        self._draw_shadow(place)

    def _draw_shadow(self, place: range) -> None:
        """Which shadow RAM can be written, and what is written through to it."""
        first, end = max(place.start, SHADOW.start), min(place.stop, SHADOW.stop)
        for page in range(first // PAGE, end // PAGE):
            reads, writes = page in self._shadow_reads, page in self._shadow_writes
            ram, below = self._ram, (self._shadow_place - SHADOW.start) // PAGE + page
            ram.set_flags(below, 1, FRAME_ROM, reads and not writes)
            through, rom = writes and not reads, any(page * PAGE in rom for rom in self._roms)
            ram.set_flags(page, 1, FRAME_BELOW, through and rom)
            if through and not rom:
                ram.map_frames(page, 1, 0, ram.map_at(page) & MAP_DEVICE | MAP_BELOW)


def _pages(first: int, end: int) -> range:
    """Whole pages around a range."""
    return range(first & -PAGE, -(-end // PAGE) * PAGE)


def _cut(region: Region, first: int, end: int) -> Region:
    """The part of a region from `first` to `end`."""
    place = region.place + first - region.first if region.place >= 0 else -1
    return Region(first, end, region.kind, region.name, place)


def _continues(one: Region, other: Region) -> bool:
    """Is it the same thing going on?"""
    if (one.kind, one.name) != (other.kind, other.name):
        return False
    return one.place < 0 or other.place - one.place == other.first - one.first


def _nothing() -> None:
    pass


def _ignore(place: int, size: int, leave: bool) -> None:
    pass

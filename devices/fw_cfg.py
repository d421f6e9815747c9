"""QEMU's fw_cfg: how a virtual machine tells its firmware what a real board would have strapped.

Manual: QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device"; which items there are:
SeaBIOS documentation, "Runtime configuration".

    510h  selector, a word      511h  the item's bytes, one after the other
    514h  DMA: the address of an order, big-endian, its lower half last

    item 0     "QEMU"
    item 1     what of this there is: bit 0 these ports, bit 1 DMA
    item 19h   the directory of files: names, sizes, and the items from 20h on that they are
    others     numbers that are older than files: RAM size, processors, boot menu

Items are bytes and the guest cannot change them; behind its end an item reads as zeros.

>>> from devices.bus import Bus
>>> from devices.clock import ManualClock
>>> bus = Bus(ManualClock())
>>> config = FwCfg(bus)
>>> config.add_file("etc/greeting", b"hi")
>>> bus.write_port(0x510, 2, 0x20)
>>> bytes(bus.read_port(0x511, 1) for _ in range(3))
b'hi\\x00'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import DWORD, FLAG, WORD, Field, fields
from devices.shapes import Hex, Some, Text, WrongField, exactly, shown

PORT, DMA_PORT = 0x510, 0x514
SIGNATURE, ID, RAM_SIZE, CPUS, BOOT_MENU, MAX_CPUS, DIRECTORY = (
    0x00,
    0x01,
    0x03,
    0x05,
    0x0E,
    0x0F,
    0x19,
)
FIRST_FILE, MOST_FILES = 0x20, 64
WRITE_MODE = 0x4000  # of the selector; says nothing any more
FEATURES = 0x3
NAME_BYTES = 56
MOST_BYTES = 1 << 20  # of all files together
ERROR, READ, SKIP, SELECT, WRITE = 0x01, 0x02, 0x04, 0x08, 0x10
ORDER_BYTES = 16
TEXT = Text(2 * MOST_BYTES)
DMA_SIGNATURE = b"QEMU CFG"


class _Contents:
    """Pairs of a name and bytes in hexadecimal: few enough, no name twice, not too long."""

    def check(self, value: Any) -> Any:
        pairs = Some(exactly(TEXT, 2), 0, MOST_FILES).check(value)
        for name, data in pairs:
            if not (name.isascii() and name.isprintable() and 0 < len(name) < NAME_BYTES):
                raise WrongField(f"{shown(name)} is no name of a file")
            Hex(MOST_BYTES).check(data)
        if len(dict(map(tuple, pairs))) < len(pairs):
            raise WrongField("two files have the same name")
        if sum(len(data) for _, data in pairs) > 2 * MOST_BYTES:
            raise WrongField(f"files are longer than {MOST_BYTES} bytes together")
        return value


class _Files(Field):
    """Names and contents, in the order of their items; saved as a list of pairs."""

    def __init__(self) -> None:
        super().__init__(_Contents())

    def save(self, value: dict[str, bytes]) -> Any:
        return [[name, data.hex()] for name, data in value.items()]

    def load(self, current: Any, saved: Any) -> dict[str, bytes]:
        return {name: bytes.fromhex(data) for name, data in saved}


FILES = _Files()


class FwCfg(Chip):
    """``memory_bytes`` is how much RAM there is."""

    name = "fw-cfg"
    state = fields(files=FILES, boot_menu=FLAG, selector=WORD, offset=DWORD, dma_high=DWORD)
    wiring = ("_bus", "_items", "on_select")

    def __init__(self, bus: Bus, memory_bytes: int = 0) -> None:
        self._bus = bus
        self.files: dict[str, bytes] = {}
        self.boot_menu = False
        #: Told the name of a file that is read now; it may put another content in (add_file).
        self.on_select: Callable[[str], None] = _ignore
        self._items: dict[int, bytes] = {
            SIGNATURE: b"QEMU",
            ID: FEATURES.to_bytes(4, "little"),
            RAM_SIZE: memory_bytes.to_bytes(8, "little"),
            CPUS: b"\x01\x00",
            MAX_CPUS: b"\x01\x00",
        }
        self._index()
        self.reset()
        bus.claim_ports(PORT, 2, self)
        bus.claim_ports(DMA_PORT, 8, _DmaPort(self))

    def reset(self) -> None:
        self.selector = self.offset = self.dma_high = 0

    def set_files(self, files: Mapping[str, bytes], boot_menu: bool = False) -> None:
        """These are the files, and no others. ValueError: too long, or too many."""
        problem = FILES.problem(FILES.save(dict(files)))
        if problem is not None:
            raise ValueError(f"{len(files)} files: {problem}")
        self.files = dict(files)
        self.boot_menu = boot_menu
        self._index()

    def add_file(self, name: str, data: bytes) -> None:
        """Put a file in, or another content into it. ValueError as for set_files()."""
        self.set_files(self.files | {name: data}, self.boot_menu)

    def restored(self) -> None:
        self._index()

    def _index(self) -> None:
        """The directory: a count, and for each file size, item and name."""
        self._items[BOOT_MENU] = self.boot_menu.to_bytes(2, "little")
        for item in range(FIRST_FILE, FIRST_FILE + MOST_FILES):
            self._items.pop(item, None)
        entries = [len(self.files).to_bytes(4, "big")]
        for item, (name, data) in enumerate(self.files.items(), FIRST_FILE):
            numbers = len(data).to_bytes(4, "big") + item.to_bytes(2, "big") + bytes(2)
            entries.append(numbers + name.encode().ljust(NAME_BYTES, b"\0"))
            self._items[item] = data
        self._items[DIRECTORY] = b"".join(entries)

    # The processor's side

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2) if offset == 0 else (1,)

    def read_port(self, offset: int, size: int) -> int:
        if offset == 0:
            return (1 << 8 * size) - 1
        return self._take(1)[0]

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == 0 and size == 2:
            self.select(value)

    def read_elements(self, offset: int, size: int, count: int) -> bytes:
        """A REP INSB takes an item as a whole."""
        return self._take(count) if offset == 1 else b""

    def write_elements(self, offset: int, size: int, data: bytes) -> int:
        return 0

    def select(self, selector: int) -> None:
        """Begin at the first byte of an item."""
        self.selector = selector & ~WRITE_MODE
        self.offset = 0
        if FIRST_FILE <= self.selector < FIRST_FILE + len(self.files):
            self.on_select(tuple(self.files)[self.selector - FIRST_FILE])

    def _take(self, size: int) -> bytes:
        """The next bytes of the item, and of the zeros behind it."""
        item = self._items.get(self.selector, b"")
        data = item[self.offset : self.offset + size]
        self._skip(size)
        return data.ljust(size, b"\0")

    def _skip(self, size: int) -> None:
        self.offset = min(self.offset + size, 0xFFFFFFFF)

    # DMA

    def order(self, address: int) -> None:
        """Do what is written at an address in memory, and say there how it went."""
        memory = self._bus.memory
        order = memory.read(address, ORDER_BYTES)
        control, length = int.from_bytes(order[:4], "big"), int.from_bytes(order[4:8], "big")
        if control & SELECT:
            self.select(control >> 16)
        failed = bool(control & WRITE) and not control & READ
        if control & READ:
            failed = length > MOST_BYTES
            if not failed:
                memory.write(int.from_bytes(order[8:], "big"), self._take(length))
        elif control & SKIP and not failed:
            self._skip(length)
        memory.write(address, (ERROR if failed else 0).to_bytes(4, "big"))


class _DmaPort(PortHandlers):
    """514h to 51Bh: doublewords."""

    def __init__(self, config: FwCfg) -> None:
        self._config = config
        super().__init__(config.name, self._read, self._write)

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2, 4) if offset % 4 == 0 else (1, 2) if offset % 2 == 0 else (1,)

    def _read(self, offset: int, size: int) -> int:
        return int.from_bytes(DMA_SIGNATURE[offset : offset + size], "little")

    def _write(self, offset: int, size: int, value: int) -> None:
        if size != 4:
            return
        half = int.from_bytes(value.to_bytes(4, "little"), "big")
        if offset == 0:
            self._config.dma_high = half
        else:
            high, self._config.dma_high = self._config.dma_high, 0
            self._config.order(high << 32 | half)


def _ignore(_name: str) -> None:
    pass

"""Intel 8237A DMA controllers: two, cascaded, with the page registers of a PC/AT.

Manual: 8237A High Performance Programmable DMA Controller, "Register description", "Programming";
IBM PC/AT Technical Reference, "Direct memory access"; 82371SB (PIIX3), 2.3 "DMA controller".

    DMA1   channels 0-3, bytes   ports 00-0F        pages 87 83 81 82
    DMA2   channels 4-7, words   ports C0-DE, even  pages 8F 8B 89 8A; channel 4 is DMA1's way in

A device asks for its channel once and moves as many bytes as it has in one go::

    line = dma.line(2, on_ready=self._dma_ready)
    line.request(True)                     DREQ; on_ready is called when the guest opens the channel
    moved, tc = line.store(sector)         device to memory: bytes that went, terminal count
    data, tc = line.fetch(512)             memory to device

What the four modes differ in is who has the bus meanwhile, which nobody can see here: demand,
single and block move the same, and cascade moves nothing. Likewise priorities and timings are only
kept. Nothing on a PC can ask for memory-to-memory transfers, since channel 0 once refreshed memory,
nor would a transfer that software requests find a device: both bits are kept and do nothing.

>>> from devices.clock import ManualClock
>>> dma = I8237Pair(Bus(ManualClock()))
>>> line = dma.line(2, on_ready=lambda: None)
>>> line.store(b"masked after reset")
(0, False)
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import BYTE, FLAG, PART, PARTS, WORD, fields, sequence

COMMAND_DISABLE = 0x04
MODE_TYPE, MODE_WRITE, MODE_READ = 0x0C, 0x04, 0x08  # as memory sees it
MODE_AUTO, MODE_DECREMENT, MODE_CASCADE = 0x10, 0x20, 0xC0
SET_BIT = 0x04  # of the single-mask and request registers

STATUS_COMMAND, REQUEST, SINGLE_MASK, MODE = 8, 9, 10, 11
CLEAR_FLIP_FLOP, TEMPORARY_CLEAR, CLEAR_MASK, ALL_MASK = 12, 13, 14, 15

PAGES = (0x87, 0x83, 0x81, 0x82, 0x8F, 0x8B, 0x89, 0x8A)  # by channel
FIRST_PAGE, SCRATCH_BYTES = 0x81, 15
SEGMENT = 0x10000  # transfers between two carries into the page, of which there is none


def _nobody() -> None:
    """A channel with no device on it."""


class DmaChannel(Chip):
    """One channel. `shift` is 1 where it counts words."""

    name = "dma-channel"
    state = fields(
        base_address=WORD,
        base_count=WORD,
        address=WORD,
        count=WORD,
        mode=BYTE,
        masked=FLAG,
        dreq=FLAG,
        software=FLAG,
        page=BYTE,
        terminal=FLAG,
    )
    wiring = ("_memory", "_shift", "on_ready")

    def __init__(self, bus: Bus, shift: int) -> None:
        self._memory = bus.memory
        self._shift = shift
        self.on_ready: Callable[[], None] = _nobody
        self.reset()

    def reset(self) -> None:
        """RESET. What the datasheet leaves undefined then is 0."""
        self.base_address = self.base_count = self.address = self.count = 0
        self.mode = self.page = 0
        self.dreq = False
        self.clear()

    def clear(self) -> None:
        """Master clear: addresses, counts and modes stay as they are."""
        self.masked = True
        self.software = self.terminal = False

    @property
    def cascades(self) -> bool:
        """Is it another controller's way to the bus?"""
        return self.mode & MODE_CASCADE == MODE_CASCADE

    def store(self, data: bytes | bytearray) -> tuple[int, bool]:
        """From the device to memory: bytes moved, and whether that was the last transfer."""
        size = self._size(len(data))
        if self.mode & MODE_TYPE == MODE_WRITE:
            done = 0
            for address, n in self._pieces(size):
                piece = data[done : done + n]
                self._memory.write(address, piece if self._up else piece[::-1])
                done += n
        return size, self._advance(size)

    def fetch(self, most: int) -> tuple[bytes, bool]:
        """From memory to the device: the bytes, and whether that was the last transfer."""
        size = self._size(most)
        if self.mode & MODE_TYPE == MODE_READ:
            pieces = [self._memory.read(address, n) for address, n in self._pieces(size)]
            data = b"".join(piece if self._up else piece[::-1] for piece in pieces)
        else:
            data = b"\xff" * size  # nobody drives the bus
        return data, self._advance(size)

    @property
    def _up(self) -> bool:
        return not self.mode & MODE_DECREMENT

    def _size(self, most: int) -> int:
        """Bytes that can go: whole transfers, up to terminal count."""
        return min(most >> self._shift, self.count + 1) << self._shift

    def _pieces(self, size: int) -> list[tuple[int, int]]:
        """Physical address and size of each stretch without a wrap; there are two at most."""
        shift, left, at, found = self._shift, size >> self._shift, self.address, []
        top = (self.page & ~shift) << 16
        while left:
            n = min(left, SEGMENT - at if self._up else at + 1)
            first = at if self._up else at - n + 1
            found.append((top | first << shift, n << shift))
            at = at + n & 0xFFFF if self._up else at - n & 0xFFFF
            left -= n
        return found

    def _advance(self, size: int) -> bool:
        transfers = size >> self._shift
        step = transfers if self._up else -transfers
        self.address = self.address + step & 0xFFFF
        if transfers <= self.count:
            self.count -= transfers
            return False
        self.count = 0xFFFF
        self.terminal = True
        self.software = False
        if self.mode & MODE_AUTO:
            self.address, self.count = self.base_address, self.base_count
        else:
            self.masked = True
        return True


class I8237(Chip):
    """One controller, its registers numbered as on the chip; `changed` is told of every write."""

    name = "i8237"
    state = fields(channels=PARTS, command=BYTE, high_byte=FLAG, temporary=BYTE)
    wiring = ("_changed",)

    def __init__(self, bus: Bus, shift: int, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.channels = [DmaChannel(bus, shift) for _ in range(4)]
        self.reset()

    def reset(self) -> None:
        for channel in self.channels:
            channel.reset()
        self.clear()

    def clear(self) -> None:
        """The master clear command."""
        self.command = self.temporary = 0
        self.high_byte = False
        for channel in self.channels:
            channel.clear()

    @property
    def enabled(self) -> bool:
        """Does it answer requests?"""
        return not self.command & COMMAND_DISABLE

    def read(self, register: int) -> int:
        """IN from one of the 16."""
        if register < STATUS_COMMAND:
            channel = self.channels[register >> 1]
            value = channel.count if register & 1 else channel.address
            high, self.high_byte = self.high_byte, not self.high_byte
            return value >> 8 if high else value & 0xFF
        if register == STATUS_COMMAND:
            return self._status()
        return self.temporary if register == TEMPORARY_CLEAR else 0xFF

    def _status(self) -> int:
        value = 0
        for i, channel in enumerate(self.channels):
            value |= channel.terminal << i | (channel.dreq or channel.software) << i + 4
            channel.terminal = False
        return value

    def write(self, register: int, value: int) -> None:
        """OUT to one of them."""
        channel = self.channels[value & 3]
        if register < STATUS_COMMAND:
            self._write_word(self.channels[register >> 1], register & 1, value)
        elif register == STATUS_COMMAND:
            self.command = value
        elif register == REQUEST:
            channel.software = bool(value & SET_BIT)
        elif register == SINGLE_MASK:
            channel.masked = bool(value & SET_BIT)
        elif register == MODE:
            channel.mode = value & 0xFC
        elif register == CLEAR_FLIP_FLOP:
            self.high_byte = False
        elif register == TEMPORARY_CLEAR:
            self.clear()
        else:  # CLEAR_MASK, ALL_MASK
            bits = value if register == ALL_MASK else 0
            for i, each in enumerate(self.channels):
                each.masked = bool(bits >> i & 1)
        self._changed()

    def _write_word(self, channel: DmaChannel, is_count: int, value: int) -> None:
        """A byte of base and current register at once, the low one first."""
        shift = 8 if self.high_byte else 0
        self.high_byte = not self.high_byte
        if is_count:
            word = channel.base_count & ~(0xFF << shift) | value << shift
            channel.base_count = channel.count = word
        else:
            word = channel.base_address & ~(0xFF << shift) | value << shift
            channel.base_address = channel.address = word


class DmaLine:
    """A device's end of a channel: DREQ, DACK and the data between."""

    def __init__(self, pair: I8237Pair, number: int) -> None:
        self._pair = pair
        self._number = number
        self._channel = pair.channel(number)

    @property
    def ready(self) -> bool:
        """Would the controller answer a request?"""
        return self._pair.open(self._number)

    def request(self, level: bool) -> None:
        """Drive DREQ. on_ready is called when a channel with a request is opened, not here."""
        self._channel.dreq = level

    def store(self, data: bytes | bytearray) -> tuple[int, bool]:
        """Bytes for memory: how many went, and was it the last transfer (TC)? 0: not ready."""
        return self._channel.store(data) if self.ready else (0, False)

    def fetch(self, most: int) -> tuple[bytes, bool]:
        """Bytes out of memory, and was it the last transfer (TC)? b"": not ready."""
        return self._channel.fetch(most) if self.ready else (b"", False)


class I8237Pair(Chip):
    """Both, as a PC/AT wires them, and the page registers."""

    name = "i8237-pair"
    state = fields(
        dma1=PART, dma2=PART, scratch=sequence(BYTE, least=SCRATCH_BYTES, most=SCRATCH_BYTES)
    )
    wiring = ("before_access",)

    def __init__(self, bus: Bus) -> None:
        #: Told before registers are read or written: a device that moves data in its own time.
        self.before_access: Callable[[], None] = _nobody
        self.dma1 = I8237(bus, 0, self._changed)
        self.dma2 = I8237(bus, 1, self._changed)
        self.reset()
        bus.claim_ports(0x00, 16, PortHandlers("dma1", self._read_dma1, self._write_dma1))
        bus.claim_ports(0xC0, 32, PortHandlers("dma2", self._read_dma2, self._write_dma2))
        pages = PortHandlers("dma-pages", self._read_page, self._write_page)
        bus.claim_ports(FIRST_PAGE, SCRATCH_BYTES, pages)

    def reset(self) -> None:
        self.dma1.reset()
        self.dma2.reset()
        self.scratch = [0] * SCRATCH_BYTES  # page registers that no channel has

    def channel(self, number: int) -> DmaChannel:
        """0 to 7."""
        return (self.dma2 if number & 4 else self.dma1).channels[number & 3]

    def line(self, number: int, on_ready: Callable[[], None]) -> DmaLine:
        """For the device on a channel; 4 has none."""
        self.channel(number).on_ready = on_ready
        return DmaLine(self, number)

    def open(self, number: int) -> bool:
        """Would a request on this channel be answered? DMA1's pass through channel 4."""
        channel = self.channel(number)
        if not self.dma2.enabled or channel.masked or channel.cascades:
            return False
        way = self.dma2.channels[0]
        return bool(number & 4) or (self.dma1.enabled and way.cascades and not way.masked)

    def _changed(self) -> None:
        """Registers were written: a device that waits may go on."""
        for number in (0, 1, 2, 3, 5, 6, 7):
            if self.channel(number).dreq and self.open(number):
                self.channel(number).on_ready()

    def _read_dma1(self, offset: int, size: int) -> int:
        self.before_access()
        return self.dma1.read(offset)

    def _write_dma1(self, offset: int, size: int, value: int) -> None:
        self.before_access()
        self.dma1.write(offset, value)

    def _read_dma2(self, offset: int, size: int) -> int:
        self.before_access()
        return self.dma2.read(offset >> 1)

    def _write_dma2(self, offset: int, size: int, value: int) -> None:
        self.before_access()
        self.dma2.write(offset >> 1, value)

    def _read_page(self, offset: int, size: int) -> int:
        port = FIRST_PAGE + offset
        if port in PAGES:
            return self.channel(PAGES.index(port)).page
        return self.scratch[offset]

    def _write_page(self, offset: int, size: int, value: int) -> None:
        port = FIRST_PAGE + offset
        if port in PAGES:
            self.channel(PAGES.index(port)).page = value
        else:
            self.scratch[offset] = value

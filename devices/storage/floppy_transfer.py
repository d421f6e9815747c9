"""The data commands of an 82077AA: sectors between a floppy disk and the system's memory.

Manual: 82077AA datasheet, 5.1 "Data transfer commands", 6 "Status register encoding", table 5-5 for
the sector's address in the result.

A command goes from sector to sector. To read one is to wait until it has passed under the head, and
then to give its bytes away; to write one is to collect its bytes first. Bytes go by DMA or, with
SPECIFY's ND bit, one by one through the FIFO; either way the disk waits for whoever is slow, so
there is no overrun. The disk turns in virtual time: the first sector of a command costs half a turn
on average, and each that follows on its track the time that it takes to pass.

    read 06  read deleted 0C  read track 02  verify 16  write 05  write deleted 09
    read ID 0A  format 0D

An image has neither deleted address marks nor checksums: everything that was written is there, as
ordinary data, and with the ID fields that a formatted disk has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, FLAG, MOMENT, TIMER, choice, fields, hex_bytes, number
from devices.i8237 import DmaLine
from devices.storage.floppy_commands import (
    ABNORMAL,
    BAD_CYLINDER,
    CONTROL_MARK,
    DATA_COMMANDS,
    DATA_ERROR,
    ENABLE_COUNT,
    END_OF_CYLINDER,
    FORMAT,
    HEAD_SELECT,
    ID_BYTES,
    MISSING_MARK,
    MULTI_TRACK,
    NO_DATA,
    NOT_WRITABLE,
    READ,
    READ_DELETED,
    READ_ID,
    READ_TRACK,
    SIZE_CODE,
    SKIP,
    VERIFY,
    WRITES,
    WRONG_CYLINDER,
)
from devices.storage.floppy_drive import FloppyDrive
from devices.storage.floppy_formats import QUICK, FloppyFormat
from devices.storage.medium import SECTOR, MediumError

NOTHING_FOUND_NS = 400_000_000 // QUICK  # two turns without an address mark

IDLE, SEARCH, OUT, IN = "idle", "search", "out", "in"


class Transfer(Chip):
    """A data command under way. `on_end` is called when its result is there, `on_news` for INT."""

    name = "floppy-transfer"
    state = fields(
        phase=choice((IDLE, SEARCH, OUT, IN)),
        command=BYTE,
        options=BYTE,
        unit=number(0, 7),
        cylinder=BYTE,
        head=BYTE,
        sector=BYTE,
        size_code=BYTE,
        last=BYTE,
        count=BYTE,
        counting=FLAG,
        left=number(0, 256),
        dma=FLAG,
        terminal=FLAG,
        buffer=hex_bytes(SECTOR),
        position=number(0, SECTOR),
        wanted=number(0, SECTOR),
        passed=MOMENT,
        st1=BYTE,
        st2=BYTE,
        timer=TIMER,
    )
    wiring = ("_bus", "_line", "_drives", "_rate", "_on_end", "_on_news")

    def __init__(
        self,
        bus: Bus,
        line: DmaLine,
        drives: Sequence[FloppyDrive | None],
        rate: Callable[[], int],
        on_end: Callable[[], None],
        on_news: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._line = line
        self._drives = drives
        self._rate = rate
        self._on_end = on_end
        self._on_news = on_news
        self.timer = bus.timer(self._due)
        self.command = self.options = self.unit = 0
        self.cylinder = self.head = self.sector = self.size_code = self.last = self.count = 0
        self.left = self.st1 = self.st2 = self.passed = 0
        self.dma = True
        self.counting = False
        self.reset()

    def reset(self) -> None:
        """The command is forgotten where it stands."""
        self.timer.cancel()
        self.phase = IDLE
        self.terminal = False
        self.buffer = bytearray()
        self.position = self.wanted = 0
        self._line.request(False)

    # --- what the controller asks -------------------------------------------------------

    def begin(self, parameters: Sequence[int], dma: bool, seek_ns: int) -> None:
        """The command with all of its bytes; the head is on its way for so long."""
        first, self.unit = parameters[0], parameters[1] & 7
        self.command, self.options = first & 0x1F, first & 0xE0
        self.dma, self.terminal = dma, False
        self.st1 = self.st2 = 0
        self.passed = self._bus.clock.now() + seek_ns
        if len(parameters) == DATA_COMMANDS[READ]:
            self.cylinder, self.head, self.sector, self.size_code = parameters[2:6]
            self.last, self.count = parameters[6], parameters[8]
        elif self.command == FORMAT:
            self.size_code, self.last, self.count = parameters[2], parameters[3], parameters[5]
            self.sector = 1
        if self.command == READ_TRACK:
            self.sector = 1
        self.counting = self.command == VERIFY and bool(parameters[1] & ENABLE_COUNT)
        self.left = (self.count or 256) if self.counting else 0
        if self.command in WRITES and self.format is not None and self._drive_protected():
            self._fail(st1=NOT_WRITABLE)
        elif self.command in WRITES and self._findable():
            self._collect()
        else:
            self._search()

    def result(self) -> list[int]:
        """ST0, ST1, ST2 and the sector's address."""
        failed = ABNORMAL if self.st1 or self.st2 & ~CONTROL_MARK else 0
        address = (self.cylinder, self.head, self.sector, self.size_code)
        return [failed | self.unit, self.st1, self.st2, *address]

    @property
    def busy(self) -> bool:
        """Is a command under way?"""
        return self.phase != IDLE

    @property
    def fifo(self) -> str:
        """`in` or `out` while the processor shall write or read the FIFO."""
        return self.phase if not self.dma and self.phase in (IN, OUT) else IDLE

    def read_fifo(self) -> int:
        """A byte of the sector, without DMA."""
        value = self.buffer[self.position] if self.position < len(self.buffer) else 0
        self.position += 1
        if self.position >= len(self.buffer):
            self._given()
        return value

    def write_fifo(self, value: int) -> None:
        """The same of one that is written."""
        self.buffer.append(value)
        if len(self.buffer) >= self.wanted:
            self._collected()

    def dma_ready(self) -> None:
        """The channel that a transfer waits for was opened."""
        if self.phase == OUT:
            self._give()
        elif self.phase == IN:
            self._fetch()

    # --- where the sector is ------------------------------------------------------------

    @property
    def drive(self) -> FloppyDrive | None:
        """The drive of the command."""
        return self._drives[self.unit & 3]

    @property
    def format(self) -> FloppyFormat | None:
        """What turns under the head, if its data can be told apart at the controller's rate."""
        drive = self.drive
        if drive is None or not drive.ready or drive.format is None:
            return None
        under_head = drive.cylinder < drive.format.cylinders and self.side < drive.format.heads
        return drive.format if under_head and drive.format.rate == self._rate() else None

    @property
    def side(self) -> int:
        """Head select."""
        return self.unit >> 2

    def _drive_protected(self) -> bool:
        return self.drive is not None and self.drive.write_protected

    def _findable(self) -> bool:
        """Will the sector come by? st1 and st2 say why not."""
        format_, drive = self.format, self.drive
        if format_ is None or drive is None:
            self.st1 |= MISSING_MARK
            return False
        if self.command in (READ_ID, READ_TRACK, FORMAT):
            self.st1 |= 0 if self.sector <= format_.sectors else NO_DATA
            return self.sector <= format_.sectors
        if self.cylinder != drive.cylinder:
            self.st2 |= BAD_CYLINDER if self.cylinder == 0xFF else WRONG_CYLINDER
            self.st1 |= NO_DATA
        elif (
            not 1 <= self.sector <= format_.sectors
            or self.head != self.side
            or self.size_code != SIZE_CODE
        ):
            self.st1 |= NO_DATA
        return not self.st1

    def _search(self) -> None:
        """Wait until the sector has come by, or until it is clear that it will not."""
        self.phase = SEARCH
        format_ = self.format
        if format_ is None:
            self.timer.set(max(self._bus.clock.now(), self.passed) + NOTHING_FOUND_NS)
            return
        sector = format_.next_after(self.passed) if self.command == READ_ID else self.sector
        passed = format_.next_pass(min(max(sector, 1), format_.sectors), self.passed)
        self.passed = max(passed, self._bus.clock.now() + 1)
        self.timer.set(self.passed)

    def _due(self) -> None:
        """The sector has passed the head."""
        if not self._findable():
            self._fail()
        elif self.command in WRITES:
            self._store() if self.buffer else self._collect()
        elif self.command == READ_ID:
            self._identify()
        else:
            self._load()

    def _identify(self) -> None:
        format_, drive = self.format, self.drive
        assert format_ is not None and drive is not None
        self.sector = format_.next_after(self.passed - 1)
        self.cylinder, self.head, self.size_code = drive.cylinder, self.side, SIZE_CODE
        self._end()

    # --- reading ------------------------------------------------------------------------

    def _load(self) -> None:
        if self.command == READ_DELETED:
            self.st2 |= CONTROL_MARK  # the mark is the other one
            if self.options & SKIP:
                self._next()
                return
        try:
            self.buffer = bytearray(self._medium_read())
        except MediumError:
            self._fail(st1=DATA_ERROR)
            return
        self.position = 0
        if self.command == VERIFY:
            self._given()
            return
        self.phase = OUT
        self._give()

    def _medium_read(self) -> bytes:
        assert self.drive is not None and self.drive.medium is not None
        return self.drive.medium.read(self._offset(), SECTOR)

    def _offset(self) -> int:
        format_, drive = self.format, self.drive
        assert format_ is not None and drive is not None
        return format_.offset(drive.cylinder, self.side, self.sector)

    def _give(self) -> None:
        """Bytes for whoever takes them."""
        if self.dma:
            self._line.request(True)
            moved, self.terminal = self._line.store(self.buffer[self.position :])
            self.position += moved
            if self.terminal or self.position >= len(self.buffer):
                self._given()
                return
        self._on_news()

    def _given(self) -> None:
        self._line.request(False)
        self.buffer = bytearray()
        self.position = 0
        if self.command == READ_DELETED:
            self.terminal = True  # it ends after the sector with the mark
        self._next()

    # --- writing ------------------------------------------------------------------------

    def _collect(self) -> None:
        """Ask for the bytes of a sector, or of a sector's ID field."""
        self.phase = IN
        self.buffer = bytearray()
        self.wanted = ID_BYTES if self.command == FORMAT else SECTOR
        if self.dma:
            self._line.request(True)
            self._fetch()
        else:
            self._on_news()

    def _fetch(self) -> None:
        data, self.terminal = self._line.fetch(self.wanted - len(self.buffer))
        self.buffer += data
        if self.terminal or len(self.buffer) >= self.wanted:
            self._collected()

    def _collected(self) -> None:
        self._line.request(False)
        self.buffer += bytes(self.wanted - len(self.buffer))  # after TC, zeros
        self._search()
        self._on_news()

    def _store(self) -> None:
        drive = self.drive
        assert drive is not None and drive.medium is not None
        data, offset = bytes(self.buffer), self._offset()
        self.buffer = bytearray()
        if self.command == FORMAT:
            self.cylinder, self.head, number_, code = data[:ID_BYTES].ljust(ID_BYTES, b"\0")
            data = bytes((self.count,)) * SECTOR
            fits = self.format is not None and 1 <= number_ <= self.format.sectors
            if not fits or code != SIZE_CODE or self.cylinder != drive.cylinder:
                self._next()  # an ID that no image can hold
                return
            offset += (number_ - self.sector) * SECTOR
        try:
            drive.medium.write(offset, data)
        except MediumError:
            self._fail(st1=DATA_ERROR)
            return
        self._next()

    # --- from one to the next -----------------------------------------------------------

    def _next(self) -> None:
        """The sector is done: the next one, or the end."""
        ended = self.terminal or self._counted()
        if self.sector != self.last:
            self.sector = self.sector + 1 & 0xFF
        elif not self._turn_over(ended) and not ended:
            # Nobody gives a format or a verify its terminal count: the track's end is their own.
            own_end = self.command == FORMAT or (self.command == VERIFY and not self.counting)
            self.st1 |= 0 if own_end else END_OF_CYLINDER
            ended = True
        if ended:
            self._end()
        elif self.command in WRITES:
            self._collect()
        else:
            self._search()

    def _turn_over(self, ended: bool) -> bool:
        """After a track's last sector: is there another track?"""
        self.sector = 1
        if not self.options & MULTI_TRACK or self.side:
            self.cylinder = self.cylinder + 1 & 0xFF
            self.head ^= self.options >> 7  # MT
            return False
        self.head ^= 1
        if not ended:
            self.unit |= HEAD_SELECT
        return True

    def _counted(self) -> bool:
        """VERIFY with a count of sectors: was that the last?"""
        self.left = max(self.left - 1, 0)
        return self.counting and self.left == 0

    def _fail(self, st1: int = 0) -> None:
        self.st1 |= st1
        self._end()

    def _end(self) -> None:
        self.reset()
        self._on_end()

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if state["phase"] == IN and len(state["buffer"]) // 2 >= state["wanted"]:
            return "a sector that is written is whole and not written"
        return None

"""An ATA hard disk.

Manual: ATA/ATAPI-6 (T13/1410D), 8 "Command descriptions", 6.2 for the translation of cylinders,
heads and sectors, 9.5 to 9.8 for the protocols.

    READ      20 21 24*  MULTIPLE C4 29*   DMA C8 C9 25*    verify 40 41 42*   * 48-bit addresses
    WRITE     30 31 34*  MULTIPLE C5 39*   DMA CA CB 35*    flush  E7 EA*
    IDENTIFY  EC    SET FEATURES EF    SET MULTIPLE C6    INITIALIZE DEVICE PARAMETERS 91
    native size F8 27*, power E0-E3 E5 E6, recalibrate 10, seek 70, NOP 00

Sectors go a block at a time (one, or what SET MULTIPLE said) through the data port, or up to 64 KiB
at a time by the bus master. The platters take their time: COMMAND_NS and SECTOR_NS.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.fields import BYTE, FLAG, number
from devices.storage.ide_device import (
    ABRT,
    COUNT,
    DEVICE,
    DRDY,
    DRQ,
    DSC,
    FEATURES,
    HIGH,
    IDNF,
    LBA_MODE,
    LOW,
    MID,
    MOST_BUFFER,
    RETRY_NS,
    UNC,
    IdeDevice,
    task_file,
)
from devices.storage.ide_identify import disk as identify_disk
from devices.storage.medium import SECTOR, Medium, MediumError

COMMAND_NS, SECTOR_NS = 100_000, 25_000
MOST_MULTIPLE = 16
MOST_CYLINDERS, HEADS, SECTORS = 16383, 16, 63
MOST_28 = (1 << 28) - 1
MOST_48 = (1 << 48) - 1

PIO, MULTIPLE, DMA, CHECK = "sector", "multiple", "dma", "verify"
EXTENDED = {0x24, 0x25, 0x29, 0x34, 0x35, 0x39, 0x42}
READS = {0x20: PIO, 0x21: PIO, 0x24: PIO, 0xC4: MULTIPLE, 0x29: MULTIPLE, 0xC8: DMA, 0xC9: DMA,
         0x25: DMA, 0x40: CHECK, 0x41: CHECK, 0x42: CHECK}  # fmt: skip
WRITES = {0x30: PIO, 0x31: PIO, 0x34: PIO, 0xC5: MULTIPLE, 0x39: MULTIPLE, 0xCA: DMA, 0xCB: DMA,
          0x35: DMA}  # fmt: skip
NOP, SET_PARAMETERS, SET_MULTIPLE, FLUSH, FLUSH_EXT = 0x00, 0x91, 0xC6, 0xE7, 0xEA
IDENTIFY, SET_FEATURES, NATIVE_MAX, NATIVE_MAX_EXT, CHECK_POWER = 0xEC, 0xEF, 0xF8, 0x27, 0xE5
AT_ONCE = {0xE0, 0xE1, 0xE2, 0xE3, 0xE6, *range(0x10, 0x20), *range(0x70, 0x80)}
SET_MODE = 0x03
ACCEPTED_FEATURES = {0x02, 0x82, 0x55, 0xAA, 0x66, 0xCC}  # write cache, look-ahead, defaults
SPINNING = 0xFF


class AtaDisk(IdeDevice):
    """`medium` is what its platters hold."""

    name = "ata-disk"
    state = task_file(
        lba=number(0, MOST_48),
        left=number(0, 0x10000),
        block=number(0, 128),
        multiple=number(0, MOST_MULTIPLE),
        writing=FLAG,
        wide=FLAG,
        checking=FLAG,
        heads=number(1, 16),
        sectors=BYTE,
    )
    signature = (0x00, 0x00)
    ready_after_reset = DRDY | DSC
    medium: Medium  # there always is one

    def __init__(self, bus: Bus, medium: Medium) -> None:
        self.lba = self.left = self.block = 0
        self.writing = self.wide = self.checking = False
        super().__init__(bus, medium)

    def _what_comes(self) -> tuple[Callable[[], None], ...]:
        return (
            self.sign, self._load, self._store, self._flush, self._dma_in, self._dma_out,
            self._dma_store, self._dma_again,
        )  # fmt: skip

    def reset(self) -> None:
        self.multiple = 0
        self.heads, self.sectors = HEADS, SECTORS
        super().reset()

    @property
    def size(self) -> int:
        """In sectors."""
        return self.medium.size // SECTOR

    @property
    def geometry(self) -> tuple[int, int, int]:
        """Cylinders, heads and sectors a track, as a BIOS wants to know them."""
        return max(1, min(self.size // (HEADS * SECTORS), MOST_CYLINDERS)), HEADS, SECTORS

    # --- commands -----------------------------------------------------------------------

    def command(self, code: int) -> None:
        if self.taken:
            return
        self._set_intrq(False)
        self.error = 0
        if code in READS or code in WRITES:
            self._transfer(code)
        elif code == IDENTIFY:
            self._answer(self._identify())
        elif code in (FLUSH, FLUSH_EXT):
            self._after(COMMAND_NS, self._flush)
        else:
            self._finish(0 if self._at_once(code) else ABRT)

    def _at_once(self, code: int) -> bool:
        """Commands without data: does it know this one?"""
        registers = self.registers
        if code == SET_PARAMETERS:
            self.heads, self.sectors = (registers[DEVICE] & 0x0F) + 1, registers[COUNT]
        elif code == SET_MULTIPLE:
            count = registers[COUNT]
            self.multiple = count if count <= MOST_MULTIPLE and count & count - 1 == 0 else 0
            return self.multiple == count
        elif code == SET_FEATURES:
            if registers[FEATURES] == SET_MODE:
                return self._set_transfer_mode(registers[COUNT])
            return registers[FEATURES] in ACCEPTED_FEATURES
        elif code in (NATIVE_MAX, NATIVE_MAX_EXT):
            self.wide = code == NATIVE_MAX_EXT
            self._show(self.size - 1 if self.wide else min(self.size, MOST_28) - 1)
        elif code == CHECK_POWER:
            registers[COUNT] = SPINNING
        return code in AT_ONCE or code in (SET_PARAMETERS, NATIVE_MAX, NATIVE_MAX_EXT, CHECK_POWER)

    def _answer(self, data: bytes) -> None:
        """One block of data that is no sector."""
        self.stop()
        self.left = self.block = 0
        self.writing = False
        self.buffer[:] = data
        self._offer(len(data), out=False)
        self._set_intrq(True)

    def _transfer(self, code: int) -> None:
        how = READS.get(code) or WRITES[code]
        self.writing = code in WRITES
        self.wide = code in EXTENDED
        self.dma, self.checking = how == DMA, how == CHECK
        first = self._address()
        if (how == MULTIPLE and not self.multiple) or (self.dma and self.bus_master is None):
            self._finish(ABRT)
            return
        self.block = {PIO: 1, MULTIPLE: self.multiple}.get(how, MOST_BUFFER // SECTOR)
        count = self.registers[COUNT] | (self.previous[COUNT] << 8 if self.wide else 0)
        self.left = count or (0x10000 if self.wide else 0x100)
        if first is None or first >= self.size:
            self._finish(IDNF)
            return
        self.lba = first
        if self.writing and not self.dma:
            self._collect()
        else:
            next_step = self._dma_out if self.writing else self._dma_in if self.dma else self._load
            self._after(COMMAND_NS + SECTOR_NS * self._run(), next_step)

    def _run(self) -> int:
        """Sectors of the next block: those that are left, and those that there are."""
        return max(min(self.left, self.block, self.size - self.lba), 0)

    # --- addresses ----------------------------------------------------------------------

    def _address(self) -> int | None:
        """The first sector, as registers say it; None: there is none of these."""
        low, mid, high = self.registers[LOW], self.registers[MID], self.registers[HIGH]
        if self.wide:
            before = self.previous
            top = before[LOW] | before[MID] << 8 | before[HIGH] << 16
            return low | mid << 8 | high << 16 | top << 24
        device = self.registers[DEVICE]
        if device & LBA_MODE:
            return low | mid << 8 | high << 16 | (device & 0x0F) << 24
        head, cylinder = device & 0x0F, mid | high << 8
        if not 1 <= low <= self.sectors or head >= self.heads:
            return None
        return (cylinder * self.heads + head) * self.sectors + low - 1

    def _show(self, lba: int) -> None:
        """An address into the registers, in the form that the command's was."""
        registers, lba = self.registers, lba & MOST_48
        if not self.wide and not registers[DEVICE] & LBA_MODE and self.sectors:
            track, low = divmod(lba, self.sectors)
            cylinder, head = divmod(track, self.heads)
            registers[LOW:DEVICE] = low + 1, cylinder & 0xFF, cylinder >> 8 & 0xFF
            registers[DEVICE] = registers[DEVICE] & 0xF0 | head
            return
        registers[LOW:DEVICE] = lba.to_bytes(6, "little")[:3]
        if self.wide:
            self.previous[LOW:DEVICE] = lba.to_bytes(6, "little")[3:]
        else:
            registers[DEVICE] = registers[DEVICE] & 0xF0 | lba >> 24 & 0x0F

    # --- sectors ------------------------------------------------------------------------

    def _fill(self) -> bool:
        """The next block into the buffer; False: the command has ended with an error."""
        count = self._run()
        try:
            data = self.medium.read(self.lba * SECTOR, count * SECTOR) if count else b""
        except MediumError:
            return self._broken(UNC)
        if not count:
            return self._broken(IDNF)
        self.buffer[:] = data
        self.position = 0
        return True

    def _broken(self, error: int) -> bool:
        self._show(self.lba)
        self._finish(error)
        return False

    def _advance(self, count: int) -> bool:
        """So many sectors are done: are there more?"""
        self.lba += count
        self.left = max(self.left - count, 0)
        self.buffer.clear()
        self.position = self.end = 0
        if not self.left:
            self._show(max(self.lba - 1, 0))
            self.registers[COUNT] = 0
        return self.left > 0

    def _load(self) -> None:
        """The sectors have passed the heads."""
        if not self._fill():
            return
        if self.checking:
            if self._advance(len(self.buffer) // SECTOR):
                self._after(SECTOR_NS * self._run(), self._load)
            else:
                self._finish()
            return
        self._offer(len(self.buffer), out=False)
        self._set_intrq(True)

    def _collect(self) -> None:
        """Ask for the next block; the interrupt before the first one is left out."""
        count = self._run()
        if not count:
            self._broken(IDNF)
            return
        self.buffer[:] = bytes(count * SECTOR)
        self.position = 0
        self._offer(len(self.buffer), out=True)

    def _moved(self) -> None:
        if self.writing:
            self._after(SECTOR_NS * (len(self.buffer) // SECTOR), self._store)
        elif self.left and self._advance(len(self.buffer) // SECTOR):
            self._after(SECTOR_NS * self._run(), self._load)
        else:
            self.status = DRDY | DSC  # no interrupt tells of the last data

    def _put(self) -> bool:
        """The buffer onto the platters; False: the command has ended with an error."""
        try:
            self.medium.write(self.lba * SECTOR, bytes(self.buffer))
        except MediumError:
            return self._broken(UNC)
        return True

    def _store(self) -> None:
        if not self._put():
            return
        if self._advance(len(self.buffer) // SECTOR):
            self._collect()
            self._set_intrq(True)
        else:
            self._finish()

    def _flush(self) -> None:
        try:
            self.medium.flush()
        except MediumError:
            self._finish(UNC)
        else:
            self._finish()

    # --- by the bus master --------------------------------------------------------------

    def dma_ready(self) -> None:
        if self.dma and self.status & DRQ:
            self._dma_again()

    def _dma_again(self) -> None:
        self._pull() if self.writing else self._push()

    def _dma_in(self) -> None:
        if self._fill():
            self.end = len(self.buffer)
            self.status = DRDY | DSC | DRQ
            self._push()

    def _push(self) -> None:
        moved = self._give()
        if self.position < self.end:
            self._wait(moved)
        elif self._advance(len(self.buffer) // SECTOR):
            self._after(SECTOR_NS * self._run(), self._dma_in)
        else:
            self._finish()

    def _dma_out(self) -> None:
        self._collect()
        if self.status & DRQ:
            self._pull()

    def _pull(self) -> None:
        moved = self._get()
        if self.position < self.end:
            self._wait(moved)
        else:
            self._after(SECTOR_NS * (len(self.buffer) // SECTOR), self._dma_store)

    def _wait(self, moved: int) -> None:
        """For a bus master that has done as much as it does at once, or that is not started."""
        if moved:
            self.step = self._steps.index(self._dma_again)
            self.timer.set(self._bus.clock.now() + RETRY_NS)

    def _dma_store(self) -> None:
        if not self._put():
            return
        if self._advance(len(self.buffer) // SECTOR):
            self._dma_out()
        else:
            self._finish()

    def _identify(self) -> bytes:
        current = self.heads, self.sectors
        return identify_disk(self.size, self.geometry, current, self.multiple, self.mode)

"""An ATAPI CD-ROM drive: the packet protocol.

Manual: ATA/ATAPI-6 (T13/1410D), 8.23 "PACKET", 9.10 and 9.11 for its protocols; what is in the
packets is MMC's (cdrom_commands.py).

    A0 PACKET   A1 IDENTIFY PACKET DEVICE   08 DEVICE RESET   EC and 20: "no, I am ATAPI"

After PACKET the host writes 12 bytes (interrupt reason 1), then moves the data in pieces of at most
the byte count in LBA mid and high, each with its interrupt (reason 2), and reads the status at the
end (reason 3). With DMA in the features register there is only the last interrupt.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.fields import BYTE, FLAG, number
from devices.storage.cdrom_commands import (
    BLOCK,
    COMMANDS,
    EVENT_GONE,
    EVENT_NEW,
    EVENT_NONE,
    HARMLESS,
    INVALID_COMMAND,
    NEEDS_DISC,
    NO_DISC,
    NO_SENSE,
    READ_ERROR,
    REQUEST_SENSE,
    TRAY_OPEN,
    WAS_CHANGED,
    WAS_RESET,
    Failed,
    Reading,
)
from devices.storage.ide_device import (
    ABRT,
    COUNT,
    DRDY,
    DRQ,
    DSC,
    FEATURES,
    HIGH,
    MID,
    MOST_BUFFER,
    RETRY_NS,
    IdeDevice,
    task_file,
)
from devices.storage.ide_identify import cdrom as identify_cdrom
from devices.storage.medium import Medium, MediumError

COMMAND_NS, BLOCK_NS = 200_000, 150_000
PACKET_BYTES = 12
MOST_BLOCKS = MOST_BUFFER // BLOCK
MOST_SENT = 0xFFFE
CODE, TO_HOST = 0x01, 0x02  # interrupt reason, in the sector count register
DMA_FEATURE = 0x01
PACKET, IDENTIFY_PACKET, DEVICE_RESET, IDENTIFY, READ = 0xA0, 0xA1, 0x08, 0xEC, 0x20
NOP, SET_FEATURES, CHECK_POWER = 0x00, 0xEF, 0xE5
AT_ONCE = {0xE0, 0xE1, 0xE2, 0xE3, 0xE6}
SET_MODE = 0x03
SPINNING = 0xFF


class AtapiCdrom(IdeDevice):
    """The drive; `medium` is the disc, or None."""

    name = "atapi-cdrom"
    state = task_file(
        sense=number(0, 0xFFFFFF),
        attention=FLAG,
        changed=FLAG,
        event=BYTE,
        locked=FLAG,
        is_open=FLAG,
        lba=number(0, 0xFFFFFFFF),
        left=number(0, 0xFFFFFFFF),
        most=number(0, MOST_SENT),
        packet=FLAG,
    )
    signature = (0x14, 0xEB)
    ready_after_reset = 0

    def __init__(self, bus: Bus, medium: Medium | None = None) -> None:
        self.is_open = self.locked = self.packet = False
        self.event = EVENT_NONE
        self.lba = self.left = self.most = 0
        super().__init__(bus, medium)

    def _what_comes(self) -> tuple[Callable[[], None], ...]:
        return (self.sign, self._execute, self._continue, self._dma_again)

    def reset(self) -> None:
        super().reset()
        self.locked = False
        self.sense = NO_SENSE
        self.changed = False
        self.attention = True  # the first command is told that it was reset

    def stop(self) -> None:
        super().stop()
        self.packet = False
        self.left = self.most = 0

    # --- the host's side ----------------------------------------------------------------

    def insert(self, medium: Medium | None) -> None:
        """Another disc, or none; the guest finds out."""
        self.medium = medium
        self.is_open = False
        self.attention = self.changed = medium is not None
        self.event = EVENT_NEW if medium is not None else EVENT_GONE

    # --- commands -----------------------------------------------------------------------

    def command(self, code: int) -> None:
        if code == DEVICE_RESET:
            self.stop()
            self.sign()
            return
        if self.taken:
            return
        self._set_intrq(False)
        self.error = 0
        if code == PACKET:
            self._want_packet()
        elif code == IDENTIFY_PACKET:
            self.stop()
            self.buffer[:] = identify_cdrom(self.mode)
            self._offer(len(self.buffer), out=False)
            self._set_intrq(True)
        elif code in (IDENTIFY, READ):
            self.sign()
            self._finish(ABRT)
        else:
            self._finish(0 if self._at_once(code) else ABRT)

    def _at_once(self, code: int) -> bool:
        if code == SET_FEATURES and self.registers[FEATURES] == SET_MODE:
            return self._set_transfer_mode(self.registers[COUNT])
        if code == CHECK_POWER:
            self.registers[COUNT] = SPINNING
        return code in AT_ONCE or code == CHECK_POWER

    def _want_packet(self) -> None:
        self.stop()
        self.packet = True
        self.dma = False
        most = self.registers[MID] | self.registers[HIGH] << 8
        self.most = min(most & ~1 or MOST_SENT, MOST_SENT)
        self.buffer[:] = bytes(PACKET_BYTES)
        self._reason(CODE)
        self._offer(PACKET_BYTES, out=True)

    def _reason(self, reason: int) -> None:
        self.registers[COUNT] = self.registers[COUNT] & ~(CODE | TO_HOST) | reason

    def _moved(self) -> None:
        if self.packet and self.out:
            self._after(COMMAND_NS, self._execute)
        elif self.packet:
            self._continue()
        else:
            self.status = DRDY | DSC  # the last of IDENTIFY

    def _execute(self) -> None:
        """The packet is there."""
        packet = bytes(self.buffer[:PACKET_BYTES]).ljust(PACKET_BYTES, b"\0")
        self.out = False
        self.buffer = bytearray()
        self.position = self.end = 0
        try:
            answer = self._answer(packet)
        except Failed as failed:
            self._fail(failed.sense)
            return
        self.dma = bool(self.registers[FEATURES] & DMA_FEATURE) and self.bus_master is not None
        if isinstance(answer, Reading):
            self.lba, self.left = answer.first, answer.count
        else:
            self.buffer[:] = answer
        self._continue()

    def _answer(self, packet: bytes) -> bytes | Reading:
        serve = COMMANDS.get(packet[0])
        if serve is None:
            raise Failed(INVALID_COMMAND)
        if packet[0] not in HARMLESS and self.attention:
            self.attention = False
            changed, self.changed = self.changed, False
            raise Failed(WAS_CHANGED if changed else WAS_RESET)
        if packet[0] in NEEDS_DISC and self.medium is None:
            raise Failed(TRAY_OPEN if self.is_open else NO_DISC)
        if packet[0] != REQUEST_SENSE:
            self.sense = NO_SENSE
        return serve(self, packet)

    def _fail(self, sense: int) -> None:
        self.sense = sense
        self._end((sense >> 16) << 4 | ABRT)

    def _end(self, error: int = 0) -> None:
        self._reason(CODE | TO_HOST)
        self._finish(error)

    # --- data ---------------------------------------------------------------------------

    def _continue(self) -> None:
        """The next piece of the data, or the end."""
        if self.position >= len(self.buffer) and self.left:
            self._read_on()
        elif self.position >= len(self.buffer):
            self._end()
        elif self.dma:
            self.end = len(self.buffer)
            self.status = DRDY | DSC | DRQ
            self._dma_again()
        else:
            size = min(self.most or MOST_SENT, len(self.buffer) - self.position)
            self.registers[MID], self.registers[HIGH] = size & 0xFF, size >> 8
            self._reason(TO_HOST)
            self._offer(size, out=False)
            self._set_intrq(True)

    def _read_on(self) -> None:
        """More blocks of the disc into the buffer, which takes as long as they take to pass."""
        count = min(self.left, MOST_BLOCKS)
        if self.medium is None:
            self._fail(NO_DISC)
            return
        try:
            self.buffer[:] = self.medium.read(self.lba * BLOCK, count * BLOCK)
        except MediumError:
            self._fail(READ_ERROR)
            return
        self.position = self.end = 0
        self.lba += count
        self.left -= count
        self._after(BLOCK_NS * count, self._continue)

    def dma_ready(self) -> None:
        if self.dma and self.status & DRQ:
            self._dma_again()

    def _dma_again(self) -> None:
        moved = self._give()
        if self.position >= self.end:
            self._continue()
        elif moved:
            self.step = self._steps.index(self._dma_again)
            self.timer.set(self._bus.clock.now() + RETRY_NS)

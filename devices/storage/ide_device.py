"""What an ATA disk and an ATAPI drive have in common: the task file, and data through its ports.

Manual: ATA/ATAPI-6 (T13/1410D), 7 "Interface register definitions", 9 "Protocol overview".

    1 features / error    3-5 LBA low, mid, high          7 command / status
    2 sector count        6 device: LBA, DEV, LBA 27-24

A register of the command block is two bytes deep: what a write pushes out is its high order byte,
for 48-bit addresses. A command is BSY until its timer goes off; then data lies in `buffer` and DRQ
is on until the host has moved all up to `end`, or the bus master moves it (ide_bus_master.py). What
happens when the time has come is named by `step`, so that it can be saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, FLAG, TIMER, Field, fields, hex_bytes, number, sequence
from devices.storage.ide_bus_master import BusMaster
from devices.storage.ide_identify import MULTIWORD, ULTRA
from devices.storage.medium import Medium

FEATURES, COUNT, LOW, MID, HIGH, DEVICE, COMMAND = range(1, 8)
BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
UNC, IDNF, ABRT = 0x40, 0x10, 0x04  # errors
LBA_MODE, DEV = 0x40, 0x10  # of the device register
MOST_BUFFER = 0x10000
RESET_NS = 2_000_000
RETRY_NS = 10_000  # for what a bus master did not take at once
PASSED = 0x01  # diagnostic code

PIO_MODES = (0, 1, *range(8, 13))  # the first two are the drive's own choice


def task_file(**more: Field) -> Mapping[str, Field]:
    """The fields of every device, and more."""
    return fields(
        registers=sequence(BYTE, least=8, most=8),
        previous=sequence(BYTE, least=8, most=8),
        status=BYTE,
        error=BYTE,
        intrq=FLAG,
        buffer=hex_bytes(MOST_BUFFER),
        position=number(0, MOST_BUFFER),
        end=number(0, MOST_BUFFER),
        out=FLAG,
        dma=FLAG,
        step=number(0, 15),
        mode=BYTE,
        timer=TIMER,
        **more,
    )


class IdeDevice(Chip):
    """One device on a channel, which sets `on_intrq` and, with DMA, `bus_master`."""

    state = task_file()
    wiring = ("_bus", "_steps", "bus_master", "medium", "on_intrq")
    signature: tuple[int, int]  # in LBA mid and high after a reset
    ready_after_reset: int  # the status then

    def __init__(self, bus: Bus, medium: Medium | None) -> None:
        self._bus = bus
        self.medium = medium
        self.on_intrq: Callable[[], None] = _nobody
        self.bus_master: BusMaster | None = None
        self.timer = bus.timer(self._due)
        self._steps: tuple[Callable[[], None], ...] = self._what_comes()
        self.mode = 0
        self.reset()

    def _what_comes(self) -> tuple[Callable[[], None], ...]:
        """What the timer may end; `step` is an index. The first is always the reset's."""
        raise NotImplementedError

    def put(self, medium: Medium | None) -> None:
        """This is in it, and always was."""
        self.medium = medium

    def reset(self) -> None:
        """RESET, by the bus."""
        self.mode = 0
        self.registers = [0] * 8
        self.previous = [0] * 8
        self.stop()
        self.sign()

    def stop(self) -> None:
        """Whatever it does, it does no longer."""
        self.timer.cancel()
        self.buffer = bytearray()
        self.position = self.end = self.step = 0
        self.out = self.dma = self.intrq = False

    def sign(self) -> None:
        """After a reset or a diagnosis: who it is, and that it is well."""
        self.registers[COUNT] = self.registers[LOW] = 1
        self.registers[MID], self.registers[HIGH] = self.signature
        self.registers[DEVICE] = 0
        self.error = PASSED
        self.status = self.ready_after_reset

    def hold(self) -> None:
        """SRST is on."""
        self.stop()
        self.status = BSY

    def let_go(self) -> None:
        """SRST is off: it gets well."""
        self._after(RESET_NS, self.sign)

    # --- the command block --------------------------------------------------------------

    @property
    def taken(self) -> bool:
        """Does it do something, so that it does not listen?"""
        return bool(self.status & (BSY | DRQ))

    def read(self, register: int, high_order: bool) -> int:
        """1 to 6."""
        if register == FEATURES:
            return self.error
        return (self.previous if high_order else self.registers)[register]

    def write(self, register: int, value: int) -> None:
        """1 to 6, of both devices of a channel."""
        if not self.taken:
            self.previous[register] = self.registers[register]
            self.registers[register] = value

    def command(self, code: int) -> None:
        """Begin one; the device does nothing else."""
        raise NotImplementedError

    def read_status(self) -> int:
        """The status register, which takes the interrupt away."""
        self._set_intrq(False)
        return self.status

    def read_data(self, size: int) -> int:
        """Two or four bytes of the data port."""
        if not self.status & DRQ or self.out or self.dma:
            return (1 << 8 * size) - 1
        at = self.position
        value = int.from_bytes(self.buffer[at : min(at + size, self.end)], "little")
        self._move_on(size)
        return value

    def read_elements(self, size: int, count: int) -> bytes:
        """Elements of the data port before the last one, with which something happens."""
        if not self.status & DRQ or self.out or self.dma:
            return b""
        at = self.position
        length = self._before_last(size, count)
        self.position += length
        return bytes(self.buffer[at : at + length])

    def write_elements(self, size: int, data: bytes) -> int:
        """The same to the device; how many it took."""
        if not self.status & DRQ or not self.out or self.dma:
            return 0
        at = self.position
        length = self._before_last(size, len(data) // size)
        self.buffer[at : at + length] = data[:length]
        self.position += length
        return length // size

    def _before_last(self, size: int, count: int) -> int:
        """Bytes of at most so many elements that leave one to be moved."""
        return min(count, max(0, self.end - self.position - 1) // size) * size

    def write_data(self, size: int, value: int) -> None:
        """The same to the device."""
        if not self.status & DRQ or not self.out or self.dma:
            return
        at = self.position
        room = min(size, self.end - at)
        self.buffer[at : at + room] = value.to_bytes(size, "little")[:room]
        self._move_on(size)

    def _move_on(self, size: int) -> None:
        self.position = min(self.position + size, self.end)
        if self.position == self.end:
            self.status &= ~DRQ
            self._moved()

    def _moved(self) -> None:
        """The host has moved all that there was to move."""
        raise NotImplementedError

    def dma_ready(self) -> None:
        """The bus master has been started."""

    def _give(self) -> int:
        """Bytes of the buffer to the bus master; how many it took."""
        data = self.buffer[self.position : self.end]
        moved = 0 if self.bus_master is None else self.bus_master.to_memory(data)
        self.position += moved
        return moved

    def _get(self) -> int:
        """Bytes into the buffer from the bus master; how many came."""
        at, master = self.position, self.bus_master
        data = b"" if master is None else master.from_memory(self.end - at)
        self.buffer[at : at + len(data)] = data
        self.position += len(data)
        return len(data)

    # --- for the device itself ----------------------------------------------------------

    def _after(self, ns: int, then: Callable[[], None]) -> None:
        """BSY for so long."""
        self.status = self.status & ~DRQ | BSY
        self.step = self._steps.index(then)
        self.timer.set(self._bus.clock.now() + ns)

    def _due(self) -> None:
        self.status &= ~BSY
        self._steps[min(self.step, len(self._steps) - 1)]()

    def _offer(self, size: int, out: bool) -> None:
        """DRQ: the host may move so many bytes from or to the buffer, from `position` on."""
        self.end = self.position + size
        self.out = out
        self.status = DRDY | DSC | DRQ

    def _finish(self, error: int = 0) -> None:
        """The command has ended, and says so."""
        self.stop()
        self.error = error
        self.status = DRDY | DSC | (ERR if error else 0)
        self._set_intrq(True)

    def _set_intrq(self, level: bool) -> None:
        if level != self.intrq:
            self.intrq = level
            self.on_intrq()

    def _set_transfer_mode(self, value: int) -> bool:
        """SET FEATURES 03h: is there such a mode?"""
        if value in MULTIWORD or value in ULTRA:
            self.mode = value
        elif value in PIO_MODES:
            self.mode = 0
        else:
            return False
        return True

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if not state["position"] <= state["end"] <= len(state["buffer"]) // 2:
            return "more data to move than there is"
        if state["status"] & DRQ and not state["dma"] and state["position"] == state["end"]:
            return "DRQ without data to move"
        return None


def _nobody() -> None:
    """A device on no channel."""

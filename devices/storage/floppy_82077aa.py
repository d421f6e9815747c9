"""Intel 82077AA floppy disk controller, in AT mode, with up to two drives.

Manual: 82077AA CHMOS Single-Chip Floppy Disk Controller, 2.1 "Registers", 4.0 "Controller phases",
5.0 "Command set", 6.0 "Status register encoding".

    3F2 DOR   drive select, RESET#, DMAGATE#, motors        3F4 MSR (read), DSR (write)
    3F3 TDR   tape drive, kept                               3F5 FIFO: commands, data, results
    3F0 3F1   SRA, SRB: not driven in AT mode                3F7 DIR (disk change), CCR (write)

A command is bytes into the FIFO, then it executes (data commands in floppy_transfer.py, in virtual
time), then its result is bytes out of the FIFO. INT comes with a result, after a seek, and after a
reset, and goes by SENSE INTERRUPT STATUS or with the result's first byte.

Left out: SCAN, which is answered as an invalid command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import (
    BYTE,
    FLAG,
    LINE,
    PART,
    PARTS,
    TIMER,
    choice,
    fields,
    number,
    sequence,
)
from devices.i8237 import I8237Pair
from devices.storage.floppy_commands import (
    BASE,
    COMMAND,
    COMMANDS,
    CONFIGURE,
    DATA_COMMANDS,
    DIR_CCR,
    DIR_CHANGED,
    DIR_FLOATING,
    DOR,
    DOR_GATED,
    DOR_RESET,
    DOR_SELECT,
    DSR_RATE,
    DSR_RESET,
    DUMPREG,
    EFIFO,
    EXECUTE,
    FIFO,
    FLAGS,
    FORMAT,
    IMPLIED_SEEK,
    LOCK,
    LOCK_FLAG,
    MFM,
    MSR,
    MSR_BUSY,
    MSR_DIO,
    MSR_NON_DMA,
    MSR_RQM,
    NON_DMA,
    NUMBER,
    OPEN_BUS,
    PERPENDICULAR,
    PERPENDICULAR_OW,
    PLAIN,
    POLL_OFF,
    RATES,
    READ,
    RECALIBRATE,
    RELATIVE,
    RELATIVE_UP,
    RESET_NS,
    RESULT,
    SEEK,
    SENSE_DRIVE,
    SENSE_INTERRUPT,
    SKIP,
    SPECIFY,
    ST0_INVALID,
    ST3_ALWAYS,
    ST3_PROTECTED,
    ST3_TRACK_0,
    STEP_AT_1K,
    TDR,
    TDR_FLOATING,
    THE_VERSION,
    UNITS,
    VERSION,
)
from devices.storage.floppy_drive import FloppyDrive
from devices.storage.floppy_formats import QUICK
from devices.storage.floppy_seek import Heads
from devices.storage.floppy_transfer import IDLE, IN, OUT, Transfer


class Floppy82077aa(Chip):
    """The controller. `cable` has the drives by unit, None where there is none."""

    name = "floppy-82077aa"
    state = fields(
        drives=PARTS,
        transfer=PART,
        heads=PART,
        phase=choice((COMMAND, EXECUTE, RESULT)),
        dor=BYTE,
        tdr=BYTE,
        rate=number(0, 3),
        parameters=sequence(BYTE, most=9),
        results=sequence(BYTE, most=10),
        step_rate=BYTE,
        head_load=BYTE,
        configuration=BYTE,
        precompensation=BYTE,
        perpendicular=BYTE,
        end_of_track=BYTE,
        locked=FLAG,
        interrupt=FLAG,
        timer=TIMER,
        line=LINE,
    )
    wiring = ("_bus", "_cable", "_do")

    def __init__(
        self, bus: Bus, dma: I8237Pair, cable: Sequence[FloppyDrive | None], irq: int = 6
    ) -> None:
        self._bus = bus
        self._cable = [*cable, *[None] * UNITS][:UNITS]
        self.drives = [drive for drive in self._cable if drive is not None]
        self.line = bus.irq(irq)
        self.timer = bus.timer(self._reset_done)
        self.heads = Heads(bus, self._cable, self._interrupt)
        self.transfer = Transfer(
            bus, dma.line(2, self._dma_ready), self._cable, lambda: RATES[self.rate],
            self._transferred, self._update,
        )  # fmt: skip
        self._do = self._commands()
        self.parameters: list[int] = []
        self.results: list[int] = []
        self.interrupt = False
        self.reset()
        bus.claim_ports(BASE, 6, self)
        dir_ccr = PortHandlers(self.name, self._read_dir, self._write_ccr)
        bus.claim_ports(BASE + DIR_CCR, 1, dir_ccr)

    def _commands(self) -> dict[int, Callable[[], None]]:
        return {
            **dict.fromkeys(DATA_COMMANDS, self._data_command),
            SPECIFY: self._specify,
            SENSE_DRIVE: self._sense_drive,
            RECALIBRATE: self._recalibrate,
            SENSE_INTERRUPT: self._sense_interrupt,
            DUMPREG: self._dump_registers,
            SEEK: self._seek,
            VERSION: lambda: self._answer(THE_VERSION),
            PERPENDICULAR: self._perpendicular_mode,
            CONFIGURE: self._configure,
            LOCK: self._lock,
        }

    def reset(self) -> None:
        """The RESET pin: the controller is held in reset by DOR from then on."""
        self.dor = self.tdr = 0
        self.rate = 2
        self.locked = False
        self.step_rate = self.head_load = self.perpendicular = self.end_of_track = 0
        self._forget()
        for drive in self.drives:
            drive.reset()

    def _forget(self) -> None:
        """What every reset does, by pin, DOR or DSR."""
        self.phase = COMMAND
        self.parameters, self.results = [], []
        if not self.locked:
            self.configuration, self.precompensation = EFIFO, 0
        self.timer.cancel()
        self.transfer.reset()
        self.heads.reset()
        self.interrupt = False
        self._update()

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Its interrupt, while a reset, a seek or a sector takes its time."""
        if self.timer.live or self.transfer.timer.live or self.heads.moving():
            yield self.line.number

    # --- registers ----------------------------------------------------------------------

    def read_port(self, offset: int, size: int) -> int:
        if offset == DOR:
            return self.dor
        if offset == TDR:
            return self.tdr | TDR_FLOATING
        if offset == MSR:
            return self._status()
        return self._read_fifo() if offset == FIFO else OPEN_BUS

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == DOR:
            self._write_dor(value)
        elif offset == TDR:
            self.tdr = value & ~TDR_FLOATING
        elif offset == MSR:  # DSR
            self.rate = value & DSR_RATE
            if value & DSR_RESET:
                self._forget()
                self._end_reset()
        elif offset == FIFO:
            self._write_fifo(value)

    def _write_dor(self, value: int) -> None:
        rising = value & ~self.dor & DOR_RESET
        self.dor = value
        for unit, drive in enumerate(self._cable):
            if drive is not None:
                drive.motor = bool(value >> 4 + unit & 1)
        if not value & DOR_RESET:
            self._forget()
        elif rising:
            self._end_reset()
        self._update()

    def _end_reset(self) -> None:
        if self.dor & DOR_RESET:
            self.timer.set(self._bus.clock.now() + RESET_NS)

    def _reset_done(self) -> None:
        """Polling finds that all drives have become ready, and says so."""
        if not self.configuration & POLL_OFF:
            self.heads.polled()
            self._interrupt()

    def _read_dir(self, offset: int, size: int) -> int:
        unit = self.dor & DOR_SELECT
        drive = self._cable[unit]
        selected = self.dor >> 4 + unit & 1
        changed = drive is not None and (drive.changed or drive.medium is None)
        return DIR_FLOATING | (DIR_CHANGED if selected and changed else 0)

    def _write_ccr(self, offset: int, size: int, value: int) -> None:
        self.rate = value & DSR_RATE

    def _status(self) -> int:
        if not self.dor & DOR_RESET or self.timer.live:
            return 0
        value = self.heads.moving()
        if self.phase == RESULT:
            return value | MSR_RQM | MSR_DIO | MSR_BUSY
        if self.phase == EXECUTE:
            value |= MSR_BUSY | (0 if self.transfer.dma else MSR_NON_DMA)
            fifo = self.transfer.fifo
            return value | {OUT: MSR_RQM | MSR_DIO, IN: MSR_RQM}.get(fifo, 0)
        return value | MSR_RQM | (MSR_BUSY if self.parameters else 0)

    # --- the FIFO -----------------------------------------------------------------------

    def _read_fifo(self) -> int:
        if self.phase == RESULT:
            value = self.results.pop(0) if self.results else 0
            self.interrupt = False
            self._update()
            if not self.results:
                self.phase = COMMAND
                if self.heads.arrived():
                    self._interrupt()  # another head, whose edge went by meanwhile
            return value
        if self.phase == EXECUTE and self.transfer.fifo == OUT:
            value = self.transfer.read_fifo()
            self._update()
            return value
        return 0

    def _write_fifo(self, value: int) -> None:
        if not self.dor & DOR_RESET or self.timer.live:
            return
        if self.phase == EXECUTE and self.transfer.fifo == IN:
            self.transfer.write_fifo(value)
            self._update()
        elif self.phase == COMMAND:
            self.parameters.append(value)
            command = self._command()
            if command is None:
                self.parameters.clear()
                self._answer(ST0_INVALID)
            elif len(self.parameters) >= COMMANDS[command]:
                self._do[command]()
                self.parameters.clear()

    def _command(self) -> int | None:
        """The command that the FIFO's first byte is. None: no such one."""
        first = self.parameters[0]
        command = first if first & FLAGS and first & NUMBER in PLAIN else first & NUMBER
        if command not in COMMANDS or (command == LOCK and first & (MFM | SKIP)):
            return None
        return command

    def _answer(self, *results: int) -> None:
        """A result that nobody is interrupted for."""
        self.results = list(results)
        self.phase = RESULT

    # --- commands -----------------------------------------------------------------------

    def _data_command(self) -> None:
        self.phase = EXECUTE
        unit = self.parameters[1] & 3
        seek_ns = 0
        if self.configuration & IMPLIED_SEEK and len(self.parameters) == COMMANDS[READ]:
            seek_ns = self.heads.move(unit, self.parameters[2], self._step_ns())
        if len(self.parameters) >= COMMANDS[FORMAT]:
            self.end_of_track = self.parameters[3 if self.parameters[0] & NUMBER == FORMAT else 6]
        dma = not self.head_load & NON_DMA
        self.transfer.begin(self.parameters, dma, seek_ns)

    def _transferred(self) -> None:
        """The data command has ended."""
        self._answer(*self.transfer.result())
        self._interrupt()

    def _dma_ready(self) -> None:
        if self.phase == EXECUTE and self.transfer.dma:
            self.transfer.dma_ready()

    def _specify(self) -> None:
        self.step_rate, self.head_load = self.parameters[1:3]

    def _configure(self) -> None:
        self.configuration, self.precompensation = self.parameters[2:4]

    def _perpendicular_mode(self) -> None:
        value = self.parameters[1]
        overwrite = value & PERPENDICULAR_OW
        self.perpendicular = value & 0x3F if overwrite else self.perpendicular & 0x3C | value & 3

    def _lock(self) -> None:
        self.locked = bool(self.parameters[0] & LOCK_FLAG)
        self._answer(self.locked << 4)

    def _dump_registers(self) -> None:
        self._answer(
            *map(self.heads.present, range(UNITS)), self.step_rate, self.head_load,
            self.end_of_track, self.locked << 7 | self.perpendicular & 0x3F, self.configuration,
            self.precompensation,
        )  # fmt: skip

    def _sense_drive(self) -> None:
        unit = self.parameters[1] & 7
        drive = self._cable[unit & 3]
        value = ST3_ALWAYS | unit
        if drive is not None:
            value |= ST3_PROTECTED if drive.write_protected else 0
            value |= ST3_TRACK_0 if drive.cylinder == 0 else 0
        self._answer(value)

    def _sense_interrupt(self) -> None:
        self._answer(*(self.heads.sense() or (ST0_INVALID,)))
        self.interrupt = False
        self._update()

    # --- heads --------------------------------------------------------------------------

    def _step_ns(self) -> int:
        return (16 - (self.step_rate >> 4)) * STEP_AT_1K // RATES[self.rate] // QUICK

    def _seek(self) -> None:
        unit, target = self.parameters[1] & 7, self.parameters[2]
        if self.parameters[0] & RELATIVE:
            up = self.parameters[0] & RELATIVE_UP
            target = self.heads.present(unit) + (target if up else -target) & 0xFF
        self.heads.seek(unit, target, self._step_ns())

    def _recalibrate(self) -> None:
        self.heads.recalibrate(self.parameters[1] & 3, self._step_ns())

    # --- the interrupt ------------------------------------------------------------------

    def _interrupt(self) -> None:
        """An edge, also where the line is up already."""
        self.interrupt = False
        self._update()
        self.interrupt = True
        self._update()

    def _update(self) -> None:
        """INT, which leaves the chip only with DMAGATE."""
        waits = not self.transfer.dma and self.transfer.fifo != IDLE
        level = (self.interrupt or waits) and self.dor & DOR_GATED == DOR_GATED
        if level != self.line.level:
            self.line.set(level)

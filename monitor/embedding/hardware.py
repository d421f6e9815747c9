"""What a machine is made of, and the wires between.

    memory, physical map   what answers at which physical address
    clock, board           the chips on their bus, in virtual time
    processor              bare, or the virtual one with all of the monitor behind it
    loop                   time, interrupts and idling around the processor
    two serial lines       what COM1 and port 0xE9 lead to, the host application's end of them

`monitor.Machine` is this with what a program wants to do to it.
"""

from __future__ import annotations

from bt.engine import Ram
from monitor.embedding.processors import make_processor
from monitor.extensions import Extensions
from monitor.host.serial_line import SerialLine
from monitor.settings.machine import Settings
from monitor.vmm.board import Board
from monitor.vmm.clock import Clock, HostClock, IcountClock, InstructionCounter
from monitor.vmm.loop import Loop
from monitor.vmm.memory import GuestMemory
from monitor.vmm.physical_map import PhysicalMap

MONITOR_BYTES = 8 << 20  # translation cache, tables of landings, the virtual CPU's pages
DEVICE_BYTES = 32 << 20  # shadow RAM, frame buffers


class Hardware:
    """The parts of one machine, connected."""

    def __init__(self, settings: Settings, extensions: Extensions | None) -> None:
        monitor = 0 if settings.mode == "bare" else MONITOR_BYTES
        self.memory = GuestMemory(settings.memory_mb << 20, monitor, DEVICE_BYTES)
        self.ram = Ram(self.memory.buffer, len(self.memory.buffer), file=self.memory.file)
        self.physical_map = PhysicalMap(self.memory, self.ram)
        count = InstructionCounter()
        self.clock: Clock = (HostClock if settings.clock == "host" else IcountClock)(count)
        self.serial = SerialLine(on_news=lambda: self.loop.look_soon())
        self.debug_port = SerialLine(on_news=lambda: self.loop.look_soon())
        self.board = Board(
            self.clock, count, self.memory.size, settings.start_time, self.serial, self.debug_port
        )
        self.processor = make_processor(settings, extensions, self.ram, self.memory, self.board)
        count.processor = self.processor
        self._connect()
        self.loop = Loop(self.board, self.processor, self.clock)

    def _connect(self) -> None:
        """The processor's pins, and who is told of what changes in memory."""
        board, processor, physical_map = self.board, self.processor, self.physical_map
        board.notice = processor.notice
        board.on_intr = processor.set_intr
        board.on_a20 = processor.set_a20
        physical_map.on_changed = processor.map_changed
        physical_map.on_written = processor.memory_changed
        board.bus.on_memory = self._registers_changed
        board.bus.on_make_memory = physical_map.make_memory
        board.bus.memory.behind = physical_map
        self._registers_changed()

    def _registers_changed(self, *_: object) -> None:
        """Devices have claimed or released ranges of memory."""
        self.physical_map.set_registers(*self.board.bus.registers())

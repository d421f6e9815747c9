"""IBM VGA with 256 KiB and more, as every PC has had it, and the Bochs VBE extensions.

Manual: IBM VGA Technical Reference; FreeVGA, "VGA Chipset Reference"; for VBE see vbe.py.

    3B4 3B5, 3D4 3D5   CRT controller (crtc.py); which of the two, Miscellaneous Output says
    3BA, 3DA           Input Status #1, Feature Control (general.py); their time is timing.py
    3C0 to 3CF         attribute (attribute.py), sequencer (sequencer.py), DAC (dac.py), graphics
                       controller (graphics.py), and the rest of general.py
    1CE to 1D0         VBE (vbe.py)
    A0000 to BFFFF     memory: planes, through registers (planes.py), or RAM (windows.py)

The parts keep registers; this file is the wires between: a write that may change what the guest
sees of memory is followed by Windows.follow(). What a screen shows of it all is in monitor/screen;
it is told by nobody, and looks.

The vertical interrupt shows in Input Status #0 and is wired to no line, as on most adapters.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip, PortDevice, PortHandlers
from devices.fields import PART, fields
from devices.video.attribute import AttributeController
from devices.video.crtc import (
    CLEAR_VERTICAL_INTERRUPT,
    MEMORY_LATCH,
    VERTICAL_RETRACE_END,
    CrtController,
)
from devices.video.dac import Dac
from devices.video.general import (
    DISPLAY_DISABLED,
    SWITCH_SENSE,
    VERTICAL_INTERRUPT,
    VERTICAL_RETRACE,
    GeneralRegisters,
)
from devices.video.graphics import GraphicsController
from devices.video.part import DATA
from devices.video.planes import Planes
from devices.video.sequencer import Sequencer
from devices.video.timing import Frame, frame_of
from devices.video.vbe import EIGHT_BIT_DAC, UNIT, VbeExtensions
from devices.video.windows import VIEW_BYTES, Windows

MEMORY_BYTES = 16 << 20
FRAME_BUFFER = 0xE0000000
WINDOW, WINDOW_BYTES = 0xA0000, 0x20000
WINDOWS = ((0, 0x20000), (0, 0x10000), (0x10000, 0x8000), (0x18000, 0x8000))  # Memory Map Select
NOBODY = 0xFF

Read = Callable[[], int]
Write = Callable[[int], None]


class Vga(Chip):
    """`frame_buffer` is where the linear one begins; a PCI function moves it."""

    name = "vga"
    state = fields(general=PART, sequencer=PART, crtc=PART, graphics=PART, attribute=PART, dac=PART,
                   vbe=PART, planes=PART)  # fmt: skip
    wiring = ("_bus", "windows", "_reads", "_writes")

    def __init__(
        self, bus: Bus, memory_bytes: int = MEMORY_BYTES, frame_buffer: int | None = FRAME_BUFFER
    ) -> None:
        self._bus = bus
        self.general = GeneralRegisters()
        self.sequencer = Sequencer()
        self.crtc = CrtController()
        self.graphics = GraphicsController()
        self.attribute = AttributeController()
        self.dac = Dac()
        self.vbe = VbeExtensions(memory_bytes, self._vbe_mode)
        memory = bus.make_memory("vga memory", memory_bytes)
        view = bus.make_memory("vga text", VIEW_BYTES)
        self.planes = Planes(memory, self.sequencer, self.graphics)
        self.windows = Windows(memory, view, self.general, self.sequencer, self.graphics, self.vbe)
        self._reads, self._writes = self._registers()
        bus.claim_ports(0x3C0, 16, self)
        for base in (0x3B0, 0x3D0):
            bus.claim_ports(base + 4, 2, _at(base, self._read_crtc, self._write_crtc))
            bus.claim_ports(base + 10, 1, _at(base, self._read_status, self._write_feature))
        bus.claim_ports(0x1CE, 3, self.vbe)
        bus.claim_memory(WINDOW, WINDOW_BYTES, self)
        self.windows.move_frame_buffer(frame_buffer)

    def reset(self) -> None:
        """The RESET pin. Memory keeps its bytes."""
        for part in (self.general, self.sequencer, self.crtc, self.graphics, self.attribute,
                     self.dac, self.vbe, self.planes):  # fmt: skip
            part.reset()
        self.windows.follow()

    def restored(self) -> None:
        self.windows.restored()

    @property
    def frame(self) -> Frame:
        """The frame that the registers make."""
        return frame_of(self.general, self.sequencer, self.crtc, self.vbe)

    @property
    def now(self) -> int:
        """Virtual time, in nanoseconds."""
        return self._bus.clock.now()

    # Ports 3C0h to 3CFh

    def read_port(self, offset: int, size: int) -> int:
        read = self._reads.get(offset)
        return NOBODY if read is None else read()

    def write_port(self, offset: int, size: int, value: int) -> None:
        write = self._writes.get(offset)
        if write is not None:
            write(value)

    def _registers(self) -> tuple[dict[int, Read], dict[int, Write]]:
        reads: dict[int, Read] = {}
        writes: dict[int, Write] = {0x2: self._write_miscellaneous, 0x3: self._write_enable}
        part: PortDevice
        for first, count, part in ((0x0, 2, self.attribute), (0x4, 2, self.sequencer),
                                   (0x6, 4, self.dac), (0xE, 2, self.graphics)):  # fmt: skip
            for offset in range(count):
                reads[first + offset] = _reader(part, offset)
                writes[first + offset] = _writer(part, offset)
        for offset, indexed in ((0x5, self.sequencer), (0xF, self.graphics)):
            writes[offset] = self._followed(_writer(indexed, DATA))
        reads |= {0x2: self._read_status_0, 0x3: lambda: self.general.enable,
                  0xA: lambda: self.general.feature,
                  0xC: lambda: self.general.miscellaneous}  # fmt: skip
        return reads, writes

    def _followed(self, write: Write) -> Write:
        """A register that says how the guest sees memory."""

        def write_and_follow(value: int) -> None:
            write(value)
            self.windows.follow()

        return write_and_follow

    def _write_miscellaneous(self, value: int) -> None:
        self.general.miscellaneous = value
        self.windows.follow()

    def _write_enable(self, value: int) -> None:
        self.general.enable = value
        self.windows.follow()

    def _read_status_0(self) -> int:
        """A colour display is there; has a retrace begun since the interrupt was cleared?"""
        value = SWITCH_SENSE
        if self.crtc.registers[VERTICAL_RETRACE_END] & CLEAR_VERTICAL_INTERRUPT:
            frame = self.frame
            if frame.syncs(self.now) > frame.syncs(self.general.awaited_since):
                value |= VERTICAL_INTERRUPT
        return value

    # Ports 3B4h, 3B5h, 3BAh or 3D4h, 3D5h, 3DAh: one of the two

    def _read_crtc(self, base: int, offset: int) -> int:
        if base != self.general.base:
            return NOBODY
        if self.crtc.is_at(offset, MEMORY_LATCH):
            return self.planes.latch()
        return self.crtc.read_port(offset, 1)

    def _write_crtc(self, base: int, offset: int, value: int) -> None:
        if base != self.general.base:
            return
        cleared = self.crtc.is_at(offset, VERTICAL_RETRACE_END)
        if cleared and not self.crtc.registers[VERTICAL_RETRACE_END] & CLEAR_VERTICAL_INTERRUPT:
            self.general.awaited_since = self.now
        self.crtc.write_port(offset, 1, value)

    def _read_status(self, base: int, offset: int) -> int:
        if base != self.general.base:
            return NOBODY
        self.attribute.at_data = False
        frame, now = self.frame, self.now
        value = DISPLAY_DISABLED if frame.is_blank(now) else 0
        if frame.in_retrace(now):
            value |= VERTICAL_RETRACE | DISPLAY_DISABLED
        return value

    def _write_feature(self, base: int, offset: int, value: int) -> None:
        if base == self.general.base:
            self.general.feature = value

    # VBE

    def _vbe_mode(self, clears: bool) -> None:
        """A mode has begun or ended, or another bank is to be seen."""
        vbe = self.vbe
        self.dac.wide = bool(vbe.enable & EIGHT_BIT_DAC)
        self.planes.bank = vbe.bank * UNIT if vbe.planar else 0
        self.windows.follow()
        if clears:
            memory = self.windows.memory
            memory.bytes[:] = 0
            memory.wrote(0, memory.size)

    # Memory that is no RAM

    def read_memory(self, offset: int, size: int) -> int:
        return sum(self._read_byte(offset + i) << 8 * i for i in range(size))

    def write_memory(self, offset: int, size: int, value: int) -> None:
        for i in range(size):
            self._write_byte(offset + i, value >> 8 * i & 0xFF)

    def _read_byte(self, offset: int) -> int:
        at = self._decode(offset)
        return NOBODY if at < 0 else self.planes.read(at)

    def _write_byte(self, offset: int, value: int) -> None:
        at = self._decode(offset)
        if at >= 0:
            self.planes.write(at, value)

    def _decode(self, offset: int) -> int:
        """From A0000h on, to the window of Memory Map Select; -1 outside of it."""
        first, size = WINDOWS[self.graphics.memory_map]
        if not self.general.decodes_memory or not first <= offset < first + size:
            return -1
        if self.vbe.packed:
            return -1  # its window is RAM, and there is no other
        return offset - first


def _reader(part: PortDevice, offset: int) -> Read:
    return lambda: part.read_port(offset, 1)


def _writer(part: PortDevice, offset: int) -> Write:
    return lambda value: part.write_port(offset, 1, value)


def _at(
    base: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
) -> PortHandlers:
    """Ports of the one base or the other."""
    return PortHandlers(
        "vga",
        lambda offset, size: read(base, offset),
        lambda offset, size, value: write(base, offset, value),
    )

"""The standard set of chips of a PC/AT on one bus.

>>> from devices.clock import ManualClock
>>> bus = Bus(ManualClock())
>>> sent = bytearray()
>>> pc = build_pc(bus, memory_bytes=128 << 20, on_serial=sent.extend)
>>> for byte in b"hello": bus.write_port(0x3F8, 1, byte)
>>> sent
bytearray(b'hello')
>>> hex(bus.read_port(0x1F7, 1)), hex(bus.read_port(0xCFC, 4))      # nobody there
('0xff', '0xffffffff')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from devices.a20 import A20
from devices.bus import Bus
from devices.debug import DebugConsole, DebugExit, PostPort
from devices.i8042 import I8042
from devices.i8237 import I8237Pair
from devices.i8254 import I8254
from devices.i8259 import I8259Pair
from devices.irq import IrqWires
from devices.mc146818 import Mc146818
from devices.named import NamedDevices
from devices.port61 import Port61
from devices.port92 import Port92
from devices.uart16550 import Uart16550


@dataclass(frozen=True)
class Pc:
    """The chips by name, in the order in which they are saved and restored."""

    pic: I8259Pair
    wires: IrqWires
    dma: I8237Pair
    pit: I8254
    port61: Port61
    uart: Uart16550
    rtc: Mc146818
    a20: A20
    kbc: I8042
    port92: Port92
    debug_exit: DebugExit
    debugcon: DebugConsole
    post: PostPort

    def named(self) -> NamedDevices:
        """By name, in a list that more can be added to."""
        devices = NamedDevices()
        for field in fields(self):
            devices.add(field.name, getattr(self, field.name))
        return devices


def build_pc(
    bus: Bus,
    *,
    memory_bytes: int = 0,
    start_time: int = 0,
    cmos: Mapping[int, int] | None = None,
    on_reset: Callable[[], None] | None = None,
    on_a20: Callable[[bool], None] | None = None,
    on_exit: Callable[[int], None] | None = None,
    on_serial: Callable[[bytes], None] | None = None,
    on_debug: Callable[[bytes], None] | None = None,
) -> Pc:
    """Plug everything in. ``start_time`` is seconds since 1970, UTC; ``cmos`` overrides bytes."""
    pic = I8259Pair(bus)
    pit = I8254(bus)
    a20 = A20(on_a20)
    return Pc(
        pic=pic,
        wires=bus.wires,
        dma=I8237Pair(bus),
        pit=pit,
        port61=Port61(bus, pit),
        uart=Uart16550(bus, base=0x3F8, irq=4, on_transmit=on_serial),
        rtc=Mc146818(bus, start_time=start_time, memory_bytes=memory_bytes, cmos=cmos),
        a20=a20,
        kbc=I8042(bus, a20, on_reset=on_reset),
        port92=Port92(bus, a20, on_reset=on_reset),
        debug_exit=DebugExit(bus, on_exit=on_exit),
        debugcon=DebugConsole(bus, on_output=on_debug),
        post=PostPort(bus),
    )

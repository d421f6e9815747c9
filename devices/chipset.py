"""The chipset of a PC with PCI: 440FX and PIIX3, power management, and what firmware asks.

Beside the chips of devices/pc.py, on the same bus.

>>> from devices.bus import Bus
>>> from devices.clock import ManualClock
>>> bus = Bus(ManualClock())
>>> chipset = build_chipset(bus, memory_bytes=64 << 20)
>>> for device, function, chip in bus.pci.functions(): print(device, function, chip.name)
0 0 i440fx
1 0 piix3
1 3 piix4-pm
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from devices.bus import Bus
from devices.debug import FirmwareLog
from devices.device import Chip
from devices.fw_cfg import FwCfg
from devices.pci.i440fx import I440Fx
from devices.pci.mechanism1 import ConfigMechanism1
from devices.pci.piix3 import Piix3
from devices.pci.piix4_pm import Piix4Pm


@dataclass(frozen=True)
class Chipset:
    """The chips by name."""

    pci: ConfigMechanism1
    host_bridge: I440Fx
    isa_bridge: Piix3
    power: Piix4Pm
    fw_cfg: FwCfg
    firmware_log: FirmwareLog

    def named(self) -> Iterator[tuple[str, Chip]]:
        """Names and chips, in the order in which they are saved."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def build_chipset(
    bus: Bus,
    *,
    memory_bytes: int = 0,
    on_reset: Callable[[bool], None] | None = None,
    on_power_off: Callable[[], None] | None = None,
    on_log: Callable[[bytes], None] | None = None,
) -> Chipset:
    """Plug everything in. ``on_reset`` is told whether all of the board is reset, or the processor.

    Functions are in the places where firmware written for this chipset knows them.
    """
    return Chipset(
        pci=ConfigMechanism1(bus),
        host_bridge=I440Fx(bus, memory_bytes, on_reset),
        isa_bridge=Piix3(bus, on_reset),
        power=Piix4Pm(bus, on_power_off=on_power_off),
        fw_cfg=FwCfg(bus, memory_bytes),
        firmware_log=FirmwareLog(bus, on_log),
    )

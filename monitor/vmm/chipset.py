"""The chipset on a machine's board: the 440FX's shadow RAM is the physical map's, its resets and
its power switch end a run or begin the machine anew (monitor/embedding/resetting.py).

    board with its chips (devices/pc.py)    every machine has them
    and the chipset (devices/chipset.py)    `Settings.chipset` "i440fx": PCI, and firmware starts it
"""

from __future__ import annotations

from devices.chipset import Chipset, build_chipset
from monitor.vmm.back_ends import CharacterBackEnd
from monitor.vmm.board import Board
from monitor.vmm.outcome import Outcome
from monitor.vmm.physical_map import PhysicalMap


def add_chipset(board: Board, physical_map: PhysicalMap, log: CharacterBackEnd) -> Chipset:
    """Solder it in. What the firmware tells of itself goes to `log`, which is the host's."""

    def shadow(first: int, end: int, reads: bool, writes: bool) -> None:
        physical_map.shadow(range(first, end), reads, writes)

    board.bus.on_shadow = shadow
    chipset = build_chipset(
        board.bus,
        memory_bytes=board.memory_bytes,
        on_reset=board.request_reset,
        on_power_off=lambda: board.end(Outcome("poweroff", detail="the guest switched itself off")),
        on_log=lambda data: board.host.request("firmware log", log.write, data),
    )
    for name, chip in chipset.named():
        board.devices.add(name, chip)
    return chipset

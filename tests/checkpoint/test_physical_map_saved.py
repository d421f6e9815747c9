"""The physical map as a guest has made it, and the memory of devices, are in a checkpoint."""

from __future__ import annotations

import pytest

from bt.assembler import assemble
from devices.bus import Bus
from devices.device import Chip
from devices.fields import fields
from monitor import Machine
from monitor.lockstep.pair import digest
from monitor.vmm.errors import UserError

PAGE = 4096
BUFFER, ROM, ORIGIN = 0xE0000000, 0xC8000, 0x100000


class Screen(Chip):
    """A frame buffer, registers, and nothing else to save."""

    name = "screen"
    state = fields()
    wiring = ("picture",)

    def __init__(self, bus: Bus) -> None:
        self.picture = bus.make_memory("picture", 4 * PAGE)
        self.picture.show(BUFFER)
        bus.claim_memory(0xFED00000, 16, self)

    def reset(self) -> None: ...

    def read_memory(self, offset: int, size: int) -> int:
        return offset

    def write_memory(self, offset: int, size: int, value: int) -> None:
        self.picture.move(BUFFER + value * PAGE)


SOURCE = f"""
    mov  ebx, {BUFFER}
    mov  ecx, 3
again:
    mov  dword ptr [ebx + 8], ecx
    add  ebx, 0x1000
    mov  eax, ecx
    inc  dword ptr [{ROM}]
    mov  eax, [0xfed00004]
    mov  dword ptr [0xfed00000], 4
    mov  ebx, {BUFFER + 4 * PAGE}
    loop again
    hlt
"""


def made(mode: str) -> Machine:
    machine = Machine(memory_mb=2, mode=mode, devices=[Screen])
    machine.roms.add(ROM, b"\x01" * PAGE)
    machine.physical_map.shadow(range(ROM, ROM + PAGE), True, True)
    machine.load_flat(assemble(SOURCE, ORIGIN), ORIGIN)
    return machine


@pytest.mark.parametrize("mode", ["bare", "translate"])
@pytest.mark.parametrize("other", ["bare", "translate"])
def test_a_guest_goes_on_in_the_same_map(mode: str, other: str) -> None:
    machine = made(mode)
    assert machine.run().kind == "stuck"
    wanted = digest(machine)
    for at in (1, 4, 6, 9, 14):
        machine = made(mode)
        machine.run(max_instructions=at)
        again = Machine.restore(machine.snapshot(), mode=other, devices=[Screen])
        assert str(again.physical_map.regions()) == str(machine.physical_map.regions())
        assert digest(again) == digest(machine)
        assert again.run().kind == "stuck"
        assert digest(again) == wanted, at
        assert again.statistics()["devices"]["memory_reads"] == 3


def test_a_machine_without_that_memory_is_refused() -> None:
    with pytest.raises(UserError, match="screen"):
        Machine.restore(made("bare").snapshot())

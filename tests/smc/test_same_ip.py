"""The same IP in two code segments is two places, for whatever remembers where a jump led to."""

from __future__ import annotations

import pytest

from monitor import Machine
from monitor.vmm.outcome import Outcome

ONE, OTHER = 0x1000, 0x2000  # segments
NEAR = {
    "ret": ("e8 4d 00", "c3"),  # call 150h; there: ret
    "jmp ax": ("b8 50 01 ff e0", "b8 05 01 ff e0"),  # mov ax, 150h; jmp ax; there: back to 105h
}


def put(machine: Machine, segment: int, at: int, code: str) -> None:
    machine.write_physical(16 * segment + at, bytes.fromhex(code))


def run(machine: Machine) -> Outcome:
    return machine.run(max_instructions=1000)


@pytest.mark.parametrize("mode", ["bare", "translate"])
@pytest.mark.parametrize("there, back", NEAR.values(), ids=NEAR)
def test_a_near_branch_stays_in_its_segment(mode: str, there: str, back: str) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    registers = {"cs": ONE, "ss": 0x3000}
    machine.load_flat(b"\xf4", 0x500, real_mode=True, registers=registers, eip=0x100, esp=0x800)
    behind = 0x100 + len(bytes.fromhex(there))
    for segment, then in ((ONE, "43 ea 00 01 00 20"), (OTHER, "41 fa f4")):
        put(machine, segment, 0x100, there)
        put(machine, segment, 0x150, back)
        put(machine, segment, behind, then)  # inc bx, jmp far; and inc cx, cli, hlt
    before = machine.registers
    assert run(machine).kind == "stuck"
    after = machine.registers
    assert after["cs"] == OTHER
    assert [(after[name] - before[name]) & 0xFFFF for name in ("ebx", "ecx")] == [1, 1]

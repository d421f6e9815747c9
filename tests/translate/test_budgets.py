"""Where a budget ends is the host's business: neither guest nor statistics may depend on it.

The machine's loop looks around after as many instructions as take a certain real time, so a run
that is cut elsewhere must count the same: exits, blocks, translated instructions, dispatches.
"""

from __future__ import annotations

from typing import Any

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine

ORIGIN = 0x100000
# Calls, indirect branches, stubs, a rewritten instruction, an inner loop, one that is emulated.
SOURCE = """
    mov esi, 12
again:
    mov dword ptr [patched + 1], esi
    mov edi, 5
inner:
patched:
    mov edx, 0
    pushfd
    cli
    popfd
    dec edi
    jnz inner
    call near_by
    lea eax, [near_by]
    call eax
    mov eax, cr0
    mov cr0, eax
    lea eax, [onward]
    jmp eax
onward:
    loop here
here:
    dec esi
    jnz again
    xor eax, eax
    out 0xf4, al
near_by:
    inc ebx
    ret
"""
SLICES = (1, 2, 3, 5, 7, 11, 64)


def figures(most: int | None) -> dict[str, Any]:
    """Statistics and registers of the program above, run in slices of so many instructions."""
    machine = Machine(memory_mb=4, mode="translate")
    machine.load_flat(assemble(SOURCE, ORIGIN), ORIGIN, esp=0x90000)
    while (ended := machine.run(max_instructions=most, timeout=PATIENCE).kind) == "instructions":
        pass
    assert ended == "exit"
    statistics = machine.statistics()
    for name in ("seconds", "mips", "decoder"):  # decoder: that is the engine's own
        del statistics[name]
    return statistics | {"registers": machine.registers}


@pytest.mark.parametrize("most", SLICES)
def test_slices_do_not_show_in_the_statistics(most: int) -> None:
    assert figures(most) == figures(None)


def test_a_write_between_two_slices_is_seen_by_the_next() -> None:
    machine = Machine(memory_mb=4, mode="translate")
    machine.load_flat(assemble("mov eax, 1; mov ebx, 2; mov ecx, 3; hlt", ORIGIN), ORIGIN)
    machine.step()
    machine.write_memory(ORIGIN + 6, b"\x07")
    machine.step()
    assert machine.registers["ebx"] == 7


def test_a_register_that_is_set_between_two_slices_is_seen_by_the_next() -> None:
    machine = Machine(memory_mb=4, mode="translate")
    machine.load_flat(assemble("mov eax, 1; nop; mov ecx, eax; hlt", ORIGIN), ORIGIN)
    machine.step()
    machine.set_register("eax", 9)
    machine.step(2)
    assert machine.registers["ecx"] == 9

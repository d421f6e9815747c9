"""The memory map and traces of a guest that pages with PAE."""

from __future__ import annotations

import struct

import pytest

from bt.assembler import assemble
from bt.interp.walk import PTE_PS, PTE_W
from monitor import Machine
from monitor.watch.mmu_model import PAGE
from monitor.watch.words import NARROWER, OPEN_BUS, SAME

POINTERS, DIRECTORY, TABLE, DATA = 0x110000, 0x111000, 0x112000, 0x120000
LARGE, FAR, BEYOND = 0x400000, 0x40000000, 0x600000
GUEST = f"""
    mov eax, {POINTERS}
    mov cr3, eax
    mov eax, 0x20
    mov cr4, eax
    mov eax, cr0
    or  eax, 0x80000000
    mov cr0, eax
    mov dword ptr [{DATA}], 0x1234
    mov eax, [{LARGE} + {DATA}]
    mov ebx, [{FAR} + {DATA}]
    mov ecx, [{BEYOND}]
l:  jmp l
"""


def guest(mode: str) -> Machine:
    machine = Machine(memory_mb=2, mode=mode, cpu="pentium3")
    table = [page << 12 | 3 for page in range(512)]
    machine.write_physical(TABLE, struct.pack("<512Q", *table))
    directory = [TABLE | 3, 0, 0x83, 1 << 32 | 0x83]
    machine.write_physical(DIRECTORY, struct.pack("<4Q", *directory))
    machine.write_physical(POINTERS, struct.pack("<4Q", DIRECTORY | 1, DIRECTORY | 1, 0, 0))
    machine.load_flat(assemble(GUEST, 0x100000), 0x100000, esp=0x10F000)
    machine.run(max_instructions=40)
    return machine


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_what_the_guest_reads(mode: str) -> None:
    registers = guest(mode).registers
    assert [registers[name] for name in ("eax", "ebx", "ecx")] == [0x1234, 0x1234, 0xFFFFFFFF]


def test_the_view_is_the_walks() -> None:
    machine = guest("translate")
    view, cpu = machine.watch.mmu(), machine.processor.ideal
    found = {each.linear + i * PAGE: each for each in view.guest for i in range(each.pages)}
    assert len(found) == 2 * 3 * 512, "of two gigabytes, each three directory entries"
    for la, each in found.items():
        entry = cpu.peek_entry(la)
        assert cpu.peek_address(la) == each.physical + la - each.linear
        assert bool(entry & PTE_W) == each.writable
        assert bool(entry & PTE_PS) == (la & 0x3FFFFFFF >= LARGE)
    [kernel] = [space for space in view.shadows if space.name == "kernel"]
    states = {each.linear + i * PAGE: each.state for each in kernel.ranges
              for i in range(each.pages)}  # fmt: skip
    assert states[DATA] == states[FAR + DATA] == SAME, "by the same entry, and it is dirty"
    assert states[LARGE + DATA] == NARROWER, "it was only read"
    assert states[BEYOND] == OPEN_BUS


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_a_trace_finds_the_code(mode: str) -> None:
    machine = guest(mode)
    with machine.watch.trace("instruction") as trace:
        machine.run(max_instructions=10)
    assert {event.text.split()[0] for event in trace.events} == {"jmp"}


def test_a_register_that_the_embedder_sets() -> None:
    """CR3 leads to other pointer entries at once."""
    machine = guest("translate")
    other = POINTERS + 0x40
    machine.write_physical(other, struct.pack("<4Q", DIRECTORY | 1, 0, 0, 0))
    machine.set_register("cr3", other)
    cpu = machine.processor.ideal
    assert cpu.save_state()["pdpte1"] == 0
    assert cpu.peek_entry(FAR + DATA) == -1
    again = Machine.restore(machine.snapshot(), mode="bare")
    assert again.processor.ideal.save_state()["pdpte0"] == DIRECTORY | 1
    assert again.settings.cpu == "pentium3"

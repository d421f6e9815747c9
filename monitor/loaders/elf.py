"""ELF executables: ELF32, little-endian, i386, ET_EXEC.

Every PT_LOAD segment goes to its physical address (p_paddr), and what it has in memory beyond the
file (.bss) is cleared. The processor starts at the entry point in flat protected mode, paging and
interrupts off, ESP = 0x90000, every other register 0 unless the caller chooses.

    start = load(memory, "kernel.elf", registers={"esp": 0x80000, "eax": 1})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.loaders import gdt
from monitor.loaders.elf_file import ET_EXEC, KINDS, ElfFile, parse
from monitor.loaders.plan import LoadPlan, Memory, Reserved
from monitor.loaders.source import Source, open_image
from monitor.loaders.start import GENERAL, StartState, check_registers
from monitor.vmm.errors import UserError

STACK_TOP = 0x90000


def load(
    memory: Memory,
    image: Source,
    registers: Mapping[str, int] | None = None,
    reserved: Sequence[Reserved] = (),
    selectors: tuple[int, int] | None = None,
    table: tuple[int, int] | None = None,
) -> StartState:
    """Load an executable. `registers` are general registers to start with.

    `selectors` and `table` are as for flat binaries.
    """
    chosen = check_registers(registers or {}, GENERAL)
    file = parse(open_image(image, "executable"))
    plan = LoadPlan(memory.size, reserved)
    put_segments(plan, file)
    segments = gdt.enter(plan, selectors, table)
    plan.commit(memory)
    return StartState(
        eip=chosen.pop("eip", file.physical_entry),
        esp=chosen.pop("esp", STACK_TOP),
        registers=chosen,
        **segments,
    )


def put_segments(plan: LoadPlan, file: ElfFile) -> None:
    """Plan an executable's segments at their physical addresses."""
    if file.kind != ET_EXEC:
        kind = KINDS.get(file.kind, f"of type {file.kind}")
        raise UserError(f"{file.name}: {kind}, not an executable; link it at a fixed address")
    if not file.loadable:
        raise UserError(f"{file.name}: has nothing to load (no PT_LOAD segment); link it again")
    for segment in file.loadable:
        plan.put(file.name, segment.paddr, file.contents(segment), segment.memory_size)

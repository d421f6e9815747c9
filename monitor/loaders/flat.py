"""Flat binaries: bytes at an address, with chosen start registers.

Protected (the default): flat segments, paging and interrupts off, EIP = the address,
ESP = 0x90000. Real mode: CS:IP names the address (CS = 0 below 64 KiB, else the paragraph),
SS:SP = 0000:7C00, the other segments 0.

    load(memory, code, 0x100000, registers={"eax": 1})
    load(memory, boot_sector, 0x7C00, registers={"edx": 0x80}, real_mode=True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.loaders import gdt
from monitor.loaders.plan import LoadPlan, Memory, Reserved
from monitor.loaders.source import Source, open_image
from monitor.loaders.start import GENERAL, SEGMENTS, StartState, check_registers
from monitor.vmm.errors import UserError

STACK_TOP = 0x90000
REAL_STACK_TOP = 0x7C00
REAL_MODE_TOP = 0x10FFF0  # FFFF:FFFF and one


def load(
    memory: Memory,
    image: Source,
    address: int,
    *,
    eip: int | None = None,
    esp: int | None = None,
    registers: Mapping[str, int] | None = None,
    real_mode: bool = False,
    reserved: Sequence[Reserved] = (),
    selectors: tuple[int, int] | None = None,
    table: tuple[int, int] | None = None,
) -> StartState:
    """Put the bytes at a physical address. `eip` (in real mode, the offset in CS) starts them.

    `selectors` of code and data; `table`: base and limit of a GDT that the loader need not write.
    """
    if real_mode and (selectors or table):
        raise UserError("real mode has no descriptor table; leave out selectors and gdt")
    chosen = check_registers(registers or {}, GENERAL + SEGMENTS if real_mode else GENERAL)
    for name, value in (("eip", eip), ("esp", esp)):
        if value is not None:
            chosen.update(check_registers({name: value}, GENERAL))
    data = open_image(image, "binary")
    plan = LoadPlan(memory.size, reserved)
    plan.put(data.name, address, data.data)
    if real_mode:
        start = real_start(address, chosen)
    else:
        start = protected_start(address, chosen, gdt.enter(plan, selectors, table))
    plan.commit(memory)
    return start


def protected_start(
    address: int, registers: dict[str, int], segments: dict[str, Any]
) -> StartState:
    """`segments`: fields of StartState, from gdt.enter()."""
    return StartState(
        eip=registers.pop("eip", address),
        esp=registers.pop("esp", STACK_TOP),
        registers=registers,
        **segments,
    )


def real_start(address: int, registers: dict[str, int]) -> StartState:
    """Choose CS:IP for the address, as far as the caller did not."""
    segment = registers.setdefault("cs", 0 if address < 0x10000 else (address >> 4) & 0xFFFF)
    offset = registers.pop("eip", address - (segment << 4))
    if address >= REAL_MODE_TOP or not 0 <= offset < 0x10000:
        raise UserError(
            f"{address:#x} is out of reach of real mode from CS={segment:#06x}; load the binary "
            "lower or choose CS and EIP"
        )
    return StartState(
        eip=offset,
        esp=registers.pop("esp", REAL_STACK_TOP),
        registers=registers,
        protected=False,
        code_selector=segment,
        data_selector=registers.get("ds", 0),
    )

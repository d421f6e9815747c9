"""Setting what only the system uses (SDM vol. 3, chapters 2 and 3): GDTR, IDTR, and a selector.

Loading a selector looks into the guest's descriptor tables, as its mode has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bt.engine import Interp
from bt.interp.descriptors import DESC_CODE, DESC_P, DESC_RW, DESC_S
from bt.interp.state import ATTR_UNUSABLE, CR0_PE, CS, LDTR, SS, VM
from monitor.vmm.errors import UserError

TABLES = ("gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit")
LONGEST_LIMIT = 0xFFFF

REAL_BYTES = 16  # a paragraph: what a selector counts in real mode


def set_table_register(cpu: Interp, name: str, value: int) -> None:
    """Base or limit of GDTR or IDTR."""
    if name.endswith("_limit") and value > LONGEST_LIMIT:
        raise UserError(f"{name}={value:#x}: a limit has 16 bits")
    setattr(cpu, name, value & 0xFFFFFFFF)


def load_selector(
    cpu: Interp, segment: int, selector: int, read: Callable[[int, int], bytes]
) -> None:
    """Load a segment register as the guest's mode has it; `read` reads linear memory.

    A debugger's load is not an instruction's: privileges are not compared, and loading CS with
    another RPL changes CPL. UserError: no descriptor that this register could hold.
    """
    if not 0 <= selector <= 0xFFFF:
        raise UserError(f"selector {selector:#x}: a selector has 16 bits")
    if not cpu.cr0 & CR0_PE or cpu.flags() & VM:
        _, _, limit, attributes = cpu.segment(segment)
        cpu.set_segment(segment, selector, selector * REAL_BYTES, limit, attributes)
        return
    if selector & 0xFFFC == 0:
        if segment in (CS, SS):
            raise UserError(f"selector {selector:#x}: CS and SS cannot be null")
        cpu.set_segment(segment, selector, 0, 0, ATTR_UNUSABLE)
        return
    low, high = _descriptor(cpu, selector, read)
    _check_kind(segment, selector, high)
    limit = low & 0xFFFF | high & 0xF0000
    if high & 0x800000:
        limit = limit << 12 | 0xFFF
    base = low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000
    cpu.set_segment(segment, selector, base, limit, high >> 8 & 0xF0FF)
    if segment == CS:
        cpu.set_privilege(selector & 3)


def _descriptor(
    cpu: Interp, selector: int, read: Callable[[int, int], bytes]
) -> tuple[int, int]:
    """The two halves of the descriptor that a selector names (SDM vol. 3, 3.4.5)."""
    if selector & 4:
        _, base, limit, _ = cpu.segment(LDTR)
    else:
        base, limit = cpu.gdtr_base, cpu.gdtr_limit
    if (selector & 0xFFF8) + 7 > limit:
        raise UserError(f"selector {selector:#x} is beyond the limit of its descriptor table")
    data = read(base + (selector & 0xFFF8) & 0xFFFFFFFF, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def _check_kind(segment: int, selector: int, high: int) -> None:
    """Can this segment register hold that descriptor (SDM vol. 3, table 3-1)?"""
    code = bool(high & DESC_CODE)
    readable = not code or bool(high & DESC_RW)
    fits: Mapping[int, bool] = {CS: code, SS: not code and bool(high & DESC_RW)}
    if not high & DESC_P or not high & DESC_S or not fits.get(segment, readable):
        raise UserError(f"selector {selector:#x} names no present segment that fits the register")

"""The registers of a processor that programs name: general, EIP, EFLAGS, selectors, CR0 to CR4."""

from __future__ import annotations

from collections.abc import Callable

from bt.engine import Interp
from bt.interp.state import CS, DS, ES, FS, GS, SS
from monitor.vmm.errors import UserError
from monitor.vmm.system_registers import TABLES, load_selector, set_table_register

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = {"es": ES, "cs": CS, "ss": SS, "ds": DS, "fs": FS, "gs": GS}
CONTROL = ("cr0", "cr2", "cr3", "cr4")


def read_registers(cpu: Interp) -> dict[str, int]:
    """All of them, by lower-case names."""
    values = {name: int(cpu.reg(i)) for i, name in enumerate(GENERAL)}
    values |= {"eip": int(cpu.eip), "eflags": int(cpu.flags())}
    values |= {name: int(cpu.segment(i)[0]) for name, i in SEGMENTS.items()}
    return values | {name: int(getattr(cpu, name)) for name in CONTROL}


def set_register(
    cpu: Interp, name: str, value: int, read: Callable[[int, int], bytes]
) -> None:
    """Set one of them, or of TABLES; `read` reads linear memory. UserError: it cannot be set."""
    if name in GENERAL:
        cpu.set_reg(GENERAL.index(name), value)
    elif name == "eip":
        cpu.eip = value & 0xFFFFFFFF
    elif name == "eflags":
        cpu.set_flags(value)
    elif name in CONTROL:
        setattr(cpu, name, value & 0xFFFFFFFF)
        cpu.flush()
        cpu.set_privilege(cpu.cpl)  # CR0.AM may have changed
    elif name in SEGMENTS:
        load_selector(cpu, SEGMENTS[name], value, read)
    elif name in TABLES:
        set_table_register(cpu, name, value)
    else:
        known = ", ".join((*GENERAL, "eip", "eflags", *SEGMENTS, *CONTROL, *TABLES))
        raise UserError(f"register {name!r} cannot be set: choose one of {known}")

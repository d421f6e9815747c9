"""The registers of a processor by name: those that programs name, and the system's.

Programs name the general registers, EIP, EFLAGS, selectors and CR0 to CR4. All of them can be set,
of the system's those of TABLES, and SSE's XMM0 to XMM7 (128 bits each) and MXCSR.
"""

from __future__ import annotations

from collections.abc import Callable

from bt.engine import Interp
from bt.interp.architecture import BITS
from bt.interp.marks import GENERAL
from bt.interp.state import CS, DS, ES, FS, GS, SS
from monitor.vmm.errors import UserError
from monitor.vmm.system_registers import TABLES, load_selector, set_table_register

SEGMENTS = {"es": ES, "cs": CS, "ss": SS, "ds": DS, "fs": FS, "gs": GS}
CONTROL = ("cr0", "cr2", "cr3", "cr4")
VECTORS = tuple(f"xmm{number}" for number in range(8))
# What programs call them, and the processor's state (bt/interp/architecture.py).
PROGRAMS = {name: name for name in (*GENERAL, "eip", "eflags")}
PROGRAMS |= {name: f"{name}_selector" for name in SEGMENTS} | {name: name for name in CONTROL}
# The others, but for the x87 unit (x87_image.py): see system_registers().
SYSTEM = {
    name.removesuffix("_selector"): name
    for name in BITS
    if name not in PROGRAMS.values() and not name.startswith("fp")
}


def read_registers(cpu: Interp) -> dict[str, int]:
    """Those of PROGRAMS, as the guest has them."""
    state = cpu.save_state()
    return {name: state[value] for name, value in PROGRAMS.items()}


def system_registers(cpu: Interp) -> dict[str, int]:
    """All that only the system uses: descriptor tables, LDTR, TR, the hidden parts of segment
    registers, debug and model-specific registers, CPL, and what no register holds."""
    state = cpu.save_state()
    return {name: state[value] for name, value in SYSTEM.items()}


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
        if value & ~BITS[name]:
            raise UserError(f"{name}={value:#x}: it can only have the bits {BITS[name]:#x}")
        setattr(cpu, name, value)
        cpu.reload_pointers()
        cpu.flush()
        cpu.set_privilege(cpu.cpl)  # CR0.AM may have changed
    elif name in SEGMENTS:
        load_selector(cpu, SEGMENTS[name], value, read)
    elif name in (*VECTORS, "mxcsr"):
        _set_vector(cpu, name, value)
    elif name in TABLES:
        set_table_register(cpu, name, value)
    else:
        known = ", ".join(
            (*GENERAL, "eip", "eflags", *SEGMENTS, *CONTROL, *TABLES, *VECTORS, "mxcsr")
        )
        raise UserError(f"register {name!r} cannot be set: choose one of {known}")


def read_vector(state: dict[str, int], name: str) -> int:
    """An XMM register out of system_registers(), which have it in halves."""
    return state[f"{name}_high"] << 64 | state[f"{name}_low"]


def _set_vector(cpu: Interp, name: str, value: int) -> None:
    bits = BITS["mxcsr"] if name == "mxcsr" else (1 << 128) - 1
    if value & ~bits:
        raise UserError(f"{name}={value:#x}: it can only have the bits {bits:#x}")
    if name == "mxcsr":
        cpu.mxcsr = value
    else:
        cpu.set_vector(VECTORS.index(name), value)

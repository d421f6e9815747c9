"""What the host's descriptor tables look like from ring 3: LAR and LSL of every selector.

An interpreter that runs the segment forms (MOV Sreg, LDS, LAR, VERR ...) needs the same tables.
The child's LDT is layout.LDT; Linux's GDT is asked for here, because its limits differ between
hosts. Ring 3 sees the descriptors it could load; the others (DPL 0, system) look absent.
"""

from __future__ import annotations

from dataclasses import dataclass

from bt.hostcpu import layout as at
from bt.hostcpu.host import Case, HostCpu, State

GDT_ENTRIES = 15  # below the entry that holds the CPU number in its limit
_ZF = 0x40


@dataclass(frozen=True)
class Visible:
    """A descriptor that ring 3 can see; `rights` as LAR returns them (SDM volume 2, LAR)."""

    selector: int
    rights: int
    limit: int


def visible_descriptors(cpu: HostCpu) -> list[Visible]:
    """GDT entries 1 to 14 as LAR EBX, EAX and LSL ECX, EAX see them with RPL 3."""
    selectors = [index << 3 | 3 for index in range(1, GDT_ENTRIES)]
    code = bytes.fromhex("0f 02 d8 75 03 0f 03 c8")  # the JNE keeps LSL's ZF equal to LAR's
    stack = at.MAIN_WINDOW + 256
    cases = [Case(code, State(regs=(sel, 0, 0, 0, stack, 0, 0, 0))) for sel in selectors]
    return [
        Visible(selector, got.regs[3], got.regs[1])
        for selector, got in zip(selectors, cpu.run_batch(cases), strict=True)
        if got.eflags & _ZF
    ]

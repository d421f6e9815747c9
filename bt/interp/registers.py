"""A processor's registers as Python sees them, its reset, and all of its state at once.

The first part of `Interp` (interp.py), which is one class in four files.
"""

from __future__ import annotations

from typing import Any

from bt.interp.architecture import set_state_values, state_values
from bt.interp.cpuid import EXTENDED_LEAVES
from bt.interp.debug_regs import debug_changed
from bt.interp.dialect import (
    M32,
    M64,
    state,
    u64,
)
from bt.interp.flags import get_eflags, set_eflags
from bt.interp.fxsave import sse_reset
from bt.interp.loop import icount_now
from bt.interp.msr import msr_reset
from bt.interp.paging import (
    flush_tlb,
)
from bt.interp.segments import segment_changed, set_cpl
from bt.interp.state import (
    ARMED_WATCHPOINT,
    ATTR_ACCESSED,
    ATTR_P,
    ATTR_RW,
    ATTR_S,
    CR0_CD,
    CR0_ET,
    CR0_NW,
    CS,
    EDX,
    EFLAGS_VALID,
    EXIT_NONE,
    IF,
    LDTR,
    TR,
    Cpu,
)
from bt.interp.x87_stack import fpu_init, fpu_reset

A20_CLOSED = 0xFFEFFFFF  # physical address bit 20 is always 0


@state
class Registers(Cpu):
    """What `Interp` knows of itself."""

    def set_model(self, model: Any) -> None:
        """Be a processor of this model (`bt.models.Model`), from the next reset() on.

        Before anything runs: all processors over one Ram are of the same model.
        """
        self.signature = model.signature
        self.absent = model.absent
        self.cr4_valid = model.cr4_valid
        self.pde_reserved = model.pde_reserved
        self.msr_groups = model.msr_groups
        basic, extended = model.leaves, model.extended_leaves
        self.cpuid_last = len(basic) - 1
        self.cpuid_last_extended = extended[0][0] if extended else 0
        for i in range(64):
            self.cpuid_leaves[i] = 0
        for first, leaves in ((0, basic), (EXTENDED_LEAVES * 4, extended)):
            for i in range(len(leaves)):
                for k in range(4):
                    self.cpuid_leaves[first + 4 * i + k] = leaves[i][k]

    def set_apic_base(self, base: int) -> None:
        """It has a local APIC, and this is IA32_APIC_BASE, now and after each reset()."""
        self.apic_base = base
        self.msr_apicbase = base

    def become_default(self) -> None:
        """The model that there is without a choice."""
        from bt.models import DEFAULT

        self.set_model(DEFAULT)

    def reset(self) -> None:
        """The state after RESET# (SDM vol. 3, table 9-1)."""
        for i in range(9):
            self.regs[i] = 0
        self.regs[EDX] = self.signature
        for i in range(8):
            self.seg_sel[i] = 0
            self.seg_base[i] = 0
            self.seg_limit[i] = 0xFFFF
            self.seg_attr[i] = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED
            self.dr[i] = 0
        self.seg_sel[CS] = 0xF000
        self.seg_base[CS] = 0xFFFF0000
        self.seg_attr[LDTR] = ATTR_P | 2
        self.seg_attr[TR] = ATTR_P | 0xB
        self.dr[6] = 0xFFFF0FF0
        self.dr[7] = 0x400
        self.dr_armed = ARMED_WATCHPOINT if self.wp_total else 0
        self.eip = 0xFFF0
        self.cr0 = CR0_CD | CR0_NW | CR0_ET
        self.cr2 = 0
        self.cr3 = 0
        self.cr4 = 0
        for i in range(4):
            self.pdpte[i] = 0
        self.gdtr_base = 0
        self.gdtr_limit = 0xFFFF
        self.idtr_base = 0
        self.idtr_limit = 0xFFFF
        self.shadow_at = M64
        self.ss_loaded_at = M64
        self.rep_at = M64
        self.dr_held = 0
        self.nmi_pending = 0
        self.nmi_blocked = 0
        self.halted = 0
        fpu_reset(self)
        sse_reset(self)
        msr_reset(self)
        set_eflags(self, 2)
        for i in range(6):
            segment_changed(self, i)
        set_cpl(self, 0)
        flush_tlb(self, 0)

    # --- all of its state --------------------------------------------------------------

    def save_state(self) -> dict[str, int]:
        """All that the guest could find out, by the names of architecture.py.

        Between two instructions, that is not from a callback of the bus. Memory is not part of it.
        """
        now: u64 = icount_now(self)
        state = state_values(self)
        state["eflags"] = get_eflags(self)
        state["icount"] = now
        state["interrupt_shadow"] = 1 if self.shadow_at == now else 0
        state["debug_shadow"] = 1 if self.ss_loaded_at == now else 0
        state["rep_under_way"] = 1 if self.rep_at == now else 0
        state["a20"] = 1 if self.a20_mask == M32 else 0
        return state

    def load_state(self, state: Any) -> None:
        """Become what save_state() told; StateError, and nothing has changed: this is no state.

        What set_vmware() says has to be said before, and the same.
        The TLB is empty then, as after any other change from outside (take_news() says so).
        """
        from bt.interp.architecture import check

        check(state, state_values(self))
        self.put_back(state)
        self.exit_reason = EXIT_NONE
        self.wp_hit = 0
        flush_tlb(self, 0)

    def put_back(self, state: dict[str, int]) -> None:
        """load_state() of what save_state() has just told.

        In between, nothing was changed that a translation depends on: the TLB stays.
        """
        set_state_values(self, state)
        set_eflags(self, state["eflags"])
        now: u64 = state["icount"]
        self.budget = 0
        self.icount_end = now
        self.shadow_at = now if state["interrupt_shadow"] else M64
        self.ss_loaded_at = now if state["debug_shadow"] else M64
        self.rep_at = now if state["rep_under_way"] else M64
        self.a20_mask = M32 if state["a20"] else A20_CLOSED
        for i in range(6):
            segment_changed(self, i)
        debug_changed(self)
        set_cpl(self, self.cpl)

    # --- registers ---------------------------------------------------------------------

    def reg(self, i: int) -> int:
        """General register i (0 EAX ... 7 EDI)."""
        return self.regs[i]

    def set_reg(self, i: int, value: int) -> None:
        self.regs[i] = value & M32

    def flags(self) -> int:
        """EFLAGS, all of it."""
        return get_eflags(self)

    def set_flags(self, value: int) -> None:
        set_eflags(self, value & EFLAGS_VALID)
        set_cpl(self, self.cpl)  # AC may have changed

    def segment(self, i: int) -> tuple[int, int, int, int]:
        """Selector, base, limit and attributes of a descriptor cache."""
        return self.seg_sel[i], self.seg_base[i], self.seg_limit[i], self.seg_attr[i]

    def set_segment(self, i: int, selector: int, base: int, limit: int, attr: int) -> None:
        """Load a descriptor cache as it is, no checks."""
        self.seg_sel[i] = selector & 0xFFFF
        self.seg_base[i] = base & M32
        self.seg_limit[i] = limit & M32
        self.seg_attr[i] = attr & M32
        if i < LDTR:
            segment_changed(self, i)

    def init_x87(self) -> None:
        """FNINIT: what firmware has done to the x87 unit before it starts anything."""
        fpu_init(self)

    def vector(self, i: int) -> int:
        """XMM register i, 128 bits."""
        low: u64 = self.xmm[2 * i]
        return int(self.xmm[2 * i + 1]) << 64 | int(low)

    def set_vector(self, i: int, value: int) -> None:
        self.xmm[2 * i] = value & M64
        self.xmm[2 * i + 1] = value >> 64

    def set_privilege(self, cpl: int) -> None:
        """CPL, which also chooses the TLB in use."""
        set_cpl(self, cpl)

    def debug_register(self, i: int) -> int:
        return self.dr[i]

    # --- between two instructions ------------------------------------------------------

    def icount(self) -> int:
        """Guest instructions completed since the processor was made."""
        return icount_now(self)

    def set_icount(self, count: int) -> None:
        """Continue counting from here."""
        self.icount_end = (count + self.budget) & M64

    def interruptible(self) -> bool:
        """IF is set and no STI or MOV SS shadow is in force."""
        return self.eflags & IF != 0 and self.shadow_at != icount_now(self)

    def nmi_ready(self) -> bool:
        """An NMI waits, and none is being handled; nor is a MOV SS or STI shadow in force."""
        if self.nmi_pending == 0 or self.nmi_blocked:
            return False
        count: u64 = icount_now(self)
        return self.shadow_at != count and self.ss_loaded_at != count

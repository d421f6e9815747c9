"""CPUID (SDM vol. 2, CPUID): what the model's row says (bt/models.py).

With VMware's backdoor open the processor says that it is a guest's (bit 31 of leaf 1's ECX), and
answers the leaves from 4000_0000h on: who the hypervisor is, and at 4000_0010h the frequencies and
by which instructions hypercalls are taken. It keeps that to itself if it has no frequency to tell.
"""

from __future__ import annotations

from bt.interp.dialect import NEXT, func, i32, u32
from bt.interp.state import EAX, EBX, ECX, EDX, Cpu, Op

EXTENDED_LEAF = 0x80000000
EXTENDED_LEAVES = 8  # from here on in Cpu.cpuid_leaves

FEATURE_APIC = 0x200  # leaf 1, EDX: there is a local APIC, and IA32_APIC_BASE has it on
APIC_ENABLED = 0x800
FEATURE_HYPERVISOR = 0x80000000  # leaf 1, ECX
VMWARE_LEAF = 0x40000000
VMWARE_TIMING_LEAF = 0x40000010
# Leaf 40000000: "VMwa" "reVM" "ware" in EBX, ECX, EDX
VMWARE_EBX = 0x61774D56
VMWARE_ECX = 0x4D566572
VMWARE_EDX = 0x65726177
TAKES_VMCALL = 2  # bit 0 would be AMD's VMMCALL; Linux uses neither where both are announced


@func
def shows_vmware(c: Cpu) -> u32:
    """Does CPUID tell of VMware?"""
    return 1 if c.backdoor and c.tsc_khz else 0


@func
def vmware_leaf(c: Cpu, op: Op, leaf: u32) -> i32:
    """What VMware's processor says of itself; the leaves in between are empty."""
    c.regs[EAX] = 0
    c.regs[EBX] = 0
    c.regs[ECX] = 0
    c.regs[EDX] = 0
    if leaf == VMWARE_LEAF:
        c.regs[EAX] = VMWARE_TIMING_LEAF
        c.regs[EBX] = VMWARE_EBX
        c.regs[ECX] = VMWARE_ECX
        c.regs[EDX] = VMWARE_EDX
    elif leaf == VMWARE_TIMING_LEAF:
        c.regs[EAX] = c.tsc_khz
        c.regs[EBX] = c.bus_khz
        c.regs[ECX] = TAKES_VMCALL if c.hypercalls_served else 0
    return NEXT(c, op)


@func
def cpuid_leaf(c: Cpu, leaf: u32) -> u32:
    """Where a leaf is kept. Those that there are not answer like the last basic one."""
    if c.cpuid_last_extended and leaf >= EXTENDED_LEAF:
        if leaf - EXTENDED_LEAF <= c.cpuid_last_extended - EXTENDED_LEAF:
            return EXTENDED_LEAVES + leaf - EXTENDED_LEAF
    return leaf if leaf < c.cpuid_last else c.cpuid_last


@func
def cpuid(c: Cpu, op: Op) -> i32:
    """CPUID: leaf EAX into EAX, EBX, ECX, EDX."""
    leaf = c.regs[EAX]
    if leaf >= VMWARE_LEAF and leaf <= VMWARE_TIMING_LEAF and shows_vmware(c):
        return vmware_leaf(c, op, leaf)
    at: u32 = cpuid_leaf(c, leaf) * 4
    c.regs[EAX] = c.cpuid_leaves[at]
    c.regs[EBX] = c.cpuid_leaves[at + 1]
    c.regs[ECX] = c.cpuid_leaves[at + 2]
    c.regs[EDX] = c.cpuid_leaves[at + 3]
    if leaf == 1 and c.apic_base and c.msr_apicbase & APIC_ENABLED:
        c.regs[EDX] |= FEATURE_APIC
    if leaf == 1 and shows_vmware(c):
        c.regs[ECX] |= FEATURE_HYPERVISOR
    return NEXT(c, op)

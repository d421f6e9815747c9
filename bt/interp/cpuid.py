"""CPUID: a Pentium Pro (SDM vol. 2, CPUID).

Family 6, model 1, stepping 9. Announced is what is implemented: no PAE, APIC, SEP, MTRR, MMX.

With VMware's backdoor open the processor says that it is a guest's (bit 31 of leaf 1's ECX), and
answers the leaves from 4000_0000h on: who the hypervisor is, and at 4000_0010h the frequencies and
by which instructions hypercalls are taken. It keeps that to itself if it has no frequency to tell.
"""

from __future__ import annotations

from bt.interp.dialect import NEXT, func, i32, u32
from bt.interp.state import EAX, EBX, ECX, EDX, Cpu, Op

CPUID_SIGNATURE = 0x619
CPUID_LAST_LEAF = 2

FEATURE_FPU = 0x1
FEATURE_VME = 0x2
FEATURE_DE = 0x4
FEATURE_PSE = 0x8
FEATURE_TSC = 0x10
FEATURE_MSR = 0x20
FEATURE_MCE = 0x80
FEATURE_CX8 = 0x100
FEATURE_PGE = 0x2000
FEATURE_CMOV = 0x8000
CPUID_FEATURES = (
    FEATURE_FPU
    | FEATURE_VME
    | FEATURE_DE
    | FEATURE_PSE
    | FEATURE_TSC
    | FEATURE_MSR
    | FEATURE_MCE
    | FEATURE_CX8
    | FEATURE_PGE
    | FEATURE_CMOV
)

# Leaf 0: "Genu" "ineI" "ntel" in EBX, EDX, ECX
VENDOR_EBX = 0x756E6547
VENDOR_EDX = 0x49656E69
VENDOR_ECX = 0x6C65746E
# Leaf 2: TLBs of 32+2 and 64+8 entries, 8 KiB caches, 256 KiB second level
CACHES_EAX = 0x03020101
CACHES_EDX = 0x06040A42

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
def cpuid(c: Cpu, op: Op) -> i32:
    """Leaves above the last one answer like the last one."""
    leaf = c.regs[EAX]
    if leaf >= VMWARE_LEAF and leaf <= VMWARE_TIMING_LEAF and shows_vmware(c):
        return vmware_leaf(c, op, leaf)
    a: u32 = CACHES_EAX
    b: u32 = 0
    cx: u32 = 0
    d: u32 = CACHES_EDX
    if leaf == 0:
        a = CPUID_LAST_LEAF
        b = VENDOR_EBX
        cx = VENDOR_ECX
        d = VENDOR_EDX
    elif leaf == 1:
        a = CPUID_SIGNATURE
        cx = FEATURE_HYPERVISOR if shows_vmware(c) else 0
        d = CPUID_FEATURES
    c.regs[EAX] = a
    c.regs[EBX] = b
    c.regs[ECX] = cx
    c.regs[EDX] = d
    return NEXT(c, op)

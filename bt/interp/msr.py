"""Model-specific registers of the Pentium Pro: RDMSR, WRMSR (SDM vol. 4, 2.22 "P6 family").

Most of them only remember what was written: the memory-type range registers, machine-check banks
and performance counters have nothing to act on here. An address that is not in the list below is
#GP(0), which is how systems find out what there is.

| address            | register                          | behaviour                      |
| ------------------ | --------------------------------- | ------------------------------ |
| 000, 001           | P5_MC_ADDR, P5_MC_TYPE            | 0                              |
| 010                | TSC                               | a write sets the low half only |
| 017, 1DB-1DE       | PLATFORM_ID, last branch records  | 0                              |
| 01B                | APICBASE                          | kept; there is no APIC         |
| 02A 08B 1D9 1E0    | EBL_CR_POWERON, BIOS_SIGN, ...    | kept                           |
| 079                | BIOS_UPDT_TRIG                    | write only, ignored            |
| 0C1 0C2 186 187    | PERFCTR0-1, EVNTSEL0-1            | kept                           |
| 0FE, 179           | MTRRcap, MCG_CAP                  | read only                      |
| 17A, 17B, 400-413  | MCG_STATUS, MCG_CTL, MC0-MC4      | kept                           |
| 200-20F 250-26F 2FF| MTRRs                             | kept                           |
"""

from __future__ import annotations

from bt.interp.dialect import M32, M64, NEXT, func, i32, u32, u64
from bt.interp.memory import fault, raise_error
from bt.interp.state import EAX, ECX, EDX, VEC_GP, Cpu, Op
from bt.interp.system import PERFCTR0, ring0_only, tsc_at

MSR_P5_MC_TYPE = 0x01
MSR_TSC = 0x10
MSR_PLATFORM_ID = 0x17
MSR_APICBASE = 0x1B
MSR_EBL_CR_POWERON = 0x2A
MSR_BIOS_UPDT_TRIG = 0x79
MSR_BIOS_SIGN = 0x8B
MSR_PERFCTR0 = 0xC1
MSR_MTRRCAP = 0xFE
MSR_MCG_CAP = 0x179
MSR_MCG_STATUS = 0x17A
MSR_EVNTSEL0 = 0x186
MSR_DEBUGCTL = 0x1D9
MSR_LASTBRANCHFROMIP = 0x1DB
MSR_LASTINTTOIP = 0x1DE
MSR_ROB_CR_BKUPTMPDR6 = 0x1E0
MSR_MTRRPHYSBASE0 = 0x200
MSR_MTRRFIX64K = 0x250
MSR_MTRRFIX16K = 0x258
MSR_MTRRFIX4K = 0x268
MSR_MTRRDEFTYPE = 0x2FF
MSR_MC0_CTL = 0x400

MTRRCAP = 0x508  # eight variable ranges, fixed ranges, write combining
MCG_CAP = 0x105  # five banks, MCG_CTL present

# Where plain MSRs are kept: slots below 16 are c.msr_misc, from 16 on c.msr_mtrr.
SLOT_EVNTSEL = 2
SLOT_BIOS_SIGN = 4
SLOT_DEBUGCTL = 5
SLOT_POWERON = 6
SLOT_DR6 = 7
SLOT_MCG = 8
SLOT_MTRR = 16
SLOT_BANKS = 48
SLOT_NONE = -1


@func
def msr_reset(c: Cpu) -> i32:
    """RESET#: what they remember is gone. The TSC goes on, as virtual time does."""
    c.msr_sysenter_cs = 0
    c.msr_sysenter_esp = 0
    c.msr_sysenter_eip = 0
    c.msr_apicbase = 0
    for i in range(64):
        c.msr_mtrr[i] = 0
    for i in range(16):
        c.msr_misc[i] = 0
    return 0


@func
def mtrr_slot(address: u32) -> i32:
    if address >= MSR_MTRRPHYSBASE0 and address < MSR_MTRRPHYSBASE0 + 16:
        return SLOT_MTRR + (address - MSR_MTRRPHYSBASE0)
    if address == MSR_MTRRFIX64K:
        return SLOT_MTRR + 16
    if address == MSR_MTRRFIX16K or address == MSR_MTRRFIX16K + 1:
        return SLOT_MTRR + 17 + (address - MSR_MTRRFIX16K)
    if address >= MSR_MTRRFIX4K and address < MSR_MTRRFIX4K + 8:
        return SLOT_MTRR + 19 + (address - MSR_MTRRFIX4K)
    if address == MSR_MTRRDEFTYPE:
        return SLOT_MTRR + 27
    return SLOT_NONE


@func
def msr_slot(address: u32) -> i32:
    """Place of an MSR that is plain storage, or SLOT_NONE."""
    if address == MSR_PERFCTR0 or address == MSR_PERFCTR0 + 1:
        return PERFCTR0 + (address - MSR_PERFCTR0)
    if address == MSR_EVNTSEL0 or address == MSR_EVNTSEL0 + 1:
        return SLOT_EVNTSEL + (address - MSR_EVNTSEL0)
    if address == MSR_MCG_STATUS or address == MSR_MCG_STATUS + 1:
        return SLOT_MCG + (address - MSR_MCG_STATUS)
    if address >= MSR_MC0_CTL and address < MSR_MC0_CTL + 20:
        return SLOT_BANKS + (address - MSR_MC0_CTL)
    if address == MSR_BIOS_SIGN:
        return SLOT_BIOS_SIGN
    if address == MSR_DEBUGCTL:
        return SLOT_DEBUGCTL
    if address == MSR_EBL_CR_POWERON:
        return SLOT_POWERON
    if address == MSR_ROB_CR_BKUPTMPDR6:
        return SLOT_DR6
    return mtrr_slot(address)


@func
def reads_as_zero(address: u32) -> u32:
    """MSRs that are there but hold nothing."""
    if address <= MSR_P5_MC_TYPE or address == MSR_PLATFORM_ID:
        return 1
    return 1 if address >= MSR_LASTBRANCHFROMIP and address <= MSR_LASTINTTOIP else 0


@func
def read_slot(c: Cpu, slot: u32) -> u64:
    return c.msr_misc[slot] if slot < SLOT_MTRR else c.msr_mtrr[slot - SLOT_MTRR]


@func
def write_slot(c: Cpu, slot: u32, value: u64) -> i32:
    if slot < SLOT_MTRR:
        c.msr_misc[slot] = value
    else:
        c.msr_mtrr[slot - SLOT_MTRR] = value
    return 0


@func
def rdmsr(c: Cpu, op: Op) -> i32:
    """RDMSR: EDX:EAX = MSR[ECX]."""
    if ring0_only(c) < 0:
        return fault(c, op)
    address = c.regs[ECX]
    slot = msr_slot(address)
    value: u64 = 0
    if slot >= 0:
        value = read_slot(c, slot)
    elif address == MSR_TSC:
        value = tsc_at(c, op)
    elif address == MSR_APICBASE:
        value = c.msr_apicbase
    elif address == MSR_MTRRCAP:
        value = MTRRCAP
    elif address == MSR_MCG_CAP:
        value = MCG_CAP
    elif not reads_as_zero(address):
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    c.regs[EAX] = value & M32
    c.regs[EDX] = (value >> 32) & M32
    return NEXT(c, op)


@func
def wrmsr(c: Cpu, op: Op) -> i32:
    """WRMSR: MSR[ECX] = EDX:EAX."""
    if ring0_only(c) < 0:
        return fault(c, op)
    address = c.regs[ECX]
    slot = msr_slot(address)
    value: u64 = c.regs[EDX]
    value = (value << 32) | c.regs[EAX]
    if slot >= 0:
        write_slot(c, slot, value)
    elif address == MSR_TSC:
        ticks: u64 = (tsc_at(c, op) - c.tsc_offset) & M64
        c.tsc_offset = ((value & M32) - ticks) & M64
    elif address == MSR_APICBASE:
        c.msr_apicbase = value
    elif address != MSR_BIOS_UPDT_TRIG and not reads_as_zero(address):
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    return NEXT(c, op)

"""Model-specific registers: RDMSR, WRMSR (SDM vol. 4, 2.22 "P6 family", 2.18 and 2.23 for others).

Most of them only remember what was written: the memory-type range registers, machine-check banks
and performance counters have nothing to act on here. An address that is not in the list below, or
that the model has not (`Cpu.msr_groups`, features.py), is #GP(0), which is how systems find out
what there is. So is a reserved bit where one is known.

| group | address            | register                          | behaviour                      |
| ----- | ------------------ | --------------------------------- | ------------------------------ |
| all   | 000, 001           | P5_MC_ADDR, P5_MC_TYPE            | 0                              |
|       | 010                | TSC                               | of P6, the low half only       |
| P5    | 00E 011-013        | TR12, CESR, CTR0-1                | kept                           |
| P6 P4 | 017, 1DB-1DE       | PLATFORM_ID, last branch records  | 0                              |
|       | 01B                | APICBASE                          | kept; local APIC where it is   |
|       | 02A 08B 1D9        | EBL_CR_POWERON, BIOS_SIGN, ...    | kept                           |
|       | 079                | BIOS_UPDT_TRIG                    | write only, ignored            |
| P6    | 0C1 0C2 186 187    | PERFCTR0-1, EVNTSEL0-1            | kept                           |
|       | 119 1E0            | BBL_CR_CTL, ROB_CR_BKUPTMPDR6     | kept                           |
| P4    | 02C                | EBC_FREQUENCY_ID: 2 times 100 MHz | read only                      |
|       | 1A0                | MISC_ENABLE: no BTS, no PEBS      | kept, but for these            |
|       | 1D7 1D8 1DA        | last exception, top of branches   | 0                              |
| MTRR  | 0FE                | MTRRcap                           | read only                      |
|       | 200-20F 250-26F 2FF| MTRRs                             | kept; types and bits checked   |
| MCA   | 179                | MCG_CAP                           | read only                      |
|       | 17A, 17B, 400-413  | MCG_STATUS, MCG_CTL, MC0-MC4      | kept; MCi_STATUS only cleared  |
| PAT   | 277                | PAT                               | kept; types checked            |
| SEP   | 174-176            | SYSENTER_CS, _ESP, _EIP           | low halves; fast_calls.py      |
"""

from __future__ import annotations

from bt.interp.dialect import M32, M64, NEXT, call_apic_base, func, i32, u32, u64
from bt.interp.features import (
    MSR_GROUP_BOTH,
    MSR_GROUP_MCA,
    MSR_GROUP_MTRR,
    MSR_GROUP_P4,
    MSR_GROUP_P5,
    MSR_GROUP_P6,
    MSR_GROUP_PAT,
    MSR_GROUP_SEP,
)
from bt.interp.memory import fault, raise_error
from bt.interp.ports import io_begins, io_done
from bt.interp.state import EAX, ECX, EDX, VEC_GP, Cpu, Op
from bt.interp.system import PERFCTR0, ring0_only, tsc_at

MSR_P5_MC_TYPE = 0x01
MSR_TR12 = 0x0E
MSR_TSC = 0x10
MSR_CESR = 0x11
MSR_PLATFORM_ID = 0x17
MSR_APICBASE = 0x1B
MSR_EBL_CR_POWERON = 0x2A
MSR_EBC_FREQUENCY_ID = 0x2C
MSR_BIOS_UPDT_TRIG = 0x79
MSR_BIOS_SIGN = 0x8B
MSR_PERFCTR0 = 0xC1
MSR_MTRRCAP = 0xFE
MSR_BBL_CR_CTL = 0x119
MSR_SYSENTER_CS = 0x174
MSR_MCG_CAP = 0x179
MSR_MCG_STATUS = 0x17A
MSR_EVNTSEL0 = 0x186
MSR_MISC_ENABLE = 0x1A0
MSR_LER_FROM = 0x1D7
MSR_DEBUGCTL = 0x1D9
MSR_LASTBRANCH_TOS = 0x1DA
MSR_LASTBRANCHFROMIP = 0x1DB
MSR_LASTINTTOIP = 0x1DE
MSR_ROB_CR_BKUPTMPDR6 = 0x1E0
MSR_MTRRPHYSBASE0 = 0x200
MSR_MTRRFIX64K = 0x250
MSR_MTRRFIX16K = 0x258
MSR_MTRRFIX4K = 0x268
MSR_PAT = 0x277
MSR_MTRRDEFTYPE = 0x2FF
MSR_MC0_CTL = 0x400

MTRRCAP = 0x508  # eight variable ranges, fixed ranges, write combining
MCG_CAP_P6 = 0x105  # five banks, MCG_CTL present
MCG_CAP_P4 = 0x004  # four banks
EBC_FREQUENCY = 0x02000000
MISC_FIXED = 0x1800  # BTS and PEBS are unavailable
MISC_READ_ONLY = 0x1880  # these, and that there are performance counters
APICBASE_RESERVED = 0xFFFFFFF0000006FF  # all but address (36 bits), enable and BSP
PAT_RESET = 0x0007040600070406
MTRR_TYPES = 0x73  # bit n: memory type n is one: UC, WC, WT, WP, WB
PAT_TYPES = 0xF3  # the same, and UC-

# Where plain MSRs are kept: slots below 16 are c.msr_misc, from 16 on c.msr_mtrr.
SLOT_EVNTSEL = 2
SLOT_BIOS_SIGN = 4
SLOT_DEBUGCTL = 5
SLOT_POWERON = 6
SLOT_DR6 = 7
SLOT_MCG = 8
SLOT_TR12 = 10
SLOT_CESR = 11  # and CTR0, CTR1
SLOT_BBL = 14
SLOT_MISC_ENABLE = 15
SLOT_MTRR = 16
SLOT_DEFTYPE = 43
SLOT_PAT = 44
SLOT_BANKS = 48
SLOT_NONE = -1


@func
def msr_reset(c: Cpu) -> i32:
    """RESET#: what they remember is gone. The TSC goes on, as virtual time does."""
    c.msr_sysenter_cs = 0
    c.msr_sysenter_esp = 0
    c.msr_sysenter_eip = 0
    c.msr_apicbase = c.apic_base
    for i in range(64):
        c.msr_mtrr[i] = 0
    for i in range(16):
        c.msr_misc[i] = 0
    c.msr_mtrr[SLOT_PAT - SLOT_MTRR] = PAT_RESET
    c.msr_misc[SLOT_MISC_ENABLE] = MISC_FIXED | 1
    return 0


# --- which, and where they are kept ------------------------------------------------------


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
        return SLOT_DEFTYPE
    return SLOT_NONE


@func
def early_slot(address: u32) -> i32:
    """Of those below 200h."""
    if address == MSR_PERFCTR0 or address == MSR_PERFCTR0 + 1:
        return PERFCTR0 + (address - MSR_PERFCTR0)
    if address == MSR_EVNTSEL0 or address == MSR_EVNTSEL0 + 1:
        return SLOT_EVNTSEL + (address - MSR_EVNTSEL0)
    if address == MSR_MCG_STATUS or address == MSR_MCG_STATUS + 1:
        return SLOT_MCG + (address - MSR_MCG_STATUS)
    if address == MSR_BIOS_SIGN:
        return SLOT_BIOS_SIGN
    if address == MSR_DEBUGCTL:
        return SLOT_DEBUGCTL
    if address == MSR_EBL_CR_POWERON:
        return SLOT_POWERON
    if address == MSR_ROB_CR_BKUPTMPDR6:
        return SLOT_DR6
    if address == MSR_TR12:
        return SLOT_TR12
    if address >= MSR_CESR and address < MSR_CESR + 3:
        return SLOT_CESR + (address - MSR_CESR)
    if address == MSR_BBL_CR_CTL:
        return SLOT_BBL
    return SLOT_MISC_ENABLE if address == MSR_MISC_ENABLE else SLOT_NONE


@func
def msr_slot(address: u32) -> i32:
    """Place of an MSR that is plain storage, or SLOT_NONE."""
    if address < MSR_MTRRPHYSBASE0:
        return early_slot(address)
    if address >= MSR_MC0_CTL and address < MSR_MC0_CTL + 20:
        return SLOT_BANKS + (address - MSR_MC0_CTL)
    return SLOT_PAT if address == MSR_PAT else mtrr_slot(address)


@func
def reads_as_zero(c: Cpu, address: u32) -> u32:
    """MSRs that are there but hold nothing."""
    if address <= MSR_P5_MC_TYPE:
        return 1
    if c.msr_groups & MSR_GROUP_BOTH == 0:
        return 0
    if address == MSR_PLATFORM_ID:
        return 1
    if address >= MSR_LASTBRANCHFROMIP and address <= MSR_LASTINTTOIP:
        return 1
    if c.msr_groups & MSR_GROUP_P4 == 0:
        return 0
    return 1 if address >= MSR_LER_FROM and address <= MSR_LASTBRANCH_TOS else 0


@func
def slot_group(slot: i32) -> u32:
    """MSR_GROUP_* of which a model needs one, to have what is kept in this slot."""
    if slot >= SLOT_BANKS or slot == SLOT_MCG or slot == SLOT_MCG + 1:
        return MSR_GROUP_MCA
    if slot == SLOT_PAT:
        return MSR_GROUP_PAT
    if slot >= SLOT_MTRR:
        return MSR_GROUP_MTRR
    if slot == SLOT_BIOS_SIGN or slot == SLOT_DEBUGCTL or slot == SLOT_POWERON:
        return MSR_GROUP_BOTH
    if slot >= SLOT_TR12 and slot < SLOT_BBL:
        return MSR_GROUP_P5
    return MSR_GROUP_P4 if slot == SLOT_MISC_ENABLE else MSR_GROUP_P6


@func
def slot_here(c: Cpu, address: u32) -> i32:
    """msr_slot(), of what this model has."""
    slot = msr_slot(address)
    if slot < 0 or c.msr_groups & slot_group(slot) == 0:
        return SLOT_NONE
    if c.msr_groups & MSR_GROUP_P4 and (slot == SLOT_MCG + 1 or slot >= SLOT_BANKS + 16):
        return SLOT_NONE  # four banks, and no MCG_CTL
    return slot


@func
def read_slot(c: Cpu, slot: u32) -> u64:
    return c.msr_misc[slot] if slot < SLOT_MTRR else c.msr_mtrr[slot - SLOT_MTRR]


# --- what may be written -----------------------------------------------------------------


@func
def are_types(value: u64, types: u32) -> u32:
    """Is each of the eight bytes a memory type, of those in the mask?"""
    for i in range(8):
        kind: u32 = (value >> (8 * i)) & 0xFF
        if kind > 7 or types >> kind & 1 == 0:
            return 0
    return 1


@func
def mtrr_takes(slot: u32, value: u64) -> u32:
    """A variable range's base (even) and mask, a fixed range's types, the default."""
    if slot == SLOT_DEFTYPE:
        return 1 if value & 0xFFFFFFFFFFFFF3F8 == 0 and MTRR_TYPES >> (value & 7) & 1 else 0
    if slot >= SLOT_MTRR + 16:
        return are_types(value, MTRR_TYPES)
    if slot & 1:
        return 1 if value & 0xFFFFFFF0000007FF == 0 else 0
    return 1 if value & 0xFFFFFFF000000FF8 == 0 and MTRR_TYPES >> (value & 7) & 1 else 0


@func
def slot_takes(slot: u32, value: u64) -> u32:
    """Has the value none of the reserved bits, and no type that there is not?"""
    if slot >= SLOT_BANKS:
        return 1 if slot & 3 != 1 or value == 0 else 0
    if slot == SLOT_PAT:
        return are_types(value, PAT_TYPES)
    return 1 if slot < SLOT_MTRR else mtrr_takes(slot, value)


@func
def write_slot(c: Cpu, slot: u32, value: u64) -> i32:
    if slot == SLOT_MISC_ENABLE:
        value = (value & ~MISC_READ_ONLY & M64) | MISC_FIXED
    if slot < SLOT_MTRR:
        c.msr_misc[slot] = value
    else:
        c.msr_mtrr[slot - SLOT_MTRR] = value
    return 0


# --- SYSENTER's --------------------------------------------------------------------------


@func
def is_sysenter_msr(c: Cpu, address: u32) -> u32:
    if address < MSR_SYSENTER_CS or address > MSR_SYSENTER_CS + 2:
        return 0
    return 1 if c.msr_groups & MSR_GROUP_SEP else 0


@func
def read_sysenter_msr(c: Cpu, address: u32) -> u32:
    if address == MSR_SYSENTER_CS:
        return c.msr_sysenter_cs
    return c.msr_sysenter_esp if address == MSR_SYSENTER_CS + 1 else c.msr_sysenter_eip


@func
def write_sysenter_msr(c: Cpu, address: u32, value: u32) -> i32:
    if address == MSR_SYSENTER_CS:
        c.msr_sysenter_cs = value
    elif address == MSR_SYSENTER_CS + 1:
        c.msr_sysenter_esp = value
    else:
        c.msr_sysenter_eip = value
    return 0


# --- the instructions --------------------------------------------------------------------


@func
def no_such_msr(c: Cpu, op: Op) -> i32:
    raise_error(c, VEC_GP, 0)
    return fault(c, op)


@func
def rdmsr(c: Cpu, op: Op) -> i32:
    """RDMSR: EDX:EAX = MSR[ECX]."""
    if ring0_only(c) < 0:
        return fault(c, op)
    address = c.regs[ECX]
    slot = slot_here(c, address)
    value: u64 = 0
    if slot >= 0:
        value = read_slot(c, slot)
    elif address == MSR_TSC:
        value = tsc_at(c, op)
    elif address == MSR_APICBASE and c.msr_groups & MSR_GROUP_BOTH:
        value = c.msr_apicbase
    elif address == MSR_MTRRCAP and c.msr_groups & MSR_GROUP_MTRR:
        value = MTRRCAP
    elif address == MSR_MCG_CAP and c.msr_groups & MSR_GROUP_MCA:
        value = MCG_CAP_P4 if c.msr_groups & MSR_GROUP_P4 else MCG_CAP_P6
    elif address == MSR_EBC_FREQUENCY_ID and c.msr_groups & MSR_GROUP_P4:
        value = EBC_FREQUENCY
    elif is_sysenter_msr(c, address):
        value = read_sysenter_msr(c, address)
    elif not reads_as_zero(c, address):
        return no_such_msr(c, op)
    c.regs[EAX] = value & M32
    c.regs[EDX] = (value >> 32) & M32
    return NEXT(c, op)


@func
def write_tsc(c: Cpu, op: Op, value: u64) -> i32:
    """The P6 writes the low half and clears the high one."""
    ticks: u64 = (tsc_at(c, op) - c.tsc_offset) & M64
    if c.msr_groups & MSR_GROUP_P6:
        value &= M32
    c.tsc_offset = (value - ticks) & M64
    return 0


@func
def write_apicbase(c: Cpu, op: Op, value: u64) -> i32:
    """Where a local APIC is, and whether; without one, what is written is kept."""
    if c.apic_base == 0:
        c.msr_apicbase = value
        return NEXT(c, op)
    if value & APICBASE_RESERVED:
        return no_such_msr(c, op)
    c.msr_apicbase = value
    io_begins(c, op)
    call_apic_base(c, value)
    return io_done(c, op)


@func
def wrmsr(c: Cpu, op: Op) -> i32:
    """WRMSR: MSR[ECX] = EDX:EAX."""
    if ring0_only(c) < 0:
        return fault(c, op)
    address = c.regs[ECX]
    slot = slot_here(c, address)
    value: u64 = c.regs[EDX]
    value = (value << 32) | c.regs[EAX]
    later: u32 = c.msr_groups & MSR_GROUP_BOTH
    if slot >= 0:
        if not slot_takes(slot, value):
            return no_such_msr(c, op)
        write_slot(c, slot, value)
    elif address == MSR_TSC:
        write_tsc(c, op, value)
    elif address == MSR_APICBASE and later:
        return write_apicbase(c, op, value)
    elif is_sysenter_msr(c, address):
        write_sysenter_msr(c, address, value & M32)
    elif not (address == MSR_BIOS_UPDT_TRIG and later) and not reads_as_zero(c, address):
        return no_such_msr(c, op)
    return NEXT(c, op)

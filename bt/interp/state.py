"""The processor's state, and the decoded instruction (`Op`).

One `Cpu` is one processor: registers, descriptor caches, control and debug registers, lazy
flags, x87 stack, and the pointers through which it reaches memory. Names are those of the SDM.
Everything here is C fields when compiled; nothing has behaviour.
"""

from __future__ import annotations

from typing import Annotated, Any

from bt.interp.dialect import (
    BlockArray,
    Handler,
    JumpArray,
    OpArray,
    PureOnly,
    U8Ptr,
    U32Ptr,
    U64Ptr,
    i32,
    i64,
    state,
    struct,
    u8,
    u16,
    u32,
    u64,
)
from bt.interp.marks import (
    DEBUG,
    GENERAL,
    MISC_MSRS,
    MTRR_MSRS,
    POINTERS,
    XMM_HALVES,
    Guest,
    Ring3,
    numbered,
    of_segments,
)

# Segment register numbers, as in ModRM; LDTR and TR have descriptor caches like any other.
ES = 0
CS = 1
SS = 2
DS = 3
FS = 4
GS = 5
LDTR = 6
TR = 7

# General registers
EAX = 0
ECX = 1
EDX = 2
EBX = 3
ESP = 4
EBP = 5
ESI = 6
EDI = 7
NOREG = 8  # regs[8] is always 0: stands for "no base" and "no index"

# EFLAGS
CF = 0x1
PF = 0x4
AF = 0x10
ZF = 0x40
SF = 0x80
TF = 0x100
IF = 0x200
DF = 0x400
OF = 0x800
IOPL = 0x3000
NT = 0x4000
RF = 0x10000
VM = 0x20000
AC = 0x40000
VIF = 0x80000
VIP = 0x100000
ID = 0x200000
ARITH = 0x8D5  # CF PF AF ZF SF OF: the flags that are kept lazily
EFLAGS_FIXED = 0x2
EFLAGS_VALID = 0x3F7FD7

# Control registers
CR0_PE = 0x1
CR0_MP = 0x2
CR0_EM = 0x4
CR0_TS = 0x8
CR0_ET = 0x10
CR0_NE = 0x20
CR0_WP = 0x10000
CR0_AM = 0x40000
CR0_NW = 0x20000000
CR0_CD = 0x40000000
CR0_PG = 0x80000000
CR0_VALID = 0xE005003F
CR4_VME = 0x1
CR4_PVI = 0x2
CR4_TSD = 0x4
CR4_DE = 0x8
CR4_PSE = 0x10
CR4_PAE = 0x20
CR4_MCE = 0x40
CR4_PGE = 0x80
CR4_PCE = 0x100
CR4_OSFXSR = 0x200  # XMM registers may be used, FXSAVE saves them
CR4_OSXMMEXCPT = 0x400  # #XM is known
# All that some model has; Cpu.cr4_valid are its own.
CR4_VALID = (
    CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE
    | CR4_OSFXSR | CR4_OSXMMEXCPT
)  # fmt: skip

# Exception vectors
VEC_DE = 0
VEC_DB = 1
VEC_NMI = 2
VEC_BP = 3
VEC_OF = 4
VEC_BR = 5
VEC_UD = 6
VEC_NM = 7
VEC_DF = 8
VEC_TS = 10
VEC_NP = 11
VEC_SS = 12
VEC_GP = 13
VEC_PF = 14
VEC_MF = 16
VEC_AC = 17
VEC_XM = 19

# MXCSR, the control and status register of SSE: six flags, six masks (7 bits above), rounding
MXCSR_DAZ = 0x40  # denormal operands are zeros; of SSE2
MXCSR_FTZ = 0x8000  # masked underflow gives zeros
MXCSR_DEFAULT = 0x1F80

# What an instruction handler returns (its *status*)
ST_NEXT = 0  # uncompiled only: c.cur is the next op
ST_LOOKUP = 1  # c.eip is where to go on: find its block
ST_FAULT = 2  # c.fault_* describe an exception of the instruction at c.eip
ST_EXIT = 3  # leave the processor: c.exit_reason
ST_BUDGET = 4  # the block at c.eip holds more instructions than the budget

# Why run() came back (c.exit_reason)
EXIT_NONE = 0
EXIT_BUDGET = 1  # the budget of instructions is spent
EXIT_HALT = 2  # HLT completed
EXIT_INTERRUPT = 3  # intr is raised and can be taken now
EXIT_EXCEPTION = 4  # external only: c.fault_vector, c.fault_error; c.cr2 for #PF
EXIT_SOFTINT = 5  # external only: INT n, c.exit_arg = n; eip at the instruction
EXIT_SHUTDOWN = 6  # triple fault
EXIT_IO = 7  # a device asked for the loop (interrupt line, reset, deadline)
EXIT_BREAKPOINT = 8  # a breakpoint of the embedder at c.eip
EXIT_HOST_ERROR = 9  # a device callback raised: the exception is in c.host_error
EXIT_VMWARE = 10  # VMCALL, or a backdoor call that the host application serves: answer_call()
EXIT_WATCHPOINT = 11  # what has just completed hit a watchpoint of the embedder: c.wp_hit
EXIT_STOPPED = 12  # stop() was called
EXIT_SIGNALS = 13  # within run() only: time to let Python handle signals

SLICE = 65_536  # a budget is handed out in so many instructions (loop.py)

# Cpu.backdoor: VMware's backdoor (vmware.py)
BACKDOOR_OFF = 0
BACKDOOR_OPEN = 1  # for everybody, whatever IOPL and the I/O bitmap say
BACKDOOR_RESTRICTED = 2  # for those that may use the port

# Descriptor attributes as kept in seg_attr: bits 8-23 of the descriptor's second dword, >> 8.
ATTR_TYPE = 0xF
ATTR_ACCESSED = 0x1
ATTR_RW = 0x2  # data: writable; code: readable
ATTR_DC = 0x4  # data: expand-down; code: conforming
ATTR_CODE = 0x8
ATTR_S = 0x10
ATTR_DPL = 0x60
ATTR_P = 0x80
ATTR_AVL = 0x1000
ATTR_DB = 0x4000
ATTR_G = 0x8000
ATTR_UNUSABLE = 0x10000  # null selector loaded: every access faults
ATTR_ALL = 0x1F0FF


# Flags of a frame of memory, by its place (Memory.frame_flags)
FRAME_RAM = 1  # memory that the guest may have: RAM, ROM, a device's
FRAME_CODE = 2  # some bytes are decoded into blocks: writes take the slow path
FRAME_MONITOR = 8  # memory that only external processors have: no guest address reaches it
FRAME_AUDIT = 16  # external processors stop before critical instructions in this frame
FRAME_TRACED = 4  # some bytes are traced for a monitor: writes take the slow path
FRAME_ROM = 32  # writes of processors vanish
FRAME_CLEAN = 64  # nobody has written since it was looked at: the first write takes the slow path
FRAME_BELOW = 128  # with FRAME_ROM: writes go to the RAM that it hides (Memory.below)
FRAME_SLOW = 0x66  # CODE, WATCH, ROM, CLEAN: no write to it has a fast path

# What a frame of physical addresses leads to (Memory.frame_map): the upper 20 bits are a place, and
MAP_MEMORY = 1  # there is memory, at that place
MAP_DEVICE = 2  # there is none, and somebody on the bus may answer
MAP_BELOW = 4  # there is none to read, but writes go to hidden RAM (Memory.below)
OUTSIDE = 0x100000000  # in a place: there is no memory, the rest is the physical address
NOWHERE = 0x300000000  # the same for physical addresses from 4 GiB on: open bus

# What a processor does when an access reaches the bus (Cpu.running)
RUN_BETWEEN = 0  # nothing, or what comes between two instructions
RUN_BLOCK = 1  # a block, paid for as a whole: its count is that of none of its instructions
RUN_ALONE = 2  # an instruction by itself, or one in a port access: io_icount is known

# Handlers that are no instruction (handlers.py numbers the table's ones after them)
H_UNDEFINED = 0  # #UD
H_STALE = 1  # op of a dead block: look up again
H_FALLTHROUGH = 2  # closes a block: go on at imm
H_LOOKUP = 3  # closes a block: look up eip
H_TOO_LONG = 4  # more than 15 bytes: #GP(0)
H_STOP = 5  # a breakpoint of the embedder: leave before the instruction
H_STUB_DONE = 6  # wraps the op that ends a stub: counts it
H_LANDING_JUMP = 7  # wraps the JMP through a table of landings: counts it
H_COUNT_ENTRY = 8  # wraps the op that begins a guest instruction in a cache: counts it
H_TRACED = 9  # wraps an op that begins a guest instruction: notes it
H_FIRST = 10

# What a space allows on a linear page (Space.perm)
PERM_PRESENT = 1
PERM_WRITE = 2
PERM_EXEC = 4
PERM_GLOBAL = 8

PERM_PINNED = 16  # stays through every flush: the monitor's own pages

# How a guest's state can be run (transfer.py: posture)
POSTURE_STRANGE = 0  # not in flat 32-bit protected mode, or being debugged: only by emulation
POSTURE_USER = 1  # CPL 3 as it should be: IF set, IOPL 0, no VIF or VIP
POSTURE_USER_FLAGS = 2  # CPL 3 with any of these otherwise
POSTURE_KERNEL = 3  # CPL 0, IOPL 0, no VIF or VIP
POSTURE_KERNEL_IOPL = 4  # CPL 0 with any of these otherwise
POSTURES = 5

# Marks of instructions in a translation cache
MARK_COUNTS = 1  # completing it completes a guest instruction
MARK_STUB = 2  # that was simulated by a stub
MARK_LOOKUP = 4  # that was an indirect branch, and this JMP looks its target up
MARK_ENTRY = 8  # a guest instruction begins here, and how often it does is counted
MARK_RECORD = 16  # a guest instruction begins here; it is noted while Memory.recording

# Memory.record_places: EIP in the low half, and
RECORD_RING_SHIFT = 32  # the guest's CPL, two bits
RECORD_CACHE = 1 << 36  # EIP is an address in a translation cache
TRACE_V86 = 1 << 37
RECORD_CODE = 1 << 38  # record_code has its bytes, as far as they lie in its first page
# Memory.record_roots: base of CS in the high half, CR3 in the low one, and
RECORD_PAGING = 1
RECORD_WIDE = 2  # 32-bit code
RECORD_PAE = 4  # the tables are those of PAE

PERM_LARGE = 32  # part of a 4 MiB page: INVLPG drops all of it

# Interp.take_news()
NEWS_FLUSH_ALL = 1
NEWS_FLUSH_LOCAL = 2  # all but global pages
NEWS_FLUSH_PAGE = 4  # told_pages() says which
NEWS_WATCHED = 8  # traced bytes were written

# Kinds of access (the page-fault error code's bits, and fetch)
ACC_READ = 0
ACC_WRITE = 2
ACC_USER = 4
ACC_FETCH = 16

# What a watchpoint of the embedder waits for (Cpu.wp_kinds), and the bit of Cpu.dr_armed for it
WP_READ = 1
WP_WRITE = 2
ARMED_WATCHPOINT = 8


@struct
class Space:
    """What one privilege level sees: a TLB of 2^20 entries, so that no two pages alias.

    An entry of r, w and x is the host address of the page minus its linear address (0: miss), so
    that `entry + linear` is where the byte lives. `log` lists the pages that have an entry.
    """

    r: U64Ptr
    w: U64Ptr
    x: U64Ptr
    held: U64Ptr  # the entry of a page that has no fast path, as bytes of it are watched
    perm: U8Ptr
    log: U32Ptr
    count: u32
    large: u32  # 1: pieces of large pages may be among them
    sibling: Space  # next space over the same Memory


@struct
class Memory:
    """Guest RAM and what all processors over it share."""

    host: u64  # host address of physical address 0
    size: u64
    frame_map: U32Ptr  # one word for each of 2^20 frames of physical addresses: MAP_* and a place
    below: u32  # from a place, or address, to that of the RAM that is hidden there
    frame_flags: U8Ptr  # one byte for each of 2^20 frames of places
    open_bus: u32  # 1: nobody answers where there is neither MAP_MEMORY nor MAP_DEVICE
    code_bits: U8Ptr  # one bit per byte of RAM: decoded into a block (blocks.py)
    traced_bits: U8Ptr  # one bit per byte of RAM: traced (a monitor wants to know of writes)
    spaces: Space  # list of all spaces
    no_entries: U64Ptr  # a TLB that misses always: lets every access be looked at (#AC)
    write_log_count: u32  # ranges of watched bytes written by processors that are not external
    write_log_from: Annotated[list[u32], 64]  # their first physical addresses (of the first 64)
    write_log_to: Annotated[list[u32], 64]  # and the ends
    blocks: Blocks
    recording: u32  # 1: every processor notes each instruction of the guest that it begins
    record_room: u32  # entries of these arrays
    record_used: u32
    record_lost: u64  # entries that did not fit
    record_places: U64Ptr  # TRACE_*
    record_roots: U64Ptr
    record_code: U64Ptr  # two for each entry: up to 15 bytes
    record_counts: U64Ptr  # guest instructions completed before it


@struct
class Block:
    """A run of decoded instructions inside one physical page (blocks.py)."""

    first: Op
    pa: u32  # physical address of the first byte
    eip: u32
    mode: u64
    length: u32  # bytes of guest code covered
    ops: u32  # number of Ops, the closing one included
    straddles: u32  # 1: one instruction across two pages, compared with memory at every entry
    raw: Annotated[list[u32], 16]  # its bytes
    hash_next: u32  # chains of block numbers, 0 = end
    frame_next: u32
    live: u32


@struct
class Jump:
    """One line of the jump cache: where an indirect branch to `eip` went last."""

    eip: u32
    mode: u64
    entry: u64  # tlb_x entry of the page then, from where EIP counts (control.based)
    op: Op


@struct
class Blocks:
    """The cache of decoded blocks, shared by all processors over one Memory."""

    ops: OpArray
    op_count: u32
    op_max: u32
    blocks: BlockArray
    block_count: u32  # number 0 is not used
    block_max: u32
    hash_heads: U32Ptr
    frame_heads: U32Ptr
    jumps: JumpArray
    scratch: OpArray  # room for one block that is decoded for a single run
    flushes: u64
    decoded: u64  # instructions decoded so far
    invalidated: u64  # blocks dropped because their bytes were written


@struct
class Op:
    """One decoded instruction, operands resolved as far as decoding can (a cache line).

    `left` is the number of counted instructions from this one to the end of its block: entering
    a block debits it from the budget, leaving early credits it back.
    """

    fn: Handler  # status = fn(c, op)
    target: Op  # Op of the taken branch once chained
    target_entry: u64  # the same of the target's page when it was chained; 0: in the same page
    eip: u32  # of this instruction
    next_eip: u32
    imm: u32  # immediate; branch target EIP; far offset
    disp: u32
    amask: u32  # 0xFFFF or 0xFFFFFFFF: the address size
    left: i32
    need: i32  # budget it takes to enter here: left, but at least 1
    handler: u16  # index into the handler table
    sel: u16  # far pointer's selector; ENTER's level
    reg: u8  # ModRM.reg, or the register in the opcode; byte registers in get8() numbering
    rm: u8  # ModRM.rm when it is a register, same numbering
    base: u8
    index: u8
    scale: u8
    seg: u8
    size: u8  # operand size in bytes: 1, 2, 4
    rep: u8  # 0, 0xF2 or 0xF3
    modrm: u8  # the raw byte
    counted: u8  # 1 if completing it counts as a guest instruction
    opcode: u16  # 0x000-0x0FF, 0x100-0x1FF for 0F xx

    succ: PureOnly  # uncompiled only: the next op


@state
class Cpu:
    """One IA-32 processor."""

    # --- what programs see --------------------------------------------------------------
    regs: Annotated[list[u32], 9, Ring3(names=GENERAL)]
    eip: Annotated[u32, Guest()]
    # without the lazy arithmetic flags unless cc_op == CC_EFLAGS
    eflags: Annotated[u32, Guest(EFLAGS_VALID)]
    cc_op: Annotated[i32, Ring3(within="eflags")]  # lazy flags (flags.py): what computed them,
    cc_b: Annotated[u32, Ring3(within="eflags")]  # its source operand (or what the kind says),
    cc_r: Annotated[u32, Ring3(within="eflags")]  # its result, sign-extended to 32 bits
    seg_sel: Annotated[list[u32], 8, Guest(0xFFFF, of_segments("selector"))]
    seg_base: Annotated[list[u32], 8, Guest(names=of_segments("base"))]
    seg_limit: Annotated[list[u32], 8, Guest(names=of_segments("limit"))]
    seg_attr: Annotated[list[u32], 8, Guest(ATTR_ALL, of_segments("rights"))]
    gdtr_base: Annotated[u32, Guest()]
    gdtr_limit: Annotated[u32, Guest(0xFFFF)]
    idtr_base: Annotated[u32, Guest()]
    idtr_limit: Annotated[u32, Guest(0xFFFF)]
    cr0: Annotated[u32, Guest(CR0_VALID)]
    cr2: Annotated[u32, Guest()]
    cr3: Annotated[u32, Guest()]
    cr4: Annotated[u32, Guest(CR4_VALID)]
    # PAE's pointer entries, as they were when CR3 was loaded
    pdpte: Annotated[list[u64], 4, Guest(names=POINTERS)]
    dr: Annotated[list[u32], 8, Guest(names=DEBUG)]
    cpl: Annotated[u32, Guest(3)]
    tsc_offset: Annotated[u64, Guest()]  # TSC = icount + tsc_offset
    msr_sysenter_cs: Annotated[u32, Guest()]
    msr_sysenter_esp: Annotated[u32, Guest()]
    msr_sysenter_eip: Annotated[u32, Guest()]
    msr_apicbase: Annotated[u64, Guest()]
    # plain storage: the Pentium Pro's MTRRs
    msr_mtrr: Annotated[list[u64], 64, Guest(names=MTRR_MSRS)]
    # plain storage: microcode, test, performance MSRs
    msr_misc: Annotated[list[u64], 16, Guest(names=MISC_MSRS)]

    # --- x87 (x87.py) -------------------------------------------------------------------
    # physical registers R0-R7: significands
    fpr_sig: Annotated[list[u64], 8, Ring3(names=numbered("fpr", "_significand"))]
    # sign and exponent, 16 bits
    fpr_se: Annotated[list[u32], 8, Ring3(0xFFFF, numbered("fpr", "_exponent"))]
    fpu_cw: Annotated[u32, Ring3(0x1F7F)]
    fpu_sw: Annotated[u32, Ring3(0xC7FF)]  # without TOP
    fpu_top: Annotated[u32, Ring3(7)]
    fpu_tag: Annotated[u32, Ring3(0xFF)]  # bit i set: physical register i is in use
    fpu_ip: Annotated[u32, Ring3()]
    fpu_cs: Annotated[u32, Ring3(0xFFFF)]
    fpu_dp: Annotated[u32, Ring3()]
    fpu_ds: Annotated[u32, Ring3(0xFFFF)]
    fpu_op: Annotated[u32, Ring3(0x7FF)]  # 11 bits
    ferr: Annotated[u32, Ring3(1)]  # 1: FERR# asserted (unmasked error with CR0.NE = 0)
    fx: u32  # scratch (softfloat.py): what the operation in progress has to report,
    z_se: u32  # its result,
    z_sig: u64
    y_se: u32  # its second result
    y_sig: u64
    a_se: u32  # scratch (x87_math.py): operands of call_transcendental(),
    a_sig: u64
    b_se: u32
    b_sig: u64
    z_sign: u32  # its result before rounding: z_sign, z_exp, z_sig, z_low,
    z_exp: i32
    z_low: u64
    y_sign: u32  # its second result: y_sign, y_exp, y_sig, y_low
    y_exp: i32
    y_low: u64

    # --- SSE (vector_memory.py): low and high half of each register ----------------------
    xmm: Annotated[list[u64], 16, Ring3(names=XMM_HALVES)]
    mxcsr: Annotated[u32, Ring3(0xFFFF)]
    v_low: u64  # scratch: an operand of 16 bytes,
    v_high: u64
    v_place: u64  # where its bytes are, of which v_head are in the first page,
    v_place_2: u64
    v_head: u32
    v_flags: u32  # and what its elements have to report

    # --- derived from the above, kept up to date by whoever changes it ------------------
    seg_rend: Annotated[list[u64], 8]  # first offset that may not be read; 0: take the slow path
    seg_wend: Annotated[list[u64], 8]  # the same for writes
    sp_mask: u32  # 0xFFFF or 0xFFFFFFFF by SS.B
    align_check: u32  # 1: alignment checking is in force (CR0.AM, EFLAGS.AC, CPL 3)
    mode: u64  # what decoding depends on: CS.D | CS limit << 1 | external << 33

    # --- execution ----------------------------------------------------------------------
    budget: i64  # counted instructions still allowed; the running block is already debited
    # instructions completed when the budget reaches 0
    icount_end: Annotated[u64, Guest(within="icount")]
    later: i64  # more budget, handed out in slices (loop.py)
    slices: u32  # how many of them until run() lets Python handle signals
    stop_asked: u32  # 1: run() shall leave at the end of a slice; set by any thread
    # icount at which an interrupt shadow (STI, MOV SS) is in force, else ~0
    shadow_at: Annotated[u64, Guest(within="interrupt_shadow")]
    # icount right after MOV SS or POP SS: debug exceptions are held too
    ss_loaded_at: Annotated[u64, Guest(within="debug_shadow")]
    # icount at which a REP was left between two iterations, else ~0
    rep_at: Annotated[u64, Ring3(within="rep_under_way")]
    intr: Annotated[u32, Guest(1)]  # the INTR pin
    backdoor: Annotated[u32, Guest(3, set_up=True)]  # BACKDOOR_*
    # 1: VMCALL and VMMCALL leave run() with EXIT_VMWARE
    hypercalls: Annotated[u32, Guest(1, set_up=True)]
    # 1: with the magic they are backdoor calls, and CPUID says so
    hypercalls_served: Annotated[u32, Guest(1, set_up=True)]
    # what CPUID's timing leaf says: frequencies of the TSC
    tsc_khz: Annotated[u32, Guest(set_up=True)]
    bus_khz: Annotated[u32, Guest(set_up=True)]  # and of the (local APIC's) bus
    # what the model (bt/models.py) is and has: CPUID's signature, and what it lacks
    signature: u32
    absent: u64  # bit n: no feature n (features.py)
    cr4_valid: u32  # the others are reserved
    pde_reserved: u32  # in the entry of a 4 MiB page
    msr_groups: u32  # MSR_GROUP_*: which model-specific registers there are
    apic_base: u64  # what a reset leaves in IA32_APIC_BASE; 0: there is no local APIC
    cpuid_last: u32  # the last basic leaf, below 8
    cpuid_last_extended: u32  # the last one from 80000000h on, below 80000008h; 0: none
    # four registers for each basic leaf, from 32 on for the extended ones
    cpuid_leaves: Annotated[list[u32], 64]
    call_answered: u32  # 1: the instruction that left with EXIT_VMWARE only has to complete
    callbacks: u32  # device memory accesses since run() began
    deliveries: u32  # exceptions delivered since run() began
    recheck: u32  # a device callback wants the loop: leave after this instruction
    external: u32  # 1: this processor serves a monitor: exceptions and interrupts leave run()
    ring_compression: u32  # 1: its guest runs ring 0 in ring 3 elsewhere (segments.uncompressed)
    ports_open: u32  # external: code at the guest's CPL 0 runs, its port accesses go to the bus
    fault_vector: u32
    fault_error: u32
    fault_has_error: u32
    traced: u32  # 1: the page fault that ended run() is a write to traced bytes
    exit_reason: i32
    exit_arg: u32
    stops: Annotated[list[u32], 256]  # linear addresses of the embedder's breakpoints
    stop_count: u32
    wp_first: Annotated[list[u32], 16]  # the embedder's watchpoints (watchpoints.py)
    wp_last: Annotated[list[u32], 16]
    wp_kinds: Annotated[list[u32], 16]  # WP_*
    wp_total: u32
    wp_hit: u32  # 1 + the number of the watchpoint that was hit, 0: none
    wp_pass: u32  # external: 1 lets step_past() through
    wp_fault: u32  # external, 1: the page fault that ended run() is an access to watched bytes
    audit_all: u32  # 1: stop before every critical instruction, whatever the frame
    passing: u32  # 1: the first instruction is a stop we were at; 2: nor is it audited
    dr_armed: u32  # breakpoints armed: bit 0 execution, bit 1 data, bit 2 I/O, 3 the embedder's
    dr_hits: u32  # DR6 bits B0-B3 collected by accesses of this instruction
    # those of a MOV SS or POP SS, which trap after the next instruction
    dr_held: Annotated[u32, Guest(0xF)]
    singlestep: u32  # 1: TF was set when this instruction began
    rmw_host: u64  # host address of the operand of a read-modify-write, 0: take the slow path
    rmw_linear: u32
    cur: PureOnly  # uncompiled only: where go() wants to continue
    link_op: Op  # the direct branch that waits for its link

    # --- instruction fetch (decode.py) --------------------------------------------------
    fetch_host: u64  # host address of the first byte of the instruction, 0: bytes in fetch_buf
    fetch_avail: u32  # bytes that may be read
    fetch_short: u32  # 1: the instruction needs more
    run_length: u32  # bytes and end of the run just decoded (blocks.py)
    run_eip: u32
    straddles: u32  # 1: the block just found straddles pages
    fetch_buf: Annotated[list[u32], 16]

    # --- scratch of the system instructions: no meaning between instructions ------------
    ext: u32  # EXT of error codes: 1 while an interrupt or an exception is delivered
    desc_lo: u32  # the descriptor fetched last (descriptors.py)
    desc_hi: u32
    frame_sel: u32  # the stack on which a gate builds its frame (gate_frames.py)
    frame_lo: u32
    frame_hi: u32
    frame_base: u32
    frame_limit: u32
    frame_attr: u32
    frame_esp: u32
    frame_user: u32  # ACC_USER if that stack belongs to CPL 3
    frame_error: u32  # selector for its #SS
    pdpte_read: Annotated[list[u64], 4]  # pointer entries before they are looked at (pae.py)
    tss_image: Annotated[list[u32], 26]  # the incoming task's TSS (tasks.py)
    io_icount: u64  # instructions completed before the access to a device under way
    io_left: u32  # how many of its block are still to come, paid for already
    io_begun: u32  # 1: the block begins one more, which ends in the next and is not paid for
    kept: i64  # budget kept aside while an instruction runs alone (run_alone)
    # an edge of the NMI pin that was not delivered yet; the embedder's to look at
    nmi_pending: Annotated[u32, Guest(1)]
    nmi_blocked: Annotated[u32, Guest(1)]  # from the delivery of an NMI until IRET

    # --- memory (memory.py, paging.py) --------------------------------------------------
    ram: Any  # memoryview of guest RAM
    many_ports: u32  # 1: the bus has read_ports and write_ports, for many elements at once
    bus: Any  # of the embedder: read_port, write_port, read_memory, write_memory
    host_error: Any  # the exception a device callback raised
    mem: Memory
    a20_mask: Annotated[u32, Guest(within="a20")]
    flushes_all: u32  # what happened to the TLB, for a monitor that shadows it
    flushes_local: u32
    flushes_page: u32
    pages_told: u32  # how many of these the last take_news() spoke of
    flushed_pages: Annotated[list[u32], 16]  # linear addresses of the first INVLPGs of those
    tlb_r: U64Ptr  # of the space in use: user_space at CPL 3, else sup_space
    tlb_w: U64Ptr
    tlb_x: U64Ptr
    user_space: Space
    sup_space: Space  # also for implicit accesses: descriptors, TSS, gates
    guest_cpl: u32  # external: of the guest that it runs
    guest_root: u64  # external: the same's CR3, as Memory.record_roots has it
    count_base: u32  # linear region where only marked instructions count (a translation cache)
    count_size: u32
    count_marks: U8Ptr  # a byte per byte of that region: MARK_* of the instruction there
    counts_entries: u32  # is there an array:
    entry_counts: U64Ptr  # for each byte of it, how often the MARK_ENTRY there was met
    stubs_done: u64  # stubs completed
    lookups: u64  # indirect branches that looked their target up in a table of landings
    halted: Annotated[u32, Guest(1)]  # HLT has completed and nothing came yet; the embedder's

    # --- devices in memory (physical.py) ------------------------------------------------
    running: u32  # RUN_*
    meets_device: u32  # 1: the instruction was stopped before an access to a device: run it alone
    for_itself: u32  # 1: the access under way is to code or to page tables, not an operand's
    scratched: u32  # 1: the op just found was decoded for one run only
    fetch_outside: u32  # 1: some of the bytes in fetch_buf came from the bus
    spare: i64  # time behind the budget, which wait() may take

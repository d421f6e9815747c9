"""The run loop: blocks one after the other, and what happens between two instructions.

The order of events there is that of SDM vol. 3, table 6-2: traps of the previous instruction
(single step, data breakpoints), then interrupts, then code breakpoints and faults of the next one.
"""

from __future__ import annotations

from bt.interp.blocks import find_block, scratch_block
from bt.interp.debug_regs import ARMED_CODE
from bt.interp.dialect import (
    M32,
    M64,
    func,
    i32,
    i64,
    is_null,
    u32,
    u64,
)
from bt.interp.gates import raise_exception
from bt.interp.memory import raise_plain
from bt.interp.pure import (
    op_null,
    start,
)
from bt.interp.state import (
    CS,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_HALT,
    EXIT_INTERRUPT,
    EXIT_IO,
    EXIT_NONE,
    EXIT_SIGNALS,
    EXIT_STOPPED,
    EXIT_WATCHPOINT,
    IF,
    RF,
    RUN_ALONE,
    RUN_BETWEEN,
    RUN_BLOCK,
    SLICE,
    ST_EXIT,
    ST_FAULT,
    ST_LOOKUP,
    TF,
    VEC_DB,
    Cpu,
    Op,
)

DR6_BS = 0x4000
# A handler whose first instruction faults is delivered to for ever, and no instruction completes
# that would use up the budget: after so many exceptions run() comes back.
MANY_DELIVERIES = 4096

# A budget is handed out in slices. Between two of them EIP is where a budget may end, and another
# thread's stop() takes effect. So many are between looks for signals, which need Python's lock:
SLICES = 64


@func
def icount_now(c: Cpu) -> u64:
    """Instructions completed so far (between instructions)."""
    return (c.icount_end - c.budget) & M64


@func
def hand_out(c: Cpu, most: i64) -> i32:
    """Another slice of the budget."""
    piece: i64 = c.later if c.later < most else most
    c.later -= piece
    c.budget += piece
    c.icount_end = (c.icount_end + piece) & M64
    c.slices -= 1
    return 0


@func
def begin_run(c: Cpu, budget: i64) -> i32:
    """Before run_loop(), from the count that icount_now() says."""
    c.icount_end = icount_now(c)
    c.budget = 0
    c.later = budget
    c.slices = SLICES
    hand_out(c, 1 if c.stop_asked else SLICE)  # one at least, or a guest may stand still
    c.recheck = 0
    c.deliveries = 0
    c.traced = 0
    c.wp_fault = 0
    at: u32 = (c.eip + c.seg_base[CS]) & M32
    here: u32 = 1 if c.exit_reason == EXIT_BREAKPOINT and c.exit_arg == at else 0
    c.passing = 1 if here and c.stop_count else 0
    return 0


@func
def slice_ended(c: Cpu) -> i32:
    """EXIT_NONE if there is another one, else why not."""
    if c.later == 0:
        return EXIT_BUDGET
    if c.stop_asked:
        c.stop_asked = 0
        return EXIT_STOPPED
    if c.slices == 0:
        return EXIT_SIGNALS
    hand_out(c, SLICE)
    return EXIT_NONE


@func
def settle_fault(c: Cpu) -> i32:
    """An instruction faulted: vector to the guest's handler, or leave for the monitor."""
    if c.external:
        c.exit_reason = EXIT_EXCEPTION
        return EXIT_EXCEPTION
    if raise_exception(c) < 0:
        return c.exit_reason
    c.deliveries += 1
    if c.deliveries >= MANY_DELIVERIES:
        c.deliveries = 0
        c.recheck = 1
    return EXIT_NONE


@func
def code_breakpoint(c: Cpu) -> u32:
    """DR6 bits of the armed execution breakpoints at c.eip."""
    hits: u32 = 0
    la: u32 = (c.eip + c.seg_base[CS]) & M32
    for i in range(4):
        if c.dr[7] & (3 << (2 * i)) and (c.dr[7] >> (16 + 4 * i)) & 3 == 0 and c.dr[i] == la:
            hits |= 1 << i
    return hits


@func
def debug_trap(c: Cpu, bits: u32) -> i32:
    """#DB between instructions; bits go to DR6."""
    c.dr[6] |= bits
    raise_plain(c, VEC_DB)
    return settle_fault(c)


@func
def step_interrupted(c: Cpu, status: i32, held: u32, resume: u32) -> i32:
    """The watched instruction has not completed: it faulted, or REP has iterations left.

    A trap between two iterations returns with RF set (SDM vol. 3, 17.3.1.1).
    """
    if status == ST_FAULT:
        c.singlestep = 0
        reason = settle_fault(c)
        return debug_trap(c, held) if held and reason == EXIT_NONE else reason
    bits: u32 = c.dr_hits | held
    if c.singlestep:
        bits |= DR6_BS
    c.singlestep = 0
    c.eflags |= RF if bits else resume
    return debug_trap(c, bits) if bits else EXIT_NONE


@func
def run_alone(c: Cpu, op: Op) -> i32:
    """One instruction by itself, so that an access to a device knows when it is: its status."""
    c.io_icount = icount_now(c)
    c.io_left = op.left if op.rep else 0  # a REP comes again itself
    c.io_begun = 0
    c.kept = c.budget - op.left  # aside: a branch must not run on into a block it finds
    c.icount_end -= c.kept
    c.budget = 0
    c.running = RUN_ALONE
    status = start(c, op)
    c.running = RUN_BETWEEN
    c.budget += c.kept
    c.icount_end += c.kept
    c.kept = 0
    return status


@func
def step_watched(c: Cpu) -> i32:
    """One instruction with everything looked at: TF, debug registers, interrupt shadow."""
    if c.dr_armed & ARMED_CODE and c.eflags & RF == 0 and c.ss_loaded_at != icount_now(c):
        hits = code_breakpoint(c)
        if hits:
            c.dr[6] |= hits
            raise_plain(c, VEC_DB)
            return settle_fault(c)
    c.singlestep = 1 if c.eflags & TF else 0
    c.dr_hits = 0
    held = c.dr_held
    c.dr_held = 0
    op = scratch_block(c, 1)
    c.scratched = 0
    c.passing = 0
    if is_null(op):
        return step_interrupted(c, ST_FAULT, held, 0)
    resume: u32 = c.eflags & RF
    c.eflags &= ~RF & M32  # for this instruction; IRET and task switches may set it anew
    count = icount_now(c)
    status = run_alone(c, op)
    unfinished: u32 = 1 if status == ST_LOOKUP and icount_now(c) == count else 0
    if status == ST_FAULT or unfinished:
        return step_interrupted(c, status, held, resume)
    if status == ST_EXIT and c.exit_reason != EXIT_IO and c.exit_reason != EXIT_HALT:
        c.eflags |= resume
        c.dr_held = held
        return c.exit_reason
    bits: u32 = c.dr_hits
    if c.ss_loaded_at == icount_now(c):
        c.dr_held = bits
        bits = 0
    bits |= held
    if c.singlestep:
        bits |= DR6_BS
    c.singlestep = 0
    if status == ST_EXIT and c.exit_reason == EXIT_HALT and not bits:
        return EXIT_HALT
    if bits:
        return debug_trap(c, bits)
    return EXIT_NONE


@func
def run_block(c: Cpu) -> i32:
    """From c.eip on, until something needs the loop."""
    op = find_block(c)
    c.link_op = op_null()
    if is_null(op):
        return settle_fault(c)
    if c.budget < op.need and c.later and c.slices and c.stop_asked == 0:
        hand_out(c, SLICE)
    if c.budget < op.need:
        op = scratch_block(c, 1)  # one by one to the end, so that each sees what the last wrote
        if is_null(op):
            return settle_fault(c)
    status: i32 = 0
    alone: u32 = 0
    if c.scratched:  # decoded for one run only
        c.scratched = 0
        alone = 1 if c.external == 0 else 0
    if alone:
        status = run_alone(c, op)
    else:
        c.budget -= op.left
        c.running = RUN_BLOCK
        status = start(c, op)
        c.running = RUN_BETWEEN
    if status == ST_LOOKUP:
        return EXIT_NONE
    c.link_op = op_null()
    if status == ST_FAULT:
        if c.meets_device:
            c.meets_device = 0
            return step_watched(c)
        return settle_fault(c)
    if status == ST_EXIT:
        return c.exit_reason
    return EXIT_NONE  # ST_BUDGET: the loop decides


@func
def run_loop(c: Cpu) -> i32:
    """Run until an exit; the reason is also in c.exit_reason."""
    reason: i32 = EXIT_NONE
    c.link_op = op_null()
    while reason == EXIT_NONE:
        if c.wp_hit:
            reason = EXIT_WATCHPOINT
        elif c.recheck:
            reason = EXIT_IO
        elif c.budget <= 0:
            reason = slice_ended(c)
        elif c.intr and c.eflags & IF and c.shadow_at != icount_now(c):
            reason = EXIT_INTERRUPT
        elif c.eflags & (TF | RF) or c.dr_armed or c.passing or (c.intr and c.eflags & IF):
            c.link_op = op_null()
            reason = step_watched(c)
        else:
            reason = run_block(c)
    c.exit_reason = reason
    return reason

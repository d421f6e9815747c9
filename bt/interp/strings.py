"""String instructions and REP: MOVS CMPS STOS LODS SCAS INS OUTS (SDM vol. 1, 7.3.9; vol. 2, REP).

The source is (E)SI in DS, or the segment of a prefix, the destination (E)DI in ES. Address size
decides whether SI, DI and CX or ESI, EDI and ECX are meant; DF whether they count down.

REP repeats while (E)CX is not 0; each iteration ends with the registers as they are between two
iterations, so a fault in iteration k leaves what k-1 iterations did and EIP at the instruction,
which simply goes on when it is restarted. The same is used to stop on our own account. One
*dispatch* of a body does at most REP_SLICE iterations (a slow one counts for many), one when
single-stepping (TF traps after each), and stops after an iteration in which a device asked for the
loop or a data breakpoint hit. Then it has not completed: it goes back to the block lookup with EIP
at itself, not counted.

An iteration that writes over the instruction itself ends the dispatch too, so that the next one
is fetched anew. Without this rule, how far the old instruction runs on would depend on where a
dispatch happens to end, which bare and translated is not the same place.

Speed comes from *runs*. When the elements ahead lie in one page for each operand, both pages are in
the TLB, and segment limit and address size allow them, they are handled on host addresses at once:

    rep movsd, ESI=0x1F80, EDI=0x5000, ECX=100:  a run of 32 elements to 0x1FFF, then one of 68

Everything else (DF=1, page crossings, device memory, pages with code) goes element by element.
INS and OUTS have runs where the device at the port gives or takes many elements at once, as a
disk's data port does in the middle of a sector.
"""

from __future__ import annotations

from bt.interp.counting import icount_at
from bt.interp.debug_regs import ARMED_IO
from bt.interp.dialect import (
    M16,
    M32,
    M64,
    call_read_ports,
    call_write_ports,
    func,
    host_copy,
    host_fill,
    i32,
    i64,
    inline,
    ld8,
    ld16,
    ld32,
    st8,
    st16,
    st32,
    u32,
    u64,
)
from bt.interp.flags import CC_SUB, cc_zero, set_cc, size_mask
from bt.interp.memory import fault, host_of, load, store
from bt.interp.operands import get_reg, set_reg
from bt.interp.paging import known_entry
from bt.interp.ports import element_in, element_out, io_access, io_allowed, io_done
from bt.interp.probe import probe_write
from bt.interp.state import (
    CS,
    DF,
    EAX,
    ECX,
    EDI,
    EDX,
    ES,
    ESI,
    ST_LOOKUP,
    Cpu,
    Op,
)
from bt.interp.vmware import BACKDOOR_HIGH_PORT, BACKDOOR_PORT

REP_SLICE = 65536  # iterations in one dispatch
SLOW = 16  # what an iteration off the fast path costs of it: the embedder must not wait for long
SLOW_FROM = 4096  # but so many are done in any case
LEAST_RUN = 4  # elements for which a port is asked for many at once
REPE = 0xF3


# --- pointers and counts ---------------------------------------------------------------


@inline
def pointer(c: Cpu, op: Op, reg: u32) -> u32:
    """ESI or EDI in the address size."""
    return c.regs[reg] & op.amask


@inline
def advance(c: Cpu, op: Op, reg: u32, delta: u32) -> i32:
    """Add to ESI, EDI or ECX (delta a u32 pattern) within the address size."""
    mask = op.amask
    c.regs[reg] = (c.regs[reg] & ~mask & M32) | ((c.regs[reg] + delta) & mask)
    return 0


@inline
def element_step(c: Cpu, op: Op) -> u32:
    """How far a pointer moves for one element: up, or down with DF set."""
    size: u32 = op.size
    return (-size & M32) if c.eflags & DF else size


@inline
def rep_turns(c: Cpu, op: Op) -> u32:
    """Iterations to do in this dispatch."""
    count: u32 = c.regs[ECX] & op.amask
    if c.singlestep and count > 1:
        return 1
    return count if count < REP_SLICE else REP_SLICE


@inline
def rep_after(c: Cpu, op: Op, done: u32, turns: u32) -> u32:
    """Count (E)CX down for iterations that are done; returns how many may still follow now."""
    advance(c, op, ECX, -done & M32)
    return 0 if c.recheck or c.dr_hits or c.wp_hit else turns - done


@inline
def rep_after_step(c: Cpu, op: Op, turns: u32) -> u32:
    """rep_after() for one iteration off the fast path."""
    left: u32 = rep_after(c, op, 1, turns)
    return left - SLOW if left > SLOW_FROM else left


@inline
def bytes_before(dst: u64, size: u32, own: u64, length: u32) -> u32:
    """Of size bytes from dst upwards, how many come before the first of length bytes at own."""
    if dst + size <= own or dst >= own + length:
        return size
    return (own - dst) & M32 if dst < own else 0


@func
def clear_of_itself(c: Cpu, op: Op, la: u32, entry: u64, size: u32) -> u32:
    """Of size bytes to be written at la, how many come before the instruction's own bytes.

    These are looked for at their linear address and, with a TLB entry of la's page, where they lie
    in memory: the write may go through another alias.
    """
    length: u32 = (op.next_eip - op.eip) & M32
    own: u32 = (op.eip + c.seg_base[CS]) & M32
    clear: u32 = bytes_before(la, size, own, length)
    code = c.tlb_x[own >> 12]
    if entry != 0 and code != 0:
        clear = bytes_before(host_of(entry, la), clear, host_of(code, own), length)
    return clear


@func
def rep_after_write(c: Cpu, op: Op, edi: u32, turns: u32) -> u32:
    """rep_after_step() when the iteration wrote an element to ES:edi."""
    la: u32 = (edi + c.seg_base[ES]) & M32
    left: u32 = rep_after_step(c, op, turns)
    space = c.user_space if c.cpl == 3 else c.sup_space  # tlb_r is empty where #AC is looked for
    entry: u64 = known_entry(space, la >> 12)
    return left if clear_of_itself(c, op, la, entry, op.size) == op.size else 0


@func
def rep_end(c: Cpu, op: Op, more: u32) -> i32:
    """End of a dispatch: completed, or (more) to be restarted with the count that is left."""
    if more:
        c.rep_at = icount_at(c, op)
        c.budget += op.left
        c.eip = op.eip
        if c.singlestep == 0 and c.dr_hits == 0:
            c.recheck = 1  # four thousand million iterations must not keep the embedder waiting
        return ST_LOOKUP
    return io_done(c, op)


@inline
def rep_left(c: Cpu, op: Op) -> u32:
    return 1 if c.regs[ECX] & op.amask else 0


# --- runs: many elements in one page, on host addresses --------------------------------


@inline
def ld_host(c: Cpu, host: u64, size: u32) -> u32:
    if size == 4:
        return ld32(c, host)
    if size == 2:
        return ld16(c, host)
    return ld8(c, host)


@inline
def st_host(c: Cpu, host: u64, size: u32, value: u32) -> i32:
    if size == 4:
        st32(c, host, value)
    elif size == 2:
        st16(c, host, value)
    else:
        st8(c, host, value)
    return 0


@func
def run_length(c: Cpu, op: Op, seg: u32, end: u64, offset: u32, turns: u32) -> u32:
    """How many elements from offset upwards stay in page, segment (end) and address size."""
    shift: u32 = op.size >> 1  # size 1, 2, 4: divide by shifting
    top: u64 = op.amask
    top += 1
    if end < top:
        top = end
    if c.eflags & DF or offset >= top:
        return 0
    room: u64 = (top - offset) >> shift
    page: u64 = (0x1000 - ((offset + c.seg_base[seg]) & 0xFFF)) >> shift
    if page < room:
        room = page
    if turns < room:
        return turns
    return room & M32


@inline
def source_run(c: Cpu, op: Op, seg: u32, reg: u32, turns: u32) -> u32:
    """Elements that can be read in a run at ESI or EDI; 0: none."""
    offset = pointer(c, op, reg)
    if c.tlb_r[((offset + c.seg_base[seg]) & M32) >> 12] == 0:
        return 0
    return run_length(c, op, seg, c.seg_rend[seg], offset, turns)


@inline
def target_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Elements that can be written in a run at ES:EDI; 0: none."""
    offset = pointer(c, op, EDI)
    la: u32 = (offset + c.seg_base[ES]) & M32
    entry = c.tlb_w[la >> 12]
    if entry == 0:
        return 0
    n: u32 = run_length(c, op, ES, c.seg_wend[ES], offset, turns)
    if n == 0:
        return 0
    shift: u32 = op.size >> 1
    return clear_of_itself(c, op, la, entry, n << shift) >> shift


@inline
def source_host(c: Cpu, op: Op, seg: u32, reg: u32) -> u64:
    la: u32 = (pointer(c, op, reg) + c.seg_base[seg]) & M32
    return host_of(c.tlb_r[la >> 12], la)


@inline
def target_host(c: Cpu, op: Op) -> u64:
    la: u32 = (pointer(c, op, EDI) + c.seg_base[ES]) & M32
    return host_of(c.tlb_w[la >> 12], la)


@func
def copy_elements(c: Cpu, dst: u64, src: u64, size: u32, count: u32) -> i32:
    """Copy upwards one by one: with dst just above src this repeats a pattern."""
    at: u64 = 0
    for _ in range(count):
        st_host(c, dst + at, size, ld_host(c, src + at, size))
        at += size
    return 0


# --- MOVS ------------------------------------------------------------------------------


@func
def movs_step(c: Cpu, op: Op) -> i64:
    size: u32 = op.size
    v = load(c, op.seg, pointer(c, op, ESI), size)
    if v < 0:
        return -1
    if store(c, ES, pointer(c, op, EDI), size, v & M32) < 0:
        return -1
    delta = element_step(c, op)
    advance(c, op, ESI, delta)
    advance(c, op, EDI, delta)
    return 0


@func
def movs_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Move a run; returns its elements, 0: none."""
    n: u32 = source_run(c, op, op.seg, ESI, turns)
    if n != 0:
        n = target_run(c, op, n)
    if n == 0:
        return 0
    src = source_host(c, op, op.seg, ESI)
    dst = target_host(c, op)
    length: u32 = n * op.size
    above: u64 = (dst - src) & M64
    if above != 0 and above < length:
        copy_elements(c, dst, src, op.size, n)
    else:
        host_copy(c, dst, src, length)
    advance(c, op, ESI, length)
    advance(c, op, EDI, length)
    return n


# --- STOS ------------------------------------------------------------------------------


@func
def stos_step(c: Cpu, op: Op) -> i64:
    size: u32 = op.size
    if store(c, ES, pointer(c, op, EDI), size, get_reg(c, EAX, size)) < 0:
        return -1
    advance(c, op, EDI, element_step(c, op))
    return 0


@func
def stos_run(c: Cpu, op: Op, turns: u32) -> u32:
    n: u32 = target_run(c, op, turns)
    if n == 0:
        return 0
    size: u32 = op.size
    host_fill(c, target_host(c, op), get_reg(c, EAX, size), size, n)
    advance(c, op, EDI, n * size)
    return n


# --- LODS ------------------------------------------------------------------------------


@func
def lods_step(c: Cpu, op: Op) -> i64:
    size: u32 = op.size
    v = load(c, op.seg, pointer(c, op, ESI), size)
    if v < 0:
        return -1
    set_reg(c, EAX, size, v & M32)
    advance(c, op, ESI, element_step(c, op))
    return 0


@func
def lods_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Of a run of loads from RAM only the last one shows."""
    n: u32 = source_run(c, op, op.seg, ESI, turns)
    if n == 0:
        return 0
    size: u32 = op.size
    last: u32 = (n - 1) * size
    set_reg(c, EAX, size, ld_host(c, source_host(c, op, op.seg, ESI) + last, size))
    advance(c, op, ESI, n * size)
    return n


# --- SCAS and CMPS: REPE goes on while equal, REPNE while not --------------------------


@inline
def note_compare(c: Cpu, size: u32, a: u32, b: u32) -> i32:
    """Flags of CMP a, b."""
    set_cc(c, CC_SUB, size, b, (a - b) & size_mask(size))
    return 0


@inline
def wanted_zero(op: Op) -> u32:
    """The ZF with which the repetition goes on."""
    return 1 if op.rep == REPE else 0


@func
def scas_step(c: Cpu, op: Op) -> i64:
    size: u32 = op.size
    v = load(c, ES, pointer(c, op, EDI), size)
    if v < 0:
        return -1
    note_compare(c, size, get_reg(c, EAX, size), v & M32)
    advance(c, op, EDI, element_step(c, op))
    return 0


@func
def scas_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Scan a run up to the element that ends the repetition; returns how many were looked at."""
    n: u32 = source_run(c, op, ES, EDI, turns)
    if n == 0:
        return 0
    size: u32 = op.size
    host: u64 = source_host(c, op, ES, EDI)
    a: u32 = get_reg(c, EAX, size)
    wanted = wanted_zero(op)
    v: u32 = 0
    done: u32 = 0
    going: u32 = 1
    while going and done < n:
        v = ld_host(c, host, size)
        host += size
        done += 1
        going = 1 if (1 if v == a else 0) == wanted else 0
    note_compare(c, size, a, v)
    advance(c, op, EDI, done * size)
    return done


@func
def cmps_step(c: Cpu, op: Op) -> i64:
    size: u32 = op.size
    b = load(c, ES, pointer(c, op, EDI), size)  # first, as processors do: it may fault first
    if b < 0:
        return -1
    a = load(c, op.seg, pointer(c, op, ESI), size)
    if a < 0:
        return -1
    note_compare(c, size, a & M32, b & M32)
    delta = element_step(c, op)
    advance(c, op, ESI, delta)
    advance(c, op, EDI, delta)
    return 0


@func
def cmps_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Compare a run up to the element that ends the repetition; returns how many were looked at."""
    n: u32 = source_run(c, op, op.seg, ESI, turns)
    if n != 0:
        n = source_run(c, op, ES, EDI, n)
    if n == 0:
        return 0
    size: u32 = op.size
    first: u64 = source_host(c, op, op.seg, ESI)
    second: u64 = source_host(c, op, ES, EDI)
    wanted = wanted_zero(op)
    a: u32 = 0
    b: u32 = 0
    done: u32 = 0
    going: u32 = 1
    while going and done < n:
        a = ld_host(c, first, size)
        b = ld_host(c, second, size)
        first += size
        second += size
        done += 1
        going = 1 if (1 if a == b else 0) == wanted else 0
    note_compare(c, size, a, b)
    advance(c, op, ESI, done * size)
    advance(c, op, EDI, done * size)
    return done


# --- INS and OUTS ----------------------------------------------------------------------


@func
def ins_step(c: Cpu, op: Op) -> i64:
    """Port DX to ES:EDI. The port is only read once the write is known to succeed."""
    size: u32 = op.size
    port: u32 = c.regs[EDX] & M16
    if io_allowed(c, port, size) < 0:
        return -1
    if probe_write(c, ES, pointer(c, op, EDI), size) < 0:
        return -1
    io_access(c, op, port, size)
    value: u32 = element_in(c, port, size) & size_mask(size)
    if store(c, ES, pointer(c, op, EDI), size, value) < 0:
        return -1
    advance(c, op, EDI, element_step(c, op))
    return 0


@func
def outs_step(c: Cpu, op: Op) -> i64:
    size: u32 = op.size
    port: u32 = c.regs[EDX] & M16
    if io_allowed(c, port, size) < 0:
        return -1
    v = load(c, op.seg, pointer(c, op, ESI), size)
    if v < 0:
        return -1
    io_access(c, op, port, size)
    element_out(c, port, size, v & M32)
    advance(c, op, ESI, element_step(c, op))
    return 0


@inline
def one_by_one(c: Cpu, port: u32) -> u32:
    """Does an access to this port mean more than to move an element?"""
    if c.many_ports == 0 or c.dr_armed & ARMED_IO:
        return 1
    return 1 if c.backdoor and (port == BACKDOOR_PORT or port == BACKDOOR_HIGH_PORT) else 0


@func
def ins_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Read a run from a port whose device has that much ready; 0: it has not."""
    n: u32 = target_run(c, op, turns)
    port: u32 = c.regs[EDX] & M16
    if n < LEAST_RUN or one_by_one(c, port) or io_allowed(c, port, op.size) < 0:
        return 0
    io_access(c, op, port, op.size)
    n = call_read_ports(c, port, op.size, n, target_host(c, op))
    advance(c, op, EDI, n * op.size)
    return n


@func
def outs_run(c: Cpu, op: Op, turns: u32) -> u32:
    """Write a run to a port whose device takes that much; 0: it does not."""
    n: u32 = source_run(c, op, op.seg, ESI, turns)
    port: u32 = c.regs[EDX] & M16
    if n < LEAST_RUN or one_by_one(c, port) or io_allowed(c, port, op.size) < 0:
        return 0
    io_access(c, op, port, op.size)
    n = call_write_ports(c, port, op.size, n, source_host(c, op, op.seg, ESI))
    advance(c, op, ESI, n * op.size)
    return n


# --- the instructions ------------------------------------------------------------------

MOVS = 0
STOS = 1
LODS = 2
SCAS = 3
CMPS = 4
INS = 5
OUTS = 6


@inline
def string_step(c: Cpu, op: Op, kind: u32) -> i64:
    """One iteration; -1: it faulted, and nothing has changed."""
    if kind == MOVS:
        return movs_step(c, op)
    if kind == STOS:
        return stos_step(c, op)
    if kind == LODS:
        return lods_step(c, op)
    if kind == SCAS:
        return scas_step(c, op)
    if kind == CMPS:
        return cmps_step(c, op)
    if kind == INS:
        return ins_step(c, op)
    return outs_step(c, op)


@inline
def string_run(c: Cpu, op: Op, kind: u32, turns: u32) -> u32:
    """A run of iterations; how many, 0: none is possible here."""
    if kind == MOVS:
        return movs_run(c, op, turns)
    if kind == STOS:
        return stos_run(c, op, turns)
    if kind == LODS:
        return lods_run(c, op, turns)
    if kind == SCAS:
        return scas_run(c, op, turns)
    if kind == CMPS:
        return cmps_run(c, op, turns)
    if kind == INS:
        return ins_run(c, op, turns)
    return outs_run(c, op, turns)


@inline
def string(c: Cpu, op: Op, kind: u32) -> i32:
    """A string instruction, or one dispatch of its repetition. `kind` is a constant where it is
    called, so that compiled each has a loop of its own."""
    if op.rep == 0:
        return fault(c, op) if string_step(c, op, kind) < 0 else io_done(c, op)
    turns = rep_turns(c, op)
    if (kind == INS or kind == OUTS) and turns == 0:  # processors ask all the same
        if io_allowed(c, c.regs[EDX] & M16, op.size) < 0:
            return fault(c, op)
    more: u32 = rep_left(c, op)
    while turns != 0:
        done: u32 = string_run(c, op, kind, turns)
        if done != 0:
            turns = rep_after(c, op, done, turns)
        else:
            edi: u32 = pointer(c, op, EDI)
            if string_step(c, op, kind) < 0:
                return fault(c, op)
            if kind == MOVS or kind == STOS or kind == INS:
                turns = rep_after_write(c, op, edi, turns)
            else:
                turns = rep_after_step(c, op, turns)
        more = rep_left(c, op)
        if (kind == SCAS or kind == CMPS) and cc_zero(c) != wanted_zero(op):
            turns = 0
            more = 0
    return rep_end(c, op, more)


@func
def movs(c: Cpu, op: Op) -> i32:
    return string(c, op, MOVS)


@func
def stos(c: Cpu, op: Op) -> i32:
    return string(c, op, STOS)


@func
def lods(c: Cpu, op: Op) -> i32:
    return string(c, op, LODS)


@func
def scas(c: Cpu, op: Op) -> i32:
    return string(c, op, SCAS)


@func
def cmps(c: Cpu, op: Op) -> i32:
    return string(c, op, CMPS)


@func
def ins(c: Cpu, op: Op) -> i32:
    return string(c, op, INS)


@func
def outs(c: Cpu, op: Op) -> i32:
    return string(c, op, OUTS)

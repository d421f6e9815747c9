"""Crossings that need no Python: the compiled half of a monitor (Bugnion et al. 2012, section 4).

    choose      by the guest's posture: as it is, out of the cache, or emulated
    enter       registers, flags and truncated segments into the engine
    leave       and back; out of the cache, rolled back to the guest's instruction
    answer      the shadow is filled, or the ideal processor does one step

Everything here is what monitor/vmm does, too, in `VirtualProcessor` and `TranslatingProcessor`; it
has no answer of its own. Whatever is not common is left to those: a block to be translated, a
branch to be chained, a flushed TLB, a page to be searched, traced bytes that were written. What
lies in the cache is learned from them: a place where Python has handled an exit is a known one.

Only plain memory is touched, so that the same code can run where there is no Python.

Worked example, Linux' `INT 80h`: the engine leaves direct execution with EXIT_SOFTINT; one step of
the ideal processor goes through the guest's gate; its posture is the kernel's now, the table knows
the block at its EIP, and the engine enters the cache there. Nobody else was asked.
"""

from __future__ import annotations

from bt.interp.crossing_state import (
    FRAME_IS_AUDITED,
    FRAME_IS_CLEAN,
    HOW_DIRECT,
    HOW_EMULATED,
    HOW_TRANSLATED,
    HOW_UNDECIDED,
    LATEST,
    LEFT_DIRECT,
    LEFT_LOOK,
    LEFT_NONE,
    LEFT_SIGNALS,
    LEFT_STEPPED,
    LEFT_TRANSLATED,
    LEFT_TURN,
    NOTE_CRITICAL,
    NOTE_EMULATE,
    NOTE_FILL,
    NOTE_INT,
    NOTE_TRACED,
    NOTE_VECTOR,
    PLACE_AFTER_STI,
    PLACE_EMULATE,
    PLACE_KNOWN,
    TARGETS,
    CrossingState,
)
from bt.interp.dialect import (
    M32,
    M64,
    check_signals,
    func,
    i32,
    i64,
    inline,
    ld32,
    nogil,
    over8,
    over32,
    over64,
    state,
    u32,
    u64,
)
from bt.interp.interp import Interp
from bt.interp.loop import SLICES, begin_run, icount_now, run_loop
from bt.interp.paging import FLUSHED_PAGES, fill, find_place, flush_space, invalidate_page
from bt.interp.ram import AddressSpace, space_of
from bt.interp.state import (
    ACC_FETCH,
    ACC_USER,
    ACC_WRITE,
    EAX,
    ECX,
    ESI,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_SIGNALS,
    EXIT_SOFTINT,
    FRAME_RAM,
    IF,
    OUTSIDE,
    PERM_EXEC,
    PERM_PRESENT,
    PERM_WRITE,
    RF,
    TF,
    VEC_PF,
    Cpu,
)
from bt.interp.transfer import (
    enter_ring3,
    fill_segment_access,
    fill_vcpu_page,
    flat_code,
    leave_ring3,
    posture,
    take_null_segments,
    take_virtual_if,
    vcpu_segment,
)

MOST_TURNS = 16_384  # then the run comes back, so that time limits and signals are looked at
LONG_TURN = 256  # as so many counts one of
EMULATED_AT_ONCE = 32_768  # instructions; as in monitor/vmm/virtual.py
# Of the vCPU page and the undo masks, as bt/vcpu_page.py has them (a test compares)
PAGE_SAVE_EAX = 0x00
PAGE_SAVE_ECX = 0x04
PAGE_TARGET = 0x08
PAGE_STI_BEFORE = 0x0C
PAGE_SAVE_ESI = 0x10
CROSS_UNDO_EAX = 1
CROSS_UNDO_ECX = 2
CROSS_UNDO_TARGET = 4
CROSS_UNDO_TARGET_ECX = 8
CROSS_UNDO_ESI = 0x10


@inline
def line_of(eip: u32, context: u32) -> u32:
    """Where in the table of blocks one is looked for."""
    return (eip ^ eip >> 15 ^ context << 9) & (TARGETS - 1)


@func
def note(x: CrossingState, why: u32, eip: u32) -> i32:
    """The engine has left: count why, and keep it for who looks."""
    x.notes[why] += 1
    at: u32 = x.noted & (LATEST - 1)
    x.latest_why[at] = why
    x.latest_eip[at] = eip
    x.latest_count[at] = x.total
    x.noted += 1
    return 0


# --- the ideal processor ----------------------------------------------------------------------


@func
def follow_flushes(x: CrossingState, ideal: Cpu) -> i32:
    """What the ideal processor flushed from its TLB, the shadows lose, too; 0: ask Python.

    Which knows what else depends on a page: translations, shadow descriptors.
    """
    if ideal.flushes_all or ideal.flushes_page > FLUSHED_PAGES:
        return 0
    if ideal.flushes_local and x.locals:
        return 0
    for i in range(ideal.flushes_page):
        if x.interest[ideal.flushed_pages[i] >> 12]:
            return 0
    if ideal.flushes_local:
        ideal.flushes_local = 0
        x.flushes += 1
        flush_space(x.user, 1)
        flush_space(x.kernel, 1)
    for i in range(ideal.flushes_page):
        if ideal.flushed_pages[i] < x.ceiling:
            invalidate_page(x.user, ideal.flushed_pages[i])
            invalidate_page(x.kernel, ideal.flushed_pages[i])
    ideal.flushes_page = 0
    return 1


@func
def run_ideal(x: CrossingState, ideal: Cpu, budget: i64) -> i32:
    """So many instructions of the ideal processor's."""
    ideal.icount_end = (x.total + ideal.budget) & M64
    behind: i64 = x.end - x.total - budget
    ideal.spare = behind if behind > 0 else 0
    begin_run(ideal, budget)
    x.reason = run_loop(ideal)
    now: i64 = icount_now(ideal)
    x.emulated += now - x.total
    x.total = now
    if x.reason != EXIT_BUDGET or ideal.mem.write_log_count:
        return LEFT_STEPPED
    if ideal.flushes_all or ideal.flushes_local or ideal.flushes_page:
        return LEFT_NONE if follow_flushes(x, ideal) else LEFT_STEPPED
    return LEFT_NONE


@func
def step(x: CrossingState, ideal: Cpu, why: u32) -> i32:
    """Emulate one instruction, if the budget has one left."""
    if x.total >= x.end:
        return LEFT_NONE
    note(x, why, ideal.eip)
    return run_ideal(x, ideal, 1)


@func
def emulate_on(x: CrossingState, ideal: Cpu) -> i32:
    """Guest code that only the ideal processor can run."""
    budget: i64 = x.end - x.total
    if ideal.eflags & (RF | TF):
        budget = 1
    elif budget > EMULATED_AT_ONCE:
        budget = EMULATED_AT_ONCE
    if budget > LONG_TURN:
        x.turns += LONG_TURN
    return run_ideal(x, ideal, budget)


# --- exceptions of the engine -----------------------------------------------------------------


@func
def fill_shadow(x: CrossingState, engine: Cpu, ideal: Cpu, user: u32) -> i32:
    """1: the shadow has the page now. 0: the fault is the guest's own. -1: ask Python.

    As ShadowMmu.fault().
    """
    la: u32 = engine.cr2
    write: u32 = engine.fault_error & ACC_WRITE
    if la >= x.ceiling:
        if la - x.ceiling < x.cache_size:
            x.hidden += 1
        return 0
    found: i64 = find_place(ideal, la, write | (ACC_USER if user else 0))
    if ideal.recheck:  # a device was asked for an entry of a table
        return -1
    if found < 0:
        return 0
    place: u64 = found >> 8
    if place >= OUTSIDE or ideal.mem.frame_flags[place >> 12] & FRAME_RAM == 0:
        return -1
    known: u32 = x.frames[place >> 12]
    if known == FRAME_IS_CLEAN and write:
        return -1
    if known == 0 and engine.fault_error & ACC_FETCH:
        return -1
    perm: u32 = found & 0xFF & ~PERM_EXEC
    if known == FRAME_IS_CLEAN:
        perm = (perm | PERM_EXEC) & ~PERM_WRITE
    elif known == FRAME_IS_AUDITED:
        perm |= PERM_EXEC
    x.fills += 1
    page: u64 = place & 0xFFFFF000
    fill(engine, x.user if user else x.kernel, la & 0xFFFFF000, page, perm | PERM_PRESENT)
    return 1


@func
def answer(x: CrossingState, engine: Cpu, ideal: Cpu, filled: i32) -> i32:
    """An exception in the engine; `filled`: what fill_shadow() has said of a page fault.

    As VirtualProcessor.engine_fault(). Watched accesses do not come here.
    """
    if filled > 0:
        note(x, NOTE_FILL, ideal.eip)
        return LEFT_NONE
    if engine.fault_vector == VEC_PF and engine.traced:
        return step(x, ideal, NOTE_TRACED)
    return step(x, ideal, NOTE_VECTOR + engine.fault_vector)


@inline
def ask_shadow(x: CrossingState, engine: Cpu, ideal: Cpu, user: u32) -> i32:
    """fill_shadow() for a page fault that is none of traced bytes, else 0."""
    if engine.fault_vector != VEC_PF or engine.traced:
        return 0
    return fill_shadow(x, engine, ideal, user)


# --- into the engine and back -----------------------------------------------------------------


@func
def enter_engine(x: CrossingState, engine: Cpu, ideal: Cpu) -> i32:
    """Registers into the engine, in the space and as x.how wants it."""
    user: u32 = 1
    if x.how == HOW_TRANSLATED:
        user = x.rings[x.context]
    engine.user_space = x.user if user else x.kernel  # enter_ring3() uses it
    engine.sup_space = engine.user_space
    enter_ring3(engine, ideal, x.ceiling)
    engine.eip = ideal.eip
    engine.ports_open = 0
    if x.how == HOW_TRANSLATED:
        flat_code(engine)
        fill_vcpu_page(engine, ideal, x.page)
        fill_segment_access(engine, x.reserved[x.context], x.page)
        vcpu_segment(engine, x.reserved[x.context], x.views[x.context])
        engine.eip = x.start
        engine.ports_open = 1 if ideal.cpl == 0 else 0
        x.fpu_ip = ideal.fpu_ip
        x.in_engine = 1
    engine.icount_end = (x.total + engine.budget) & M64
    begin_run(engine, x.end - x.total)
    return 0


@func
def leave_engine(x: CrossingState, engine: Cpu, ideal: Cpu) -> i32:
    """Registers back into the ideal processor; of translated code, not rolled back yet."""
    leave_ring3(ideal, engine)
    now: i64 = icount_now(engine)
    if x.how == HOW_TRANSLATED:
        take_virtual_if(ideal, x.page)
        x.in_engine = 0
        x.translated += now - x.total
    else:
        ideal.eip = engine.eip
        take_null_segments(ideal, engine)
        x.direct += now - x.total
    x.total = now
    return 0


@func
def roll_back(x: CrossingState, ideal: Cpu, at: u32) -> i32:
    """EIP and spilled registers of the guest instruction that a place in the cache belongs to."""
    slots: u64 = ideal.mem.host + x.page
    undo: u32 = x.undo_map[at - x.ceiling]
    eip: u32 = x.eip_map[at - x.ceiling]
    if undo & CROSS_UNDO_TARGET:
        eip = ld32(ideal, slots + PAGE_TARGET)
    elif undo & CROSS_UNDO_TARGET_ECX:
        eip = ideal.regs[ECX]
    if undo & CROSS_UNDO_EAX:
        ideal.regs[EAX] = ld32(ideal, slots + PAGE_SAVE_EAX)
    if undo & CROSS_UNDO_ECX:
        ideal.regs[ECX] = ld32(ideal, slots + PAGE_SAVE_ECX)
    if undo & CROSS_UNDO_ESI:
        ideal.regs[ESI] = ld32(ideal, slots + PAGE_SAVE_ESI)
    ideal.eip = eip
    if ideal.fpu_ip != x.fpu_ip and ideal.fpu_ip - x.ceiling < x.cache_size:
        if ideal.fpu_ip >= x.ceiling:
            ideal.fpu_ip = x.eip_map[ideal.fpu_ip - x.ceiling]
    known: u32 = x.places[at - x.ceiling]
    if known & PLACE_AFTER_STI and ld32(ideal, slots + PAGE_STI_BEFORE) & IF == 0:
        ideal.shadow_at = x.total
    return 0


@func
def after_direct(x: CrossingState, engine: Cpu, ideal: Cpu) -> i32:
    """Direct execution has ended: what to do about it."""
    if x.reason == EXIT_EXCEPTION:
        filled = ask_shadow(x, engine, ideal, 1)
        return LEFT_DIRECT if filled < 0 else answer(x, engine, ideal, filled)
    if x.reason == EXIT_SOFTINT:
        return step(x, ideal, NOTE_INT + engine.exit_arg)
    if x.reason == EXIT_BREAKPOINT:
        return step(x, ideal, NOTE_CRITICAL)
    return LEFT_NONE if x.reason == EXIT_BUDGET else LEFT_DIRECT


@func
def after_translated(x: CrossingState, engine: Cpu, ideal: Cpu) -> i32:
    """Translated code has left: roll back, and what to do about it, if the place is known."""
    at: u32 = engine.eip
    if at < x.ceiling or at - x.ceiling >= x.cache_size:
        return LEFT_TRANSLATED
    known: u32 = x.places[at - x.ceiling]
    if x.reason == EXIT_SOFTINT and known & PLACE_EMULATE and x.total < x.end:
        roll_back(x, ideal, at)
        return step(x, ideal, NOTE_EMULATE)
    if x.reason == EXIT_EXCEPTION and known & PLACE_KNOWN:
        filled = ask_shadow(x, engine, ideal, x.rings[x.context])
        if filled >= 0:
            roll_back(x, ideal, at)
            return answer(x, engine, ideal, filled)
    return LEFT_TRANSLATED


# --- one after the other ----------------------------------------------------------------------


@func
def choose(x: CrossingState, ideal: Cpu) -> i32:
    """How the guest goes on: x.how."""
    if x.noticed or x.asked or ideal.wp_hit or x.total >= x.end or x.turns >= MOST_TURNS:
        return LEFT_LOOK
    if ideal.intr and ideal.eflags & IF:
        return LEFT_LOOK
    kind: u32 = posture(ideal)
    x.turns += 1
    if x.hows[kind] == HOW_TRANSLATED:
        x.context = x.contexts[kind]
        key: u64 = x.context + 1
        line: u32 = line_of(ideal.eip, x.context)
        if x.keys[line] != key << 32 | ideal.eip or x.held[x.context] != ideal.intr:
            return LEFT_TURN
        x.start = x.starts[line]
        x.hits += 1
    x.how = x.hows[kind]
    return LEFT_NONE


@func
def cross(x: CrossingState, engine: Cpu, ideal: Cpu) -> i32:
    """Run the guest until Python is needed: LEFT_*."""
    left: i32 = LEFT_NONE
    while left == LEFT_NONE:
        if x.how == HOW_UNDECIDED:
            left = choose(x, ideal)
        elif x.how == HOW_EMULATED:
            x.how = HOW_UNDECIDED
            left = emulate_on(x, ideal)
        else:
            if x.resumed == 0:
                enter_engine(x, engine, ideal)
            x.resumed = 0
            x.reason = run_loop(engine)
            if x.reason == EXIT_SIGNALS:
                return LEFT_SIGNALS
            how: u32 = x.how
            leave_engine(x, engine, ideal)
            x.how = HOW_UNDECIDED
            if how == HOW_DIRECT:
                left = after_direct(x, engine, ideal)
            else:
                left = after_translated(x, engine, ideal)
    return left


@state
class Crossing(CrossingState):
    """The crossings of one virtual processor, as Python sees them."""

    def set_up(
        self, ceiling: int, page: int, held: bytearray, frames: bytearray, interest: bytearray
    ) -> None:
        """The monitor's region is from `ceiling` on, its vCPU pages at physical address `page`.

        `held` is a byte for each context, `frames` one for each frame: FRAME_IS_*. `interest` is
        one for each linear page, 1 where Python wants to hear of an INVLPG.
        """
        self.ceiling = ceiling & M32
        self.page = page & M32
        self.held = over8(memoryview(held))
        self.frames = over8(memoryview(frames))
        self.interest = over8(memoryview(interest))
        self.buffers = [held, frames, interest]

    def use_cache(self, eips: memoryview, undos: bytearray, places: memoryview) -> None:
        """Maps of the cache, with an element (of `eips`, four bytes) for each of its bytes."""
        self.eip_map = over32(eips)
        self.undo_map = over8(memoryview(undos))
        self.places = over8(places)
        self.cache_size = len(undos)
        self.buffers += [eips, undos, places]

    def use_table(self, keys: memoryview, starts: memoryview) -> None:
        """The bytes of the table of blocks."""
        self.keys = over64(keys)
        self.starts = over32(starts)
        self.buffers += [keys, starts]

    def use_notes(self, notes: memoryview) -> None:
        """The bytes of their counts."""
        self.notes = over64(notes)
        self.kept_notes = notes

    def use_spaces(self, user: AddressSpace, kernel: AddressSpace) -> None:
        """What guest code reaches at CPL 3, and at the others."""
        self.spaces = (user, kernel)
        self.user = space_of(user)
        self.kernel = space_of(kernel)

    def set_rule(self, kind: int, how: int, context: int) -> None:
        """How a posture runs: HOW_*."""
        self.hows[kind] = how
        self.contexts[kind] = context

    def set_context(self, number: int, view: int, reserved: int, user: bool) -> None:
        """A context: where its view of the vCPU pages is, by which segment register."""
        self.views[number] = view & M32
        self.reserved[number] = reserved
        self.rings[number] = 1 if user else 0

    def latest(self) -> list[tuple[int, int, int]]:
        """The last notes, oldest first: NOTE_*, EIP, count."""
        found = []
        first: i64 = self.noted - LATEST
        if first < 0:
            first = 0
        for number in range(first, self.noted):
            at: u32 = number & (LATEST - 1)
            found.append((self.latest_why[at], self.latest_eip[at], self.latest_count[at]))
        return found

    def run(self, engine: Interp, ideal: Interp) -> int:
        """Go on as `how` says until Python is needed: LEFT_*, the reason is in `reason`.

        What a device's callback raised waits in `host_error` of who called it. What a signal's
        handler raises comes out here; `how` says then what was left for it.
        """
        left: i32 = LEFT_SIGNALS
        self.resumed = 0
        try:
            while True:
                with nogil:
                    left = cross(self, engine, ideal)
                if left != LEFT_SIGNALS:
                    break
                engine.exit_reason = EXIT_BUDGET  # a handler may raise
                check_signals()
                engine.slices = SLICES
                self.resumed = 1
        finally:
            if left == LEFT_SIGNALS:
                leave_engine(self, engine, ideal)
            user, kernel = self.spaces
            if engine.user_space == self.user:
                engine.user = engine.sup = user
            elif engine.user_space == self.kernel:
                engine.user = engine.sup = kernel
        return left

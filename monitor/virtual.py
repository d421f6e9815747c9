"""The virtual processor: the monitor's one loop (DESIGN: Bugnion et al. 2012, section 4).

    interrupt pending and virtual IF    back to the machine, which delivers it
    decide()                            how the next guest code may run:
      DIRECT      guest CPL 3: as it is, in the engine's ring 3
      TRANSLATED  guest ring 0 (and ring 3 in odd states): out of the translation cache
      EMULATED    real and virtual-8086 mode, strange segments: by the ideal processor
      DEPRIVILEGED  trap mode only: guest ring 0 as it is, in ring 3. The wrong way
    handle the exit                     fill the shadow, chain, or emulate one instruction

Between turns `ideal` holds the whole virtual CPU. Emulation is one step of it: there is no second
implementation of any instruction, and every fault that the engine reports is either the shadow's
own business or is left to the ideal processor to raise, at the guest's instruction, by itself.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum
from typing import Any

from bt.cache import CHAIN, EMULATE, Exit, TranslatedBlock, TranslationCache
from bt.contract import (
    ACC_FETCH,
    ACC_WRITE,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    Engine,
)
from bt.engine import ENGINES, Interp, Ram
from bt.interp.state import (
    CS,
    EXIT_INTERRUPT,
    EXIT_NONE,
    IF,
    NEWS_FLUSH_ALL,
    NEWS_FLUSH_LOCAL,
    NEWS_FLUSH_PAGE,
    NEWS_WATCHED,
    POSTURE_KERNEL,
    POSTURE_KERNEL_IOPL,
    POSTURE_USER,
    POSTURE_USER_FLAGS,
    RF,
    TF,
    VEC_PF,
)
from bt.stubs import (
    SAVE_EAX,
    SAVE_ECX,
    STI_BEFORE,
    TARGET,
    UNDO_EAX,
    UNDO_ECX,
    UNDO_TARGET,
    UNDO_TARGET_ECX,
    VCPU_PAGES,
)
from bt.translate import CONTEXTS, MAX_BLOCK_BYTES, Context, Translator
from monitor.audit import Audit
from monitor.board import Board
from monitor.code_pages import CodePages
from monitor.memory import GuestMemory
from monitor.processor import Processor
from monitor.shadow import HIDDEN_BASE, HIDDEN_BYTES, TC_BYTES, ShadowMmu, vcpu_linear

EMULATED_RUN = 4096  # instructions the ideal processor runs between looks at decide()
MANY_TURNS = 2048  # exits after which run() comes back in any case, so that time limits hold
VECTOR_NAMES = {0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 10: "#TS",
                11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC"}  # fmt: skip


class How(Enum):
    """How the next guest code runs."""

    DIRECT = "direct"
    TRANSLATED = "translated"
    EMULATED = "emulated"
    DEPRIVILEGED = "deprivileged"


# The published rule (DESIGN section 3) for the translating monitor: how a posture runs, and in
# which context it is translated. What is not here is emulated.
RULE = {
    POSTURE_KERNEL: (How.TRANSLATED, CONTEXTS[0]),
    POSTURE_USER: (How.DIRECT, CONTEXTS[1]),
    POSTURE_KERNEL_IOPL: (How.TRANSLATED, CONTEXTS[2]),
    POSTURE_USER_FLAGS: (How.TRANSLATED, CONTEXTS[3]),
}
TRAP_RULE = {
    posture: (How.DIRECT if context.user else How.DEPRIVILEGED, context)
    for posture, (_, context) in RULE.items()
}
OTHERWISE = (How.EMULATED, CONTEXTS[0])


class VirtualProcessor(Processor):
    def __init__(
        self, ram: Ram, memory: GuestMemory, board: Board, mode: str, engine: str = "interp"
    ) -> None:
        self.listeners = []
        self.memory = memory
        self.translating = mode == "translate"
        self._rule = RULE if self.translating else TRAP_RULE
        self.ideal = Interp(ram, board)
        self.board = board
        self.engine: Engine[Any] = ENGINES[engine](ram, board)
        self.ram = self.engine.memory()
        self.shadow = ShadowMmu(memory, self.ideal, self.engine, board.has_device)
        self.engine.set_count_region(HIDDEN_BASE, TC_BYTES)
        self.engine.audit_all = 0 if self.translating else 1
        self.ideal.ring_compression = 0 if self.translating else 1
        self._vcpu_page = self.shadow.physical(TC_BYTES)
        hidden = memoryview(memory.buffer)[memory.size : memory.size + HIDDEN_BYTES]
        self._slots = hidden[TC_BYTES : TC_BYTES + 64].cast("I")
        self.cache = TranslationCache(hidden, HIDDEN_BASE, TC_BYTES, TC_BYTES + VCPU_PAGES)
        self.translator = Translator(self.cache, self.engine.mark)
        self.code_pages = CodePages(self.ram, self.ideal)
        self.audit = Audit(self.ideal, self.engine, memory)
        self._end = 0  # the count at which run() must be back
        self.total = 0  # guest instructions completed
        self.kinds: Counter[str] = Counter()  # the same by how they ran
        self.exits: Counter[str] = Counter()
        self.dispatches = [0, 0]  # into the cache: the block had to be translated, was there
        self._recent: deque[tuple[str, int, int]] = deque(maxlen=16)
        self._pending_chain: tuple[int, Exit, int] | None = None
        self._pending_landing = False
        self._stops: set[int] = set()
        self._passed = (-1, -1)  # count and address of the breakpoint that was reported last
        self._intr = False
        self._noticed = False
        self._fpu_ip = 0  # the x87 instruction pointer before the engine ran
        self._in_engine = False  # translated code is running, which may use ports

    # --- what the machine's loop asks ---------------------------------------------------

    def count(self) -> int:
        return self.total

    def io_count(self) -> int:
        return int((self.engine if self._in_engine else self.ideal).io_icount)

    def notice(self) -> None:
        self._noticed = True
        self.ideal.recheck = 1
        if self._in_engine and self.board.counter.in_access:
            self.engine.recheck = 1  # only here: elsewhere it might stop in the middle of a stub

    def set_intr(self, level: bool) -> None:
        self._intr = level
        self.ideal.intr = 1 if level else 0

    def set_a20(self, level: bool) -> None:
        self.ideal.set_a20(level)
        self._follow_ideal()

    def interruptible(self) -> bool:
        self.ideal.set_icount(self.total)
        return bool(self.ideal.interruptible())

    def interrupt(self, vector: int) -> int:
        self.ideal.set_icount(self.total)
        reason = self.ideal.interrupt(vector)
        self._follow_ideal()
        return int(reason)

    def sync(self) -> None:
        """Between turns the ideal processor is always current."""

    def restarted(self) -> None:
        self._pending_chain = None
        self._follow_ideal()

    def memory_changed(self, physical: int, size: int) -> None:
        self.ram.written(physical, size)
        self._drop(self.cache.overlapping(physical, size))

    def set_breakpoints(self, stops: set[int]) -> None:
        if stops == self._stops:
            return
        self._stops = set(stops)
        self.ideal.set_stops(sorted(stops))
        self.engine.set_stops(sorted(stops))
        self._flush_cache()

    # --- the loop -----------------------------------------------------------------------

    def run(self, budget: int) -> int:
        self._end = self.total + budget
        self._noticed = False
        reason = EXIT_NONE
        turns = 0
        while reason == EXIT_NONE:
            turns += 1
            if self._noticed or turns > MANY_TURNS:
                return EXIT_IO
            if self.total >= self._end:
                return EXIT_BUDGET
            if self._intr and self.ideal.eflags & IF:
                if self.interruptible():
                    return EXIT_INTERRUPT
                reason = self._emulate("interrupt shadow")
            else:
                reason = self._turn(self._end - self.total)
        return reason

    def _turn(self, budget: int) -> int:
        if self._stops and self._at_stop():
            self._passed = (self.total, self._linear())
            return EXIT_BREAKPOINT
        how, context = self.decide()
        if how is How.TRANSLATED:
            return self._run_translated(budget, context)
        if how is How.DIRECT:
            return self._run_direct(budget)
        if how is How.EMULATED:
            return self._run_emulated(budget)
        return self._run_deprivileged(budget)

    def decide(self) -> tuple[How, Context]:
        """How the guest can go on, and the context of what is translated for it."""
        return self._rule.get(self.ideal.posture(), OTHERWISE)

    def _at_stop(self) -> bool:
        linear = self._linear()
        return linear in self._stops and self._passed != (self.total, linear)

    def _linear(self) -> int:
        """The guest's EIP as a linear address."""
        return int(self.ideal.segment(CS)[1] + self.ideal.eip & 0xFFFFFFFF)

    # --- direct execution ---------------------------------------------------------------

    def _run_direct(self, budget: int) -> int:
        engine = self.engine
        engine.use_space(self.shadow.user)
        reason = engine.run_direct(self.ideal, HIDDEN_BASE, self.total, budget)
        self._account("direct", engine.icount())
        engine.give_null_segments(self.ideal)
        if self._not_stopped(reason) == EXIT_NONE:
            return EXIT_NONE
        if reason == EXIT_EXCEPTION:
            return self._engine_fault(user=True)
        if reason == EXIT_SOFTINT:
            return self._emulate(f"INT {engine.exit_arg:#x}")
        if reason == EXIT_BREAKPOINT:
            return EXIT_NONE if self._at_stop() else self._emulate("critical instruction")
        raise AssertionError(f"engine left direct execution with reason {reason}")

    def _engine_fault(self, user: bool) -> int:
        """An exception in the engine: the shadow's business, or an instruction to emulate."""
        if self.total >= self._end:
            return EXIT_NONE  # the budget ended just before this instruction
        engine = self.engine
        vector = engine.fault_vector
        if vector == VEC_PF:
            error = engine.fault_error
            write, fetch = bool(error & ACC_WRITE), bool(error & ACC_FETCH)
            if engine.traced:
                return self._emulate("traced write")
            if self.shadow.fault(engine.cr2, write, fetch, user):
                self._note("shadow fill", self.ideal.eip)
                return EXIT_NONE
            return self._emulate("#PF")
        return self._emulate(VECTOR_NAMES.get(vector, f"vector {vector}"))

    # --- translated execution -----------------------------------------------------------

    def _run_translated(self, budget: int, context: Context) -> int:
        cpu = self.ideal
        block = self.cache.find(cpu.eip, context.number)
        self.dispatches[block is not None] += 1
        if block is None:
            block = self._translate(cpu.eip, context)
        if block is None:
            return self._emulate("cannot be translated")
        if self._pending_chain is not None or self._pending_landing:
            self._connect(block)
        self.shadow.hold_interrupt_flag(context, self._intr)
        space = self.shadow.user if context.user else self.shadow.kernel
        engine = self.engine
        engine.use_space(space)
        self._in_engine = True
        self._fpu_ip = cpu.fpu_ip
        try:
            reason = engine.run_translated(
                cpu,
                block.start,
                HIDDEN_BASE,
                self.total,
                budget,
                self._vcpu_page,
                vcpu_linear(context),
                context.reserved_number,
            )
        except BaseException:  # a device's bug, or Ctrl-C in one: the guest's state stays whole
            self._roll_back(engine.eip)
            raise
        finally:
            self._in_engine = False
            self._account("translated", engine.icount())
        return self._leave_translated(reason, context)

    def _leave_translated(self, reason: int, context: Context) -> int:
        """Roll back to a guest instruction boundary, then see why the engine left."""
        engine = self.engine
        at = engine.eip
        self._roll_back(at)
        if reason == EXIT_SOFTINT:
            return self._leave_by(self.cache.exits[at], at, context.number)
        if reason == EXIT_EXCEPTION:
            return self._engine_fault(context.user)
        if at in self.cache.after_sti and not self._slots[STI_BEFORE >> 2] & IF:
            self.ideal.shadow_at = self.total
        return self._not_stopped(reason)

    def _roll_back(self, at: int) -> None:
        """EIP and spilled registers of the guest instruction that a TC address belongs to."""
        cpu = self.ideal
        eip, undo = self.cache.guest_place(at)
        if undo & UNDO_TARGET:
            eip = self._slots[TARGET >> 2]
        elif undo & UNDO_TARGET_ECX:
            eip = cpu.reg(1)
        if undo & UNDO_EAX:
            cpu.set_reg(0, self._slots[SAVE_EAX >> 2])
        if undo & UNDO_ECX:
            cpu.set_reg(1, self._slots[SAVE_ECX >> 2])
        cpu.eip = eip
        if cpu.fpu_ip != self._fpu_ip and cpu.fpu_ip >= HIDDEN_BASE:
            cpu.fpu_ip = self.cache.guest_place(cpu.fpu_ip)[0]

    def _leave_by(self, exit_: Exit, at: int, context: int) -> int:
        if exit_.kind == EMULATE:
            return self._emulate("emulate")
        if exit_.kind == CHAIN:
            if exit_.completes:
                self.total += 1
                self.kinds["translated"] += 1
            self.ideal.eip = exit_.target
            self._pending_chain = (at, exit_, context)
            self._note("chain", exit_.target)
        else:
            self._pending_landing = True
            self._note("indirect branch", self.ideal.eip)
        return EXIT_NONE

    def _connect(self, block: TranslatedBlock) -> None:
        """Chain the branch that led here, or let indirect branches find the block."""
        if self._pending_chain is not None:
            at, exit_, context = self._pending_chain
            self._pending_chain = None
            same = context == block.context and exit_.target == block.eip
            if same and self.cache.exits.get(at) is exit_:
                self._changed(self.cache.chain_to(at, exit_, block))
        elif self._pending_landing:
            self._pending_landing = False
            self.translator.land(block)

    def _changed(self, addresses: list[int]) -> None:
        """TC code was patched: the engine must decode it again."""
        for address in addresses:
            self.ram.written(self.shadow.physical(address - HIDDEN_BASE), 6)

    def _translate(self, eip: int, context: Context) -> TranslatedBlock | None:
        for block in self.code_pages.around(eip, context.number):
            inner = self.translator.enter_inside(block, eip)
            if inner is not None:
                self.code_pages.translated(inner)
                return inner
        if self.cache.room < 2 * MAX_BLOCK_BYTES:
            self._flush_cache()
        found = self.code_pages.survey(eip, context.user, self._stops)
        if found is None:
            return None
        block = self.translator.translate(found.code, found.pa, found.items, context, found.whole)
        self.code_pages.translated(block)
        return block

    def _flush_cache(self) -> None:
        """Start the translation cache anew."""
        self._pending_chain = None
        self._pending_landing = False
        self.code_pages.forget(self.cache)
        self.translator.reset()
        self.cache.flushes += 1
        self.ram.forget_blocks()

    def _drop(self, blocks: list[TranslatedBlock]) -> None:
        """Guest code changed under these blocks."""
        for block in blocks:
            if not block.live:
                continue  # it covers two pages, and both have moved
            self._changed(self.cache.unchain(block))
            self.cache.drop_landings(block)
            self.cache.drop(block)
            self.code_pages.dropped(block, self.cache)

    # --- emulation ----------------------------------------------------------------------

    def _run_emulated(self, budget: int) -> int:
        """Guest code that only the ideal processor can run."""
        passing = self.ideal.eflags & (RF | TF)  # for one instruction, or until its trap
        return self._step_ideal(min(budget, 1 if passing else EMULATED_RUN))

    def _emulate(self, why: str) -> int:
        """One step of the ideal processor, if the budget has one left."""
        if self.total >= self._end:
            return EXIT_NONE
        self._note(why, self.ideal.eip)
        return self._step_ideal(1)

    def _step_ideal(self, budget: int) -> int:
        ideal = self.ideal
        if self._stops and self._passed == (self.total, self._linear()):
            ideal.set_icount(self.total)
            reason = ideal.step_past()
        else:
            reason = ideal.run_at(self.total, budget)
        self._account("emulated", ideal.icount())
        if reason == EXIT_BREAKPOINT:
            self._passed = (self.total, self._linear())
        news = ideal.take_news()
        if news:
            self._follow(news)
        return self._not_stopped(reason)

    def _not_stopped(self, reason: int) -> int:
        """EXIT_NONE for a reason that only ends a turn."""
        if reason == EXIT_IO:  # a device wants the machine's loop, or a REP has been going on
            self._noticed = True
        return EXIT_NONE if reason in (EXIT_BUDGET, EXIT_IO, EXIT_INTERRUPT) else reason

    def _account(self, kind: str, count: int) -> None:
        self.kinds[kind] += count - self.total
        self.total = count

    def _follow_ideal(self) -> None:
        """What the ideal processor did to its TLB and to traced memory concerns the shadows."""
        self._follow(self.ideal.take_news())

    def _follow(self, news: int) -> None:
        if news & NEWS_FLUSH_ALL:
            self.shadow.flush(False)
            self._drop(self.code_pages.recheck(everything=True))
        elif news & NEWS_FLUSH_LOCAL:
            self.shadow.flush(True)
            self._drop(self.code_pages.recheck(everything=False))
        if news & NEWS_FLUSH_PAGE:
            linear = self.ideal.flushed_page
            self.shadow.flush_page(linear)
            self._drop(self.code_pages.recheck_at(linear))
        if news & NEWS_WATCHED:
            self._traced_writes()

    def _traced_writes(self) -> None:
        self.exits["traced bytes written"] += 1
        written = self.ram.take_watch_log()
        if written is None:
            self._flush_cache()
            return
        for pa, size in written:
            self._drop(self.cache.overlapping(pa, size))

    # --- trap mode ----------------------------------------------------------------------

    def _run_deprivileged(self, budget: int) -> int:
        """Guest ring 0 as it is, in ring 3, and a witness of every critical instruction."""
        engine = self.engine
        engine.use_space(self.shadow.kernel)
        engine.load_direct(self.ideal, HIDDEN_BASE, self.total)
        engine.compress_rings()
        reason = engine.run(budget)
        self._account("direct", engine.icount())
        engine.give_registers(self.ideal)
        engine.give_null_segments(self.ideal)
        if self._not_stopped(reason) == EXIT_NONE:
            return EXIT_NONE
        if reason == EXIT_BREAKPOINT:
            if self._at_stop():
                return EXIT_NONE
            return self._witness()
        if reason == EXIT_EXCEPTION and engine.fault_vector == VEC_PF:
            if engine.fault_error & ACC_FETCH and self.shadow.run_anything(engine.cr2):
                self._note("shadow fill", self.ideal.eip)
                return EXIT_NONE
            return self._engine_fault(user=False)
        if reason == EXIT_SOFTINT:
            return self._emulate(f"INT {engine.exit_arg:#x}")
        return self._engine_fault(user=False)

    def _witness(self) -> int:
        """A critical instruction: let ring 3 run it, and note what ring 0 would have seen."""
        engine = self.engine
        if not self.audit.step(self.total):
            if engine.exit_reason == EXIT_EXCEPTION and engine.fault_vector == VEC_PF:
                return self._engine_fault(user=False)  # its stack, perhaps: fill and try again
            return self._emulate("critical, traps")
        self._account("direct", self.engine.icount())
        self._note("critical, silent", self.ideal.eip)
        return EXIT_NONE

    # --- records ------------------------------------------------------------------------

    def _note(self, why: str, eip: int) -> None:
        self.exits[why] += 1
        self._recent.append((why, eip, self.total))
        if self.listeners:
            self.tell(why, eip)

    def recent_exits(self) -> list[str]:
        return [f"{why:22} at {eip:08x} after {count:,}" for why, eip, count in self._recent]

    def _by_kind(self) -> dict[str, int]:
        """Guest instructions by how they ran; those simulated in stubs are not "translated"."""
        stubs = int(self.engine.stubs_done)
        kinds = dict(self.kinds)
        if self.translating:
            kinds |= {"translated": self.kinds["translated"] - stubs, "stubs": stubs}
        return kinds

    def statistics(self) -> dict[str, object]:
        result: dict[str, object] = {
            "by_kind": self._by_kind(),
            "exits": dict(self.exits),
            "shadow": self.shadow.statistics(),
            "wrong_answers": self.audit.report(),
        }
        if self.translating:
            result["patches"] = dict(self.translator.patches)
            result["tc"] = self._tc_statistics()
        return result

    def _tc_statistics(self) -> dict[str, object]:
        """Size of the translation cache, and how often what was wanted was there."""
        cache = self.cache
        translated, found = self.dispatches
        lookups = int(self.engine.lookups)
        return {
            "bytes": cache.used,
            "blocks": sum(map(len, cache.blocks)),
            "flushes": cache.flushes,
            "guest_instructions_translated": self.translator.instructions,
            "dispatches": translated + found,
            "dispatch_hits": found,
            "lookups": lookups,
            "lookup_hits": lookups - self.exits["indirect branch"],
        }

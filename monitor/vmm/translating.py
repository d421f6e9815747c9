"""The translating processor: the Virtual Platform itself.

The guest's kernel runs out of the translation cache, its user code as it is (Rosenblum 1999;
Bugnion et al. 2012, sections 4 and 5). An exit from the cache is rolled back to the guest
instruction that it belongs to, before anything else is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from bt.cache import CHAIN, EMULATE, Exit, TranslatedBlock, TranslationCache
from bt.contract import (
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    EXIT_STOPPED,
    InstrumentedEngine,
)
from bt.engine import Ram
from bt.interp.state import (
    EXIT_NONE,
    IF,
    POSTURE_KERNEL,
    POSTURE_KERNEL_IOPL,
    POSTURE_USER,
    POSTURE_USER_FLAGS,
)
from bt.policy import CONTEXTS, Context
from bt.translate import MAX_BLOCK_BYTES, Translator
from bt.vcpu_page import (
    SPILLS,
    STI_BEFORE,
    TARGET,
    UNDO_SPILLS,
    UNDO_TARGET,
    UNDO_TARGET_ECX,
    VCPU_PAGES,
)
from monitor.vmm.board import Board
from monitor.vmm.code_pages import CodePages, Survey
from monitor.vmm.crossings import COMPILED, Crossable, Crossings, Methods
from monitor.vmm.memory import GuestMemory
from monitor.vmm.notes import shared
from monitor.vmm.shadow import HIDDEN_BASE, HIDDEN_BYTES, TC_BYTES, vcpu_linear
from monitor.vmm.shadow_descriptors import ShadowDescriptor


class How(Enum):
    """How the next guest code runs."""

    DIRECT = "direct"
    TRANSLATED = "translated"
    EMULATED = "emulated"


# The published rule (Bugnion et al. 2012, section 4): how a posture runs, and in which context it
# is translated. What is not here is emulated.
RULE = {
    POSTURE_KERNEL: (How.TRANSLATED, CONTEXTS[0]),
    POSTURE_USER: (How.DIRECT, CONTEXTS[1]),
    POSTURE_KERNEL_IOPL: (How.TRANSLATED, CONTEXTS[2]),
    POSTURE_USER_FLAGS: (How.TRANSLATED, CONTEXTS[3]),
}
OTHERWISE = (How.EMULATED, CONTEXTS[0])


Rule = Mapping[int, tuple[How, Context]]


@dataclass(frozen=True)
class Interrupted:
    """Where a budget ended in the cache, or a device made it end: the way back in.

    A budget may end wherever the host wanted to look around, which no figure may depend on. So the
    guest goes on at `at`, with what the registers held there, rather than in a block of its own.
    """

    at: int
    spilled: tuple[int, ...]  # of what a stub may have spilled (SPILLS), what was there instead
    eip: int  # of the guest
    context: int
    count: int  # guest instructions completed


def decide(posture: int, rule: Rule = RULE) -> tuple[How, Context]:
    """How a guest in this posture goes on, and the context of what is translated for it."""
    return rule.get(posture, OTHERWISE)


class TranslatingProcessor(Crossable):
    _fpu_ip = shared("fpu_ip")  # the x87 instruction pointer before the engine ran

    def __init__(
        self,
        ram: Ram,
        memory: GuestMemory,
        board: Board,
        engine: str = "interp",
        without: Collection[str] = (),
    ) -> None:
        """`without`: names of monitor/vmm/ablations.py."""
        super().__init__(ram, memory, board, engine)
        self.rule = dict(RULE)
        if "direct" in without or not self.engine.traits.runs_directly:
            self.rule[POSTURE_USER] = (How.TRANSLATED, CONTEXTS[1])
        self._notes: InstrumentedEngine[Any] | None = None  # what counts for those who watch
        if self.engine.traits.instruments:
            self._notes = cast(InstrumentedEngine[Any], self.engine)
        self.engine.set_count_region(HIDDEN_BASE, TC_BYTES)
        self._vcpu_page = self.shadow.physical(TC_BYTES)
        hidden = memoryview(memory.buffer)[memory.monitor : memory.monitor + HIDDEN_BYTES]
        self._slots = hidden[TC_BYTES : TC_BYTES + 64].cast("I")
        self.cache = TranslationCache(hidden, HIDDEN_BASE, TC_BYTES, TC_BYTES + VCPU_PAGES)
        self.translator = Translator(self.cache, self.engine.mark, without)
        by_byte = "bytes" not in without
        self.code_pages = CodePages(self.ram, self.frames, self.ideal, by_byte, self.interest)
        self.dispatches = [0, 0]  # into the cache: the block had to be translated, was there
        self.pending_chain: tuple[int, Exit, int] | None = None
        self._pending_landing = False
        self._interrupted: Interrupted | None = None
        self._written: list[tuple[int, int]] = []  # by devices, while the engine ran
        self._traced: list[tuple[int, int, int, int, int]] = []  # taken when the cache was emptied
        self.crossings = Crossings(self, AS_WRITTEN)
        self._compiled = False  # may compiled code stand for this file?

    def run(self, budget: int) -> int:
        self._compiled = self.crossings.ready()
        return super().run(budget)

    def go_on(self) -> int:
        pending = self.pending_chain is not None or self._pending_landing
        if pending or self._interrupted is not None or self._written or not self._compiled:
            return super().go_on()
        return self.crossings.go()

    def advance(self, posture: int, budget: int) -> int:
        if self._written:
            self._take_writes()
        how, context = decide(posture, self.rule)
        if how is How.TRANSLATED:
            return self._run_translated(budget, context)
        if how is How.DIRECT:
            return self.run_direct(budget)
        return self.run_emulated(budget)

    # --- out of the cache, and back -----------------------------------------------------

    def _run_translated(self, budget: int, context: Context) -> int:
        cpu = self.ideal
        if cpu.eip in self.stops:  # it is passed; a block that begins at it would be chained to
            return self.emulate("breakpoint")
        start = self._resume(context) or self._dispatch(context)
        if not start:
            return self.emulate("cannot be translated")
        self.shadow.hold_interrupt_flag(context, self._intr)
        if self._compiled:
            return self.crossings.from_cache(start, context)
        space = self.shadow.user if context.user else self.shadow.kernel
        engine = self.engine
        engine.use_space(space)
        self._in_engine = 1
        self._fpu_ip = cpu.fpu_ip
        try:
            reason = engine.run_translated(
                cpu,
                start,
                HIDDEN_BASE,
                self.total,
                budget,
                self._vcpu_page,
                vcpu_linear(context),
                self.translator.reserved(context).number,
            )
        except BaseException:  # a device's bug, or Ctrl-C in one: the guest's state stays whole
            self._roll_back(engine.eip)
            raise
        finally:
            self._in_engine = 0
            self.account("translated", engine.icount())
        return self.leave_translated(reason, context)

    def _dispatch(self, context: Context) -> int:
        """Where the translation of the guest's next instruction begins; 0 if there can be none."""
        eip = self.ideal.eip
        block = self.cache.find(eip, context.number)
        self.dispatches[block is not None] += 1
        if block is None:
            block = self._translate(eip, context)
        if block is None:
            return 0
        self.crossings.found(block)
        if self.pending_chain is not None or self._pending_landing:
            self.connect(block)
        return block.start

    def _resume(self, context: Context) -> int:
        """Where a budget ended, if the guest is still exactly there; else 0."""
        left, self._interrupted = self._interrupted, None
        here = (self.ideal.eip, context.number, self.total)
        if left is None or here != (left.eip, left.context, left.count):
            return 0
        for (_, number, _), value in zip(SPILLS, left.spilled, strict=True):
            self.ideal.set_reg(number, value)
        return left.at

    def leave_translated(self, reason: int, context: Context) -> int:
        """Roll back to a guest instruction boundary, then see why the engine left."""
        engine = self.engine
        cpu = self.ideal
        at = engine.eip
        ended = reason in (EXIT_IO, EXIT_STOPPED) or (  # or both
            self.total >= self._end and reason != EXIT_EXCEPTION
        )
        spilled = tuple(cpu.reg(number) for _, number, _ in SPILLS) if ended else ()
        self._roll_back(at)
        if at in self.cache.after_sti and not self._slots[STI_BEFORE >> 2] & IF:
            self.ideal.shadow_at = self.total
        exit_ = self.cache.exits[at] if reason == EXIT_SOFTINT else None
        if ended and (exit_ is None or exit_.kind == EMULATE):
            self._interrupted = Interrupted(
                at, spilled, cpu.eip, context.number, self.total
            )
        if exit_ is not None:
            return self.leave_by(exit_, at, context.number)
        if reason == EXIT_EXCEPTION:
            return self.engine_fault(context.user)
        return self.not_stopped(reason)

    def _roll_back(self, at: int) -> None:
        """EIP and spilled registers of the guest instruction that a TC address belongs to."""
        cpu = self.ideal
        eip, undo = self.cache.guest_place(at)
        if undo & UNDO_TARGET:
            eip = self._slots[TARGET >> 2]
        elif undo & UNDO_TARGET_ECX:
            eip = cpu.reg(1)
        if undo & UNDO_SPILLS:
            for bit, number, slot in SPILLS:
                if undo & bit:
                    cpu.set_reg(number, self._slots[slot >> 2])
        cpu.eip = eip
        if cpu.fpu_ip != self._fpu_ip and cpu.fpu_ip >= HIDDEN_BASE:
            cpu.fpu_ip = self.cache.guest_place(cpu.fpu_ip)[0]

    def leave_by(self, exit_: Exit, at: int, context: int) -> int:
        if exit_.kind == EMULATE:
            return self.emulate("emulate")
        if exit_.kind == CHAIN:
            if exit_.completes:
                self.total += 1
                self.crossing.translated += 1
            self.ideal.eip = exit_.target
            if self.cache.chaining:
                self.pending_chain = (at, exit_, context)
            self.note("chain", exit_.target)
        else:
            self._pending_landing = True
            self.note("indirect branch", self.ideal.eip)
        return EXIT_NONE

    # --- what is in the cache -----------------------------------------------------------

    def connect(self, block: TranslatedBlock) -> None:
        """Chain the branch that led here, or let indirect branches find the block."""
        if self.pending_chain is not None:
            at, exit_, context = self.pending_chain
            self.pending_chain = None
            same = context == block.context and exit_.target == block.eip
            if same and self.cache.exits.get(at) is exit_:
                self.patched(self.cache.chain_to(at, exit_, block))
        elif self._pending_landing:
            self._pending_landing = False
            self.translator.land(block)

    def patched(self, addresses: list[int]) -> None:
        """TC code was patched: the engine must decode it again."""
        for address in addresses:
            self.frames.written(self.shadow.physical(address - HIDDEN_BASE), 6)

    def _translate(self, eip: int, context: Context) -> TranslatedBlock | None:
        for block in self.code_pages.around(eip, context.number):
            inner = self.translator.enter_inside(block, eip)
            if inner is not None:
                self.code_pages.translated(inner)
                return inner
        if self.cache.room < 2 * MAX_BLOCK_BYTES:
            self.forget_translations()
        found = self._survey(eip, context)
        if found is None:
            return None
        block = self.translator.translate(found.code, found.pa, found.items, context, found.whole)
        self.code_pages.translated(block)
        return block

    def _survey(self, eip: int, context: Context) -> Survey | None:
        """What is to be translated; it may be the reason to reserve another segment register."""
        found = self.code_pages.survey(eip, context.user, self.stops)
        if found is not None and self.translator.reconsider(found.items, context):
            self.forget_translations()  # and what the survey has noted of the page
            found = self.code_pages.survey(eip, context.user, self.stops)
        return found

    def forget_translations(self) -> None:
        """Start the translation cache anew."""
        self._traced += self._take_trace()  # while the cache knows what is where
        self.pending_chain = None
        self._pending_landing = False
        self._interrupted = None
        self.code_pages.forget(self.cache)
        self.crossings.forget(self.cache.used)
        self.translator.reset()
        self.cache.flushes += 1
        self.descriptors.retrace()
        self.frames.forget_blocks()

    def io_place(self) -> int:
        place = super().io_place()
        return self.cache.guest_place(place)[0] if self._in_engine else place

    def drop(self, blocks: list[TranslatedBlock]) -> None:
        """Guest code changed under these blocks."""
        if blocks:
            self._interrupted = None
        for block in blocks:
            if not block.live:
                continue  # it covers two pages, and both have moved
            self.unlink(block)
            self.crossings.lost(block)
            self.cache.drop_landings(block)
            self.cache.drop(block)
            self.code_pages.dropped(block, self.cache)
        self.descriptors.retrace()

    def unlink(self, block: TranslatedBlock) -> None:
        """Let no direct branch lead to a block any more."""
        self.patched(self.cache.unchain(block))

    def interrupt(self, vector: int) -> int:
        self._interrupted = None
        return super().interrupt(vector)

    # --- what the guest does to its code ------------------------------------------------

    def restarted(self) -> None:
        self._interrupted = None  # a branch that is to be chained may stay: its target is the same
        super().restarted()

    def forget_code(self) -> None:
        self.descriptors.forget()
        self.forget_translations()

    def memory_changed(self, physical: int, size: int, leave: bool = True) -> None:
        super().memory_changed(physical, size, leave)
        self._written.append((physical, size))
        self._asked = 1
        if not self._in_engine:  # else it may be in one of those blocks; it leaves at once
            self._take_writes()

    def _take_writes(self) -> None:
        """What was made of bytes that somebody else wrote is dropped."""
        written, self._written = self._written, []
        self._asked = self._map_changed
        for physical, size in written:
            self.traced_write(physical, size)

    def mappings_changed(self, everything: bool) -> None:
        self.drop(self.code_pages.recheck(everything))

    def mapping_changed(self, linear: int) -> None:
        self.drop(self.code_pages.recheck_at(linear))

    def traced_bytes_written(self) -> None:
        self.notes.count("traced bytes written")
        super().traced_bytes_written()

    def traced_writes_lost(self) -> None:
        super().traced_writes_lost()
        self.forget_translations()

    def traced_write(self, pa: int, size: int) -> None:
        """The ideal processor or a device wrote these bytes, or some of them."""
        super().traced_write(pa, size)
        self.drop(self.cache.overlapping(pa, size))

    def descriptor_lost(self, gone: ShadowDescriptor) -> None:
        super().descriptor_lost(gone)
        for pa, size in gone.places:
            self.code_pages.retrace(pa, size, self.cache)

    def block_here(self) -> TranslatedBlock | None:
        """The block that begins at the guest's EIP."""
        _, context = decide(self.ideal.posture(), self.rule)
        return self.cache.find(self.ideal.eip, context.number)


AS_WRITTEN = Methods(TranslatingProcessor, COMPILED)

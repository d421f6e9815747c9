"""The virtual processor: the monitor's one loop (Bugnion et al. 2012, section 4).

    interrupt pending and virtual IF    back to the machine, which delivers it
    advance()                           by what the guest's posture asks for:
      direct        guest CPL 3: as it is, in the engine's ring 3
      translated    guest ring 0 (and ring 3 in odd states), out of the cache: translating.py
      deprivileged  guest ring 0 as it is, in ring 3, the wrong way: trapping.py
      emulated      real and virtual-8086 mode, strange segments: by the ideal processor
    handle the exit                     fill the shadow, chain, or emulate one instruction

Between turns `ideal` holds the whole virtual CPU. Emulation is one step of it: there is no second
implementation of any instruction, and every fault that the engine reports is either the shadow's
own business or is left to the ideal processor to raise, at the guest's instruction, by itself.
"""

from __future__ import annotations

from abc import abstractmethod

from bt.contract import (
    ACC_FETCH,
    ACC_WRITE,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    EXIT_STOPPED,
)
from bt.interp.crossing import MOST_TURNS
from bt.interp.state import (
    CR0_EM,
    CR0_TS,
    CS,
    EXIT_INTERRUPT,
    EXIT_NONE,
    EXIT_WATCHPOINT,
    IF,
    NEWS_FLUSH_ALL,
    NEWS_FLUSH_LOCAL,
    NEWS_FLUSH_PAGE,
    NEWS_WATCHED,
    RF,
    TF,
    VEC_PF,
)
from monitor.vmm.notes import VECTOR_NAMES
from monitor.vmm.shadow import HIDDEN_BASE
from monitor.vmm.virtual_pins import VirtualPins

EMULATED_RUN = 32768  # instructions the ideal processor runs between looks at decide()
MANY_TURNS = 2048  # exits after which run() comes back in any case, so that time limits hold
FEW = 64  # instructions, of which an engine without exact counts cannot run so many


class VirtualProcessor(VirtualPins):
    """What the two kinds of virtual processor share."""

    @abstractmethod
    def advance(self, posture: int, budget: int) -> int:
        """Run the guest in the way that its posture (POSTURE_*) asks for; an EXIT_* reason.

        EXIT_NONE: the loop shall go on.
        """

    def mappings_changed(self, everything: bool) -> None:
        """The guest flushed its TLB: `everything`, or all but global pages."""

    def mapping_changed(self, linear: int) -> None:
        """The guest flushed one page from its TLB."""

    # --- the loop -----------------------------------------------------------------------

    def run(self, budget: int) -> int:
        self._end = self.total + budget
        self._noticed = self.crossing.turns = 0
        reason = EXIT_NONE
        turns = 0
        while reason == EXIT_NONE:
            turns += 1
            if self._map_changed:
                self._map_changed = False
                self._asked = 0
                self._follow_ideal()
            if self.ideal.wp_hit:
                return EXIT_WATCHPOINT
            many = turns > MANY_TURNS or self.crossing.turns >= MOST_TURNS
            if self._noticed or many or (self._stop and turns > 1):
                self._stop = False
                return EXIT_IO
            if self.total >= self._end:
                return EXIT_BUDGET
            if self._intr and self.ideal.eflags & IF:
                if self.interruptible():
                    return EXIT_INTERRUPT
                reason = self.emulate("interrupt shadow")
            else:
                reason = self.go_on()
        return reason

    def go_on(self) -> int:
        """A turn, or many in compiled code (crossings.py)."""
        return self._turn(self._end - self.total)

    def _turn(self, budget: int) -> int:
        if self.stops and self.at_stop():
            self._passed = (self.total, self._linear())
            return EXIT_BREAKPOINT
        if not self._able:
            reason = self._beyond_engine(budget)
            if reason is not None:
                return reason
        return self.advance(self.ideal.posture(), budget)

    def _beyond_engine(self, budget: int) -> int | None:
        """What not every engine can do, the ideal processor does. None: the engine shall run.

        Where x87 instructions must fault. And what needs better counts than estimates: a few
        instructions, one at which there is a breakpoint, and one in the shadow of STI or MOV SS.
        """
        ideal = self.ideal
        if ideal.cr0 & (CR0_TS | CR0_EM) and not self.engine.traits.traps_x87:
            return self.run_emulated(budget)
        if self._exact:
            return None
        if budget <= FEW:
            return self.run_emulated(budget)
        if self.stops and self._linear() in self.stops:
            return self.emulate("breakpoint")
        if self.total in (ideal.shadow_at, ideal.ss_loaded_at):
            return self.emulate("interrupt shadow")
        return None

    def at_stop(self) -> bool:
        linear = self._linear()
        return linear in self.stops and self._passed != (self.total, linear)

    def _linear(self) -> int:
        """The guest's EIP as a linear address."""
        return int(self.ideal.segment(CS)[1] + self.ideal.eip & 0xFFFFFFFF)

    # --- direct execution ---------------------------------------------------------------

    def run_direct(self, budget: int) -> int:
        engine = self.engine
        engine.use_space(self.shadow.user)
        if self._loads is not None:
            self._loads.before()
        try:
            reason = engine.run_direct(self.ideal, HIDDEN_BASE, self.total, budget)
        finally:
            self.account("direct", engine.icount())
        if self._loads is not None:
            self._loads.take()
        engine.give_null_segments(self.ideal)
        return self.leave_direct(reason)

    def leave_direct(self, reason: int) -> int:
        """Direct execution has ended, and the registers are back."""
        engine = self.engine
        if self.not_stopped(reason) == EXIT_NONE:
            return EXIT_NONE
        if reason == EXIT_EXCEPTION:
            return self.engine_fault(user=True)
        if reason == EXIT_SOFTINT:
            return self.emulate(f"INT {engine.exit_arg:#x}")
        assert reason == EXIT_BREAKPOINT, f"engine left direct execution with reason {reason}"
        return EXIT_NONE if self.at_stop() else self.emulate("critical instruction")

    def engine_fault(self, user: bool) -> int:
        """An exception in the engine: the shadow's business, or an instruction to emulate."""
        engine = self.engine
        vector = engine.fault_vector
        if vector == VEC_PF:
            error = engine.fault_error
            write, fetch = bool(error & ACC_WRITE), bool(error & ACC_FETCH)
            if engine.wp_fault:
                return self.emulate("watched access")
            if engine.traced:
                return self.emulate("traced write")
            if self.shadow.fault(engine.cr2, write, fetch, user):
                self.note("shadow fill", self.ideal.eip)
                return EXIT_NONE
            return self.emulate("#PF")
        if self._loads is not None and user and self._loads.give():
            self.note("shadow descriptor", self.ideal.eip)
            return EXIT_NONE
        return self.emulate(VECTOR_NAMES.get(vector, f"vector {vector}"))

    # --- emulation ----------------------------------------------------------------------

    def run_emulated(self, budget: int) -> int:
        """Guest code that only the ideal processor can run."""
        passing = self.ideal.eflags & (RF | TF)  # for one instruction, or until its trap
        return self._step_ideal(min(budget, 1 if passing else EMULATED_RUN))

    def emulate(self, why: str) -> int:
        """One step of the ideal processor, if the budget has one left."""
        if self.total >= self._end and self._exact:
            return EXIT_NONE
        self.note(why, self.ideal.eip)
        return self._step_ideal(1)

    def _step_ideal(self, budget: int) -> int:
        ideal = self.ideal
        try:
            if self.stops and self._passed == (self.total, self._linear()):
                ideal.set_icount(self.total)
                reason = ideal.step_past()
            else:
                reason = ideal.run_at(self.total, budget, max(0, self._end - self.total - budget))
        finally:  # a device's bug too comes out behind an instruction, which counts
            self.account("emulated", ideal.icount())
            self._follow_ideal()
        if reason == EXIT_BREAKPOINT:
            self._passed = (self.total, self._linear())
        return self.not_stopped(reason)

    def stepped(self, reason: int) -> int:
        """Compiled code has let the ideal processor run."""
        self._follow_ideal()
        self.ideal.raise_pending()
        return self.not_stopped(reason)

    def not_stopped(self, reason: int) -> int:
        """EXIT_NONE for a reason that only ends a turn."""
        if reason in (EXIT_IO, EXIT_STOPPED):  # a device wants the machine's loop, or somebody else
            self._noticed = True  # does; or a REP has been going on
        if reason in (EXIT_BUDGET, EXIT_IO, EXIT_STOPPED, EXIT_INTERRUPT):
            return EXIT_NONE
        return reason

    def account(self, kind: str, count: int) -> None:
        done = getattr(self.crossing, kind)
        setattr(self.crossing, kind, done + count - self.total)
        self.total = count

    def _follow_ideal(self) -> None:
        """What the ideal processor did to its TLB and to traced memory concerns the shadows."""
        news = self.ideal.take_news()
        if news:
            self._follow(news)

    def _follow(self, news: int) -> None:
        if news & NEWS_FLUSH_ALL:
            self.shadow.flush(False)
            self.mappings_changed(everything=True)
            self.descriptors.flushed()
        elif news & NEWS_FLUSH_LOCAL:
            self.shadow.flush(True)
            self.mappings_changed(everything=False)
            self.descriptors.flushed()
        if news & NEWS_FLUSH_PAGE:
            for linear in self.ideal.told_pages():
                self.shadow.flush_page(linear)
                self.mapping_changed(linear)
                self.descriptors.flushed(linear)
        if news & NEWS_WATCHED:
            self.traced_bytes_written()

    # --- records ------------------------------------------------------------------------

    def note(self, why: str, eip: int) -> None:
        self.notes.add(why, eip, self.total)
        if self.listeners:
            self.tell(why, eip)

    def recent_exits(self) -> list[str]:
        return list(self.notes.recent())

    def statistics(self) -> dict[str, object]:
        shadow = self.shadow.statistics()
        shadow["fills"] += self.crossing.fills
        shadow["flushes"] += self.crossing.flushes
        shadow["hidden_region_accesses"] += self.crossing.hidden
        return {
            "by_kind": dict(self.kinds),
            "exits": dict(self.exits),
            "shadow": shadow,
            "wrong_answers": [],
        }

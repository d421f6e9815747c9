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
from collections import Counter, deque
from typing import Any, cast

from bt.contract import (
    ACC_FETCH,
    ACC_WRITE,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    EXIT_STOPPED,
    DescriptorEngine,
    Engine,
    PortEngine,
    Selectors,
)
from bt.engine import ENGINES, Interp, Ram
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
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.memory import GuestMemory
from monitor.vmm.processor import Processor
from monitor.vmm.selector_loads import SelectorLoads
from monitor.vmm.shadow import HIDDEN_BASE, ShadowMmu
from monitor.vmm.shadow_descriptors import ShadowDescriptor, ShadowDescriptors

EMULATED_RUN = 4096  # instructions the ideal processor runs between looks at decide()
MANY_TURNS = 2048  # exits after which run() comes back in any case, so that time limits hold
FEW = 64  # instructions, of which an engine without exact counts cannot run so many
VECTOR_NAMES = {0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 10: "#TS",
                11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC"}  # fmt: skip


class VirtualProcessor(Processor):
    """What the two kinds of virtual processor share."""

    def __init__(
        self, ram: Ram, memory: GuestMemory, board: Board, engine: str = "interp"
    ) -> None:
        self.listeners = []
        self.memory = memory
        self.ideal = Interp(ram, board)
        self.board = board
        self.engine: Engine[Any] = ENGINES[engine](ram, board)
        traits = self.engine.traits
        self._exact = traits.exact_counts
        self._able = traits.exact_counts and traits.traps_x87  # to run whatever there is
        self._ports = cast(PortEngine[Any], self.engine)  # asked where it serves an access
        self.ram = ram
        self.frames = self.engine.memory()
        self.shadow = self.make_shadow()
        self.descriptors = ShadowDescriptors(
            ram, self.frames, self.ideal, HIDDEN_BASE, self.descriptor_lost
        )
        self._loads: SelectorLoads | None = None  # for an engine that loads segments by itself
        if traits.selectors is Selectors.SHADOW:
            loads = cast(DescriptorEngine[Any], self.engine)
            self._loads = SelectorLoads(self.descriptors, loads, self.ideal)
        self._end = 0  # the count at which run() must be back
        self.total = 0  # guest instructions completed
        self.kinds: Counter[str] = Counter()  # the same by how they ran
        self.exits: Counter[str] = Counter()
        self._recent: deque[tuple[str, int, int]] = deque(maxlen=16)
        self.stops = set()
        self._passed = (-1, -1)  # count and address of the breakpoint that was reported last
        self._intr = False
        self._noticed = False
        self._stop = False  # stop() was called
        self._in_engine = False  # translated code is running, which may use ports
        self._map_changed = False  # and the shadows do not know yet

    def make_shadow(self) -> ShadowMmu:
        """Called once, while it is made."""
        return ShadowMmu(
            self.memory, self.ram, self.ideal, self.engine, self.board.has_device
        )

    # --- what the two do differently ----------------------------------------------------

    @abstractmethod
    def advance(self, posture: int, budget: int) -> int:
        """Run the guest in the way that its posture (POSTURE_*) asks for; an EXIT_* reason.

        EXIT_NONE: the loop shall go on.
        """

    def mappings_changed(self, everything: bool) -> None:
        """The guest flushed its TLB: `everything`, or all but global pages."""

    def mapping_changed(self, linear: int) -> None:
        """The guest flushed one page from its TLB."""

    def traced_bytes_written(self) -> None:
        """The ideal processor wrote where writes are traced."""
        written = self.ram.take_write_log()
        if written is None:
            self.traced_writes_lost()
            return
        for pa, size in written:
            self.traced_write(pa, size)

    def traced_writes_lost(self) -> None:
        """There were too many to note them all."""
        self.descriptors.forget()

    def traced_write(self, pa: int, size: int) -> None:
        """The ideal processor wrote these bytes, or some of them."""
        self.descriptors.written(pa, size)

    def descriptor_lost(self, gone: ShadowDescriptor) -> None:
        """A shadow descriptor does not hold any more, and its bytes are not traced for it."""
        if self._loads is not None:
            self._loads.lost(gone)

    def forget_translations(self) -> None:
        """Nothing that was made from the guest's code holds any more."""

    # --- what the machine's loop asks ---------------------------------------------------

    def count(self) -> int:
        return self.total

    def resume_at(self, count: int) -> None:
        self.restored = count
        self.kinds.clear()
        if count:
            self.kinds["restored"] = count
        self.total = count
        self.ideal.set_icount(count)
        self._passed = (-1, -1)

    def io_count(self) -> int:
        if self._in_engine:
            return int(self._ports.io_icount)
        # A walk of the shadow's may end in a device, while no instruction runs.
        return max(int(self.ideal.io_icount), self.total)

    def io_place(self) -> int:
        return int((self.engine if self._in_engine else self.ideal).eip)

    def notice(self) -> None:
        self._noticed = True
        self.ideal.recheck = 1
        if self._in_engine and self.board.counter.in_access:
            self._ports.recheck = 1  # only here: elsewhere it might stop in the middle of a stub

    def stop(self) -> None:
        self._stop = True
        self.engine.stop()  # the ideal processor never runs for long

    def wait(self, ticks: int) -> None:
        ideal = self.ideal
        if self._in_engine:
            self._ports.wait(ticks)
            ideal.tsc_offset = (ideal.tsc_offset + ticks) & 0xFFFFFFFFFFFFFFFF
        else:
            ideal.wait(ticks)
        self._end -= ticks

    def set_intr(self, level: bool) -> None:
        self._intr = level
        self.ideal.intr = 1 if level else 0

    def set_a20(self, level: bool) -> None:
        self.ideal.set_a20(level)
        self._follow_map()

    def interruptible(self) -> bool:
        self.ideal.set_icount(self.total)
        return bool(self.ideal.interruptible())

    def interrupt(self, vector: int) -> int:
        self.ideal.set_icount(self.total)
        reason = self.ideal.interrupt(vector)
        self._follow_ideal()
        return int(reason)

    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        self.ideal.set_vmware(backdoor, hypercalls, served, tsc_khz, bus_khz)
        self.engine.set_vmware(backdoor, hypercalls, served, tsc_khz, bus_khz)

    def answer_call(self, vector: int, error: int, address: int) -> int:
        self.ideal.set_icount(self.total)
        reason = self.ideal.answer_call(vector, error, address)
        self.account("emulated", self.ideal.icount())
        self._follow_ideal()
        return int(reason)

    def record(self, room: int) -> None:
        if room:
            self.check_notes()
        super().record(room)

    def check_notes(self) -> None:
        """UserError: this engine notes nothing for those who watch it."""
        if not self.engine.traits.instruments:
            raise UserError(
                "this machine's engine does not note what it runs: choose another (--engine interp)"
            )

    def forget_code(self) -> None:
        self.descriptors.forget()
        super().forget_code()

    def memory_changed(self, physical: int, size: int) -> None:
        super().memory_changed(physical, size)
        if not self._in_engine:
            self.descriptors.written(physical, size)

    def sync(self) -> None:
        """Between turns the ideal processor is always current, but for the time."""
        self.ideal.set_icount(self.total)

    def restarted(self) -> None:
        super().restarted()
        self._follow_ideal()

    def map_changed(self) -> None:
        """The ideal processor forgets at once, the shadows as soon as the engine has left.

        Nothing may be taken from under an engine that runs; it leaves right behind the access.
        """
        self.ideal.flush()
        self._follow_map()

    def _follow_map(self) -> None:
        self.notice()
        if self._in_engine:
            self._map_changed = True
        else:
            self._follow_ideal()

    def set_breakpoints(self, stops: set[int]) -> None:
        if stops != self.stops:
            super().set_breakpoints(stops)
            self.engine.set_stops(sorted(stops))
            self.forget_translations()

    def set_watchpoints(self, watchpoints: list[tuple[int, int, int]]) -> None:
        super().set_watchpoints(watchpoints)
        # What lies in the monitor's region, the guest reaches by the ideal processor only.
        below = [
            (first, min(last, HIDDEN_BASE - 1), kind)
            for first, last, kind in watchpoints
            if first < HIDDEN_BASE
        ]
        self.engine.set_watchpoints(below, [self.shadow.kernel, self.shadow.user])

    # --- the loop -----------------------------------------------------------------------

    def run(self, budget: int) -> int:
        self._end = self.total + budget
        self._noticed = False
        reason = EXIT_NONE
        turns = 0
        while reason == EXIT_NONE:
            turns += 1
            if self._map_changed:
                self._map_changed = False
                self._follow_ideal()
            if self.ideal.wp_hit:
                return EXIT_WATCHPOINT
            if self._noticed or turns > MANY_TURNS or (self._stop and turns > 1):
                self._stop = False
                return EXIT_IO
            if self.total >= self._end:
                return EXIT_BUDGET
            if self._intr and self.ideal.eflags & IF:
                if self.interruptible():
                    return EXIT_INTERRUPT
                reason = self.emulate("interrupt shadow")
            else:
                reason = self._turn(self._end - self.total)
        return reason

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
            news = ideal.take_news()
            if news:
                self._follow(news)
        if reason == EXIT_BREAKPOINT:
            self._passed = (self.total, self._linear())
        return self.not_stopped(reason)

    def not_stopped(self, reason: int) -> int:
        """EXIT_NONE for a reason that only ends a turn."""
        if reason in (EXIT_IO, EXIT_STOPPED):  # a device wants the machine's loop, or somebody else
            self._noticed = True  # does; or a REP has been going on
        if reason in (EXIT_BUDGET, EXIT_IO, EXIT_STOPPED, EXIT_INTERRUPT):
            return EXIT_NONE
        return reason

    def account(self, kind: str, count: int) -> None:
        self.kinds[kind] += count - self.total
        self.total = count

    def _follow_ideal(self) -> None:
        """What the ideal processor did to its TLB and to traced memory concerns the shadows."""
        self._follow(self.ideal.take_news())

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
        self.exits[why] += 1
        self._recent.append((why, eip, self.total))
        if self.listeners:
            self.tell(why, eip)

    def recent_exits(self) -> list[str]:
        return [f"{why:22} at {eip:08x} after {count:,}" for why, eip, count in self._recent]

    def statistics(self) -> dict[str, object]:
        return {
            "by_kind": dict(self.kinds),
            "exits": dict(self.exits),
            "shadow": self.shadow.statistics(),
            "wrong_answers": [],
        }

"""The virtual processor as the machine's loop sees it: pins, time, and what others have changed.

Between turns `ideal` holds the whole virtual CPU, but for the time. While translated code runs, the
engine may be serving an access to a device: then the time, the pins and `notice` are the engine's
business, and nothing may be taken from under it. What runs the guest is virtual.py.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from dataclasses import replace
from typing import Any, cast

from bt.contract import DescriptorEngine, Engine, PortEngine, Selectors
from bt.engine import ENGINES, Crossing, Interp, Ram
from bt.models import Model
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.memory import GuestMemory
from monitor.vmm.notes import Notes, shared
from monitor.vmm.processor import Processor
from monitor.vmm.selector_loads import SelectorLoads
from monitor.vmm.shadow import HIDDEN_BASE, ShadowMmu
from monitor.vmm.shadow_descriptors import ShadowDescriptor, ShadowDescriptors


class VirtualPins(Processor):
    """What the loop asks, but for run()."""

    total = shared("total")  # guest instructions completed
    _end = shared("end")  # the count at which run() must be back
    _noticed = shared("noticed")  # the machine has something to do
    _asked = shared("asked")  # the monitor has, before the next turn
    _in_engine = shared("in_engine")  # translated code is running, which may use ports

    def __init__(
        self, ram: Ram, memory: GuestMemory, board: Board, engine: str = "interp"
    ) -> None:
        self.listeners = []
        self.crossing = Crossing()
        self.notes = Notes(self.crossing)
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
        self.interest = bytearray(1 << 20)  # linear pages of which somebody wants to hear
        self.descriptors = ShadowDescriptors(
            ram, self.frames, self.ideal, HIDDEN_BASE, self.descriptor_lost, self.interest
        )
        self._loads: SelectorLoads | None = None  # for an engine that loads segments by itself
        if traits.selectors is Selectors.SHADOW:
            loads = cast(DescriptorEngine[Any], self.engine)
            self._loads = SelectorLoads(self.descriptors, loads, self.ideal)
        self.stops = set()
        self._passed = (-1, -1)  # count and address of the breakpoint that was reported last
        self._intr = False
        self._stop = False  # stop() was called
        self._map_changed = False  # and the shadows do not know yet

    def make_shadow(self) -> ShadowMmu:
        """Called once, while it is made."""
        return ShadowMmu(
            self.memory, self.ram, self.ideal, self.engine, self.board.has_device
        )

    @property
    def exits(self) -> Counter[str]:
        """How often the engine has left, by why."""
        return self.notes.counts()

    @property
    def kinds(self) -> Counter[str]:
        """Guest instructions by how they ran."""
        crossing = self.crossing
        kinds = Counter(translated=crossing.translated, emulated=crossing.emulated)
        kinds.update(direct=crossing.direct, restored=self.restored)
        return +kinds

    def count(self) -> int:
        return self.total

    def resume_at(self, count: int) -> None:
        self.restored = count
        crossing = self.crossing
        crossing.translated = crossing.direct = crossing.emulated = 0
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
        self._noticed = 1
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

    def set_model(self, model: Model) -> None:
        super().set_model(model)
        self.engine.set_model(model)

    def add_local_apic(self, model: Model, base: int) -> None:
        super().add_local_apic(model, base)
        self.engine.set_model(replace(model, apic=True))  # for CPUID, where it is not trapped

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

    def memory_changed(self, physical: int, size: int, leave: bool = True) -> None:
        super().memory_changed(physical, size, leave)
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
            self._asked = 1
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

    # --- what is behind the pins --------------------------------------------------------

    @abstractmethod
    def account(self, kind: str, count: int) -> None:
        """So many instructions have completed by now, and how they ran."""

    @abstractmethod
    def _follow_ideal(self) -> None:
        """The ideal processor did something: what it flushed, wrote or found is news to others."""

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

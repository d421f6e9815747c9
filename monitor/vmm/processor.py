"""What the machine's loop needs of a processor, bare or virtual.

`run` returns an EXIT_* reason of bt.interp.state: BUDGET, HALT, INTERRUPT (the INTR pin is up and
can be taken), IO (a device wants the loop), SHUTDOWN, BREAKPOINT, WATCHPOINT, VMWARE (the host
application shall serve a call: answer_call()). In between, whatever a virtual processor does about
exits is its own affair.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from bt.contract import FrameTable
from bt.engine import Interp, Ram
from bt.interp.state import VEC_NMI
from bt.models import Model
from monitor.vmm.calling import call
from monitor.vmm.events import ExitEvent, Listener

Result = TypeVar("Result")


class Processor(ABC):
    ram: Ram  # physical memory, as the ideal processor has it
    frames: FrameTable  # what is to be told of it
    listeners: list[Listener]  # told of every exit; empty costs nothing
    ideal: Interp  # holds the architectural state; see sync()
    stops: set[int]  # the breakpoints that are set
    restored: int = 0  # guest instructions that were completed elsewhere, before a checkpoint

    @abstractmethod
    def run(self, budget: int) -> int:
        """Run at most `budget` guest instructions; an EXIT_* reason."""

    @abstractmethod
    def count(self) -> int:
        """Guest instructions completed, between instructions."""

    @abstractmethod
    def io_count(self) -> int:
        """The same while an access to a device is being served."""

    @abstractmethod
    def io_place(self) -> int:
        """EIP of the guest's instruction whose access to a device is being served."""

    @abstractmethod
    def resume_at(self, count: int) -> None:
        """So many guest instructions have completed: `ideal` was given another state."""

    def record(self, room: int) -> None:
        """Note each guest instruction that begins (FrameTable.record); 0: no more."""
        self.frames.record(room)

    def take_record(self) -> list[tuple[int, int, int, int, int]]:
        """FrameTable.take_record, but with the guest's EIP everywhere."""
        return self.frames.take_record()

    @abstractmethod
    def notice(self) -> None:
        """Leave run() after the instruction that is being executed; in the machine's thread."""

    @abstractmethod
    def stop(self) -> None:
        """Let run() come back soon with EXIT_IO; if none is under way, the next one.

        From any thread, and from a signal's handler.
        """

    @abstractmethod
    def wait(self, ticks: int) -> None:
        """While an access to a device is being served: it takes so many instructions' time."""

    @abstractmethod
    def set_intr(self, level: bool) -> None:
        """The INTR pin."""

    @abstractmethod
    def set_a20(self, level: bool) -> None: ...

    @abstractmethod
    def interruptible(self) -> bool:
        """Would an interrupt be taken now?"""

    @abstractmethod
    def interrupt(self, vector: int) -> int:
        """Deliver an external interrupt; 0 or an EXIT_* reason."""

    def pulse_nmi(self) -> None:
        """A rising edge of the NMI pin; one is remembered while another is being handled."""
        self.ideal.nmi_pending = 1
        self.notice()

    def nmi_ready(self) -> bool:
        """Would the NMI that waits be taken now?"""
        if not self.ideal.nmi_pending:
            return False
        self.ideal.set_icount(self.count())
        return bool(self.ideal.nmi_ready())

    def deliver_nmi(self) -> int:
        """Deliver it, and block further ones until IRET; 0 or an EXIT_* reason."""
        self.ideal.nmi_pending = 0
        self.ideal.nmi_blocked = 1
        return self.interrupt(VEC_NMI)

    def set_model(self, model: Model) -> None:
        """Be a processor of this model, as after RESET#."""
        self.ideal.set_model(model)
        self.ideal.reset()

    def add_local_apic(self, model: Model, base: int) -> None:
        """It has a local APIC, and a reset leaves this in IA32_APIC_BASE; CPUID follows that."""
        self.ideal.set_apic_base(base)

    @abstractmethod
    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        """VMware's guest interfaces (Interp.set_vmware)."""

    @abstractmethod
    def answer_call(self, vector: int, error: int, address: int) -> int:
        """Complete the instruction that left with EXIT_VMWARE, or let it fault (vector >= 0)."""

    @abstractmethod
    def sync(self) -> None:
        """Make `ideal` hold the guest's registers, for whoever wants to look at or change them."""

    def ask(self, function: Callable[..., Result], *args: Any) -> Result:
        """What an extension's function answers; a run's time limit holds in it (watchdog.py)."""
        return call(function, *args)

    def restarted(self) -> None:
        """The embedder changed the architectural state in `ideal`."""
        self.ideal.flush()

    def forget_code(self) -> None:
        """The embedder put another guest into RAM: nothing made of the old one's code holds."""
        self.frames.forget_blocks()

    @abstractmethod
    def map_changed(self) -> None:
        """Something else answers at some physical addresses (physical_map.py).

        At any time, also while an access to a device is being served: nothing that is known of them
        holds for the guest's next instruction.
        """

    def memory_changed(self, physical: int, size: int, leave: bool = True) -> None:
        """Somebody other than a processor changed memory at this place, perhaps in an access.

        Then run() comes back behind the instruction that does it. It need not (`leave`) where that
        is an access to registers in memory, which is done alone in every mode.
        """
        self.frames.written(physical, size)
        if leave:
            self.notice()

    def set_breakpoints(self, stops: set[int]) -> None:
        """Linear addresses before which run() leaves with EXIT_BREAKPOINT."""
        if stops != self.stops:
            self.stops = set(stops)
            self.ideal.set_stops(sorted(stops))

    def set_watchpoints(self, watchpoints: list[tuple[int, int, int]]) -> None:
        """Leave run() with EXIT_WATCHPOINT right after an access: (first, last, WP_* bits)."""
        self.ideal.set_watchpoints(watchpoints, [self.ideal.user, self.ideal.sup])

    def take_watchpoint(self) -> int:
        """The number of the watchpoint that was hit, -1 if none was."""
        return int(self.ideal.take_watchpoint())

    def recent_exits(self) -> list[str]:
        """The last exits in words, oldest first; a bare processor has none."""
        return []

    def tell(self, reason: str, eip: int) -> None:
        """Let the listeners know."""
        event = ExitEvent(reason, eip, self.count())
        for listener in self.listeners:
            listener(event)

    @abstractmethod
    def statistics(self) -> dict[str, object]: ...

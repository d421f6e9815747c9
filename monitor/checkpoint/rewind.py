"""Going back in time: to the instruction before, or to the last stop before.

    rewind = Rewind(machine)
    machine.run(until="# ")
    rewind.step_back()                    one instruction
    machine.debug.add_watchpoint(address)
    rewind.run_back()                     to where the last write of it is about to happen

With counted instructions as the clock every run repeats: the machine a moment ago is a checkpoint
in memory and the instructions since. So checkpoints are taken while it runs (history.py), what is
typed, moved or pasted is noted with the place where the guest got it (recorded_inputs.py), and
going back is restoring and running forward up to where one wants to be. What the guest sent to its
console before is not shown again.

A place is told by instructions, interrupts, time and registers, since a REP, or an interrupt that
was delivered, is more than one place at one count. Running on from the past repeats what was;
behind the newest place there is, the run goes on. Who changes the past (changed()) makes it the
newest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from monitor.checkpoint.history import RamHistory
from monitor.checkpoint.ram import touched
from monitor.checkpoint.recorded_inputs import RecordedInputs
from monitor.checkpoint.recorded_line import RecordedLine, When
from monitor.checkpoint.state import check_quiet, gather, revert
from monitor.host.console import ConsoleState
from monitor.vmm.clock import HostClock
from monitor.vmm.errors import MonitorBug, UserError
from monitor.vmm.outcome import Outcome

if TYPE_CHECKING:
    from monitor.machine import Machine

MEMORY_MB = 256  # of changed pages
MOST_MOMENTS = 200
FEWEST_MOMENTS = 4  # before the oldest is forgotten for want of memory
SHORTEST = 0.2  # seconds of running between two moments,
SHARE = 20  # and so many times what taking one costs
KEPT = 1 << 16  # bytes of a console's tail that a moment keeps
STOPS = ("address", "watchpoint")
PAUSES = ("instructions", "stopped")
NOTHING = Outcome("nothing")
BEGINNING = Outcome("beginning", detail="there is no earlier moment to go back to")

Place = tuple[When, tuple[int, ...]]  # and the registers


@dataclass
class Moment:
    """A checkpoint in memory, but for its RAM."""

    when: When
    state: dict[str, Any]
    consoles: tuple[ConsoleState, ...]
    storage: dict[str, Any]  # what is in the drives
    inputs: tuple[int, int, int]  # how much had come
    exact: bool  # nothing else happened at its count of instructions before it

    @property
    def count(self) -> int:
        """Instructions completed."""
        return self.when[0]


class Rewind:
    """Of one machine, from now on. UserError: its runs do not repeat."""

    def __init__(self, machine: Machine, memory_mb: int = MEMORY_MB) -> None:
        if isinstance(machine.clock, HostClock):
            raise UserError("going back needs a run that repeats: --clock icount")
        if any(drive.config.persistent for drive in machine.storage.values()):
            raise UserError("going back needs disks that forget: leave ,persistent out")
        self._machine = machine
        self._most = memory_mb << 20
        memory = machine.physical_map.all_memory()
        self._ram = RamHistory(memory, partial(touched, machine.memory, len(memory)))
        self._moments: list[Moment] = []
        self._inputs = RecordedInputs(machine.board.real_inputs, self)
        self._newest: When = self.when()  # as far as the run ever got
        self._taken = time.monotonic()
        self._cost = 0.0
        self.searching = False  # it runs for our sake, and nobody shall see it
        self.telling = False  # somebody hears what the guest sends for the first time
        machine.board.inputs = self._inputs
        cables = machine.board.cables
        for name in cables:
            if name != "debug":
                cables[name] = RecordedLine(machine.cables[name], self)
        machine.loop.chores.append(self)
        self._take(exact=True)

    # --- where it is --------------------------------------------------------------------

    def when(self) -> When:
        """Where the machine is, as far as it matters between two turns."""
        machine = self._machine
        return machine.processor.count(), machine.loop.interrupts, machine.clock.now()

    def when_within(self) -> When:
        """The same within an instruction: at its beginning."""
        machine = self._machine
        return machine.board.counter(), machine.loop.interrupts, machine.clock.now()

    def calls_us(self) -> bool:
        """Are we called from within a run of this thread's?"""
        return self._machine._running.within()

    def timers_due(self) -> bool:
        """Is a device's timer due?"""
        due = self._machine.board.bus.next_deadline()
        return due is not None and due <= self._machine.clock.now()

    def fire(self) -> None:
        """Let what is due go off."""
        self._machine.board.bus.run_due()

    def place(self) -> Place:
        """Where it is, exactly."""
        return self.when(), tuple(self._machine.registers.values())

    @property
    def in_the_past(self) -> bool:
        """Has the run been further than here?"""
        return self.when() < self._newest

    @property
    def moments(self) -> int:
        """Checkpoints that are kept."""
        return len(self._moments)

    @property
    def bytes(self) -> int:
        """Memory that older ones take."""
        return self._ram.bytes

    # --- while it runs ------------------------------------------------------------------

    def look(self) -> int | None:
        """Between two turns (monitor/vmm/loop.py)."""
        if self.in_the_past:
            return self._inputs.next_count()
        self._newest = self.when()
        if not self.searching and self._is_time():
            self._take(exact=False)
        return None

    def _is_time(self) -> bool:
        passed = time.monotonic() - self._taken
        return passed > max(SHORTEST, SHARE * self._cost) and not self.amid_rep()

    def amid_rep(self) -> bool:
        """Between two iterations of a REP?"""
        processor = self._machine.processor
        return bool(processor.ideal.rep_at == processor.count())

    def _take(self, exact: bool) -> None:
        begun = time.monotonic()
        machine = self._machine
        self._ram.take()
        consoles = tuple(line.output.state(KEPT) for line in machine.cables.values())
        state = gather(machine)  # which hands over what was typed
        disks, inputs = machine.storage.remember(), self._inputs.position
        self._moments.append(Moment(self.when(), state, consoles, disks, inputs, exact))
        self._make_room()
        self._taken = time.monotonic()
        self._cost = self._taken - begun

    def _make_room(self) -> None:
        while len(self._moments) > MOST_MOMENTS or self._ram.bytes > self._most:
            if len(self._moments) <= 2:
                return
            self._leave_out(self._least() if len(self._moments) > FEWEST_MOMENTS else 0)

    def _least(self) -> int:
        """The moment that is missed least: its neighbours are close, for how long ago it was."""
        counts = [moment.count for moment in self._moments]
        now = counts[-1]

        def worth(at: int) -> float:
            return (counts[at + 1] - counts[at - 1]) / (now - counts[at] + 1)

        inner = [at for at in range(1, len(counts) - 1) if not self._moments[at].exact]
        return min(inner, key=worth, default=0)

    def _leave_out(self, at: int) -> None:
        self._ram.leave_out(at)
        del self._moments[at]

    # --- going back ---------------------------------------------------------------------

    def step_back(self) -> Outcome:
        """To the instruction before; kind "instructions", or "beginning" if there is none."""
        check_quiet(self._machine)
        here = self.place()
        with self._search(here):
            return self._before(here)

    def run_back(self) -> Outcome:
        """To the last stop before: a breakpoint, or the instruction that a watchpoint is about.

        Kind "address", "watchpoint" or "beginning"; "stopped" if somebody called stop(), and then
        the machine is where it was.
        """
        check_quiet(self._machine)
        here = end = self.place()
        with self._search(here):
            for at in reversed(range(self._moment_before(here) + 1)):
                self._restore(at)
                begin = self.place()
                stops, last = self._stops_until(end, end == here)
                if last.kind == "stopped":
                    self._reach(here)
                    return last
                if stops:
                    return self._go_to_stop(at, stops, last)
                end = begin
            self._restore(0)
            return BEGINNING

    def changed(self) -> None:
        """Somebody changed registers or memory: what came after this place never was."""
        when = self.when()
        while len(self._moments) > 1 and self._moments[-1].when >= when:
            self._moments.pop()
        self._ram.forget_after(len(self._moments) - 1)
        self._inputs.forget()
        self._newest = when
        self._take(exact=True)

    @contextmanager
    def _search(self, here: Place) -> Iterator[None]:
        """While the machine runs for our sake only. Interrupted, it goes back to where it was."""
        self._machine.serial.output.forget_text()
        self.searching = True
        try:
            yield
        except KeyboardInterrupt:
            self._reach(here)
            raise
        finally:
            self.searching = False

    def _restore(self, at: int) -> None:
        """The machine is as it was at a moment."""
        moment, machine = self._moments[at], self._machine
        self._ram.go(at)
        machine.storage.recall(moment.storage)
        revert(machine, moment.state)
        for line, console in zip(machine.cables.values(), moment.consoles, strict=True):
            line.output.resume(console)
        self._inputs.rewound(moment.inputs)

    def _moment_before(self, place: Place) -> int:
        """The newest moment that lies before a place, or is it; 0 if none does."""
        return self._newest_moment(lambda moment: moment.when <= place[0], place[0][0])

    def _newest_moment(self, fits: Callable[[Moment], bool], count: int) -> int:
        for at in reversed(range(len(self._moments))):
            moment = self._moments[at]
            if moment.count < count or (moment.exact and fits(moment)):
                return at
        return 0

    def _before(self, place: Place) -> Outcome:
        """To the place before that one."""
        count = place[0][0]
        if self._to_count(count) and self.place() != place:
            return Outcome("instructions", detail="amid an instruction, to where it began")
        if self._to_count(count - 1):
            return Outcome("instructions", detail="one instruction back")
        return BEGINNING

    def _to_count(self, count: int) -> bool:
        """To where so many instructions have just completed; False: to the beginning instead."""
        at = self._newest_moment(lambda moment: moment.count == count, count)
        self._restore(at)
        if self._moments[at].count > count:
            return False
        self._run_to(count)
        return True

    def _reach(self, place: Place) -> None:
        """To a place that was."""
        self._restore(self._moment_before(place))
        self._run_to(place[0][0])
        while self.place() != place:
            if self._stop_until(place[0][0]).kind not in STOPS:
                raise MonitorBug(f"{place[0]} is not reached again: the run did not repeat")

    def _run_to(self, count: int) -> None:
        """Run to a count of instructions, without stops."""
        machine = self._machine
        with machine._stopping.disarmed():
            while machine.instructions < count:
                outcome = machine.run(max_instructions=count - machine.instructions)
                if machine.instructions < count and outcome.kind not in PAUSES:
                    raise MonitorBug(f"the run did not repeat: {outcome.detail}")

    def _stop_until(self, count: int) -> Outcome:
        """Run to the next stop, or until so many instructions have completed, or one more."""
        machine = self._machine
        return machine.run(max_instructions=max(1, count - machine.instructions))

    def _stops_until(self, end: Place, crossing: bool) -> tuple[int, Outcome]:
        """Run to a place: how many stops lie before it, and the last of them.

        `crossing`: a watchpoint that is met right at the end lies before it, too: going back from
        there undoes the access.
        """
        stops, last, count = 0, NOTHING, end[0][0]
        while self.place() != end:
            outcome = self._stop_until(count)
            if outcome.kind not in STOPS:
                if outcome.kind == "stopped":
                    last = outcome
                break
            at_end = self.place() == end
            if at_end and not (crossing and outcome.kind == "watchpoint"):
                break
            if self.when() > end[0]:
                break
            stops, last = stops + 1, outcome
        return stops, last

    def _go_to_stop(self, at: int, stops: int, last: Outcome) -> Outcome:
        """From a moment on to the stop of this number; before the access, if it is about one."""
        self._restore(at)
        for _ in range(stops):
            self._stop_until(1 << 62)
        if last.kind == "watchpoint":
            hit = self._machine.debug.watchpoint_hit
            self._before(self.place())
            self._machine._stopping.watchpoints.hit = hit
        return last

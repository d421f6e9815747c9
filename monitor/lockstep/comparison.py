"""Lockstep: the same guest bare and translated, compared as they go.

The monitor is right when no program can tell it from the bare machine. With time counted in guest
instructions (clock.py) both machines are deterministic, so that can be checked: run both by the
same number of instructions, compare everything that a program could find out (cpu_state.py) and
all of RAM, and go on.

    pair = Lockstep(make)                        # make("bare"), make("translate")
    report = pair.run(Stage(instructions=100_000_000, step=101, memory_every=100_000))
    assert report.difference is None, report.difference

When they differ, fresh machines are run to ever closer points until one guest instruction is left
between "they agree" and "they differ". Where a run is cut is no business of the guest's; should a
difference depend on it all the same, the search says so.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.lockstep.pair import MakeMachine, Pair, Row, digest
from monitor.vmm.outcome import Outcome

FAN = 64  # parts into which the search divides an interval
STILL_RUNNING = ("instructions", "until")  # kinds of outcome after which a guest can go on


@dataclass(frozen=True)
class Stage:
    """A stretch of the guest's life and how closely to look at it.

    Registers are compared every `step` instructions, RAM every `memory_every` and at the end;
    `instructions` None: until the guest ends, or its console shows `until`. `send` is typed on the
    serial consoles at the beginning.
    """

    instructions: int | None = None
    step: int = 1
    memory_every: int = 16
    digests: bool = False  #: note a digest at every comparison of RAM
    until: str | None = None
    send: str = ""


@dataclass(frozen=True)
class Difference:
    """The machines agreed after `agreed` instructions and differed after `count`."""

    agreed: int
    count: int
    rows: tuple[Row, ...]
    instruction: str  #: the guest's, at the place where they still agreed
    where: str  #: registers and last exits of the second machine
    modes: tuple[str, str]
    found_again: bool = True  #: by machines that ran to `agreed` in one go

    def __str__(self) -> str:
        one, other = self.modes
        lines = [
            f"{one} and {other} differ after {self.count:,} guest instructions "
            f"and agreed after {self.agreed:,}, at",
            f"  {self.instruction}",
            *(f"  {name:20} {one} {a}  {other} {b}" for name, a, b in self.rows),
        ]
        if not self.found_again:
            lines.append("  a run that is cut at other places does not show it")
        return "\n".join([*lines, f"{other}:", self.where])


@dataclass
class Report:
    """What a comparison found."""

    difference: Difference | None = None
    instructions: int = 0
    states: int = 0  #: comparisons of the processors
    memories: int = 0  #: comparisons of RAM
    digests: dict[int, str] = field(default_factory=dict)  #: by guest instructions completed
    outcome: Outcome | None = None  #: how the last run ended

    @property
    def guest_ended(self) -> bool:
        """Has the guest come to its end, so that there is nothing left to compare?"""
        return self.outcome is not None and self.outcome.kind not in STILL_RUNNING


class Lockstep:
    """Compares the guest that `make(mode)` loads, in two modes. `make` must be repeatable."""

    def __init__(self, make: MakeMachine, modes: tuple[str, str] = ("bare", "translate")) -> None:
        self._make = make
        self.modes = modes
        self._typed: list[tuple[int, str]] = []  # what was sent to the consoles, and when

    def run(self, *stages: Stage, progress: Callable[[int], None] | None = None) -> Report:
        """Go through the stages, up to the first difference or the end of the guest.

        `progress` is called with the number of instructions at every comparison of RAM.
        """
        report = Report()
        self._typed.clear()
        pair = Pair(self._make, self.modes)
        for stage in stages:
            if stage.send:
                self._typed.append((pair.count, stage.send))
                pair.send(stage.send)
            agreed = self._stage(pair, stage, report, progress)
            if agreed is not None:
                differs, rows = pair.count, pair.rows()
                del pair
                report.difference = self._locate(agreed, differs, rows)
                break
            if report.guest_ended:
                break
        return report

    def _stage(
        self,
        pair: Pair,
        stage: Stage,
        report: Report,
        progress: Callable[[int], None] | None,
    ) -> int | None:
        """Run one stage. None: they agree; else the last count at which all of it agreed."""
        end = None if stage.instructions is None else pair.count + stage.instructions
        whole = pair.count  # the last place where RAM was compared
        while end is None or pair.count < end:
            length = stage.step if end is None else min(stage.step, end - pair.count)
            outcome = pair.advance(length, stage.until)
            ended = outcome.kind != "instructions"
            report.states += 1
            report.instructions = pair.count
            report.outcome = outcome
            if not pair.processors_agree():
                return whole
            if ended or pair.count - whole >= stage.memory_every or pair.count == end:
                report.memories += 1
                if not pair.memories_agree():
                    return whole
                whole = pair.count
                if stage.digests:
                    report.digests[whole] = digest(pair.one)
                if progress is not None:
                    progress(whole)
            if ended:
                return None
        return None

    # --- the search for the instruction -------------------------------------------------

    def _locate(self, agreed: int, differs: int, rows: tuple[Row, ...]) -> Difference:
        """The first difference within (agreed, differs], as closely as fresh machines show it."""
        start, low, high = agreed, agreed, differs  # a run from `start` shows it within (low, high]
        while high - low > 1:
            part = self._walk(low, high)
            if part is None:
                low, high = self._bisect(low, high)
                break
            low, high = part
            start = low
        pair = self._pair_at(start)
        self._advance(pair, high)
        seen = pair.rows()
        where = pair.other.debug.where()
        del pair
        if not seen:
            low, high = agreed, differs
        instruction = self._instruction_at(low)
        return Difference(low, high, seen or rows, instruction, where, self.modes, bool(seen))

    def _pair_at(self, count: int) -> Pair:
        """Fresh machines that have run so far, in one go."""
        gc.collect()  # the machines before them: a board and its chips know each other
        pair = Pair(self._make, self.modes)
        self._advance(pair, count)
        return pair

    def _advance(self, pair: Pair, count: int) -> Outcome | None:
        """Run on to a count, typing what was typed on the way."""
        outcome = None
        for at, text in self._typed:
            if pair.count <= at < count:
                if at > pair.count:
                    outcome = pair.advance(at - pair.count)
                pair.send(text)
        if pair.count < count:
            outcome = pair.advance(count - pair.count)
        return outcome

    def _walk(self, agreed: int, differs: int) -> tuple[int, int] | None:
        """The part of (agreed, differs] in which a walk in FAN strides finds the difference."""
        pair = self._pair_at(agreed)
        if not pair.agree():
            return 0, agreed
        stride = -(-(differs - agreed) // FAN)
        while pair.count < differs:
            before = pair.count
            outcome = self._advance(pair, min(before + stride, differs))
            if not pair.agree():
                return before, max(pair.count, before + 1)
            if outcome is None or outcome.kind not in STILL_RUNNING:
                break
        return None

    def _bisect(self, agreed: int, differs: int) -> tuple[int, int]:
        """The same when strides hide it: every probe runs straight from `agreed`."""
        low, high = agreed, differs
        while high - low > 1:
            middle = (low + high) // 2
            pair = self._pair_at(agreed)
            self._advance(pair, middle)
            if pair.agree():
                low = middle
            else:
                high = middle
        return low, high

    def _instruction_at(self, count: int) -> str:
        """The guest instruction that comes after so many, as the first machine has it."""
        text = self._pair_at(count).one.debug.where()
        _, _, code = text.partition("code at eip:\n")
        return code.partition("\n")[0].strip() or text.rpartition("\n")[2]

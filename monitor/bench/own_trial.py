"""A look at an operation before it is measured: do its passes end, and are they alike?

Three passes run on the bare machine, from breakpoint to breakpoint, so an operation that never
comes back is stopped after so many instructions. What is wrong is a UserError that names it.
"""

from __future__ import annotations

import time

from bt.lengths import LONGEST, locate
from monitor.bench.own_loop import OwnOperation, Places
from monitor.bench.rows import BARE
from monitor.bench.runner import loaded
from monitor.machine import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

PASSES = 3
LONGEST_PASS = 100_000  # instructions; a profile goes through some of them one by one
SKIPPED = 2  # bytes, by the handlers in guests/handlers.asm
ERROR_CODE = (8, *range(10, 15), 17)  # vectors that push one (SDM volume 3, 6.13)
WORDS = ("#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "vector 9", "#TS", "#NP",
         "#SS", "#GP", "#PF", "vector 15", "#MF", "#AC", "#MC")  # fmt: skip
TRAPS = ("#DB", "#BP")  # these name the instruction behind the one that they are of
ENDED = {
    "exit": "it ends the machine: it writes to the debug-exit port, or jumps to what does",
    "reset": "it resets the machine",
    "poweroff": "it switches the machine off",
    "shutdown": "it shuts the processor down: a fault could not be delivered (triple fault). "
                "Is there still a stack at ESP?",
    "vmware": "it makes a hypercall, which nobody here answers",
}  # fmt: skip
TOO_LONG = "the time limit was reached before three passes of it were over"


class TooLongError(UserError):
    """The time limit was reached."""


def check(operation: OwnOperation, deadline: float | None = None, memory_mb: int = 8) -> None:
    """UserError where the operation cannot be measured, saying why.

    `deadline` is by time.monotonic(), in seconds; TooLongError where it comes first.
    """
    places = operation.places()
    if places.operation == places.behind:
        raise _wrong(operation, "it has no instructions")
    _Trial(operation, places, deadline, memory_mb).run()


def _wrong(operation: OwnOperation, why: str) -> UserError:
    return UserError(f"operation {operation.name!r}: {why}")


class _Trial:
    def __init__(
        self, operation: OwnOperation, places: Places, deadline: float | None, memory_mb: int
    ) -> None:
        self._operation = operation
        self._places = places
        self._deadline = deadline
        self._machine = loaded(operation.workload(PASSES, memory_mb), BARE)
        for address in (places.stray, places.divide_error, places.page_fault):
            self._machine.debug.add_breakpoint(address)

    def run(self) -> None:
        lengths = {self._pass(passes_left) for passes_left in range(PASSES, 0, -1)}
        if len(lengths) > 1:
            counts = " and ".join(f"{n:,}" for n in sorted(lengths))
            raise self._wrong(f"its passes differ: they have {counts} instructions, and each must "
                              "execute the same")  # fmt: skip

    def _pass(self, passes_left: int) -> int:
        """One pass; the instructions that it took."""
        machine = self._machine
        self._go(self._places.operation)
        before, stack, ring = machine.instructions, machine.registers["esp"], _ring(machine)
        self._go(self._places.behind)
        if _ring(machine) != ring:
            raise self._wrong(f"it begins in ring {ring} and ends in ring {_ring(machine)}")
        self._check_stack(machine.registers["esp"] - stack)
        if int.from_bytes(machine.read_memory(self._places.counter, 4), "little") != passes_left:
            raise self._wrong("it writes over the loop's counter, which lies above its stack")
        return machine.instructions - before

    def _go(self, place: int) -> None:
        """To this address; handled faults on the way are looked at."""
        machine = self._machine
        last = machine.instructions + LONGEST_PASS
        while True:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            outcome = machine.run(timeout=left, max_instructions=last - machine.instructions,
                                  until_address=place)  # fmt: skip
            at = machine.registers["eip"]
            if outcome.kind == "timeout":
                raise TooLongError(f"operation {self._operation.name!r}: {TOO_LONG}")
            if outcome.kind != "address":
                raise self._wrong(self._how_it_ended(outcome, at))
            if at == place:
                return
            self._look_at_fault(at)

    # --- what is wrong --------------------------------------------------------------------------

    def _wrong(self, why: str) -> UserError:
        return _wrong(self._operation, why)

    def _how_it_ended(self, outcome: Outcome, at: int) -> str:
        if outcome.kind == "stuck":
            return "it stops: HLT waits for an interrupt, and none comes here, where no timer runs"
        if outcome.kind != "instructions":
            return ENDED.get(outcome.kind, f"the machine ended: {outcome.kind}, {outcome.detail}")
        if self._places.operation <= at < self._places.behind:
            return (f"it does not end: after {LONGEST_PASS:,} instructions, the most a pass "
                    f"may have, it is still inside, {self._place(at)}")  # fmt: skip
        return (f"it leaves: after {LONGEST_PASS:,} instructions, the most a pass may have, it "
                f"is elsewhere, at {at:#010x}")  # fmt: skip

    def _place(self, at: int) -> str:
        return f"{at - self._places.operation} bytes from its beginning"

    def _look_at_fault(self, handler: int) -> None:
        """At the first instruction of a handler: may it go on?"""
        stack = self._stack(5)
        if handler == self._places.stray:
            vector, frame = stack[0], stack[1:]
            code = f" (error code {frame[0]:#x})" if vector in ERROR_CODE else ""
            word = WORDS[vector] if vector < len(WORDS) else f"vector {vector}"
            raise self._faulted(word + code, frame[1 if code else 0], "only #DE and #PF have "
                                "handlers here that go on")  # fmt: skip
        word, at = ("#DE", stack[0]) if handler == self._places.divide_error else ("#PF", stack[1])
        length = self._length(at)
        if length != SKIPPED:
            what = "" if length is None else f" in an instruction of {length} bytes"
            raise self._faulted(word + what, at, f"the handler here skips {SKIPPED} bytes, so the "
                                f"instruction has to have {SKIPPED}")  # fmt: skip

    def _faulted(self, what: str, at: int, rule: str) -> UserError:
        if self._places.operation <= at < self._places.behind or what in TRAPS:
            return self._wrong(f"it faults, {self._place(at)}: {what}; {rule}")
        return self._wrong(f"it leaves its code, and at {at:#010x} it meets {what}")

    def _stack(self, words: int) -> list[int]:
        data = self._machine.read_memory(self._machine.registers["esp"], 4 * words)
        return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]

    def _length(self, at: int) -> int | None:
        """Of the instruction there; None where there is none."""
        try:
            found = locate(self._machine.read_memory(at, LONGEST), 0, 32)
        except UserError:
            return None
        return None if found is None else found.length

    def _check_stack(self, moved: int) -> None:
        if moved:
            what = (f"takes {moved} bytes off the stack" if moved > 0
                    else f"leaves {-moved} bytes on the stack")  # fmt: skip
            raise self._wrong(f"it does not keep the stack balanced: a pass {what}, and ESP has to "
                              "end as it began")  # fmt: skip


def _ring(machine: Machine) -> int:
    return machine.system_registers["cpl"]

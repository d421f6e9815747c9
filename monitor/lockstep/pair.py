"""Two machines side by side: run them alike, and tell in words what differs.

What is compared: the processors, as cpu_state.py reads them; how the last run ended; all memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from monitor.embedding.engine_needs import check_counts
from monitor.lockstep.cpu_state import explain, state_of
from monitor.machine import Machine
from monitor.vmm.memory import PAGE
from monitor.vmm.outcome import Outcome

MakeMachine = Callable[[str], Machine]
Row = tuple[str, str, str]  # what differs, its value here, its value there

Bytes = npt.NDArray[np.uint8]

CHUNK = 1 << 19  # bytes compared at a time: both sides stay in the host's cache
SHOWN = 16  # rows of differing memory that are told
NEAR = 16  # bytes shown of each


class Pair:
    """Two fresh machines with the same guest."""

    def __init__(self, make: MakeMachine, modes: tuple[str, str]) -> None:
        self.modes = modes
        self.one = make(modes[0])
        self.other = make(modes[1])
        for machine in (self.one, self.other):
            check_counts(machine.settings, "lockstep")
        self.ends: tuple[Outcome, Outcome] | None = None  # how the last runs ended

    @property
    def count(self) -> int:
        """Guest instructions completed, on either side."""
        return self.one.processor.count()

    def advance(self, instructions: int, until: str | None = None) -> Outcome:
        """Run both; how the first one's run ended."""
        one = self.one.run(max_instructions=instructions, until=until)
        other = self.other.run(max_instructions=instructions, until=until)
        self.ends = (one, other)
        return one

    def send(self, text: str) -> None:
        """Type on both consoles."""
        self.one.send(text)
        self.other.send(text)

    def processors_agree(self) -> bool:
        """Are the processors, and the ends of the last run, the same?"""
        if self.ends is not None and self.ends[0] != self.ends[1]:
            return False
        return state_of(self.one) == state_of(self.other)

    def memories_agree(self) -> bool:
        """Is all of their memory?"""
        both = zip(memories(self.one), memories(self.other), strict=True)
        return all(next(unequal_chunks(a, b), None) is None for (_, a), (_, b) in both)

    def agree(self) -> bool:
        """Is everything?"""
        return self.processors_agree() and self.memories_agree()

    def rows(self) -> tuple[Row, ...]:
        """All that differs, in words."""
        rows: list[Row] = []
        if self.ends is not None and self.ends[0] != self.ends[1]:
            rows.append(("outcome", str(self.ends[0]), str(self.ends[1])))
        rows += explain(state_of(self.one), state_of(self.other))
        return (*rows, *memory_rows(self.one, self.other))


def memories(machine: Machine) -> list[tuple[str, Bytes]]:
    """All memory of a guest's by name: RAM with the ROMs in it, shadow RAM, frame buffers."""
    return [("memory", machine.memory.map()), *machine.physical_map.hidden_memory()]


def unequal_chunks(here: Bytes, there: Bytes) -> Iterator[int]:
    """Where the chunks begin that differ."""
    words, words_there = here.view(np.uint64), there.view(np.uint64)
    for at in range(0, len(words), CHUNK // 8):
        if not np.array_equal(words[at : at + CHUNK // 8], words_there[at : at + CHUNK // 8]):
            yield at * 8


def memory_rows(one: Machine, other: Machine) -> list[Row]:
    """The first places of memory that differ, and how many bytes do."""
    rows: list[Row] = []
    total = 0
    for (name, here), (_, there) in zip(memories(one), memories(other), strict=True):
        for chunk in unequal_chunks(here, there):
            part = slice(chunk, chunk + CHUNK)
            places = chunk + np.flatnonzero(here[part] != there[part])
            total += len(places)
            for at in sorted(set((places // NEAR).tolist()))[: SHOWN - len(rows)]:
                line = slice(at * NEAR, (at + 1) * NEAR)
                values = here[line].tobytes().hex(), there[line].tobytes().hex()
                rows.append((f"{name} {at * NEAR:08x}", *values))
    if len(rows) == SHOWN:
        rows.append(("memory", f"{total:,} bytes differ", "in all"))
    return rows


def digest(machine: Machine) -> str:
    """A digest of the processor and of RAM, to compare runs that are not at hand together."""
    summary = hashlib.blake2b(repr(state_of(machine)).encode(), digest_size=16)
    for _, memory in memories(machine):
        pages = memory.reshape(-1, PAGE)
        used = np.flatnonzero(pages.view(np.uint64).any(axis=1))
        summary.update(used.astype("<u4").tobytes())
        for page in used:
            summary.update(pages[page])
    return summary.hexdigest()

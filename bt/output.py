"""A translation under construction: what the translator emits, and what is recorded of it.

The bytes go straight to the end of the cache's used part once they are complete; until then they
are here, with two bytes of records for each: the mark that the engine counts by, and the undo mask.
The guest EIP of every TC instruction is written to the cache's map at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bt.cache import (
    BEGINS,
    CHAIN,
    INT3,
    JMP_REL32,
    SLOT_BYTES,
    Exit,
    Link,
    TranslatedBlock,
    TranslationCache,
    jmp,
)
from bt.interp.state import MARK_COUNTS
from bt.stub_code import Run, Stub

NOP = b"\x90"
NOWHERE: Mapping[str, int] = MappingProxyType({})
BEGINS_OF_MARK = bytes([0, BEGINS]) + bytes(254)

Surveyed = tuple[int, ...]  # Interp.survey(): eip, length, entry, modrm, imm, size, rep, segment


class Output:
    def __init__(self, cache: TranslationCache, guest: int, context: int = 0) -> None:
        self.cache = cache
        self.start = cache.base + cache.used
        self.first = guest
        self.guest = guest  # guest EIP of what is being emitted
        self.code = bytearray()
        self.marks = bytearray()
        self.undos = bytearray()
        # Jumps that lead to a block from the beginning (None: to this one), to be noted there.
        self.links: list[tuple[Link, TranslatedBlock | None]] = []
        self.left = False  # the last instruction never falls through
        self._known = cache.blocks[context]
        self._begins = 0
        self._last = guest  # the last guest instruction begun
        self._cold: list[tuple[list[int], tuple[Run, ...], Exit, int]] = []
        self._to_slow: list[int] = []  # jumps of the stub at hand to its slow part
        self._branches: list[tuple[int, int]] = []  # Jcc address, guest target

    @property
    def here(self) -> int:
        return self.start + len(self.code)

    def begin(self, guest: int, entry: bool = True) -> None:
        """What is emitted next belongs to the guest instruction at `guest`.

        `entry`: the guest may arrive here from elsewhere.
        """
        self.guest = self._last = guest
        self._begins = BEGINS if entry else 0

    def emit(self, code: bytes, undo: int = 0, mark: int = 0) -> None:
        """Append one instruction; `undo`: what a rollback from it restores; `mark`: MARK_*."""
        size = len(code)
        at = self.start + len(self.code)
        if (at & 0xFFF) + size > 0x1000:
            self.keep_together(size)
            at = self.start + len(self.code)
        self.cache.eip_map[at - self.cache.base] = self.guest & 0xFFFFFFFF
        self.code += code
        self.marks += mark.to_bytes(size, "little")
        self.undos += (undo | self._begins).to_bytes(size, "little")
        self._begins = 0

    def copy(self, code: bytes, items: list[Surveyed]) -> None:
        """Append guest instructions as they are; `code` holds their bytes."""
        at = self.start + len(self.code)
        if (at & 0xFFF) + len(code) > 0x1000 or not self._begins:
            used = 0
            for item in items:
                if item is not items[0]:
                    self.begin(item[0])
                self.emit(code[used : used + item[1]], mark=MARK_COUNTS)
                used += item[1]
            return
        first = items[0][0]
        eips = self.cache.eip_map
        shift = at - self.cache.base - first
        marks = bytearray(len(code))
        for item in items:
            eip = item[0]
            eips[shift + eip] = eip
            marks[eip - first] = MARK_COUNTS
        self.code += code
        self.marks += marks
        self.undos += marks.translate(BEGINS_OF_MARK)
        self._begins = 0
        self._last = items[-1][0]

    def keep_together(self, size: int) -> None:
        """Pad so that the next `size` bytes lie in one page.

        The engine has to look twice at an instruction across two pages, every time; and the short
        jumps of a stub need its pieces where they were assembled.
        """
        room = 0x1000 - (self.here & 0xFFF)
        if size > room:
            for _ in range(room):
                self.emit(NOP)

    def exit(self, exit_: Exit, undo: int = 0) -> None:
        self.cache.exits[self.here] = exit_
        self.emit(bytes([INT3]), undo)

    def slot(self, exit_: Exit, counts: bool) -> None:
        """A direct jump that is an exit until it is chained: at once, if its target is there."""
        self.keep_together(SLOT_BYTES)
        here = self.here
        self.cache.exits[here] = exit_
        code = bytes([INT3]) + NOP * (SLOT_BYTES - 1)
        target = self._target(exit_.target)
        if target:
            if exit_.jump is None:
                code = jmp(here, target)
                link = Link(here, here, False)
            else:
                self._aim(exit_.jump, target)
                link = Link(exit_.jump, here, True)
            self.links.append((link, self._known.get(exit_.target)))
        self.emit(code, mark=MARK_COUNTS if counts else 0)

    def _target(self, eip: int) -> int:
        """Where the translation of a guest EIP begins, if it is there; else 0."""
        if not self.cache.chaining:
            return 0
        block = self._known.get(eip)
        if block is not None:
            return block.start
        if not self.first <= eip <= self._last:
            return 0
        return self.cache.entry(self.start, self.undos, eip)

    def jump(self, target: int) -> None:
        """A jump within the cache that is no guest instruction."""
        self.keep_together(SLOT_BYTES)
        self.emit(jmp(self.here, target))

    def branch(self, opcode: bytes, target: int) -> None:
        """A conditional branch to a slot at the end of the block."""
        self.keep_together(len(opcode) + 4)
        self._branches.append((self.here, target))
        self.emit(opcode + bytes(4), mark=MARK_COUNTS)

    def run(
        self,
        run: Run,
        immediate: int = 0,
        places: Mapping[str, int] = NOWHERE,
        mark: int = MARK_COUNTS,
    ) -> None:
        """Instructions of a stub; `places`: where those of its jumps lead that leave it."""
        size = len(run.code)
        self.keep_together(size)
        at = self.start + len(self.code)
        offset = at - self.cache.base
        for place in run.places:
            self.cache.eip_map[offset + place] = self.guest & 0xFFFFFFFF
        code = bytearray(run.code)
        for place, sign, more in run.values:
            value = sign * immediate + more & 0xFFFFFFFF
            code[place : place + 4] = value.to_bytes(4, "little")
        for end, goal in run.jumps:
            if goal in places:
                displacement = places[goal] - at - end & 0xFFFFFFFF
                code[end - 4 : end] = displacement.to_bytes(4, "little")
            else:
                self._to_slow.append(at + end - (5 if code[end - 5] == JMP_REL32 else 6))
        self.code += code
        self.marks += run.done if mark == MARK_COUNTS else run.done.replace(b"\1", bytes([mark]))
        self.undos += run.undos
        self.undos[offset + self.cache.base - self.start] |= self._begins
        self._begins = 0

    def stub(
        self,
        stub_: Stub,
        exit_: Exit | None,
        immediate: int = 0,
        guest_code: bytes = b"",
        address_code: bytes = b"",
        mark: int = MARK_COUNTS,
    ) -> None:
        """A stub; its slow part is kept for the end of the block."""
        self.keep_together(len(guest_code) + len(address_code) + stub_.size)
        self._to_slow = []
        for run in stub_.hot:
            if run.kind == "guest":
                self.emit(guest_code, run.undos[0])
            elif run.kind == "address":
                self.emit(address_code, run.undos[0])
            elif run.kind == "exit" and exit_ is not None:
                self.exit(exit_, run.undos[0])
            else:
                self.run(run, immediate, mark=mark)
        if stub_.slow and exit_ is not None:
            self._cold.append((self._to_slow, stub_.slow, exit_, self.guest))

    def place_cold(self) -> None:
        """The out-of-line parts: slots of conditional branches, slow parts of stubs."""
        for at, target in self._branches:
            self._aim(at, self.here)
            self.guest = target
            self.slot(Exit(CHAIN, target, jump=at), counts=False)
        for jumps, runs, exit_, guest in self._cold:
            self.guest = guest
            for at in jumps:
                self._aim(at, self.here)
            self.runs(runs, exit_)

    def runs(self, runs: tuple[Run, ...], exit_: Exit) -> None:
        """Instructions of a stub, with the exit that they lead to."""
        for run in runs:
            if run.kind == "exit":
                self.exit(exit_, run.undos[0])
            else:
                self.run(run)

    def _aim(self, at: int, target: int) -> None:
        """Point the jump at TC address `at` (Jcc or JMP with a 32-bit displacement) to target."""
        offset = at - self.start
        size = 6 if self.code[offset] == 0x0F else 5
        displacement = target - at - size & 0xFFFFFFFF
        self.code[offset + size - 4 : offset + size] = displacement.to_bytes(4, "little")

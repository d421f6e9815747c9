"""The translation cache (TC): hidden memory with translated blocks, and what is known about them.

Guest code never sees these addresses: segments are truncated below them, and calls push the
guest's own return addresses. For every TC instruction the cache knows

* the guest instruction it belongs to, and how to roll back to its beginning (`undo`),
* whether completing it completes a guest instruction (the engine counts those).

Indirect branches find their block through two tables of *landings*: by the low 16 bits of the
guest's EIP, and, for blocks that collide there, by a better hash. A landing checks that the EIP is
really its own (stubs.py: "ret" and "landing").
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

INT3 = 0xCC
JMP_REL32 = 0xE9
SLOT_BYTES = 5  # room of a direct jump: an exit until it is chained

BEGINS = 0x80  # in undo_map: a guest instruction begins here, and may be entered

CONTEXT_COUNT = 4  # translate.CONTEXTS
ENTRIES = 1 << 16  # of a table of landings

# Kinds of exit
CHAIN = "chain"  # a direct branch whose target is not chained yet
EMULATE = "emulate"  # an instruction for the ideal processor
INDIRECT = "indirect"  # an indirect branch that found no landing


class Exit(NamedTuple):
    """What an INT3 in the cache means."""

    kind: str
    target: int  # CHAIN: guest EIP to go to; EMULATE: guest EIP of the instruction
    completes: bool = False  # CHAIN: the guest's branch instruction ends here
    jump: int | None = None  # CHAIN: address of a Jcc whose displacement leads here


@dataclass(eq=False, slots=True)
class TranslatedBlock:
    """Guest code at `eip`, physical address `pa`, and its translation at `start`."""

    eip: int
    pa: int
    length: int  # guest bytes
    start: int
    end: int
    context: int  # number of its Context (translate.py)
    landings: dict[bool, int] = field(default_factory=dict)  # far? -> address
    incoming: list[Link] = field(default_factory=list)
    live: bool = True
    inner: bool = False  # it begins in the middle of another's translation

    def pages(self) -> range:
        """Linear pages of the guest code."""
        return range(self.eip >> 12, (self.eip + self.length - 1 >> 12) + 1)


class Link(NamedTuple):
    """A chained jump: `at` is the slot or the Jcc, `slot` where it goes when unchained."""

    at: int
    slot: int
    conditional: bool


class TranslationCache:
    """`memory` holds the cache itself, and from offset `tables_at` on the landings.

    Each context has two tables of 65,536 doublewords. Addresses are linear; the first byte of
    memory is at `base`.
    """

    def __init__(self, memory: memoryview, base: int, size: int, tables_at: int) -> None:
        self.memory = memory
        self.base = base
        self.size = size
        # An anonymous map, because the host gives it memory only where it is written.
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.eip_map = memoryview(mmap.mmap(-1, 4 * size, flags=private)).cast("I")
        self.undo_map = bytearray(size)
        tables = memory[tables_at:].cast("I")
        cut = [tables[i * ENTRIES : (i + 1) * ENTRIES] for i in range(2 * CONTEXT_COUNT)]
        self._landings = [(cut[2 * i], cut[2 * i + 1]) for i in range(CONTEXT_COUNT)]
        self._misses = [(0, 0)] * CONTEXT_COUNT  # near and far
        self.flushes = 0
        self.chaining = True  # do direct branches lead from block to block?
        self.forget()

    def forget(self) -> None:
        """Drop every translation."""
        self.used = 0
        self.exits: dict[int, Exit] = {}
        self.blocks: list[dict[int, TranslatedBlock]] = [{} for _ in range(CONTEXT_COUNT)]
        self.by_frame: dict[int, list[TranslatedBlock]] = {}
        self.after_sti: set[int] = set()

    @property
    def room(self) -> int:
        return self.size - self.used

    def write(self, address: int, code: bytes) -> None:
        offset = address - self.base
        self.memory[offset : offset + len(code)] = code

    def place(self, code: bytearray, undos: bytearray) -> int:
        """Append a finished translation and its undo masks; its linear address."""
        at = self.used
        self.used += len(code)
        self.memory[at : self.used] = code
        self.undo_map[at : self.used] = undos
        return self.base + at

    def guest_place(self, address: int) -> tuple[int, int]:
        """Guest EIP and undo mask (stubs.py) of a TC instruction."""
        offset = address - self.base
        return self.eip_map[offset], self.undo_map[offset] & ~BEGINS

    def entry(self, start: int, undos: bytes | bytearray, eip: int) -> int:
        """Where the guest instruction at eip begins in TC code at start, whose masks these are.

        0: no instruction of the guest begins there.
        """
        offset = start - self.base
        eips = self.eip_map[offset : offset + len(undos)].tolist()
        at = -1
        try:
            while True:
                at = eips.index(eip, at + 1)
                if undos[at] & BEGINS:  # else it is one of its other TC instructions
                    return start + at
        except ValueError:
            return 0

    def entry_of(self, block: TranslatedBlock, eip: int) -> int:
        """entry() in a block."""
        return self.entry(block.start, self.undo_map[self._span(block)], eip)

    def _span(self, block: TranslatedBlock) -> slice:
        return slice(block.start - self.base, block.end - self.base)

    # --- for those who look ---------------------------------------------------------------

    def live_blocks(self) -> list[TranslatedBlock]:
        """Every block that can be entered, in the order of the contexts and of translation."""
        return [block for table in self.blocks for block in table.values()]

    def code(self, start: int, end: int) -> bytes:
        """The translated bytes of a range of addresses."""
        return bytes(self.memory[start - self.base : end - self.base])

    def begins(self, address: int) -> bool:
        """Does the translation of a guest instruction begin here?

        That of one behind STI cannot be entered, so it is no `entry`.
        """
        return bool(self.undo_map[address - self.base] & BEGINS) or address in self.after_sti

    # --- landings -----------------------------------------------------------------------

    def clear_landings(self, context: int, near_miss: int, far_miss: int) -> None:
        """Let every indirect branch of a context miss."""
        self._misses[context] = (near_miss, far_miss)
        for table, miss in zip(self._landings[context], self._misses[context], strict=True):
            np.frombuffer(table, np.uint32).fill(miss)  # in place: each reset does eight of them

    def miss(self, context: int, far: bool) -> int:
        """Where a landing of that table sends what is not for it."""
        return self._misses[context][far]

    def near_is_free(self, block: TranslatedBlock) -> bool:
        at = landing_index(block.eip, far=False)
        return self._landings[block.context][0][at] == self._misses[block.context][0]

    def set_landing(self, block: TranslatedBlock, far: bool) -> None:
        table = self._landings[block.context][far]
        table[landing_index(block.eip, far)] = block.landings[far]

    def drop_landings(self, block: TranslatedBlock) -> None:
        """Make the tables forget a block, where they still name it."""
        for far, address in block.landings.items():
            table = self._landings[block.context][far]
            index = landing_index(block.eip, far)
            if table[index] == address:
                table[index] = self._misses[block.context][far]

    # --- blocks -------------------------------------------------------------------------

    def add(self, block: TranslatedBlock) -> None:
        self.blocks[block.context][block.eip] = block
        for frame in {block.pa >> 12, (block.pa + block.length - 1) >> 12}:
            self.by_frame.setdefault(frame, []).append(block)

    def find(self, eip: int, context: int) -> TranslatedBlock | None:
        return self.blocks[context].get(eip)

    def overlapping(self, pa: int, size: int) -> list[TranslatedBlock]:
        """Live blocks made from any of these bytes."""
        end = pa + size
        return [
            block
            for frame in range(pa >> 12, (end - 1 >> 12) + 1)
            for block in self.by_frame.get(frame, ())
            if block.live and block.pa < end and pa < block.pa + block.length
        ]

    def chain_to(self, exit_at: int, exit_: Exit, target: TranslatedBlock) -> list[int]:
        """Make the jump behind an exit lead to a block; addresses that were changed."""
        at = exit_at if exit_.jump is None else exit_.jump
        target.incoming.append(Link(at, exit_at, exit_.jump is not None))
        self._point(at, exit_.jump is not None, target.start)
        return [at]

    def unchain(self, block: TranslatedBlock) -> list[int]:
        """Make every jump into a block an exit again; addresses that were changed."""
        for link in block.incoming:
            if link.conditional:
                self._point(link.at, True, link.slot)
            else:
                self.write(link.at, bytes([INT3]))
        changed = [link.at for link in block.incoming]
        block.incoming.clear()
        return changed

    def _point(self, at: int, conditional: bool, target: int) -> None:
        """Write a jump's displacement: of a JMP slot, or of a six-byte Jcc."""
        if conditional:
            self.write(at + 2, (target - at - 6 & 0xFFFFFFFF).to_bytes(4, "little"))
        else:
            self.write(at, jmp(at, target))

    def drop(self, block: TranslatedBlock) -> None:
        """Forget a block (its code stays where it is until the cache is flushed)."""
        block.live = False
        table = self.blocks[block.context]
        if table.get(block.eip) is block:
            del table[block.eip]
        for frame in {block.pa >> 12, (block.pa + block.length - 1) >> 12}:
            self.by_frame[frame].remove(block)


def jmp(at: int, target: int) -> bytes:
    """`JMP target` at an address, with a 32-bit displacement."""
    displacement = target - at - SLOT_BYTES & 0xFFFFFFFF
    return bytes([JMP_REL32]) + displacement.to_bytes(4, "little")


def landing_index(eip: int, far: bool) -> int:
    """The hash that the stubs compute: low 16 bits of eip, or of eip + byte-swapped eip."""
    if far:
        eip += int.from_bytes(eip.to_bytes(4, "little"), "big")
    return eip & 0xFFFF

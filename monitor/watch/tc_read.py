"""From a machine's translation cache to a `CacheView`. Looks, and changes nothing.

Which guest instruction a piece of TC code belongs to stands in the cache's address map. It is
followed from the block's start: where a guest instruction begins there is a mark; what comes
before the next mark is its own; and parts out of line are given back to the instruction that
jumps to them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from bt import cache as tc
from bt.contract import MARK_COUNTS, MARK_LOOKUP, MARK_STUB
from bt.policy import CONTEXTS
from monitor.vmm.errors import UserError
from monitor.watch.disassembly import lines, with_slots
from monitor.watch.tc_model import BlockView, CacheView, ChainLink, GuestRow, TranslatedRow, by_hits
from monitor.watch.words import CHAIN, COPY, EMULATES, EXIT, FALLS, LOOKUP, STUB

if TYPE_CHECKING:
    from monitor.vmm.translating import TranslatingProcessor
    from monitor.watch.subject import Subject

SHORT_JMP = 0xEB  # of a LOOP's translation, over its slot


def translating(machine: Subject) -> TranslatingProcessor:
    """The processor, if it has a translation cache; else UserError."""
    from monitor.vmm.translating import TranslatingProcessor

    if not isinstance(machine.processor, TranslatingProcessor):
        raise UserError(f"mode {machine.mode} has no translation cache: choose mode translate")
    return machine.processor


def cache_view(machine: Subject) -> CacheView:
    """What the translation cache holds now."""
    return _Reader(machine).view()


def context_name(number: int) -> str:
    """A context of bt/translate.py in words."""
    context = CONTEXTS[number]
    ring = "user" if context.user else "kernel"
    return ring if context.stubs else f"{ring}, flags odd"


class _Reader:
    def __init__(self, machine: Subject) -> None:
        self.memory = machine.memory
        processor = translating(machine)
        self.count = processor.count()
        self.cache = processor.cache
        self.engine = processor.engine
        self.entries = processor.entries
        self.counted = processor.translator.count_entries
        self.reserved = [processor.translator.reserved(context).name for context in CONTEXTS]
        self.live = self.cache.live_blocks()
        self.owners = self._owners()
        self._starts = [block.start for block in self.owners]
        self.out: dict[int, list[ChainLink]] = {}  # by the start of the block
        self.into: dict[int, list[ChainLink]] = {}
        self.leads: dict[int, int] = {}  # jump in the cache -> guest EIP
        self.inside: dict[int, list[int]] = {}  # guest EIPs of the blocks within a block
        self._read_insides()
        self._read_links()

    def view(self) -> CacheView:
        cache = self.cache
        blocks = by_hits(self._block(block) for block in self.owners)
        return CacheView(self.count, cache.base, cache.used, cache.size, cache.flushes,
                         self.counted, blocks, len(blocks))

    def _owners(self) -> list[tc.TranslatedBlock]:
        """Blocks with a translation of their own, by address.

        One inside another's counts only where the other is gone.
        """
        found: list[tc.TranslatedBlock] = []
        for block in sorted(self.live, key=lambda block: (block.start, block.inner)):
            if not found or block.start >= found[-1].end:
                found.append(block)
        return found

    def _owner(self, address: int) -> tc.TranslatedBlock | None:
        """The block whose translation holds an address of the cache."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self.owners[index].end:
            return None
        return self.owners[index]

    def _read_insides(self) -> None:
        for block in self.live:
            owner = self._owner(block.start)
            if owner is not None and owner is not block:
                self.inside.setdefault(owner.start, []).append(block.eip)

    def _read_links(self) -> None:
        for block in self.live:
            inside = self._owner(block.start)
            for link in block.incoming:
                source = self._owner(link.at)
                if source is None or inside is None:
                    continue  # a block that was dropped still leads here, and nobody enters it
                target = self.cache.exits[link.slot].target  # may be in the block's middle
                chained = ChainLink(link.at, source.eip, target, inside.eip, link.conditional)
                self.leads[link.at] = target
                self.out.setdefault(source.start, []).append(chained)
                self.into.setdefault(inside.start, []).append(chained)

    def _block(self, block: tc.TranslatedBlock) -> BlockView:
        landings = [name for name, far in (("near", False), ("far", True)) if far in block.landings]
        return BlockView(
            eip=block.eip,
            physical=block.pa,
            size=block.length,
            start=block.start,
            end=block.end,
            context=context_name(block.context),
            rows=tuple(self._rows(block)),
            hits=self._hits(block.start),
            entries=tuple(sorted(self.inside.get(block.start, ()))),
            links_out=tuple(sorted(self.out.get(block.start, ()), key=lambda link: link.at)),
            links_in=tuple(sorted(self.into.get(block.start, ()), key=lambda link: link.at)),
            landings=tuple(landings),
        )

    def _hits(self, address: int) -> int | None:
        return self.entries(address) if self.counted else None

    # --- one block ----------------------------------------------------------------------

    def _rows(self, block: tc.TranslatedBlock) -> list[GuestRow]:
        code = self.memory.bytes_at(block.pa, block.length)
        pieces = self._pieces(block)
        rows = []
        for line in lines(code, block.eip):
            piece = pieces.pop(line.address, [])
            if piece:
                offset = line.address - block.eip
                rows.append(self._row(line.address, code[offset : offset + line.size], line.text,
                                      piece))
        for eip, piece in pieces.items():
            rows.append(GuestRow(eip, b"", f"on to {eip:#x}", FALLS, tuple(piece)))
        return rows

    def _row(self, eip: int, code: bytes, text: str, piece: list[TranslatedRow]) -> GuestRow:
        start = next((row.address for row in piece if not row.cold), piece[0].address)
        entered = bool(self.cache.undo_map[start - self.cache.base] & tc.BEGINS)
        hits = self._hits(start) if entered else None
        return GuestRow(eip, code, text, self._became(piece), tuple(piece), hits)

    def _became(self, piece: list[TranslatedRow]) -> str:
        """By the marks of its instructions, and by the exits among them."""
        marks = [self._mark(row.address) for row in piece]
        kinds = {self.cache.exits[row.address].kind
                 for row in piece if row.address in self.cache.exits}
        if any(mark & MARK_STUB for mark in marks):
            return STUB
        if any(mark & MARK_LOOKUP for mark in marks):
            return LOOKUP
        if tc.CHAIN in kinds:
            return CHAIN
        return EXIT if tc.EMULATE in kinds else COPY

    def _mark(self, address: int) -> int:
        return self.engine.marks_at(address, 1)[0]

    def _pieces(self, block: tc.TranslatedBlock) -> dict[int, list[TranslatedRow]]:
        """TC instructions by the guest instruction that they belong to."""
        pieces: dict[int, list[TranslatedRow]] = {}
        jumps: dict[int, int] = {}  # a Jcc in the cache -> its guest instruction
        now = block.eip
        over_slot = False  # the last one was the short jump of a LOOP
        for row in self._translated(block):
            exit_ = self.cache.exits.get(row.address)
            eip = self.cache.guest_place(row.address)[0]
            cold = exit_ is not None and exit_.jump is not None
            if cold and exit_ is not None:
                now = jumps.get(exit_.jump or 0, now)
            elif self.cache.begins(row.address) or self._falls(block, eip, row, over_slot):
                now = eip
            elif not over_slot and eip in pieces and eip != now and row.code[0] != SHORT_JMP:
                now, cold = eip, True  # the slow part of a stub
            over_slot = row.code[0] == SHORT_JMP
            jumps[row.address] = now
            if cold or any(each.cold for each in pieces.get(now, ())):
                row = TranslatedRow(row.address, row.code, row.text, row.note, row.counts, True)
            pieces.setdefault(now, []).append(row)
        return pieces

    def _falls(
        self, block: tc.TranslatedBlock, eip: int, row: TranslatedRow, over_slot: bool
    ) -> bool:
        """Is this the slot through which the block goes on behind its last instruction?"""
        exit_ = self.cache.exits.get(row.address)
        behind = eip == block.eip + block.length & 0xFFFFFFFF
        return behind and not over_slot and exit_ is not None and exit_.jump is None

    def _translated(self, block: tc.TranslatedBlock) -> list[TranslatedRow]:
        """The TC instructions of a block; of a slot that is an exit, the INT3 only."""
        rows = []
        skip_to = block.start
        for line in lines(self.cache.code(block.start, block.end), block.start):
            if line.address < skip_to:
                continue
            exit_ = self.cache.exits.get(line.address)
            if exit_ is not None:
                skip_to = line.address + (tc.SLOT_BYTES if exit_.kind == tc.CHAIN else 1)
            text = with_slots(line.text, self.reserved[block.context])
            rows.append(self._one(line.address, line.size, text, exit_))
        return rows

    def _one(self, address: int, size: int, text: str, exit_: tc.Exit | None) -> TranslatedRow:
        code = self.cache.code(address, address + size)
        counts = bool(self._mark(address) & MARK_COUNTS)
        goes = self.leads.get(address)
        note = ""
        if goes is not None:
            note = f"chained to {goes:#x}"
        elif exit_ is not None and code[0] == tc.INT3:
            note = self._exit_note(exit_)
        return TranslatedRow(address, code, text, note, counts)

    def _exit_note(self, exit_: tc.Exit) -> str:
        if exit_.kind != tc.CHAIN:
            return EMULATES
        if exit_.jump is not None and exit_.jump in self.leads:
            return "unused while chained"
        return f"exit: chain to {exit_.target:#x}"

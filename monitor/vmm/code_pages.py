"""Guest code that was translated: finding it, tracing it, and proving that it is still there.

A block is made from guest bytes at a linear address. Two things can take it away. The bytes may be
written: they are traced, byte by byte (Ram.trace_writes). Or the linear page may come to mean
another frame: the architecture tells us of that by a TLB flush, and then every page with
translations that the flush concerns is looked up again; global pages stay through CR3 loads as
they do in a TLB. A page that is no longer marked as accessed is taken for moved: translating anew
marks it, as fetching from it would. """

from __future__ import annotations

from dataclasses import dataclass

from bt.cache import TranslatedBlock, TranslationCache
from bt.contract import PERM_GLOBAL, PERM_LARGE, FrameTable
from bt.engine import Interp, Ram
from bt.interp.walk import PTE_A, PTE_G, PTE_U
from bt.output import Surveyed
from bt.policy import CONTEXTS
from bt.translate import MAX_INSTRUCTIONS

PAGE = 4096
LONGEST = 15
ALL_PIECES = bytes([1]) * 1024  # of a large page
MIXED = -2  # instead of a frame: blocks of one linear page were made from several


@dataclass(frozen=True)
class Survey:
    """Decoded guest code, ready to be translated."""

    code: bytes
    pa: int
    items: list[Surveyed]
    whole: bool  # the last instruction never falls through


class CodePages:
    def __init__(
        self, ram: Ram, frames: FrameTable, ideal: Interp, by_byte: bool, interest: bytearray
    ) -> None:
        """`by_byte`: trace the bytes that were translated; else the whole frames they are in.

        `interest`: where linear pages are marked whose meaning matters here, for good.
        """
        self.interest = interest
        self.by_byte = by_byte
        self.ram = ram
        self.frames = frames
        self.ideal = ideal
        self._frames: dict[int, int] = {}  # linear page -> frame it had when translated
        self._local: set[int] = set()  # pages that are not global
        self._user: set[int] = set()  # pages that were translated for ring 3
        self._large: dict[int, set[int]] = {}  # 4 MiB region -> its pages, where it was one page
        # By linear page, in the order of translation: which block a new entry is made in must not
        # depend on where the host has put it, so these are no sets.
        self._blocks: dict[int, dict[TranslatedBlock, None]] = {}

    def survey(self, eip: int, user: bool, stops: set[int]) -> Survey | None:
        """Decode the block at eip. None: not mapped, no RAM, or not decodable in one piece."""
        found = self.ideal.translation(eip, False, user)
        if found < 0:
            return None
        pa = found >> 8
        if not self.ram.is_ram(pa):
            return None
        room = PAGE - (eip & PAGE - 1)
        items = self.ideal.survey(pa, eip, room, MAX_INSTRUCTIONS)
        if not items:
            second = self.ideal.translation(eip + room & 0xFFFFFFFF, False, user)
            if second >> 8 != pa + room or not self.ram.is_ram(pa + room):
                return None
            items = self.ideal.survey(pa, eip, room + LONGEST, 1)
        items = _before_stop(items, stops)
        if not items:
            return None
        if found & PERM_GLOBAL == 0:
            self._local.add(eip >> 12)
        if found & PERM_LARGE:
            self._large.setdefault(eip >> 22, set()).add(eip >> 12)
            self.interest[eip >> 12 & -1024 : (eip >> 12 | 1023) + 1] = ALL_PIECES
        length = items[-1][0] + items[-1][1] - eip
        code = self.ram.bytes_at(pa, length)
        return Survey(code, pa, items, bool(items[-1][8]))

    @property
    def local_pages(self) -> int:
        """How many with translations are not global."""
        return len(self._local)

    def around(self, eip: int, context: int) -> list[TranslatedBlock]:
        """Blocks of a context that begin before eip and reach beyond it."""
        frame = self._frames.get(eip >> 12, MIXED)
        if frame == MIXED or not self.ram.is_traced(frame << 12 | eip & PAGE - 1):
            return []  # most often: nothing was translated here
        return [
            block
            for block in self._blocks.get(eip >> 12, ())
            if block.eip < eip < block.eip + block.length
            and block.context == context
            and not block.inner
        ]

    def translated(self, block: TranslatedBlock) -> None:
        """Trace the bytes of a new block and remember where its pages are."""
        if not block.inner:  # else they are traced already
            self._trace(block, True)
        for index, page in enumerate(block.pages()):
            frame = (block.pa >> 12) + index
            self.interest[page] = 1
            if self._frames.setdefault(page, frame) != frame:
                self._frames[page] = MIXED
            if CONTEXTS[block.context].user:
                self._user.add(page)
            self._blocks.setdefault(page, {})[block] = None
            if index:
                self._local.add(page)

    def dropped(self, block: TranslatedBlock, cache: TranslationCache) -> None:
        """A block is gone: stop tracing its bytes, but for those of other blocks."""
        self._trace(block, False)
        for page in block.pages():
            self._blocks.get(page, {}).pop(block, None)
        start, size = block.pa, block.length
        if not self.by_byte:
            start, size = block.pa & -PAGE, PAGE * len(block.pages())
        self.retrace(start, size, cache)

    def retrace(self, physical: int, size: int, cache: TranslationCache) -> None:
        """Somebody has ended tracing of these bytes."""
        for block in cache.overlapping(physical, size):
            self._trace(block, True)

    def forget(self, cache: TranslationCache) -> None:
        """All blocks are gone."""
        for table in cache.blocks:
            for block in table.values():
                self._trace(block, False)
        self._frames.clear()
        self._local.clear()
        self._user.clear()
        self._large.clear()
        self._blocks.clear()

    def _trace(self, block: TranslatedBlock, on: bool) -> None:
        if not self.by_byte:
            for index in range(len(block.pages())):
                self.frames.trace_writes((block.pa & -PAGE) + index * PAGE, PAGE, on)
            return
        head = min(block.length, PAGE - (block.pa & PAGE - 1))
        self.frames.trace_writes(block.pa, head, on)
        if head < block.length:
            self.frames.trace_writes(block.pa + head, block.length - head, on)

    def recheck(self, everything: bool) -> list[TranslatedBlock]:
        """The TLB was flushed: blocks whose pages now lead elsewhere."""
        pages = list(self._frames) if everything else list(self._local)
        moved = []
        for page in pages:
            moved += self.recheck_page(page)
        return moved

    def recheck_at(self, linear: int) -> list[TranslatedBlock]:
        """INVLPG: one page may have changed, or all of a large one."""
        moved = self.recheck_page(linear >> 12)
        for page in self._large.get(linear >> 22, ()):
            moved += self.recheck_page(page)
        return moved

    def recheck_page(self, page: int) -> list[TranslatedBlock]:
        """One linear page may have changed: its blocks, if it has."""
        frame = self._frames.get(page)
        if frame is None:
            return []
        entry = self.ideal.peek_entry(page << 12)
        needed = PTE_A | PTE_U if page in self._user else PTE_A
        if entry >> 12 == frame and entry & needed == needed:
            if entry & PTE_G:
                self._local.discard(page)
            else:
                self._local.add(page)
            return []
        del self._frames[page]
        self._local.discard(page)
        self._user.discard(page)
        return [block for block in self._blocks.pop(page, ()) if block.live]


def _before_stop(items: list[Surveyed], stops: set[int]) -> list[Surveyed]:
    """Cut a block before the first breakpoint in it, unless it begins there."""
    for index, item in enumerate(items):
        if index and item[0] in stops:
            return items[:index]
    return items



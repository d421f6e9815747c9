"""Shadow descriptors: for each selector of the guest's, what a segment register really gets.

Guest code must not load its own descriptors, whose limits reach the monitor's region and whose DPL
is not that of the ring it really runs in. So each is *shadowed* (Bugnion et al. 2012, section 4.2):
the same base and type, the limit truncated below a ceiling, DPL 3. A shadow is derived from the
guest's tables when it is first wanted, and holds until

* the bytes of the guest's descriptor are written, which are traced;
* the table moves or gets another limit (LGDT, LLDT);
* the linear page that the table is in comes to mean another frame, told as a TLB flush.

    descriptors = ShadowDescriptors(ram, frames, ideal, ceiling=HIDDEN_BASE, lost=forget)
    found = descriptors.load(0x2B, DS, cpl=3)      # None: the ideal processor shall do the load
    found.shadow                                   # base, limit, rights for the engine's register
    found.guest                                    # for the guest's own

Worked example: the flat data descriptor 00CFF300_0000FFFF under a ceiling of FF800000 has the
shadow (0, FF7FFFFF, C0F3). One with base 06C00123 gets the limit F8BFEFFF: below the ceiling there
is room for F8BFFEDC, and a limit of more than a mebibyte ends with a page.

Not served, so that the ideal processor does the load, with all that comes of it: null selectors and
what lies beyond its table; a table that is not mapped, or not in RAM; system descriptors; absent
ones; ones that have not been accessed, since the processor sets that bit; ones that would fault by
type or privilege; and segments of which no part lies below the ceiling.

An engine that makes its segments from the registers of the ideal processor at each entry, and has
every load of a segment register emulated, needs none of this (`Selectors.GUEST`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bt.contract import FrameTable
from bt.engine import Interp, Ram
from bt.interp.state import (
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_DC,
    ATTR_DPL,
    ATTR_P,
    ATTR_RW,
    ATTR_S,
    ATTR_UNUSABLE,
    CS,
    LDTR,
    SS,
)
from bt.interp.walk import PTE_A

M32 = 0xFFFFFFFF
PAGE = 0x1000
SIZE = 8  # bytes of a descriptor
LOCAL = 4  # the bit of a selector that chooses the LDT
RPL = 3
LONGEST_IN_BYTES = 0xFFFFF  # a limit beyond is counted in pages

Segment = tuple[int, int, int]  # base, limit in bytes, rights as Interp.segment() has them
Table = tuple[int, int]  # where it is, and its limit; (0, -1): none


@dataclass(frozen=True)
class ShadowDescriptor:
    """A guest's descriptor and its shadow."""

    selector: int  #: without RPL
    guest: Segment
    shadow: Segment
    places: tuple[tuple[int, int], ...]  #: physical address and bytes: one place, or two

    @property
    def dpl(self) -> int:
        """The guest's own."""
        return (self.guest[2] & ATTR_DPL) >> 5

    @property
    def for_all(self) -> bool:
        """May code at CPL 3 load it, with any RPL?"""
        return self.dpl == 3 or is_conforming(self.guest[2])

    def fits(self, register: int, rpl: int, cpl: int) -> bool:
        """May code at this CPL load it there (SDM vol. 3, sections 5.6 and 5.7)?"""
        rights = self.guest[2]
        writable = not rights & ATTR_CODE and rights & ATTR_RW
        if register == SS:
            return bool(writable) and rpl == cpl == self.dpl
        if rights & ATTR_CODE and not rights & ATTR_RW:
            return False
        return is_conforming(rights) or max(rpl, cpl) <= self.dpl


def is_conforming(rights: int) -> bool:
    """Conforming code, which is open to all privilege levels."""
    return rights & (ATTR_CODE | ATTR_DC) == ATTR_CODE | ATTR_DC


def take_apart(descriptor: bytes) -> Segment:
    """Base, limit and rights of a descriptor (SDM vol. 3, figure 3-8).

    >>> [hex(part) for part in take_apart(bytes.fromhex("ffff000000f3cf00"))]
    ['0x0', '0xffffffff', '0xc0f3']
    """
    low, high = (int.from_bytes(descriptor[at : at + 4], "little") for at in (0, 4))
    base = low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000
    limit = low & 0xFFFF | high & 0xF0000
    if high & 0x800000:
        limit = limit << 12 | PAGE - 1
    return base, limit, high >> 8 & 0xF0FF


def shadow_of(guest: Segment, ceiling: int) -> Segment | None:
    """What of a segment can be reached below the ceiling; None: nothing.

    It keeps its type. The limit is one that a descriptor can say. An expand-down segment is all
    above its limit, so it is left without a valid offset.

    >>> [hex(part) for part in shadow_of((0x06C00123, 0xFFFFFFFF, 0xC093), 0xFF800000)]
    ['0x6c00123', '0xf8bfefff', '0xc0f3']
    """
    base, limit, rights = guest
    if base >= ceiling:
        return None
    if not rights & ATTR_CODE and rights & ATTR_DC:
        limit = M32
    else:
        limit = min(limit, ceiling - 1 - base)
        if limit > LONGEST_IN_BYTES:
            limit = (limit + 1 & -PAGE) - 1
    return base, limit, rights | ATTR_DPL


class ShadowDescriptors:
    """Those of one guest, for one ceiling."""

    def __init__(
        self,
        ram: Ram,
        frames: FrameTable,
        ideal: Interp,
        ceiling: int,
        lost: Callable[[ShadowDescriptor], None],
        interest: bytearray | None = None,
    ) -> None:
        """`lost` is called with each that does not hold any more; its bytes are not traced then.

        `interest`: where linear pages are marked whose meaning matters here, for good.
        """
        self._interest = interest if interest is not None else bytearray(1 << 20)
        self.ceiling = ceiling
        self.derived = 0  # how many were, since this was made
        self._ram = ram
        self._frames = frames
        self._ideal = ideal
        self._lost = lost
        self._known: dict[int, ShadowDescriptor] = {}  # by selector, without RPL
        self._by_frame: dict[int, set[int]] = {}  # selectors of descriptors in a frame
        self._pages: dict[int, int] = {}  # linear page of a table -> its frame
        self._tables: dict[int, Table] = {0: (0, -1), LOCAL: (0, -1)}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def pages(self) -> int:
        """In how many linear pages those are that were derived."""
        return len(self._pages)

    # --- asking -------------------------------------------------------------------------

    def load(self, selector: int, register: int, cpl: int) -> ShadowDescriptor | None:
        """What a load of ES, SS, DS, FS or GS at this CPL gets; None: the ideal processor does it.

        CS is loaded by far transfers, which are the ideal processor's.
        """
        if register == CS:
            return None
        found = self.find(selector)
        if found is None or not found.fits(register, selector & RPL, cpl):
            return None
        return found

    def find(self, selector: int) -> ShadowDescriptor | None:
        """The shadow of a selector's descriptor, RPL aside; None: it has none."""
        self.follow()
        key = selector & 0xFFFC
        found = self._known.get(key)
        if found is None and key:
            found = self._derive(key)
        return found

    def known(self, selector: int) -> ShadowDescriptor | None:
        """The same if it was derived before."""
        return self._known.get(selector & 0xFFFC)

    def _derive(self, selector: int) -> ShadowDescriptor | None:
        base, limit = self._tables[selector & LOCAL]
        offset = selector & 0xFFF8
        if offset + SIZE - 1 > limit:
            return None
        places = self._places(base + offset & M32)
        if places is None:
            return None
        guest = take_apart(b"".join(self._ram.bytes_at(pa, size) for pa, size in places))
        needed = ATTR_S | ATTR_P | ATTR_ACCESSED
        shadow = shadow_of(guest, self.ceiling) if guest[2] & needed == needed else None
        if shadow is None:
            return None
        found = self._known[selector] = ShadowDescriptor(selector, guest, shadow, places)
        for pa, size in places:
            self._by_frame.setdefault(pa >> 12, set()).add(selector)
            self._frames.trace_writes(pa, size, True)
        self.derived += 1
        return found

    def _places(self, linear: int) -> tuple[tuple[int, int], ...] | None:
        """Where eight bytes of a table are; the walk sets accessed bits, as a processor's does."""
        head = min(SIZE, PAGE - linear % PAGE)
        places = []
        for at, size in ((linear, head), (linear + head & M32, SIZE - head)):
            if not size:
                continue
            walked = self._ideal.translation(at, False, False)
            if walked < 0 or not self._ram.is_ram(walked >> 8):
                return None
            places.append((walked >> 8, size))
            self._interest[at >> 12] = 1
            frame = self._pages.setdefault(at >> 12, walked >> 20)
            if frame != walked >> 20:  # nobody has told of a flush yet: the TLB may have both
                return None
        return tuple(places)

    # --- what ends them -----------------------------------------------------------------

    def follow(self) -> None:
        """Have the tables moved? To be asked before a shadow is used."""
        ideal = self._ideal
        _, base, limit, rights = ideal.segment(LDTR)
        usable = rights & (ATTR_P | ATTR_UNUSABLE) == ATTR_P
        now = {0: (ideal.gdtr_base, ideal.gdtr_limit), LOCAL: (base, limit) if usable else (0, -1)}
        for which, table in now.items():
            if table != self._tables[which]:
                self._drop(key for key in self._known if key & LOCAL == which)
        self._tables = now

    def written(self, physical: int, size: int) -> None:
        """These bytes of RAM were written, or some of them."""
        if not self._known:
            return
        for frame in range(physical >> 12, (physical + size - 1 >> 12) + 1):
            self._drop(
                key
                for key in self._by_frame.get(frame, ())
                if any(pa < physical + size and physical < pa + n
                       for pa, n in self._known[key].places)
            )  # fmt: skip

    def flushed(self, linear: int | None = None) -> None:
        """The guest flushed its TLB: all of it, or the page of a linear address."""
        pages = list(self._pages) if linear is None else [linear >> 12]
        for page in pages:
            frame = self._pages.get(page)
            if frame is None:
                continue
            entry = self._ideal.peek_entry(page << 12)
            if entry >> 12 != frame or not entry & PTE_A:
                del self._pages[page]
                self._drop(key for key in self._by_frame.get(frame, ()))

    def forget(self) -> None:
        """None holds any more."""
        self._drop(self._known)
        self._pages.clear()

    def retrace(self) -> None:
        """Somebody else has ended tracing of bytes that may be ours."""
        for known in self._known.values():
            for pa, size in known.places:
                self._frames.trace_writes(pa, size, True)

    def _drop(self, selectors: Iterable[int]) -> None:
        gone_now = list(selectors)
        for selector in gone_now:
            gone = self._known.pop(selector)
            for pa, size in gone.places:
                self._by_frame[pa >> 12].discard(selector)
                self._frames.trace_writes(pa, size, False)
            self._lost(gone)
        if gone_now:
            self.retrace()  # tables may overlap

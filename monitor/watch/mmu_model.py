"""The guest's address space and the monitor's shadow of it, as plain data.

Like `CacheView` a picture without a reference to the machine. The linear address space is told in
*ranges*: pages in a row that lead to frames in a row, alike in rights and state.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from monitor.watch.words import ABSENT, STATES

PAGE = 4096

@dataclass(frozen=True)
class GuestRange:
    """What the guest's page tables say."""

    linear: int
    pages: int
    physical: int
    writable: bool
    user: bool
    global_: bool
    large: bool
    accessed: int = 0  #: pages of it with the accessed bit
    dirty: int = 0

    @property
    def end(self) -> int:
        """The first linear address behind it."""
        return self.linear + self.pages * PAGE

    @property
    def rights(self) -> str:
        """In a few letters, as the text shows them."""
        who = "user" if self.user else "kernel"
        more = (" global" if self.global_ else "") + (" 4M" if self.large else "")
        return f"{who} {'rw' if self.writable else 'r-'}{more}"


@dataclass(frozen=True)
class ShadowRange:
    """What a shadow holds, or (ABSENT) could hold."""

    linear: int
    pages: int
    physical: int
    state: str
    writable: bool = False
    executable: bool = False
    global_: bool = False

    @property
    def end(self) -> int:
        """The first linear address behind it."""
        return self.linear + self.pages * PAGE

    @property
    def rights(self) -> str:
        """In a few letters, as the text shows them."""
        if self.state == ABSENT:
            return ""
        return ("r" + ("w" if self.writable else "-") + ("x" if self.executable else "-")
                + (" global" if self.global_ else ""))


@dataclass(frozen=True)
class ShadowSpace:
    """One of the shadow's two address spaces."""

    name: str  #: "kernel": for CPL 0 to 2; "user": for CPL 3
    ranges: tuple[ShadowRange, ...]

    def at(self, linear: int) -> ShadowRange | None:
        """The range that holds an address; None: neither the shadow nor the guest's tables."""
        return next((each for each in self.ranges if each.linear <= linear < each.end), None)

    def pages(self) -> dict[str, int]:
        """Pages by state."""
        found = dict.fromkeys(STATES, 0)
        for each in self.ranges:
            found[each.state] += each.pages
        return found


@dataclass(frozen=True)
class SegmentSide:
    """A descriptor cache."""

    selector: int
    base: int
    limit: int
    rights: str
    usable: bool
    expand_down: bool = False

    def spans(self) -> list[tuple[int, int]]:
        """Linear addresses that it reaches, [from, to): two pieces where it wraps around."""
        top = 1 << 32
        if not self.usable:
            return []
        first, last = (self.limit + 1, top - 1) if self.expand_down else (0, self.limit)
        if first > last:
            return []
        start, size = (self.base + first) % top, last - first + 1
        if start + size <= top:
            return [(start, start + size)]
        return [(start, top), (0, start + size - top)]


@dataclass(frozen=True)
class SegmentView:
    """A segment register as the guest has it, and as the engine had it when it last ran."""

    name: str
    guest: SegmentSide
    engine: SegmentSide | None  #: None: no engine
    note: str


@dataclass(frozen=True)
class HiddenPart:
    """A part of the monitor's region."""

    start: int
    end: int
    name: str
    used: int = 0  #: bytes, of the translation cache


@dataclass(frozen=True)
class MmuView:
    """The linear address space at one moment."""

    count: int  #: guest instructions completed
    mode: str
    paging: bool
    cr0: int
    cr3: int
    cr4: int
    cpl: int
    guest: tuple[GuestRange, ...]
    shadows: tuple[ShadowSpace, ...]  #: none in mode bare
    segments: tuple[SegmentView, ...]
    hidden_base: int | None  #: where truncated segments end
    hidden: tuple[HiddenPart, ...]
    clean: int  #: frames of user code that run as they are
    audited: int
    fills: int
    flushes: int

    def shadow(self, name: str) -> ShadowSpace:
        """"kernel" or "user"."""
        return next(space for space in self.shadows if space.name == name)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

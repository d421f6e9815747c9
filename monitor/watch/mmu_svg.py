"""A `MmuView` as a picture.

From top to bottom: the whole linear address space to scale; each stretch of it that is in use,
enlarged, with what the guest maps above what the shadows hold; the segments against their
truncated selves; and the monitor's own region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.vmm.shadow import HIDDEN_BASE as HIDDEN
from monitor.watch.mmu_model import GuestRange, HiddenPart, MmuView, SegmentView, ShadowRange
from monitor.watch.palette import (
    CUT,
    FAINT,
    GUEST_FILL,
    GUEST_WORDS,
    INK,
    KEPT,
    PAPER,
    RESERVED,
    RULE,
    SET_ASIDE,
    STATE_FILL,
)
from monitor.watch.svg import Svg, fit, text_width
from monitor.watch.words import STANDS, STATES

WIDTH = 1240.0
MARGIN = 28.0
LABEL = 118.0  # column of names to the left of a strip
STRIP_X = MARGIN + LABEL
STRIP = WIDTH - 2 * MARGIN - LABEL  # of the whole space
DETAIL = 640.0  # of an enlarged stretch
LANE = 14.0
TOP = 1 << 32
NEAR = 4 << 20  # ranges closer than this are one stretch
NEARLY_TOP = TOP - (16 << 20)
MOST_STRETCHES = 24
THINNEST = 1.5  # pixels of a range, however small


@dataclass(frozen=True)
class _Stretch:
    """A part of the address space with few gaps."""

    start: int
    end: int
    guest: tuple[GuestRange, ...]
    shadows: tuple[tuple[str, tuple[ShadowRange, ...]], ...]

    @property
    def pages(self) -> int:
        return sum(each.pages for each in self.guest)


class _Broken:
    """The same with the top of the address space, where segments are cut, drawn wide."""

    def __init__(self, x: float, width: float) -> None:
        self.at = x + width * 0.68
        self._low = _Scale(0, NEARLY_TOP, x, self.at - x)
        self._high = _Scale(NEARLY_TOP, TOP, self.at, x + width - self.at)

    def __call__(self, address: int) -> float:
        return (self._low if address < NEARLY_TOP else self._high)(address)


class _Scale:
    """From linear addresses to x."""

    def __init__(self, start: int, end: int, x: float, width: float) -> None:
        self._start, self._x = start, x
        self._ratio = width / max(1, end - start)

    def __call__(self, address: int) -> float:
        return self._x + (address - self._start) * self._ratio


def svg_of(view: MmuView) -> str:
    """The whole picture."""
    stretches = _stretches(view)
    shown = sorted(sorted(stretches, key=lambda s: -s.pages)[:MOST_STRETCHES],
                   key=lambda s: s.start)
    picture = Svg(WIDTH, 0)
    y = _head(picture, view)
    y = _whole_space(picture, view, y)
    y = _heading(picture, y, "In use, enlarged", _left_out(len(stretches) - len(shown)))
    for stretch in shown:
        y = _stretch(picture, stretch, y)
    y = _heading(picture, y + 6, "Segments", "the guest's, and what truncation left the engine")
    for segment in view.segments:
        y = _segment(picture, segment, y)
    y = _segment_axis(picture, y)
    if view.hidden:
        y = _heading(picture, y + 4, "The hidden region", "the monitor's own, in both shadows")
        y = _hidden(picture, view.hidden, y + 12)
    picture.height = y + 8
    return picture.document("memory map")


def _left_out(count: int) -> str:
    return f"{count} smaller stretches are not shown" if count > 0 else ""


def _head(picture: Svg, view: MmuView) -> float:
    picture.text(MARGIN, 36, "Memory map", size=20, font_weight="bold")
    facts = (f"after {view.count:,} guest instructions, mode {view.mode}, CPL {view.cpl}, paging "
             f"{'on' if view.paging else 'off'}, CR3 {view.cr3:08x}")
    if view.shadows:
        facts += f"; shadow: {view.fills:,} fills, {view.flushes:,} flushes"
    picture.text(MARGIN, 56, facts, fill=FAINT)
    x = MARGIN
    picture.text(x, 80, "guest", size=11, fill=FAINT)
    x += 56
    for key, words in GUEST_WORDS.items():
        x = _legend(picture, x, 71, GUEST_FILL[key], words)
    if not view.shadows:
        return 96.0
    x = MARGIN
    picture.text(x, 100, "shadow", size=11, fill=FAINT)
    x += 56
    for state in STATES:
        x = _legend(picture, x, 91, STATE_FILL[state], state, STANDS[state])
    return 116.0


def _legend(
    picture: Svg, x: float, y: float, fill: str, word: str, meaning: str = ""
) -> float:
    picture.rect(x, y, 11, 11, fill=fill, rx=2)
    if meaning:
        picture.title(meaning)
    picture.text(x + 17, y + 9, word, size=11)
    return x + 17 + text_width(word, 11) + 22


def _heading(picture: Svg, y: float, title: str, more: str) -> float:
    picture.text(MARGIN, y + 24, title, size=15, font_weight="bold")
    if more:
        picture.text(MARGIN + text_width(title, 15) + 24, y + 24, more, size=11, fill=FAINT)
    return y + 38


# --- the address space -------------------------------------------------------------------


def _whole_space(picture: Svg, view: MmuView, y: float) -> float:
    scale = _Scale(0, TOP, STRIP_X, STRIP)
    y = _heading(picture, y, "Linear address space", "4 GiB to scale; what is small is drawn wider")
    lanes = 1 + len(view.shadows)
    for eighth in range(9):
        x = scale(eighth * TOP // 8)
        picture.line(x, y + 10, x, y + 18 + lanes * LANE, stroke=RULE)
        label = f"{min(eighth * TOP // 8, TOP - 1):08x}"
        anchor = "end" if eighth == 8 else "start" if eighth == 0 else "middle"
        picture.text(x, y + 6, label, size=10, fill=FAINT, text_anchor=anchor)
    y += 14
    _guest_lane(picture, view.guest, scale, y, "guest")
    for index, space in enumerate(view.shadows):
        _shadow_lane(picture, space.ranges, scale, y + (index + 1) * LANE, space.name + " shadow")
    return y + lanes * LANE + 12


def _lane(picture: Svg, y: float, name: str, width: float) -> None:
    picture.text(MARGIN, y + 10, name, size=11, fill=FAINT)
    picture.rect(STRIP_X, y + 1, width, LANE - 2, fill="#f8f9fb", stroke=RULE, stroke_width=0.6)


def _guest_lane(
    picture: Svg, ranges: Sequence[GuestRange], scale: _Scale, y: float, name: str,
    width: float = STRIP,
) -> None:
    _lane(picture, y, name, width)
    for each in ranges:
        x = scale(each.linear)
        picture.rect(x, y + 1, max(THINNEST, scale(each.end) - x), LANE - 2,
                     fill=GUEST_FILL[(each.user, each.writable)])
        picture.title(f"{each.linear:08x} to {each.end - 1:08x}: {each.rights}, "
                      f"physical {each.physical:08x}")


def _shadow_lane(
    picture: Svg, ranges: Sequence[ShadowRange], scale: _Scale, y: float, name: str,
    width: float = STRIP,
) -> None:
    """Rare states are drawn last, so that they can be seen."""
    _lane(picture, y, name, width)
    rank = {state: index for index, state in enumerate(("absent", "monitor", "open bus", "same"))}
    for each in sorted(ranges, key=lambda each: rank.get(each.state, len(rank))):
        x = scale(each.linear)
        picture.rect(x, y + 1, max(THINNEST, scale(each.end) - x), LANE - 2,
                     fill=STATE_FILL[each.state])
        picture.title(f"{each.linear:08x} to {each.end - 1:08x}: {each.state} {each.rights}, "
                      f"physical {each.physical:08x}")


def _stretches(view: MmuView) -> list[_Stretch]:
    """Where the guest or a shadow has something, but for the monitor's region."""
    ceiling = view.hidden_base or TOP
    spans = sorted(
        [(each.linear, each.end) for each in view.guest]
        + [(each.linear, each.end) for space in view.shadows for each in space.ranges
           if each.linear < ceiling]
    )
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < NEAR:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return [_cut(view, start, end) for start, end in joined]


def _cut(view: MmuView, start: int, end: int) -> _Stretch:
    guest = tuple(each for each in view.guest if start <= each.linear < end)
    shadows = tuple(
        (space.name, tuple(each for each in space.ranges if start <= each.linear < end))
        for space in view.shadows
    )
    return _Stretch(start, end, guest, shadows)


def _stretch(picture: Svg, stretch: _Stretch, y: float) -> float:
    scale = _Scale(stretch.start, stretch.end, STRIP_X, DETAIL)
    title = f"{stretch.start:08x} to {stretch.end - 1:08x}"
    picture.text(STRIP_X, y + 10, title, size=11, font_weight="bold")
    picture.text(STRIP_X + DETAIL, y + 10, _size(stretch.end - stretch.start), size=11,
                 fill=FAINT, text_anchor="end")
    y += 15
    _guest_lane(picture, stretch.guest, scale, y, "guest", DETAIL)
    _note(picture, y, _physical(stretch.guest))
    for name, ranges in stretch.shadows:
        y += LANE
        _shadow_lane(picture, ranges, scale, y, name + " shadow", DETAIL)
        _note(picture, y, _counts(ranges))
    return y + LANE + 15


def _note(picture: Svg, y: float, text: str) -> None:
    x = STRIP_X + DETAIL + 12
    picture.text(x, y + 10.5, fit(text, WIDTH - MARGIN - x, 10), size=10, fill=INK)


def _physical(ranges: Sequence[GuestRange]) -> str:
    """Where the biggest of them lead."""
    if not ranges:
        return "not mapped by the guest any more"
    biggest = max(ranges, key=lambda each: each.pages)
    others = f", and {len(ranges) - 1} more" if len(ranges) > 1 else ""
    return (f"{sum(each.pages for each in ranges):,} pages, to physical "
            f"{biggest.physical:08x}{others}")


def _counts(ranges: Sequence[ShadowRange]) -> str:
    counts = {state: sum(each.pages for each in ranges if each.state == state) for state in STATES}
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "nothing"


def _size(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


# --- segments and the hidden region --------------------------------------------------------


def _segment(picture: Svg, segment: SegmentView, y: float) -> float:
    """The guest's segment as an outline, what the engine had of it filled, what it lost red."""
    scale = _Broken(STRIP_X, DETAIL)
    reserved = "vCPU" in segment.note
    picture.text(MARGIN, y + 16, segment.name.upper(), size=13, font_weight="bold")
    picture.text(MARGIN + 30, y + 16, f"{segment.guest.selector:04x}", size=11, fill=FAINT)
    picture.rect(STRIP_X, y + 4, DETAIL, 16, fill="#f8f9fb", stroke=RULE, stroke_width=0.6)
    for start, end in segment.guest.spans():
        x = scale(start)
        picture.rect(x, y + 4, max(3.0, scale(end) - x), 16,
                     fill=KEPT if segment.engine is None else SET_ASIDE if reserved else CUT)
    if segment.engine is not None:
        for start, end in segment.engine.spans():
            x = scale(start)
            picture.rect(x, y + 4, max(3.0, scale(end) - x), 16,
                         fill=RESERVED if reserved else KEPT)
    for start, end in segment.guest.spans():
        x = scale(start)
        picture.rect(x, y + 4, max(3.0, scale(end) - x), 16, fill="none", stroke=INK,
                     stroke_width=0.9)
    guest = segment.guest
    x = STRIP_X + DETAIL + 12
    text = f"base {guest.base:08x} limit {guest.limit:08x}  {guest.rights}"
    picture.text(x, y + 10, fit(text, WIDTH - MARGIN - x, 10), size=10)
    if segment.engine is not None:
        its = f"engine: limit {segment.engine.limit:08x}, {segment.note}"
        picture.text(x, y + 23, fit(its, WIDTH - MARGIN - x, 10), size=10, fill=FAINT)
    return y + 34


def _segment_axis(picture: Svg, y: float) -> float:
    scale = _Broken(STRIP_X, DETAIL)
    for address, anchor in ((0, "start"), (NEARLY_TOP, "middle"), (HIDDEN, "middle"),
                            (TOP - 1, "end")):
        picture.text(scale(address), y + 8, f"{address:08x}", size=10, fill=FAINT,
                     text_anchor=anchor)
    picture.line(scale.at, y - 6 * 34 + 2, scale.at, y - 4, stroke=PAPER, stroke_width=3)
    picture.line(scale.at, y - 6 * 34 + 2, scale.at, y - 4, stroke=FAINT, stroke_dasharray="2 3")
    for line, text in enumerate(("the last 16 MiB are drawn wider; red: what truncation",
                                 "took; purple: what leads to the monitor's own pages")):
        picture.text(STRIP_X + DETAIL + 12, y + 8 + 12 * line, text, size=10, fill=FAINT)
    return y + 22


def _hidden(picture: Svg, parts: Sequence[HiddenPart], y: float) -> float:
    scale = _Scale(parts[0].start, TOP, STRIP_X, STRIP)
    for part in parts:
        x, width = scale(part.start), scale(part.end) - scale(part.start)
        mapped = part.name != "not mapped"
        fill = "none" if not mapped else _part_fill(part.name)
        picture.rect(x, y, max(1.0, width), 30, fill=fill, stroke=INK, stroke_width=0.7)
        picture.title(f"{part.start:08x} to {part.end - 1:08x}: {part.name}")
        if part.used:
            used = width * part.used / (part.end - part.start)
            picture.rect(x, y, max(2.0, used), 30, fill=RESERVED)
            picture.title(f"{part.used:,} bytes used")
    cache = parts[0]
    label = f"{cache.name}: {cache.used:,} of {cache.end - cache.start:,} bytes used"
    picture.text(scale(cache.start) + 150, y + 19, label, size=11)
    groups = {part.name.partition("(")[2].rstrip(")"): part for part in parts if "(" in part.name}
    seen: set[str] = set()
    for part in parts:
        name = part.name.partition("(")[2].rstrip(")")
        if name and name not in seen:
            seen.add(name)
            _bracket(picture, scale(part.start), scale(groups[name].end), y + 34, name,
                     len(seen) % 2 == 0)
    for address in (parts[0].start, parts[1].start):
        picture.text(scale(address), y - 5, f"{address:08x}", size=10, fill=FAINT)
    return y + 80


def _part_fill(name: str) -> str:
    if name.startswith("near"):
        return "#d9e6f2"
    if name.startswith("far"):
        return "#bfd3e8"
    return "#f3ecfa" if name.startswith("translation") else RESERVED


def _bracket(picture: Svg, x1: float, x2: float, y: float, name: str, low: bool) -> None:
    picture.path(f"M{x1 + 1:g} {y:g} v4 H{x2 - 1:g} v-4", fill="none", stroke=FAINT)
    drop = 32 if low else 18
    picture.text((x1 + x2) / 2, y + drop, name, size=10, text_anchor="middle")



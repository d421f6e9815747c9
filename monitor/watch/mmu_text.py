"""A `MmuView` as text: the address space as strips, then ranges, segments and the hidden region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from monitor.watch.mmu_model import PAGE, GuestRange, MmuView, SegmentSide, ShadowRange, ShadowSpace
from monitor.watch.palette import GUEST_STYLE, GUEST_WORDS, STATE_STYLE
from monitor.watch.words import ABSENT, MONITOR, NARROWER, OPEN_BUS, SAME, STALE, STANDS, STATES
from monitor.writing.whole_table import Table

CELLS = (128, 64, 32)  # of a strip
MARGIN = 8  # columns in front of it
APART = 16  # cells from one address of its ruler to the next
MOST_RANGES = 60
LOUDEST = (STALE, NARROWER, SAME, OPEN_BUS, MONITOR, ABSENT)  # which state a cell shows


def mmu_text(view: MmuView, most: int = MOST_RANGES) -> RenderableType:
    """Everything; of the guest's ranges so many, the biggest."""
    parts: list[RenderableType] = [_headline(view), _Strips(view), _ranges(view, most)]
    stale = [(space.name, each) for space in view.shadows for each in space.ranges
             if each.state == STALE]
    if stale:
        parts.append(_stale(stale, most))
    parts.append(_segments(view))
    if view.hidden:
        parts.append(_hidden(view))
    return Group(*parts)


def _headline(view: MmuView) -> Text:
    text = Text("memory map ", style="bold")
    text.append(f"after {view.count:,} guest instructions, mode {view.mode}, CPL {view.cpl}, ")
    text.append(f"paging {'on' if view.paging else 'off'}, cr0 {view.cr0:08x}, ")
    text.append(f"cr3 {view.cr3:08x}, cr4 {view.cr4:08x}")
    if view.shadows:
        text.append(f"\nshadow: {view.fills:,} fills, {view.flushes:,} flushes, frames of user "
                    f"code {view.clean:,} clean, {view.audited:,} audited")
    return text


# --- strips ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Strips:
    """The address space as a line of cells for the guest and for each shadow: as many cells as
    there is room for."""

    view: MmuView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - MARGIN
        cells = next((cells for cells in CELLS if cells <= room), CELLS[-1])
        yield _strips(self.view, cells)
        yield _strip_legend(self.view, cells)


def _strips(view: MmuView, cells: int) -> Text:
    lines = Text(no_wrap=True, overflow="ignore")
    ruler = "".join(f"{i * _size(cells):08x}".ljust(APART) for i in range(0, cells, APART))
    lines.append(f"\n{'':{MARGIN}}{ruler.rstrip()}\n")
    lines.append(f"{'guest':{MARGIN}}")
    lines.append_text(_guest_strip(view.guest, cells))
    for space in view.shadows:
        lines.append(f"\n{space.name:{MARGIN}}")
        lines.append_text(_shadow_strip(space, cells))
    return lines


def _strip_legend(view: MmuView, cells: int) -> Text:
    lines = Text(f"{'':{MARGIN}}each cell is {_size(cells) >> 20} MiB; guest: ")
    for key, words in GUEST_WORDS.items():
        lines.append(f"{words}  ", style=GUEST_STYLE[key])
    if view.shadows:
        lines.append(f"\n{'':{MARGIN}}shadows: ")
        for state in STATES:
            lines.append(f"{state}", style=STATE_STYLE[state])
            lines.append(f" ({STANDS[state]})  ", style="dim")
    return lines


def _size(cells: int) -> int:
    """Of a cell, in bytes."""
    return (1 << 32) // cells


def _covered(linear: int, end: int, cells: int) -> range:
    return range(linear // _size(cells), (end - 1) // _size(cells) + 1)


def _guest_strip(ranges: Iterable[GuestRange], cells: int) -> Text:
    found: dict[int, Counter[tuple[bool, bool]]] = {}
    for each in ranges:
        for cell in _covered(each.linear, each.end, cells):
            counts = found.setdefault(cell, Counter())
            counts[(each.user, each.writable)] += each.pages
    styles = {cell: GUEST_STYLE[counts.most_common(1)[0][0]] for cell, counts in found.items()}
    return _strip(styles, cells)


def _shadow_strip(space: ShadowSpace, cells: int) -> Text:
    """A cell has the colour of what there is to see in it, however little."""
    found: dict[int, set[str]] = {}
    for each in space.ranges:
        for cell in _covered(each.linear, each.end, cells):
            found.setdefault(cell, set()).add(each.state)
    styles = {cell: STATE_STYLE[next(state for state in LOUDEST if state in states)]
              for cell, states in found.items()}
    return _strip(styles, cells)


def _strip(styles: dict[int, str], cells: int) -> Text:
    text = Text()
    for cell in range(cells):
        text.append("█" if cell in styles else "·", style=styles.get(cell, "dim"))
    return text


# --- ranges ------------------------------------------------------------------------------


def _ranges(view: MmuView, most: int) -> Table:
    table = Table(keys=2, glued=(6,), box=box.SIMPLE, title="\nWhat the guest's tables map")
    for name in ("linear", "", "pages", "physical"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("rights", no_wrap=True)
    table.add_column("accessed", justify="right")
    table.add_column("dirty", justify="right")
    for space in view.shadows:
        table.add_column(f"{space.name} shadow", no_wrap=True)
    shadows = [_Overlaps(space) for space in view.shadows]
    biggest = sorted(view.guest, key=lambda each: -each.pages)[:most]
    for each in sorted(biggest, key=lambda each: each.linear):
        bits = ("", "") if not view.paging else (f"{each.accessed:,}", f"{each.dirty:,}")
        table.add_row(
            f"{each.linear:08x}", f"{each.end - 1:08x}", f"{each.pages:,}",
            f"{each.physical:08x}", Text(each.rights, GUEST_STYLE[(each.user, each.writable)]),
            *bits, *(shadow.within(each) for shadow in shadows),
        )
    if len(view.guest) > most:
        table.add_row("", "", "", "", f"and {len(view.guest) - most:,} smaller ones")
    return table


class _Overlaps:
    """Finds the states of a shadow within ranges that come in order."""

    def __init__(self, space: ShadowSpace) -> None:
        self._ranges = space.ranges
        self._next = 0

    def within(self, wanted: GuestRange) -> Text:
        """How many pages of the guest's range are in which state."""
        counts: Counter[str] = Counter()
        while self._next < len(self._ranges) and self._ranges[self._next].end <= wanted.linear:
            self._next += 1
        for each in self._ranges[self._next :]:
            if each.linear >= wanted.end:
                break
            shared = min(each.end, wanted.end) - max(each.linear, wanted.linear)
            counts[each.state] += shared // PAGE
        text = Text()
        for state in STATES:
            if counts[state]:
                text.append(f"{counts[state]:,} {state}  ", style=STATE_STYLE[state])
        return text


def _stale(stale: list[tuple[str, ShadowRange]], most: int) -> Table:
    table = Table(keys=3, box=box.SIMPLE, title="What the shadows still hold")
    table.add_column("shadow")
    for name in ("linear", "", "pages", "physical"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("rights")
    for name, each in stale[:most]:
        table.add_row(name, f"{each.linear:08x}", f"{each.end - 1:08x}", f"{each.pages:,}",
                      f"{each.physical:08x}", each.rights, style=STATE_STYLE[STALE])
    return table


# --- segments, and the monitor's region -----------------------------------------------------


def _segments(view: MmuView) -> Table:
    table = Table(glued=(2, 3, 4, 6, 7), box=box.SIMPLE, title="Segments, and what the engine had")
    for name in ("", "selector", "guest base", "limit", "rights"):
        table.add_column(name, no_wrap=True)
    if view.shadows:
        for name in ("engine base", "limit", ""):
            table.add_column(name, no_wrap=True)
    for each in view.segments:
        its = _side(each.engine)[1:3] if each.engine else ()
        cut = each.engine is not None and each.engine.limit < each.guest.limit
        cells = [Text(cell, "yellow" if cut and index == 1 else "") for index, cell
                 in enumerate(its)]
        note = [Text(each.note, "dim")] if each.engine else []
        table.add_row(each.name, *_side(each.guest), *cells, *note)
    return table


def _side(side: SegmentSide) -> tuple[str, str, str, str]:
    return f"{side.selector:04x}", f"{side.base:08x}", f"{side.limit:08x}", side.rights


def _hidden(view: MmuView) -> Table:
    table = Table(keys=2, box=box.SIMPLE, title="The hidden region")
    for name in ("linear", "", "KiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what")
    for part in view.hidden:
        used = f", {part.used:,} bytes used" if part.used else ""
        table.add_row(f"{part.start:08x}", f"{part.end - 1:08x}",
                      f"{part.end - part.start >> 10:,}", part.name + used)
    return table

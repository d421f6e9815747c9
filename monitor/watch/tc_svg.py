"""A `CacheView` as a picture: a card for each block, ribbons from guest code to its translation.

The right column is in the order of the cache's addresses, so what was placed out of line stands
out of line. Arrows at the right edge are chained jumps between (or within) the blocks shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from monitor.watch.palette import FAINT, FILL, INK, RULE, STROKE
from monitor.watch.svg import Svg, fit, text_width
from monitor.watch.tc_model import BlockView, CacheView, GuestRow, TranslatedRow
from monitor.watch.words import BECAME, CHAIN, EMULATES, EXIT, FALLS, KINDS

ROW = 18.0
MARGIN = 28.0
HEAD = 58.0  # of a card
GAP = 30.0  # between cards
TOP = 96.0  # title and legend
HITS_WIDTH = 84.0
GUEST_X = MARGIN + HITS_WIDTH + 8
GUEST_WIDTH = 380.0
CACHE_X = GUEST_X + GUEST_WIDTH + 64
CACHE_WIDTH = 580.0
LANES_X = CACHE_X + CACHE_WIDTH
LANE = 11.0
MOST_LANES = 14
COLD_GAP = 10.0
BAR = "#a9c8e8"


@dataclass
class _Card:
    """A block and where it is drawn."""

    block: BlockView
    top: float
    height: float = 0.0
    places: dict[int, float] = field(default_factory=dict)  # TC address -> middle of its row
    entries: dict[int, float] = field(default_factory=dict)  # guest EIP -> the same


def svg_of(view: CacheView) -> str:
    """The whole picture."""
    cards = _lay_out(view)
    height = cards[-1].top + cards[-1].height + MARGIN if cards else TOP + MARGIN
    lanes = min(MOST_LANES, len(view.links()))
    picture = Svg(LANES_X + 26 + LANE * max(lanes, 1) + MARGIN, height)
    _title(picture, view)
    most = max((row.hits or 0 for block in view.blocks for row in block.rows), default=0)
    for card in cards:
        _draw_card(picture, card, most)
    _draw_links(picture, view, {card.block.eip: card for card in cards})
    return picture.document("translation cache")


def _lay_out(view: CacheView) -> list[_Card]:
    cards: list[_Card] = []
    top = TOP
    for block in view.blocks:
        card = _Card(block, top)
        hot, cold = _columns(block)
        guest_rows = len(block.rows)
        right = len(hot) * ROW + (COLD_GAP + len(cold) * ROW if cold else 0)
        card.height = HEAD + max(guest_rows * ROW, right) + 14
        at = top + HEAD
        for index, (row, owner) in enumerate(hot + cold):
            y = at + index * ROW + (COLD_GAP if index >= len(hot) else 0)
            card.places[row.address] = y + ROW / 2
            card.entries.setdefault(owner.eip, y + ROW / 2)
        cards.append(card)
        top += card.height + GAP
    return cards


def _columns(
    block: BlockView,
) -> tuple[list[tuple[TranslatedRow, GuestRow]], list[tuple[TranslatedRow, GuestRow]]]:
    """TC instructions in line and out of line, each with its guest instruction."""
    pairs = sorted(
        ((row, owner) for owner in block.rows for row in owner.translated),
        key=lambda pair: pair[0].address,
    )
    return [p for p in pairs if not p[0].cold], [p for p in pairs if p[0].cold]


def _title(picture: Svg, view: CacheView) -> None:
    picture.text(MARGIN, 34, "Translation cache", size=20, font_weight="bold")
    facts = (f"after {view.count:,} guest instructions: {view.used:,} of {view.size:,} bytes used, "
             f"{len(view.blocks):,} of {view.total:,} blocks shown")
    picture.text(MARGIN, 54, facts, fill=FAINT)
    x = MARGIN
    for kind in KINDS:
        picture.rect(x, 66, 14, 14, fill=FILL[kind], stroke=STROKE[kind], rx=3)
        label = f"{kind}: {BECAME[kind]}"
        picture.text(x + 20, 77, label, size=11)
        x += 48 + text_width(label, 11)


def _draw_card(picture: Svg, card: _Card, most: int) -> None:
    block = card.block
    left, right = MARGIN - 12, LANES_X + 8
    picture.rect(left, card.top, right - left, card.height, fill="none", stroke=RULE, rx=8)
    y = card.top + 22
    picture.text(MARGIN, y, f"{block.eip:08x}", size=15, font_weight="bold")
    facts = f"{block.context}, {block.size} bytes"
    picture.text(MARGIN + 90, y, facts, size=11, fill=FAINT)
    if block.hits is not None:
        picture.text(GUEST_X + GUEST_WIDTH, y, f"entered {block.hits:,} times",
                     font_weight="bold", text_anchor="end")
    facts = f"{block.end - block.start} bytes"
    if block.landings:
        facts += f", {' and '.join(block.landings)} landing"
    picture.text(CACHE_X, y, f"{block.start:08x}", size=15, font_weight="bold")
    picture.text(CACHE_X + 90, y, facts, size=11, fill=FAINT)
    for x, label in ((GUEST_X, "guest"), (CACHE_X, "translation")):
        picture.text(x, y + 22, label, size=10, fill=FAINT)
    if block.hits is not None:
        picture.text(MARGIN, y + 22, "hits", size=10, fill=FAINT)
    for index, row in enumerate(block.rows):
        _draw_guest(picture, card, row, card.top + HEAD + index * ROW, most)
    hot, cold = _columns(block)
    for each, owner in hot + cold:
        _draw_translated(picture, each, owner, card.places[each.address] - ROW / 2)
    if cold:
        y = card.places[cold[0][0].address] - ROW / 2 - COLD_GAP / 2
        picture.line(CACHE_X, y, CACHE_X + CACHE_WIDTH, y, stroke=FAINT, stroke_dasharray="2 4")


def _draw_guest(picture: Svg, card: _Card, row: GuestRow, y: float, most: int) -> None:
    if row.hits is not None and most:
        width = (HITS_WIDTH - 4) * math.log1p(row.hits) / math.log1p(most)
        picture.rect(MARGIN + HITS_WIDTH - 4 - width, y + 3, width, ROW - 6, fill=BAR, rx=2)
        picture.text(MARGIN + HITS_WIDTH - 8, y + 13, f"{row.hits:,}", size=11, text_anchor="end")
    dashes = {"stroke_dasharray": "3 3"} if row.became == FALLS else {}
    picture.rect(GUEST_X, y + 1, GUEST_WIDTH, ROW - 2, fill=FILL[row.became],
                 stroke=STROKE[row.became], stroke_width=0.8, rx=3, **dashes)
    if row.became == FALLS:
        picture.text(GUEST_X + 80, y + 13, row.text, fill=FAINT)
    else:
        picture.text(GUEST_X + 8, y + 13, f"{row.eip:08x}", size=11, fill=FAINT)
        picture.text(GUEST_X + 80, y + 13, fit(row.text, GUEST_WIDTH - 84))
    _draw_ribbon(picture, card, row, y)


def _draw_ribbon(picture: Svg, card: _Card, row: GuestRow, y: float) -> None:
    """From a guest instruction to its translation in line."""
    places = [card.places[each.address] for each in row.translated if not each.cold]
    if not places:
        return
    x1, x2 = GUEST_X + GUEST_WIDTH, CACHE_X
    middle = (x1 + x2) / 2
    top, bottom = min(places) - ROW / 2 + 1, max(places) + ROW / 2 - 1
    first, last = y + 1, y + ROW - 1
    picture.path(
        f"M{x1:g} {first:g} C{middle:g} {first:g} {middle:g} {top:g} {x2:g} {top:g} "
        f"L{x2:g} {bottom:g} C{middle:g} {bottom:g} {middle:g} {last:g} {x1:g} {last:g} Z",
        fill=FILL[row.became], stroke=STROKE[row.became], stroke_width=0.8,
        fill_opacity=0.75, stroke_opacity=0.75,
    )


def _draw_translated(picture: Svg, row: TranslatedRow, owner: GuestRow, y: float) -> None:
    kind = EXIT if row.note == EMULATES else owner.became
    picture.rect(CACHE_X, y + 1, CACHE_WIDTH, ROW - 2, fill=FILL[kind], stroke=STROKE[kind],
                 stroke_width=0.8, rx=3)
    picture.text(CACHE_X + 8, y + 13, f"{row.address:08x}", size=11, fill=FAINT)
    picture.text(CACHE_X + 80, y + 13, fit(row.text, 320), fill=INK)
    note = row.note
    if row.cold and owner.became != FALLS:
        note = f"{note} ({owner.eip:08x})" if note else f"of {owner.eip:08x}"
    if note:
        picture.text(CACHE_X + CACHE_WIDTH - 8, y + 13, fit(note, 230, 10), size=10,
                     fill=STROKE[kind] if row.note else FAINT, text_anchor="end")
    elif row.counts:
        x = CACHE_X + CACHE_WIDTH - 12
        picture.path(f"M{x - 7:g} {y + 9:g} l3 3.5 l6 -7", fill="none", stroke=FAINT,
                     stroke_width=1.4)
        picture.title("completing this completes the guest's instruction")


def _draw_links(picture: Svg, view: CacheView, cards: dict[int, _Card]) -> None:
    """Short arrows in the lanes near the cards, long ones outside."""
    ends = []
    for link in view.links():
        source, target = cards[link.source], cards[link.block]
        if link.at not in source.places:
            continue
        goes = target.entries.get(link.target, target.top + 20)
        ends.append((abs(goes - source.places[link.at]), source.places[link.at], goes, link))
    ends.sort(key=lambda end: end[0])
    edge = LANES_X + 2
    for index, (_, y1, y2, link) in enumerate(ends):
        x = edge + 20 + LANE * (index % MOST_LANES)
        dashes = {"stroke_dasharray": "4 3"} if link.conditional else {}
        bend = min(8.0, abs(y2 - y1) / 2)
        turn = bend if y2 > y1 else -bend
        picture.path(
            f"M{edge:g} {y1:g} H{x - bend:g} Q{x:g} {y1:g} {x:g} {y1 + turn:g} "
            f"V{y2 - turn:g} Q{x:g} {y2:g} {x - bend:g} {y2:g} H{edge + 5:g}",
            fill="none", stroke=STROKE[CHAIN], stroke_width=1.3, stroke_opacity=0.8, **dashes,
        )
        picture.title(f"{link.at:08x} chained to {link.target:08x}")
        picture.path(f"M{edge - 1:g} {y2:g} l8 -3.5 v7 Z", fill=STROKE[CHAIN])

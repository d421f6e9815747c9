"""Figures of an address space: segments as the guest has them and as they are cut, and what lies
where, for the guest and in the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monitor.bench.figure_style import GREEN, INK, PURPLE, RULE, SKY, VERMILION, chart, label_line

GIB, TOP = 1 << 30, 1 << 32
LAST = 0xFF00_0000  # the 16 MiB at the top begin here
NAMES = ("the guest's\npage tables", "what its\nsearch found", "what the\nengine has")
EMPTY = "#f4f5f7"


def segments(rows: Mapping[str, Any], base: int) -> Any:
    """Segments of `machine.watch.mmu()`, by name: above what the guest loaded, below what the
    engine has of it. `base`: where the monitor's region begins."""
    figure, axes = chart(9, 0.9 + 0.5 * len(rows))
    for y, segment in enumerate(rows.values()):
        for side, spans, colour in (-0.2, segment.guest.spans(), GREEN), \
                                   (0.2, segment.engine.spans(), SKY):  # fmt: skip
            for start, end in spans:
                axes.barh(y + side, (end - start) / GIB, 0.34, start / GIB, color=colour)
        label_line(axes, 4.03, y, segment.note, INK, fontsize=8)
    axes.axvspan(base / GIB, 4, color=PURPLE, linewidth=0)
    axes.text(base / GIB, -0.6, "the monitor, 8 MiB", ha="right", color=PURPLE, fontweight="bold")
    axes.text(0, -0.6, "what the guest loaded", color=GREEN, fontweight="bold")
    axes.text(1.5, -0.6, "what the engine has", color=SKY, fontweight="bold")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.95)
    axes.set_xlim(0, 4)
    axes.set_xticks(range(5), [f"{n} GiB" for n in range(5)])
    axes.set_xlabel("linear address")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def address_space(
    view: Any, found: Iterable[int], stretches: Mapping[int, str], said: Mapping[str, int]
) -> Any:
    """All 4 GiB and the last 16 MiB, side by side: what the guest's tables map, where its search
    `found` something, and what the engine has, of `machine.watch.mmu()`.

    `stretches`: the guest's own by their linear addresses; `said`: words for places in the engine.
    """
    from matplotlib.patches import ConnectionPatch

    found = list(found)
    figure, (whole, top) = chart(10.5, 5.2, ncols=2, width_ratios=(1, 1.45))
    for axes, low, title in (whole, 0, "all 4 GiB"), (top, LAST, "the last 16 MiB"):
        _columns(axes, low, view, found)
        _name_columns(axes, low, stretches)
        axes.set_title(title)
    for place in (LAST, TOP):
        figure.add_artist(ConnectionPatch((2.4, place), (-0.42, place), "data", axesA=whole,
                                          axesB=top, color=RULE, zorder=-1))  # fmt: skip
    top.set_xlim(-0.5, 3.6)
    for text, place in said.items():
        top.text(2.42, place, text, color=PURPLE if place >= view.hidden_base else SKY, va="center")
    top.text(2.42, view.hidden_base - 0x6_0000, "truncated here: all\nsegments of the engine",
             color=VERMILION, va="top")  # fmt: skip
    return figure


def _columns(axes: Any, low: int, view: Any, found: Iterable[int]) -> None:
    least = (TOP - low) / 160  # however small a stretch is, it is seen

    def stretch(column: int, start: int, end: int, colour: str) -> None:
        middle, height = (start + end) / 2, max(end - start, least)
        axes.bar(column, height, 0.7, middle - height / 2, color=colour)

    for column in range(len(NAMES)):
        axes.bar(column, TOP - low, 0.7, low, color=EMPTY)
    for each in view.guest:
        stretch(0, each.linear, each.end, GREEN)
    for place in found:
        stretch(1, place, place, INK)
    for each in view.shadow("kernel").ranges:
        if each.state not in ("absent", "monitor"):
            stretch(2, each.linear, each.end, SKY)
    stretch(2, view.hidden_base, view.hidden[-2].end, PURPLE)
    axes.axhline(view.hidden_base, 0.02, 0.98, color=VERMILION, linewidth=1.5)


def _name_columns(axes: Any, low: int, stretches: Mapping[int, str]) -> None:
    axes.set_xticks(range(len(NAMES)), NAMES, fontsize=8)
    named = {linear: f"{name}  {linear:08x}" for linear, name in stretches.items()
             if low <= linear and (low or linear < LAST)}  # fmt: skip
    axes.set_yticks([*named], [*named.values()])
    axes.set_ylim(low, TOP)
    axes.set_xlim(-0.5, 2.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)

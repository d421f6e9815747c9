"""The figures of the suite `own`: what an operation's cycles are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from monitor.bench.apart import Cost, Share
from monitor.bench.figure_style import BLACK, GREEN, GREY, VERMILION, chart, plain
from monitor.bench.plots import svg

Kinds = Mapping[str, tuple[str, Callable[[Share], Fraction]]]

KINDS: Kinds = {
    "instructions as they are": (GREY, lambda share: share.native),
    "stubs": (GREEN, lambda share: share.stubs),
    "exits, emulation, fills, chaining": (VERMILION, lambda share: share.monitor),
    "translation": (BLACK, lambda share: share.translation),
}


def steady(found: Sequence[Cost]) -> str:
    """Cycles of a steady pass, for each operation in each setup."""
    return _bars(found, [one.steady for one in found], "cycles of a steady pass")


def once(found: Sequence[Cost]) -> str:
    """Cycles beyond steady passes. What leaving a technique out delays may come out below 0."""
    return _bars(found, [one.once for one in found], "cycles, once")


def _bars(found: Sequence[Cost], shares: Sequence[Share], label: str) -> str:
    canvas, axes = chart(8, 1.0 + 0.24 * len(found))
    left = [0.0] * len(found)
    for name, (colour, of) in KINDS.items():
        values = [max(float(of(share)), 0.0) for share in shares]
        if any(values):
            axes.barh(range(len(found)), values, 0.7, left=left, color=colour, label=name)
        left = [a + b for a, b in zip(left, values, strict=True)]
    _totals(axes, left)
    axes.set_yticks(range(len(found)), [one.name for one in found], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if any(left):
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    plain(axes)
    return svg(canvas)


def _totals(axes: Any, lengths: Sequence[float]) -> None:
    most = max(lengths, default=0.0) or 1.0
    for y, total in enumerate(lengths):
        axes.text(total + most / 100, y, f"{total:,.0f}", va="center", fontsize=8)
    axes.set_xlim(0, most * 1.12)

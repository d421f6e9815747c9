"""Figures of bars: what a whole is made of, and two figures for the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.bench import plots
from monitor.bench.figure_style import BLUE, FAINT, GREY, INK, SKY, chart, ink_on, label_line, plain

LETTER = 0.068  # inches, of the letters in bars
BAR = 0.75  # of the figure's width, about
SEEN = 0.01  # of the longest bar: less needs no name
MARGIN = 1.12  # of the longest bar, for what stands behind it

Parts = Mapping[str, tuple[str, str]]
"""The parts of a bar in their order: a word for each, and its colour."""

#: The parts of the cost model, as in the reports of `vp bench`.
COST_PARTS: Parts = {part: (plots.PART_WORDS[part], plots.PARTS[part]) for part in plots.PARTS}


def stacked(
    rows: Mapping[str, Mapping[str, float]], parts: Parts = COST_PARTS, *, x: str,
    size: tuple[float, float] | None = None, percent: bool = False,
    ends: Mapping[str, str] | None = None,
) -> Any:  # fmt: skip
    """One bar for each row, of its parts; with `percent`, all are as long. A part has its word in
    it where there is room, and if there is none in any row, above the bars; `ends`: what stands
    behind a row's bar."""
    width, height = size or (8, 0.9 + 0.36 * len(rows) if not percent else 0.9 + 0.6 * len(rows))
    figure, axes = chart(width, height)
    totals = {row: float(sum(max(n, 0) for n in values.values())) for row, values in rows.items()}
    longest = 100 if percent else max(totals.values())
    inch = width * BAR / longest / MARGIN
    unnamed: dict[str, Any] = {}
    named = set()
    for y, (row, values) in enumerate(rows.items()):
        scale, left = (100 / totals[row] if percent else 1), 0.0
        for part, (word, colour) in parts.items():
            value = max(float(values.get(part, 0)), 0) * scale
            bar = axes.barh(y, value, 0.7, left, color=colour, edgecolor="white", linewidth=0.5)
            text = _fitting(word, f"{value:.0f}%" if percent else "", value * inch)
            axes.text(left + value / 2, y, text, ha="center", va="center", fontsize=7.5,
                      color=ink_on(colour))  # fmt: skip
            left += value
            if text.startswith(word):
                named.add(word)
            elif value > longest * SEEN:
                unnamed.setdefault(word, bar)
        label_line(axes, left, y, (ends or {}).get(row, ""), INK)
    _rows(axes, rows)
    handles = {word: bar for word, bar in unnamed.items() if word not in named}
    if handles:
        axes.legend(list(handles.values()), list(handles), loc="lower left", ncols=len(handles),
                    bbox_to_anchor=(0, 1), fontsize=8, borderpad=0)  # fmt: skip
    axes.set_xlim(0, longest * (1 if percent else MARGIN))
    axes.set_xlabel(x)
    return figure


def _fitting(word: str, share: str, inches: float) -> str:
    """The most that a bar of this length has room for."""
    for text in (f"{word}\n{share}" if share else word, share):
        if max(map(len, text.split("\n"))) * LETTER < inches:
            return text
    return ""


def _rows(axes: Any, names: Any) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    plain(axes)


@dataclass(frozen=True)
class Pair:
    """Ours and theirs, and how they are written. `at_most`: theirs is a bound."""

    ours: float
    ours_said: str
    theirs: float
    theirs_said: str
    at_most: bool = False


def pairs(rows: Mapping[str, Pair], *, x: str, names: tuple[str, str]) -> Any:
    """Two bars for each row; the names of the two are those of ours and of theirs."""
    figure, axes = chart(8, 0.6 + 0.55 * len(rows))
    for y, each in enumerate(rows.values()):
        axes.barh(y - 0.2, each.ours, height=0.36, color=BLUE)
        label_line(axes, each.ours, y - 0.2, each.ours_said, BLUE, fontweight="bold")
        look = {"color": "white", "hatch": "////"} if each.at_most else {"color": GREY}
        axes.barh(y + 0.2, each.theirs, height=0.36, edgecolor=GREY, **look)
        label_line(axes, each.theirs, y + 0.2, each.theirs_said, FAINT)
    for n, (name, colour) in enumerate(zip(names, (BLUE, FAINT), strict=True)):
        axes.text(0.35 * n, 1.02, f"■ {name}", color=colour, fontweight="bold",
                  transform=axes.transAxes)  # fmt: skip
    _rows(axes, rows)
    axes.set_xlabel(x)
    return figure


def shares_and_parts(
    shares: Mapping[str, float], parts: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str], *, x: tuple[str, str],
) -> Any:  # fmt: skip
    """Two panels: bars of one number each, in percent, and bars of several parts; behind these
    stands the name of the largest."""
    figure, (left, right) = chart(9.8, 4.4, ncols=2)
    left.barh(range(len(shares)), list(shares.values()), color=SKY)
    _rows(left, shares)
    for y, values in enumerate(parts.values()):
        start = 0.0
        for kind, number in sorted(values.items(), key=lambda item: -item[1]):
            right.barh(y, number, left=start, color=colours[kind])
            start += number
        label_line(right, start, y, max(values, key=lambda kind: values[kind]), INK, fontsize=7.5)
    _rows(right, parts)
    left.set_xlabel(x[0])
    right.set_xlabel(x[1])
    return figure


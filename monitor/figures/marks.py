"""Figures of marks in rows: dots by their value, and signs in a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from monitor.bench.figure_style import (
    BLUE,
    FAINT,
    INK,
    MODE,
    RULE,
    VERMILION,
    box,
    chart,
    label_line,
    tint,
)

LEAST = 0.7  # the left edge of a logarithmic axis that begins at 1
SIZES = {"trap": 11, "bare": 8, "translate": 6}  # of the modes' dots: they may lie on each other


def _table(axes: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Names of columns above and of rows at the left, and no lines."""
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_ylim(len(rows) - 0.4, -0.6)


def circles_and_discs(
    rows: Mapping[str, tuple[Collection[str], Collection[str]]], columns: Mapping[str, str], *,
    said: tuple[str, str], below: Collection[str], below_said: str,
) -> Any:  # fmt: skip
    """A table: by row, in which columns a circle stands and in which a disc. `columns` by name with
    their headings; `said`: what the two mean; the rows in `below` come last, in another colour."""
    order = sorted(rows, key=lambda row: (row in below, -len(rows[row][1]), row))
    figure, axes = chart(8, 1.0 + 0.22 * len(rows))
    for y, row in enumerate(order):
        colour = BLUE if row in below else VERMILION
        for x, name in enumerate(columns):
            if name in rows[row][0]:
                axes.plot(x, y, "o", markersize=13, color=colour, fillstyle="none",
                          markeredgewidth=1.6)  # fmt: skip
            if name in rows[row][1]:
                axes.plot(x, y, "o", markersize=7, color=colour)
    _table(axes, list(columns.values()), order)
    axes.grid(True, linewidth=0.6)
    axes.set_xlim(-0.6, len(columns) + 1.7)
    first = len(order) - len(set(order) & set(below))
    axes.axhline(first - 0.5, color=FAINT, linewidth=0.8)
    right = len(columns) - 0.4
    axes.text(right, first + 2, below_said, color=BLUE, va="center")
    axes.text(right, 1, "○ {}\n● {}".format(*said), color=VERMILION, va="center")
    return figure


def heat(
    values: Mapping[tuple[str, str], float], rows: Sequence[str], columns: Mapping[str, str], x: str
) -> Any:
    """A table of numbers by row and column, the larger the redder; a dot for less than one."""
    figure, axes = chart(8, 1.0 + 0.25 * len(rows))
    most = max(values.values())
    for y, row in enumerate(rows):
        for n, column in enumerate(columns):
            value = values[row, column]
            if value > 1:
                fill = tint(VERMILION, 0.15 + 0.85 * value / most)
                box(axes, n - 0.48, y - 0.46, f"+{value:,.0f}", fill, width=0.96, height=0.92)
            else:
                axes.text(n, y, "·", ha="center", va="center", color=FAINT)
    _table(axes, list(columns.values()), rows)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_xlabel(x)
    return figure


def by_mode(
    values: Mapping[str, Mapping[str, float]], wrong: Collection[tuple[str, str]],
    ratios: Mapping[str, float], *, x: str, ratio: str,
) -> Any:  # fmt: skip
    """A row for each operation, with a dot for each mode, on a logarithmic axis; a cross where what
    came out is wrong. `ratios` stand at the right edge, under the heading `ratio`."""
    most = max(value for row in values.values() for value in row.values()) * 2.4
    figure, axes = chart(8.5, 1.0 + 0.25 * len(values))
    for y, (name, row) in enumerate(values.items()):
        drawn = {mode: max(value, 1) for mode, value in row.items()}
        axes.hlines(y, min(drawn.values()), max(drawn.values()), color=RULE, linewidth=3)
        for mode, size in SIZES.items():
            mark = "X" if (name, mode) in wrong else "o"
            axes.plot(drawn[mode], y, mark, markersize=size, color=MODE[mode])
        axes.text(most * 0.96, y, f"{ratios[name]:.2g} x", va="center", ha="right", color=BLUE)
    axes.set_xscale("log")
    axes.set_xlim(0.8, most)
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    axes.minorticks_off()
    axes.grid(axis="x", linewidth=0.6)
    axes.set_yticks(range(len(values)), values)
    axes.set_ylim(-0.6, len(values) - 0.3)
    axes.set_xlabel(x)
    axes.set_title(ratio, loc="right", color=BLUE, fontsize=9)
    _name_modes(axes, bool(wrong))
    return figure


def _name_modes(axes: Any, wrong: bool) -> None:
    """Below the title, each with its dot."""
    words = [(f"● {mode}", colour) for mode, colour in MODE.items()]
    if wrong:
        words.append(("✕ wrong", VERMILION))
    for n, (word, colour) in enumerate(words):
        axes.text(0.12 * n, 1.03, word, color=colour, fontweight="bold", transform=axes.transAxes)


def counts(rows: Mapping[str, tuple[float, str]], *, x: str) -> Any:
    """A dot for each row at its number, on a logarithmic axis, and what there is to say of it."""
    figure, axes = chart(8, 0.8 + 0.22 * len(rows))
    numbers = [number for number, _ in rows.values()]
    axes.hlines(range(len(rows)), LEAST, numbers, color=RULE)
    axes.plot(numbers, range(len(rows)), "o", color=VERMILION)
    for y, (number, text) in enumerate(rows.values()):
        label_line(axes, number * 1.1, y, text, INK, fontsize=8)
    most = 10 ** len(f"{max(numbers) - 1:.0f}")  # the next power of ten
    axes.set_xscale("log")
    axes.set_xlim(LEAST, most * 200)
    ticks = [10**n for n in range(len(str(most)))]
    axes.set_xticks(ticks, [f"{each:,}" for each in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_bounds(LEAST, most)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(x, loc="left")
    return figure

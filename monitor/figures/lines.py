"""Figures of one quantity over another: curves, steps, and what is to be compared with them.

    lines([Line(sizes, cycles, BLUE, "REP OUTSB")], x="bytes of the message", y="cycles", log="xy")

A line's name stands behind its end, and names keep clear of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from monitor.bench.figure_style import BLUE, FAINT, GREY, INK, chart, label_line, tint

APART = 11.0  # points between the middles of two names
PART = 0.78  # of the figure's height that the axes have, about
WIDE = 6.0  # width of a line that lies behind another
SAID = 0.12  # of the axis, above and below, for what is said at the points
POINTS = 72  # in an inch

Range = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve. `step`: where it changes, as matplotlib has it ("pre", "mid", "post")."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    name: str = ""
    dots: bool = True
    step: str = ""
    behind: bool = False  # wide and pale, to be compared with
    said: Sequence[str] = ()  # at the points


def lines(
    curves: Iterable[Line], *, x: str, y: str, size: tuple[float, float] = (8, 3.3), log: str = "",
    xticks: Iterable[float] = (), yticks: Iterable[float] = (), unit: str = "",
    rules: Mapping[str, float] | None = None, bands: Mapping[str, Range] | None = None,
    shades: Mapping[str, Range] | None = None, points: Mapping[str, Range] | None = None,
    ticks: Mapping[str, Sequence[float]] | None = None,
    ylim: Range | None = None,
) -> Any:  # fmt: skip
    """The figure. `log`: "x", "y" or both; `unit`: behind each number of the y axis.

    To compare with, by name: `rules` are levels, `bands` ranges of y, `shades` ranges of x,
    `points` single points, and `ticks` moments along the bottom.
    """
    figure, axes = chart(*size)
    curves = list(curves)
    for each in curves:
        _draw(axes, each, said_above=each is curves[0])
    _scales(axes, log, list(xticks), list(yticks), unit)
    if any(each.said for each in curves):
        axes.margins(y=SAID)
    if ylim:
        axes.set_ylim(*ylim)
    for name, (low, high) in (shades or {}).items():
        _shade(axes, name, low, high)
    for name, (low, high) in (bands or {}).items():
        axes.axhspan(low, high, color=tint(GREY, 0.2), zorder=0)
        _inside(axes, name, high, "top")
    for name, level in (rules or {}).items():
        axes.axhline(level, color=GREY, linewidth=1, zorder=0)
        _inside(axes, name, level, "bottom")
    for name, place in (points or {}).items():
        axes.plot(*place, "o", color=BLUE)
        right, up = _side(curves)
        axes.annotate(name, place, xytext=(8 * right, 8 * up), textcoords="offset points",
                      ha="left" if right > 0 else "right", va="bottom" if up > 0 else "top",
                      color=BLUE)  # fmt: skip
    ends = [(each.x[-1], each.y[-1], each.name, each.colour) for each in curves if each.name]
    ends += [_moments(axes, name, places, FAINT) for name, places in (ticks or {}).items()]
    _name_ends(axes, ends, size[1])
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure


def _side(curves: Sequence[Line]) -> tuple[int, int]:
    """Where a point's name stands clear of its curve: to the right or left, above or below."""
    if curves[0].y[-1] < curves[0].y[0]:
        return 1, 1
    return (1, -1) if len(curves) == 1 else (-1, 1)  # others may lie below


def _draw(axes: Any, line: Line, said_above: bool) -> None:
    look: dict[str, Any] = {"color": line.colour, "linewidth": WIDE if line.behind else 2}
    if line.behind:
        look |= {"alpha": 0.5, "zorder": 1}
    elif line.dots:
        look |= {"marker": "o", "markersize": 4}
    if line.step:
        look["drawstyle"] = f"steps-{line.step}"
    axes.plot(line.x, line.y, **look)
    for text, place in zip(line.said, zip(line.x, line.y, strict=True), strict=len(line.said) > 0):
        axes.annotate(text, place, xytext=(0, 6 if said_above else -13), ha="center", fontsize=8,
                      textcoords="offset points", color=line.colour)  # fmt: skip


def _scales(axes: Any, log: str, xticks: list[float], yticks: list[float], unit: str) -> None:
    for axis, wanted, behind in ((axes.xaxis, xticks, ""), (axes.yaxis, yticks, unit)):
        name = axis.axis_name
        if name in log:
            getattr(axes, f"set_{name}scale")("log")
        if wanted:
            axis.set_ticks(wanted, [f"{each:,g}{behind}" if each < 1e6 else f"{each:,.0f}{behind}"
                                    for each in wanted])  # fmt: skip
            axis.set_ticks([], minor=True)
        elif name not in log:
            axis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _shade(axes: Any, name: str, low: float, high: float) -> None:
    axes.axvspan(low, high, color=tint(GREY, 0.2), zorder=0)
    axes.annotate(name, ((low + high) / 2, 0), xycoords=("data", "axes fraction"), color=FAINT,
                  xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8)  # fmt: skip


def _inside(axes: Any, text: str, level: float, side: str) -> None:
    """At the left edge, above a level or below it."""
    axes.annotate(text, (0, level), xycoords=("axes fraction", "data"), color=FAINT, fontsize=8,
                  xytext=(4, 2 if side == "bottom" else -3), textcoords="offset points",
                  va=side)  # fmt: skip


def _moments(
    axes: Any, name: str, places: Sequence[float], colour: str
) -> tuple[float, float, str, str]:
    to_scale = axes.yaxis.get_transform()
    low, high = to_scale.transform(axes.get_ylim())
    level = float(to_scale.inverted().transform(low - 0.03 * (high - low)))
    axes.plot(places, [level] * len(places), "|", color=colour, markersize=6)
    return places[-1], level, name, colour


def _name_ends(axes: Any, ends: list[tuple[float, float, str, str]], height: float) -> None:
    """Names behind the lines' ends, pushed up where one would stand on another."""
    places = sorted((_height(axes, y), x, y, text, colour) for x, y, text, colour in ends)
    spread = apart([fraction * height * PART * POINTS for fraction, *_ in places], APART)
    for (fraction, x, y, text, colour), wanted in zip(places, spread, strict=True):
        lift = wanted - fraction * height * PART * POINTS
        label_line(axes, x, y, text, colour or INK, lift=lift, fontweight="bold")


def _height(axes: Any, y: float) -> float:
    """Of a value on the axis, as a part of it."""
    return float(axes.transLimits.transform((0, axes.yaxis.get_transform().transform(y)))[1])


def apart(places: Sequence[float], least: float) -> list[float]:
    """Places in ascending order, moved as little as is simple, so that none are closer than that.

    >>> apart([0, 1, 30], 10)
    [-4.5, 5.5, 30.0]
    """
    groups: list[list[float]] = []  # of neighbours that touch: their own places
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _touch(groups[-2], groups[-1], least):
            last = groups.pop()
            groups[-1] += last
    moved = [_reach(group, least)[0] + n * least for group in groups for n in range(len(group))]
    assert all(b - a > least - 1e-6 for a, b in pairwise(moved))
    return moved


def _touch(one: Sequence[float], next_one: Sequence[float], least: float) -> bool:
    return _reach(one, least)[1] + least > _reach(next_one, least)[0]


def _reach(group: Sequence[float], least: float) -> tuple[float, float]:
    """First and last place of a group, about the middle of what it was."""
    middle = sum(group) / len(group)
    half = least * (len(group) - 1) / 2
    return middle - half, middle + half

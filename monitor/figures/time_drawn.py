"""Figures of what happens in time: levels, states of pages, a boot, a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.bench.figure_style import (
    FAINT,
    GREEN,
    INK,
    MODE,
    ORANGE,
    SKY,
    VERMILION,
    YELLOW,
    box,
    chart,
    drawing,
    label_line,
    tint,
)
from monitor.watch import palette

LANE = 1.6  # from one level's zero to the next one's
MILLION = 1_000_000
NEAR = 20 * MILLION  # instructions between two bursts whose names would meet
LONG = 80 * MILLION  # that a name takes
GAP = MILLION // 2  # between a burst and its name
LABEL = 0.12  # of the axis: a name's height
DARKER = {YELLOW: "#a89400"}  # for text on white
STATE_WORDS = {"absent": "not filled in", "narrower": "filled in, not writable yet",
               "same": "as in the guest's tables", "stale": "behind"}  # fmt: skip


def levels(values: Mapping[str, Sequence[int]], steps: Sequence[str], y: str) -> Any:
    """A bit after each step, by mode: a lane for each, high or low."""
    figure, axes = chart(8, 2.4)
    bases = [-LANE * lane for lane in range(len(values))]
    for base, (mode, bits) in zip(bases, values.items(), strict=True):
        heights, edges = [base + bit for bit in bits], range(len(bits) + 1)
        axes.stairs(heights, edges, baseline=base, color=MODE[mode], fill=True, alpha=0.25)
        axes.stairs(heights, edges, baseline=None, color=MODE[mode], linewidth=2)
        label_line(axes, len(bits), base + 0.5, mode, MODE[mode], fontweight="bold")
    axes.set_xticks([n + 0.5 for n in range(len(steps))],
                    [step.replace("; ", "\n") for step in steps])  # fmt: skip
    axes.set_yticks([base + bit for base in bases for bit in (0, 1)], ["0", "1"] * len(bases))
    axes.set_ylabel(y)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    return figure


def page_states(
    samples: Sequence[Sequence[str]], hidden: Iterable[tuple[int, int]],
    true: Iterable[tuple[int, int]], phases: Mapping[int, str],
) -> Any:  # fmt: skip
    """How the shadow of each page stands to the guest's tables, instruction by instruction.

    `samples`: after each instruction, the states of all pages; `hidden`, `true`: faults by
    instruction and page; `phases`: what begins at which instruction.
    """
    from matplotlib.colors import ListedColormap

    pages = len(samples[0])
    colours = {"not mapped": "white"} | {state: palette.STATE_FILL[state] for state in STATE_WORDS}
    numbers = [[list(colours).index(states[page]) for states in samples] for page in range(pages)]
    figure, axes = chart(10, 1.1 + 0.35 * pages)
    axes.imshow(numbers, ListedColormap(list(colours.values())), aspect="auto", vmin=0,
                vmax=len(colours) - 1, interpolation="nearest",
                extent=(0, len(samples), pages - 0.5, -0.5))  # fmt: skip
    axes.hlines([n + 0.5 for n in range(pages - 1)], 0, len(samples), color="white", linewidth=4)
    for x, page in hidden:
        axes.plot(x, page, ">", color=INK, markersize=5)
    for x, page in true:
        axes.plot(x, page, "X", color=VERMILION, markersize=9)
        axes.annotate("true fault", (x, page), xytext=(0, -16), textcoords="offset points",
                      ha="center", color=VERMILION, fontweight="bold")  # fmt: skip
    for start, text in phases.items():
        axes.vlines(start, -0.6, pages - 0.4, color=FAINT, linewidth=0.8)
        axes.text(start + 1, -0.75, text, va="bottom", fontsize=8)
    _name_states(axes, samples)
    axes.set_ylim(pages + 0.4, -0.7)
    axes.set_yticks(range(pages), [f"page {n}" for n in range(pages)])
    axes.set_xlabel("guest instructions completed")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0)
    return figure


def _name_states(axes: Any, samples: Sequence[Sequence[str]]) -> None:
    """Words in place of a legend: each in the first stretch of its colour that has room for it."""
    pages, letter = len(samples[0]), len(samples) / 150
    taken: set[int] = set()
    for state, word in STATE_WORDS.items():
        runs = [(start, page) for page in range(pages) if page not in taken
                for start, end in _runs(samples, page, state)
                if end - start > letter * len(word) + 4]  # fmt: skip
        if runs:
            start, page = min(runs, key=lambda run: (run[0], -run[1]))
            taken.add(page)
            axes.text(start + 4, page, word, va="center", fontsize=8)
    hidden = "▸ hidden fault: the monitor fills the shadow, and the guest knows nothing"
    axes.text(0.5, pages, hidden, va="center", fontsize=8)


def _runs(samples: Sequence[Sequence[str]], page: int, state: str) -> Iterable[tuple[int, int]]:
    """Where a page is in a state, from and to."""
    start = None
    for n, states in enumerate((*samples, ())):
        here = bool(states) and states[page] == state
        if here and start is None:
            start = n
        elif not here and start is not None:
            yield start, n
            start = None


@dataclass(frozen=True)
class Burst:
    """Exits that are named, from one instruction to another."""

    group: str
    text: str
    first: int
    last: int


def boot(
    counts: Sequence[int], window: tuple[int, int], bin_size: int,
    rates: Mapping[str, Sequence[float]], colours: Mapping[str, str], bursts: Iterable[Burst],
    translated: Sequence[tuple[int, int]], marks: Mapping[str, int],
) -> Any:  # fmt: skip
    """Three panels: exits over a whole boot; in a window of it, exits by group and what the
    translator read.

    `counts`: at which instruction each exit was; `rates`: exits in each bin of the window;
    `translated`: instructions completed and translated; `marks`: moments by name.
    """
    first, last = (each / MILLION for each in window)
    figure, (whole, rate, new) = chart(9.5, 6.6, nrows=3, height_ratios=(1, 2.6, 1.2))
    whole.step([n / MILLION for n in counts], [n / 1000 for n in range(1, len(counts) + 1)],
               color=INK, linewidth=1.5)  # fmt: skip
    whole.axvspan(first, last, color=tint(SKY))
    whole.annotate("the kernel's decompressor", (first / 2, 0.3), ha="center",
                   xycoords=("data", "axes fraction"))  # fmt: skip
    whole.set_ylabel("exits so far,\nthousands")
    _rates(rate, window[0], bin_size, rates, colours)
    _name_bursts(rate, list(bursts), window[1], colours)
    new.plot([n / MILLION for n, _ in translated], [n / 1000 for _, n in translated], color=GREEN,
             linewidth=2)  # fmt: skip
    new.set_ylabel("instructions\ntranslated,\nthousands")
    new.set_xlabel("guest instructions, millions")
    for axes in (rate, new):
        axes.set_xlim(first, last + 2)
        _moments(axes, marks, names=axes is rate)
    return figure


def _rates(
    axes: Any, start: int, size: int, rates: Mapping[str, Sequence[float]],
    colours: Mapping[str, str],
) -> None:  # fmt: skip
    number = len(next(iter(rates.values())))
    left = [(start + n * size) / MILLION for n in range(number)]
    bottom = [0.0] * number
    for name, colour in colours.items():
        values = [each / (size / 1000) for each in rates[name]]
        axes.bar(left, values, size / MILLION, bottom, align="edge", color=colour)
        bottom = [a + b for a, b in zip(bottom, values, strict=True)]
    axes.set_ylabel("exits in 1,000 instructions")


def _name_bursts(
    axes: Any, bursts: Sequence[Burst], end: int, colours: Mapping[str, str]
) -> None:
    """Beside each burst, from the height of its highest bar downwards; those that are near each
    other one below the other."""
    tops = {(bar.get_x() + bar.get_width() / 2) * MILLION: 0.0 for bar in axes.patches}
    for bar in axes.patches:
        middle = (bar.get_x() + bar.get_width() / 2) * MILLION
        tops[middle] = max(tops[middle], bar.get_y() + bar.get_height())
    highest = axes.get_ylim()[1]
    step = highest * LABEL
    for near in _neighbours(bursts):
        first, last = min(each.first for each in near), max(each.last for each in near)
        top = max(height for place, height in tops.items() if first <= place < last)
        level = min(max(top, step * len(near)), highest) - step / 2
        for each in near:
            left = end - last < LONG
            axes.text((first - GAP if left else each.last + GAP) / MILLION, level, each.text,
                      va="center", ha="right" if left else "left",
                      color=DARKER.get(colours[each.group], colours[each.group]))  # fmt: skip
            level -= step


def _neighbours(bursts: Iterable[Burst]) -> list[list[Burst]]:
    """Bursts in order, those together whose names would meet."""
    groups: list[list[Burst]] = []
    for each in sorted(bursts, key=lambda burst: burst.last):
        if groups and each.last - groups[-1][-1].last < NEAR:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _moments(axes: Any, marks: Mapping[str, int], names: bool) -> None:
    """Lines at the marks, with their names above."""
    last = list(marks)[-1]
    for name, count in marks.items():
        axes.axvline(count / MILLION, color=FAINT, linewidth=0.8, linestyle=":")
        if names:
            side = {"/init": "right", last: "left"}.get(name, "center")
            axes.annotate(name, (count / MILLION, 1), xycoords=("data", "axes fraction"),
                          xytext=(0, 3), textcoords="offset points", fontsize=7.5, va="bottom",
                          ha=side)  # fmt: skip


def conversation(
    calls: Sequence[tuple[str, str, bool, str]], between: tuple[str, str]
) -> Any:
    """Calls from top to bottom as arrows: a name, what is said, is it an answer, and a colour."""
    figure, axes = drawing(7.6, 0.75 + 0.3 * len(calls), 7.6, len(calls) + 1.6)
    for x, name in zip((2, 7), between, strict=True):
        axes.text(x, 0.4, name, ha="center", weight="bold")
        axes.plot([x, x], [0.8, len(calls) + 1.4], color=FAINT, linewidth=1)
    for y, (name, text, back, colour) in enumerate(calls, 1):
        start, end = (7, 2) if back else (2, 7)
        arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.3}
        axes.annotate("", (end, y + 0.35), (start, y + 0.35), arrowprops=arrow)
        axes.text(1.85, y + 0.35, name, ha="right", va="center", color=colour)
        axes.text(4.5, y + 0.25, text, ha="center", va="bottom", color=colour, fontsize=8.5)
    return figure


def registers(
    calls: Mapping[str, tuple[Mapping[str, int], Mapping[str, int], str]], names: Sequence[str]
) -> Any:
    """Registers before and after calls, in hexadecimal; what changed stands out, and behind each
    call what it means."""
    figure, axes = drawing(9.8, 0.5 + 0.53 * len(calls), len(names) + 3.7, len(calls) + 0.9)
    for x, register in enumerate(names):
        axes.text(1.6 + x + 0.48, 0.55, register.upper(), ha="center", weight="bold")
    for row, (name, (before, after, meaning)) in enumerate(calls.items()):
        y = row + 0.85
        axes.text(1.5, y + 0.45, name, ha="right", va="center")
        for x, register in enumerate(names):
            changed = before[register] != after[register]
            fill = tint(ORANGE, 0.55) if changed else "#f4f5f7"
            box(axes, 1.6 + x, y, "", fill, width=0.96, height=0.9)
            middle: dict[str, Any] = {"ha": "center", "va": "center", "family": "monospace"}
            axes.text(2.08 + x, y + (0.27 if changed else 0.45), f"{before[register]:08x}",
                      fontsize=7, color=FAINT, **middle)  # fmt: skip
            if changed:
                axes.text(2.08 + x, y + 0.63, f"{after[register]:08x}", fontsize=9, weight="bold",
                          **middle)  # fmt: skip
        axes.text(len(names) + 1.7, y + 0.45, meaning, va="center", fontsize=8)
    return figure


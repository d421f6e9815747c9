"""The report's figures, drawn with matplotlib, as SVG text to be put into a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.bench.figure_style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    MODE,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    chart,
    plain,
)
from monitor.bench.figures import Figure
from monitor.bench.rows import BARE, TRANSLATE, TRAP, Setup
from monitor.bench.talk import Slowdown
from monitor.vmm.ablations import ABLATIONS

COLOURS = {setup: MODE[setup.mode] for setup in (BARE, TRAP, TRANSLATE)}
PARTS = {  # of the cost model, in the order in which they are stacked
    "native": GREY, "stub": GREEN, "lookup": SKY, "exit": VERMILION, "emulate": ORANGE,
    "fill": PURPLE, "port": YELLOW, "link": BLUE, "translate": BLACK, "interrupt": "#7F4F24",
    "world_switch": "#B7B7A4",
}  # fmt: skip
PART_WORDS = {"native": "instructions as they are", "stub": "stubs", "lookup": "lookups",
              "exit": "exits", "emulate": "emulation", "fill": "shadow fills",
              "port": "device models", "link": "chaining", "translate": "translation",
              "interrupt": "interrupts", "world_switch": "world switches"}  # fmt: skip
LEAST_DRAWN = 0.5  # cycles; less is the start-up's share
LEAST_SHARE = 0.002
LEFT, RIGHT = 0.8, 20_000  # cycles at the edges of the logarithmic figure

Bars = tuple[str, str, Sequence[float]]
"""What bars stand for, their colour, their lengths."""

ByName = Mapping[tuple[str, Setup], Figure]


def svg(canvas: Any) -> str:
    """The picture, the same for the same data: no date, and names that do not change."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "vp bench"}):
        canvas.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg"):]


def _by_name(figures: Sequence[Figure]) -> tuple[list[str], ByName]:
    names = list(dict.fromkeys(figure.operation for figure in figures))
    return names, {(figure.operation, figure.setup): figure for figure in figures}


def operations(figures: Sequence[Figure]) -> str:
    """Cycles of each operation in the three modes, on a logarithmic scale."""
    names, by_name = _by_name(figures)
    canvas, axes = chart(8, 0.9 + 0.55 * len(names))
    for place, (setup, colour) in enumerate(COLOURS.items()):
        values = [max(float(by_name[name, setup].cycles), 1.0) for name in names]
        bars = axes.barh([y + (place - 1) * 0.27 for y in range(len(names))],
                         [value - LEFT for value in values], 0.25, left=LEFT, color=colour,
                         label=str(setup))  # fmt: skip
        labels = [f"{value:,.0f}" + (" (wrong)" if by_name[name, setup].wrong else "")
                  for name, value in zip(names, values, strict=True)]  # fmt: skip
        axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(LEFT, RIGHT)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("cycles for one operation (logarithmic)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.08), ncols=3, frameon=False)
    plain(axes)
    return svg(canvas)


def ablations(figures: Sequence[Figure]) -> str:
    """What leaving a technique out costs each operation, as a map of cycles added."""
    names, by_name = _by_name(figures)
    added = [
        [float(by_name[name, Setup("translate", (word,))].cycles - by_name[name, TRANSLATE].cycles)
         for word in ABLATIONS]
        for name in names
    ]  # fmt: skip
    canvas, axes = chart(8, 1.2 + 0.42 * len(names))
    most = max(max(row) for row in added)
    axes.imshow(added, cmap="Blues", vmin=0, vmax=max(most, 1) * 1.3, aspect="auto")
    for y, row in enumerate(added):
        for x, value in enumerate(row):
            dark = value > 0.7 * most
            axes.text(x, y, f"+{value:,.0f}" if value > LEAST_DRAWN * 2 else "·", fontsize=9,
                      ha="center", va="center", color="white" if dark else "black")  # fmt: skip
    axes.set_xticks(range(len(ABLATIONS)), [f"no {word}" for word in ABLATIONS])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return svg(canvas)


def spending(figures: Sequence[Figure], label: str, share: bool = False) -> str:
    """What the translating monitor spends cycles on; with `share`, each line adds up to 1."""
    names, by_name = _by_name(figures)
    found = [by_name[name, TRANSLATE] for name in names]
    scale = [float(one.cycles) if share else 1.0 for one in found]
    least = LEAST_SHARE if share else LEAST_DRAWN
    canvas, axes = chart(8, 0.9 + 0.38 * len(names))
    left = [0.0] * len(names)
    for part, colour in PARTS.items():
        values = [max(float(one.parts.get(part, 0)) / n, 0.0)
                  for one, n in zip(found, scale, strict=True)]  # fmt: skip
        if max(values) > least:
            axes.barh(range(len(names)), values, 0.65, left=left, color=colour,
                      label=PART_WORDS[part])  # fmt: skip
        left = [a + b for a, b in zip(left, values, strict=True)]
    if not share:
        for y, total in enumerate(left):
            axes.text(total + 8, y, f"{total:,.0f}", va="center", fontsize=8)
    axes.set_xlim(0, 1 if share else max(left) * 1.12)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    plain(axes)
    return svg(canvas)


def loads(figures: Sequence[Figure], host_clock: bool) -> str:
    """How many times longer a load takes translated: by the model, and by the clock if it ran."""
    names, by_name = _by_name(figures)
    found = [by_name[name, TRANSLATE] for name in names]
    bars = [("cycles of the model", COLOURS[TRANSLATE], [float(one.ratio or 0) for one in found])]
    if host_clock:
        times = [one.slowdown.middle if one.slowdown else 0.0 for one in found]
        bars.append(("time here", COLOURS[BARE], times))
    canvas, axes = chart(8, 1.0 + 0.6 * len(names))
    _paired(axes, bars, [[f"{n:.2f}" for n in values] for _, _, values in bars])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("translated, in times of bare")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2, frameon=False)
    plain(axes)
    return svg(canvas)


def _paired(axes: Any, bars: Sequence[Bars], texts: Sequence[Sequence[str]]) -> None:
    """Bars side by side on each line, with their values behind them."""
    height = 0.72 / len(bars)
    for place, ((label, colour, values), words) in enumerate(zip(bars, texts, strict=True)):
        offset = (place - (len(bars) - 1) / 2) * height
        drawn = axes.barh([y + offset for y in range(len(values))], values, height * 0.95,
                          color=colour, label=label)  # fmt: skip
        axes.bar_label(drawn, words, padding=3, fontsize=9)
    axes.margins(x=0.12)


def slowdowns(found: Sequence[Slowdown]) -> str:
    """The stand-ins' slowdowns beside the talk's."""
    canvas, axes = chart(8, 0.9 + 0.7 * len(found))
    ours = [float(100 * one.cycles) for one in found]
    theirs = [float(one.program.percent) for one in found]
    words = [one.program.theirs for one in found]
    bars = (("the stand-in, by the model", COLOURS[TRANSLATE], ours),
            ("the talk's program, 1999", COLOURS[BARE], theirs))  # fmt: skip
    _paired(axes, bars, [[f"{n:.1f}%" for n in ours], words])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(found)), [one.program.name for one in found])
    axes.invert_yaxis()
    axes.set_xlabel("slowdown in percent")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2, frameon=False)
    plain(axes)
    return svg(canvas)

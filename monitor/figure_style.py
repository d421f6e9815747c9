"""How this project's figures look, in reports and notebooks alike: drawn with matplotlib.

    style.use()                               # once, at a notebook's beginning
    figure, axes = style.chart(8, 3)
    axes.barh(names, cycles, color=style.BLUE)
    axes.set_xlabel("cycles for one operation")
    figure

Colours are from the set of Okabe and Ito, which people see apart who see colours differently. Axes
say what they count and in which unit; a line or a bar has its name beside it rather than in a
legend, where there is room. Nothing here uses pyplot: a figure is shown where it stands last in a
cell, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#999999"
INK = "#1d2430"  # text
FAINT = "#717b8a"  # what is said in passing
RULE = "#d9dde3"  # lines behind the data

#: The three ways to run a guest, the same in every figure.
MODE = {"bare": GREY, "trap": VERMILION, "translate": BLUE}

RESOLUTION = 120  # of pictures in notebooks, in dots per inch
SETTINGS: Any = {  # matplotlib has a type for its keys, and no name for the type
    "figure.dpi": RESOLUTION,
    "figure.facecolor": "white",
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def use() -> None:
    """Take these settings, and have a notebook show figures as PNG that say nothing of the host."""
    import matplotlib

    matplotlib.rcParams.update(SETTINGS)
    shell = _notebook()
    if shell is not None:
        from IPython.core.pylabtools import select_figure_formats

        select_figure_formats(shell, ["png"], metadata={"Software": None})


def _notebook() -> Any:
    """The notebook that this runs in, or None."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def chart(width: float, height: float, **subplots: Any) -> tuple[Any, Any]:
    """A figure of that many inches, and its axes; `subplots` as matplotlib has it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**subplots)


def plain(axes: Any) -> None:
    """Without the lines at the top and on the right."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def bare(axes: Any) -> None:
    """Without any line or tick: a drawing, or a table."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def label_line(axes: Any, x: float, y: float, text: str, colour: str, **more: Any) -> None:
    """A line's name, right behind the point that is given."""
    axes.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", color=colour,
        annotation_clip=False, **more,
    )  # fmt: skip


def label_bars(axes: Any, values: Sequence[float], texts: Sequence[str], **more: Any) -> None:
    """A word behind each horizontal bar, the first bar being at 0."""
    for y, (value, text) in enumerate(zip(values, texts, strict=True)):
        label_line(axes, value, y, text, more.pop("color", INK), **more)

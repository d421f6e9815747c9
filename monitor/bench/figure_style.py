"""How this project's figures look, in reports and notebooks alike: drawn with matplotlib.

Whole figures are in monitor/figures/ and monitor/bench/plots.py; here is what they are made of.

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


def drawing(width: float, height: float, columns: float, rows: float) -> tuple[Any, Any]:
    """A figure for boxes: x from the left edge, y from the top one, in boxes; no axes are seen."""
    figure, axes = chart(width, height)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_axis_off()
    return figure, axes


def box(
    axes: Any, x: float, y: float, text: str = "", fill: str = "white", *, width: float = 1,
    height: float = 1, edge: str = "white", ink: str | None = None, **more: Any,
) -> None:  # fmt: skip
    """A filled box with a word in its middle, in black or white, whichever is read better."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, facecolor=fill, edgecolor=edge, linewidth=1))
    if text:
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center",
                  color=ink or ink_on(fill), **more)  # fmt: skip


def ink_on(fill: str) -> str:
    """Black or white, by the lightness of what is behind it.

    >>> ink_on(BLUE), ink_on(YELLOW)
    ('white', '#1d2430')
    """
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(fill)
    return INK if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else "white"


def tint(colour: str, strength: float = 0.25) -> str:
    """A colour mixed with white: what is behind text.

    >>> tint(BLACK, 0.2)
    '#cccccc'
    """
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return str(to_hex((red, green, blue)))


def label_line(
    axes: Any, x: float, y: float, text: str, colour: str, lift: float = 0, **more: Any
) -> None:
    """A line's name, right behind the point that is given; `lift`: so many points above it."""
    axes.annotate(
        text, (x, y), xytext=(5, lift), textcoords="offset points", va="center", color=colour,
        annotation_clip=False, **more,
    )  # fmt: skip

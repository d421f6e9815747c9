"""Figures of bytes and bits as boxes: code and its translation, flags, pages, the opcode map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monitor.bench.figure_style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    RULE,
    VERMILION,
    box,
    chart,
    drawing,
    tint,
)
from monitor.watch import palette

MONO: dict[str, Any] = {"family": "monospace", "fontsize": 7}
#: Bits 14 to 0 (SDM volume 1, section 3.4.3).
EFLAGS = ("NT", "IO", "PL", "OF", "DF", "IF", "TF", "SF", "ZF", "0", "AF", "0", "PF", "1", "CF")
ROW = 64  # bytes of a page to a row of its picture
PAGE = 4096
UNTRACED, TRACED = "#eef1f4", "#f2b98f"


def bit_rows(
    rows: Mapping[str, int], *, wrong: Mapping[str, int], said: str, names: Sequence[str] = EFLAGS
) -> Any:
    """Words bit by bit, the highest of `names` first; the bits in `wrong` are marked in their row,
    and `said` below tells why."""
    figure, axes = drawing(8, 0.55 + 0.33 * (len(rows) + 1), len(names) + 6, len(rows) + 1.8)
    top = len(names) - 1
    for y, (label, word) in enumerate(rows.items(), 1):
        axes.text(5.8, y + 0.5, label, ha="right", va="center")
        for x in range(len(names)):
            bit, bad = word >> (top - x) & 1, wrong.get(label, 0) >> (top - x) & 1
            fill = VERMILION if bad else BLUE if bit else tint(GREY, 0.15)
            box(axes, x + 6, y, str(bit), fill, fontweight="bold" if bad else "normal")
    for x, name in enumerate(names):
        axes.text(x + 6.5, 0.6, name, ha="center", va="center", color=FAINT)
    axes.text(6, len(rows) + 1.4, said, color=VERMILION, va="center")
    return figure


def opcode_map(
    squares: Mapping[tuple[bool, int], tuple[str, str]], legend: Mapping[str, str]
) -> Any:
    """The opcodes of one byte, and those behind 0F: by (behind 0F, byte), a word and a colour.

    `legend`: colours by their meaning.
    """
    figure, axes = drawing(11, 5.5, 36, 19)
    maps = (False, 1, "opcodes of one byte"), (True, 19.5, "opcodes behind 0F")
    for two_byte, left, title in maps:
        axes.text(left, -0.9, title, fontweight="bold")
        for n in range(16):
            axes.text(left + n + 0.5, -0.05, f"_{n:X}", ha="center", color=FAINT, fontsize=6)
            axes.text(left - 0.15, n + 0.55, f"{n:X}_", ha="right", va="center", color=FAINT,
                      fontsize=6)  # fmt: skip
        for (behind, byte), (word, fill) in squares.items():
            if behind == two_byte:
                box(axes, left + byte % 16, byte // 16, word, fill,
                    fontsize=5.2 if len(word) < 6 else 4.3)  # fmt: skip
    for n, (word, fill) in enumerate(legend.items()):
        box(axes, 1 + 7.5 * n, 17, fill=fill)
        axes.text(2.3 + 7.5 * n, 17.5, word, va="center")
    axes.set_ylim(18.2, -1.5)
    return figure


def translation(blocks: Iterable[Any]) -> Any:
    """Blocks of `machine.watch.tc()`, byte by byte: each guest instruction, what became of it, and
    line by line what the translation cache holds for it."""
    figure, axes = drawing(11.5, 7.8, 64, 40)
    axes.text(5, 0.4, "the guest's memory", fontweight="bold")
    axes.text(32, 0.4, "the translation cache", fontweight="bold")
    y = 1.0
    for block in blocks:
        for row in block.rows:
            _instruction(axes, y, row)
            for each in row.translated:
                _say(axes, 27, y, f"{each.address:08x}", color=FAINT)
                _strip(axes, 32, y, each.code, row.became)
                _say(axes, 43.7, y, each.text + (f"   ({each.note})" if each.note else ""))
                y += 1
        y += 0.6
    axes.set_ylim(y, -0.4)
    return figure


def _instruction(axes: Any, y: float, row: Any) -> None:
    _strip(axes, 5, y, row.code, row.became)
    _say(axes, 0, y, f"{row.eip:08x}", color=FAINT)
    _say(axes, 11.7, y, row.text)
    axes.text(24, y + 0.55, row.became, va="center", ha="center", fontweight="bold", fontsize=8,
              color=palette.STROKE[row.became])  # fmt: skip


def _strip(axes: Any, x: float, y: float, code: bytes, kind: str) -> None:
    for n, byte in enumerate(code):
        box(axes, x + n, y, f"{byte:02x}", palette.FILL[kind], edge=palette.STROKE[kind], **MONO)


def _say(axes: Any, x: float, y: float, text: str, **more: Any) -> None:
    axes.text(x, y + 0.55, text, va="center", **MONO, **more)


def patched(before: Any, after: Any, titles: tuple[str, str]) -> Any:
    """A row of `machine.watch.tc()` before and after it was patched: what changed stands out."""
    figure, axes = drawing(8, 1.9, 26, 6.4)
    for y, title, row in (0, titles[0], before), (3.4, titles[1], after):
        axes.text(0, y + 1, title, va="center", fontweight="bold")
        for n, (each, was) in enumerate(zip(row.translated, before.translated, strict=True)):
            for x, byte in enumerate(each.code):
                fill = RULE if byte == was.code[x] else BLUE
                box(axes, 6 + x, y + 1.2 * n, f"{byte:02x}", fill, height=1.1,
                    family="monospace", fontsize=8)  # fmt: skip
            axes.text(12.6, y + 1.2 * n + 0.55, f"{each.text}   {each.note}", va="center",
                      family="monospace", fontsize=8)  # fmt: skip
    return figure


def page_traces(
    translated: Iterable[tuple[int, int]], page: int, *, data: Mapping[str, int],
    code: Mapping[str, int], titles: Sequence[str],
) -> Any:  # fmt: skip
    """A page of code twice, a byte a square: as it is traced by bytes, and as a whole.

    `translated`: start and size of each piece, linear; `data`, `code`: offsets in the page by name.
    """
    import numpy as np
    from matplotlib.colors import ListedColormap

    traced = np.zeros(PAGE)
    for start, size in translated:
        if start >= page:
            traced[start - page : start - page + size] = 1
    figure, panels = chart(8.6, 4.6, ncols=2)
    for axes, fill, title in zip(panels, (UNTRACED, TRACED), titles, strict=True):
        axes.imshow(traced.reshape(ROW, ROW), cmap=ListedColormap([fill, BLUE]))
        for name, at in code.items():
            axes.text(1, at // ROW + 4.5, name, va="center", color=BLUE, fontsize=8)
        for name, at in data.items():
            y, x = divmod(at, ROW)
            side = -1 if x > 3 * ROW // 4 else 1
            axes.plot(x, y, "o", color="white", markeredgecolor=INK, markersize=7)
            axes.text(x + 2 * side, y, name, va="center", ha="left" if side > 0 else "right")
        axes.set_title(title)
        axes.set_xlabel("byte in the row")
        rows = range(0, ROW, 16)
        axes.set_yticks(rows, [f"{page + ROW * row:x}" for row in rows])
        axes.set_xticks(rows)
    panels[0].set_ylabel("linear address of the row")
    return figure

"""report.html: tables, figures and the model's prices in one file that needs no other.

Figures need matplotlib (the extra `report`); without it the page says so and has the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from monitor.bench import tables
from monitor.bench.model import Model
from monitor.bench.results import Results
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import write_whole

FILE = "report.html"
MISSING = "figures need matplotlib: pip install 'virtual-platform[report]'"

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; font-size: 0.85rem; margin: 1rem 0; }
th, td { padding: 0.15rem 0.6rem; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #666; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.first td { border-top: 1px solid #ccc; }
figure { margin: 1.5rem 0; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: 0.9rem; }
"""


def write(results: Results, folder: Path) -> str:
    """Write the page; returns what is missing in it, in one line, or nothing."""
    drawn, missing = _drawn(results)
    parts = [
        f"<h1>vp bench {escape(results.suite)}</h1>",
        f"<p>{escape(results.title)}.</p>",
        *(f"<p>{escape(note)}</p>" for note in results.notes),
        *(f"<p><strong>{escape(word)}</strong></p>" for word in [missing] if word),
        *(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
          for caption, svg in drawn),
        "<h2>Figures as numbers</h2>",
        _table(results.head, results.lines),
        "<h2>How it was measured</h2>",
        _table(("what", "value"), _about(results)),
        f"<h2>The model: {escape(results.model.title)}</h2>",
        "<p>published: measured or specified by somebody for this processor family; derived: "
        "computed from such a figure; assumed: reasoned, for want of one.</p>",
        _table(("price", "cycles", "basis", "source"), _prices(results.model)),
    ]  # fmt: skip
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>vp bench {escape(results.suite)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    try:
        write_whole(folder / FILE, page)
    except OSError as error:
        raise UserError(f"cannot write {folder / FILE}: {error.strerror}") from error
    return missing


def _drawn(results: Results) -> tuple[Sequence[tuple[str, str]], str]:
    """Captions and pictures, and what is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return [], MISSING
    return results.draw(), ""


def _about(results: Results) -> list[tuple[str, str]]:
    lines = []
    for name, value in results.about.items():
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        lines += [(f"{name} {part}".strip(), str(text)) for part, text in pairs]
    return lines


def _prices(model: Model) -> list[tuple[str, str, str, str]]:
    return [
        (f"{section} {name.replace('_', ' ')}", str(price.cycles), price.basis, price.source)
        for section, prices in model.prices.items()
        for name, price in prices.items()
    ]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table; numbers to the right, and a line where the first column changes."""
    kinds = [' class="number"' if numbers else "" for numbers in tables.right(lines)]
    cells = "".join(f"<th{kind}>{escape(name)}</th>"
                    for name, kind in zip(head, kinds, strict=True))  # fmt: skip
    rows, last = [f"<tr>{cells}</tr>"], None
    grouped = any(a[0] == b[0] for a, b in pairwise(lines))
    for line in lines:
        same = line[0] == last
        shown = ("" if same else line[0], *line[1:])
        last = line[0]
        cells = "".join(f"<td{kind}>{escape(text)}</td>"
                        for text, kind in zip(shown, kinds, strict=True))  # fmt: skip
        rows.append(f"<tr{' class=first' if grouped and not same else ''}>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"

"""The notebooks keep to their conventions, and say the same when they are run once more.

Conventions (notebooks/README.md) are read off the committed files. Running one takes seconds, each
in a Python of its own and an empty folder; what it prints has to be what it printed when it was
committed. Cells tagged `host` speak of this processor or of real time, and are left out of that.
"""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

from tools.notebooks import GUESTS, digest, guests_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
MOST_BYTES = 500_000
MOST_LINES = 30  # of a code cell
MOST_OF_A_FIGURE = 10  # lines of the call that draws it
LOOK = re.compile(r"use|tint|MODE|[A-Z]+")  # of figure_style, in a cell: no drawing

SOURCES = re.compile(
    r"\b(?:Popek 1974|Robin 2000|Rosenblum 1999|Adams 2006|Bugnion 2012|SDM volume \d)\b"
)
PLACE = re.compile(r"section \d|figure \d|table \d|slide|part on|parts on|definition|chapter \d")
HOST_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|opt|work|var|mnt|Users|proc|dev)/")
OBJECT_ADDRESS = re.compile(r"object at 0x|at 0x7f")

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def shown(cell: dict[str, Any]) -> list[str]:
    """All that a code cell left, but for pictures made of pixels."""
    data = [output["data"] for output in cell["outputs"] if "data" in output]
    return texts(cell) + ["".join(value) for each in data for kind, value in each.items()
                          if kind.startswith(("text/", "image/svg"))]  # fmt: skip


def texts(cell: dict[str, Any]) -> list[str]:
    """What a code cell printed and showed, as text; pictures and HTML say the same otherwise."""
    found = []
    for output in cell["outputs"]:
        if "text" in output:
            found.append("".join(output["text"]))
        found.extend("".join(data) for kind, data in output.get("data", {}).items()
                     if kind == "text/plain")  # fmt: skip
    return found


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


# --- conventions ----------------------------------------------------------------------------------


@notebooks
def test_it_opens_with_a_title_and_the_claim_it_checks(path: Path) -> None:
    first = source(read(path)["cells"][0])
    assert re.match(rf"# {path.name[:2]} [A-Z]", first), "the first cell: `# 01 Title`"
    claim = re.search(r"^\*\*The claim\.\*\* (.+?)(?:\n\n|\Z)", first, re.MULTILINE | re.DOTALL)
    assert claim is not None, "the first cell has a paragraph that begins **The claim.**"
    assert SOURCES.search(claim[1]), "the claim names its source as docs/techniques.md does"
    assert PLACE.search(claim[1]), "the claim names the section, or the slide"


@notebooks
def test_it_ends_with_what_came_out(path: Path) -> None:
    last = read(path)["cells"][-1]
    assert last["cell_type"] == "markdown"
    assert source(last).startswith("## What came out\n")


@notebooks
def test_it_was_run_from_start_to_end(path: Path) -> None:
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data", "execute_result"}
    names = {output.get("name", "stdout") for cell in code for output in cell["outputs"]}
    assert names == {"stdout"}, "something was written to standard error"


@notebooks
def test_every_code_cell_is_short_and_shows_something_or_says_what_it_is_for(path: Path) -> None:
    before = ""
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            lines = source(cell).splitlines()
            assert len(lines) <= MOST_LINES, source(cell)
            assert max(map(len, lines)) <= 100, source(cell)
            purpose = before == "markdown" or lines[0].startswith("#")
            assert cell["outputs"] or purpose, source(cell)
        before = cell["cell_type"]


@notebooks
def test_it_checks_its_claim_and_has_a_figure(path: Path) -> None:
    code = cells(path, "code")
    assert any(re.search(r"^ *assert ", source(cell), re.MULTILINE) for cell in code)
    kinds = {kind for cell in code for out in cell["outputs"] for kind in out.get("data", {})}
    assert kinds & {"image/png", "image/svg+xml"}


def plotting(code: str) -> list[str]:
    """What a cell has of plotting, beyond one call of monitor.figures as its last line."""
    tree = ast.parse(code)
    last = tree.body[-1]
    figure = last.value if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) else None
    if figure and _of(figure.func) == "figures" and _length(figure) > MOST_OF_A_FIGURE:
        return [f"a call of {_length(figure)} lines"]
    return [said for node in ast.walk(tree) if (said := _plots(node, figure))]


def _plots(node: ast.AST, figure: ast.Call | None) -> str:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = [alias.name for alias in node.names]
        names = names if isinstance(node, ast.Import) else [f"{node.module}.{n}" for n in names]
        allowed = ("monitor.figures", "monitor.bench.figure_style")
        return next((name for name in names if name not in allowed and re.search(
            r"matplotlib|pylab|seaborn|plotly|figures\.|figure_style\.|bench\.plots", name)), "")
    if isinstance(node, ast.Attribute) and _of(node) == "style":
        return "" if LOOK.fullmatch(node.attr) else f"style.{node.attr}"
    if isinstance(node, ast.Name) and node.id in ("figures", "style"):
        return "" if isinstance(node.ctx, ast.Load) else f"{node.id} is something else"
    if isinstance(node, ast.Call) and _of(node.func) == "figures" and node is not figure:
        name = node.func.attr  # type: ignore[attr-defined]
        return "" if name[0].isupper() else f"figures.{name}, not as the cell's last line"
    return ""


def _of(node: ast.AST) -> str:
    """The name before the dot."""
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return node.value.id if named else ""  # type: ignore[attr-defined]


def _length(node: ast.expr) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


@notebooks
def test_no_cell_holds_plotting_code_beyond_one_call(path: Path) -> None:
    found = {number: said for number, cell in enumerate(read(path)["cells"], 1)
             if cell["cell_type"] == "code" and (said := plotting(source(cell)))}  # fmt: skip
    assert found == {}, "figures are drawn by one call of monitor.figures"


@pytest.mark.parametrize(("code", "found"), [
    ("from monitor import figures\nfigures.lines([figures.Line(x, y, style.BLUE)])", []),
    ("style.use()\nfigures.heat(added)", []),
    ("figure, axes = style.chart(8, 3)", ["style.chart"]),
    ("style.label_line(axes, 1, 2, 'a', style.BLUE)", ["style.label_line"]),
    ("figure = figures.heat(added)\nfigure.axes[0].set_xlim(0, 1)",
     ["figures.heat, not as the cell's last line"]),
    ("figures.heat(one)\nfigures.heat(two)", ["figures.heat, not as the cell's last line"]),
    ("figures.heat(one).axes[0].grid()", ["figures.heat, not as the cell's last line"]),
    ("figures = machine.statistics()", ["figures is something else"]),
    ("import matplotlib.pyplot as plt", ["matplotlib.pyplot"]),
    ("from matplotlib.figure import Figure", ["matplotlib.figure.Figure"]),
    ("from monitor.bench.figure_style import chart", ["monitor.bench.figure_style.chart"]),
    ("from monitor.figures import heat", ["monitor.figures.heat"]),
    ("figures.heat(" + "\n" * MOST_OF_A_FIGURE + ")", ["a call of 11 lines"]),
])  # fmt: skip
def test_plotting_in_a_cell_is_found(code: str, found: list[str]) -> None:
    assert plotting(code) == found


@notebooks
def test_it_says_nothing_of_the_host_and_the_moment(path: Path) -> None:
    document = read(path)
    own = {name for name in document["metadata"] if name != "virtual_platform"}
    assert own == {"kernelspec", "language_info"}
    assert document["metadata"]["language_info"] == {"name": "python"}
    for number, cell in enumerate(document["cells"], 1):
        assert cell["id"] == f"cell-{number}", "write it with `make notebooks`"
        assert set(cell["metadata"]) <= {"tags"}
        for text in shown(cell) if cell["cell_type"] == "code" else ():
            assert not HOST_PATH.search(text), text
            assert not OBJECT_ADDRESS.search(text), text
            assert socket.gethostname() not in text.split(), text


@notebooks
def test_it_is_small_and_in_the_index(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    rows = re.findall(r"^\| \[.*\]\((.+?)\) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert rows.count(path.name) == 1, "notebooks/README.md has one line for each"


def test_the_index_names_only_what_exists() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([\w./-]+)", text):
        assert (FOLDER / name).exists(), name


# --- running --------------------------------------------------------------------------------------


def run(path: Path, into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.notebooks", "--into", str(into), str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.slow
@notebooks
def test_it_runs_and_says_the_same(path: Path, tmp_path: Path) -> None:
    guests = guests_of(read(path)["metadata"])
    missing = [name for name in guests if not (GUESTS / name).exists()]
    if missing:
        pytest.skip(f"no guests/{missing[0]}: `make guests` fetches it")
    ended = run(path, tmp_path)
    assert ended.returncode == 0, ended.stderr
    if any(digest(name) != known for name, known in guests.items()):
        return  # Debian has another kernel by now: the claims hold for it, other figures come out
    for was, now in zip(cells(path, "code"), cells(tmp_path / path.name, "code"), strict=True):
        if "host" not in was["metadata"].get("tags", ()):
            assert texts(now) == texts(was), source(was)


def small(*codes: str) -> str:
    """A notebook file of code cells."""
    made = [{"cell_type": "code", "id": f"c{n}", "execution_count": 7, "source": code,
             "metadata": {"execution": {"started": "now"}, "tags": ["host"]}, "outputs": []}
            for n, code in enumerate(codes)]  # fmt: skip
    return json.dumps({"cells": made, "metadata": {"language_info": {"version": "3.9"}},
                       "nbformat": 4, "nbformat_minor": 4})  # fmt: skip


def test_a_notebook_that_raises_fails_with_its_cell_and_traceback(tmp_path: Path) -> None:
    path = tmp_path / "00-broken.ipynb"
    path.write_text(small("a = 6", "assert a == 7, 'a is not seven'", "a = 8"))
    before = path.read_bytes()
    ended = run(path, tmp_path)
    assert ended.returncode == 1
    assert "00-broken.ipynb: cell 2 of 3" in ended.stderr
    assert "assert a == 7, 'a is not seven'" in ended.stderr
    assert "AssertionError: a is not seven" in ended.stderr
    assert path.read_bytes() == before


def test_a_notebook_without_its_guests_is_left_out_and_says_so(tmp_path: Path) -> None:
    document = json.loads(small("1 / 0"))
    document["metadata"]["virtual_platform"] = {"guests": {"no-such-guest": ""}}
    path = tmp_path / "00-guest.ipynb"
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    ended = run(path, tmp_path)
    assert ended.returncode == 0
    assert "left out: no guests/no-such-guest, `make guests` fetches it" in ended.stdout
    assert path.read_bytes() == before


def test_what_is_written_tells_nothing_of_when_and_where(tmp_path: Path) -> None:
    path = tmp_path / "00-small.ipynb"
    listing = "import os, sys\nprint(sorted(os.listdir('.')))\nsys.stdout.flush()\nprint('and')"
    path.write_text(small(listing, "6 * 7"))
    assert run(path, tmp_path).returncode == 0
    first = path.read_bytes()
    assert run(path, tmp_path).returncode == 0
    assert path.read_bytes() == first
    document = json.loads(first)
    assert document["metadata"]["language_info"] == {"name": "python"}
    assert [cell["id"] for cell in document["cells"]] == ["cell-1", "cell-2"]
    assert [cell["execution_count"] for cell in document["cells"]] == [1, 2]
    assert all(cell["metadata"] == {"tags": ["host"]} for cell in document["cells"])
    assert texts(document["cells"][0]) == ["[]\nand\n"], "the folder was not empty"
    assert texts(document["cells"][1]) == ["42"]

"""The settings of the documentation's site: what is an error, and what becomes of notebooks.

The whole site is built by `make docs`. Here a small one is, with the same settings: once as it
should be, and once with one of every mistake that has to be found.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("sphinx", "myst_nb", "furo")

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PARTS),
    reason="needs what `make docs` installs",
)

INDEX = """\
# Start

[A page](page.md#a-heading), [another](../CHANGELOG.md), [a file](data.txt).

```{toctree}
page
notebooks
../CHANGELOG
```
"""
PAGE = """\
# Page

## A heading

```{eval-rst}
.. automodule:: monitor.vmm.events
   :members: ExitEvent
   :undoc-members:
```
"""
NOTEBOOKS = """\
# Notebooks

```{toctree}
:glob:

../notebooks/*
```
"""
MISTAKES = """\
# Mistakes

[No page](nowhere.md), [no heading](page.md#no-heading), ![no picture](nothing.png).

```{eval-rst}
.. autofunction:: monitor.cli.report.print_statistics
.. autofunction:: monitor.watch.block_listing.list_block
.. automodule:: monitor.no_such_module
```
"""
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A notebook"},
        {
            "cell_type": "code", "execution_count": 1, "id": "code", "metadata": {},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": "as committed"}],
            "source": "raise SystemExit('nobody runs this')",
        },
    ],
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    docs = tmp_path / "source" / "docs"
    docs.mkdir(parents=True)
    for name, text in (("index", INDEX), ("page", PAGE), ("notebooks", NOTEBOOKS)):
        (docs / f"{name}.md").write_text(text, encoding="utf-8")
    (docs / "data.txt").write_text("data", encoding="utf-8")
    (docs.parent / "CHANGELOG.md").write_text("# Changes\n", encoding="utf-8")
    return docs.parent


def build(source: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs",
               str(source), str(source.parent / "built")]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def test_a_site_without_mistakes_is_built_in_silence(source: Path) -> None:
    result = build(source)  # with no notebook in it
    assert (result.returncode, result.stderr) == (0, "")

    (source / "notebooks").mkdir()
    (source / "notebooks" / "one.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    result = build(source)
    assert (result.returncode, result.stderr) == (0, "")
    built = source.parent / "built"
    assert "as committed" in (built / "notebooks" / "one.html").read_text(encoding="utf-8")
    assert "guest instructions completed" in (built / "docs" / "page.html").read_text("utf-8")
    assert "docs/index.html" in (built / "index.html").read_text(encoding="utf-8")


def test_every_mistake_is_an_error(source: Path) -> None:
    (source / "docs" / "mistakes.md").write_text(MISTAKES, encoding="utf-8")
    result = build(source)
    assert result.returncode == 1
    for message in (
        "'nowhere.md'",
        "'no-heading'",
        "nothing.png",
        "no_such_module",
        "mistakes.md: WARNING: document isn't included in any toctree",
        "py:class reference target not found: bt.cache.TranslatedBlock",
    ):
        assert message in result.stderr

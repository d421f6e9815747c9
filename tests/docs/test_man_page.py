"""vp(1): every verb and option is in it, and groff has nothing to complain of."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor.cli.parser import build_parser
from monitor.cli.typos import below
from tools.docs import man_page


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for inner in below(parser).values():
        yield from parsers(inner)


def test_every_verb_and_every_option_is_in_it() -> None:
    text = man_page.page().replace("\\-", "-")
    for parser in parsers(build_parser()):
        assert parser.prog == "vp" or f".SS \\fB{parser.prog}\\fR" in text
        for action in parser._actions:
            for option in action.option_strings:
                assert f"\\fB{option}\\fR" in text or option in ("-h", "--help")


def test_the_width_of_a_terminal_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = set()
    for width in ("40", "200"):
        monkeypatch.setenv("COLUMNS", width)
        pages.add(man_page.page())
    assert len(pages) == 1


def test_it_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "man" / "vp.1"
    assert man_page.main([str(path)]) == 0
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff here")
    done = subprocess.run([groff, "-man", "-ww", "-Tutf8", str(path)], capture_output=True,
                          text=True, timeout=PATIENCE)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "VP(1)" in done.stdout

"""docs/virtualizability.md is what `vp virtualizability --markdown` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "virtualizability.md"


def test_the_page_is_what_the_program_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["virtualizability", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert PAGE.read_text(encoding="utf-8") == printed, (
        "print it anew: vp virtualizability --markdown > docs/virtualizability.md"
    )

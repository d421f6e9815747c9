"""Every mistake of wrong.py is caught by the test that is there for it, with feedback."""

from __future__ import annotations

from pathlib import Path

import pytest
from wrong import WRONG, Wrong

from monitor.labs import FOLDER
from monitor.labs.check import Check


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.lab}: {wrong.mistake}")
def test_it_is_caught(wrong: Wrong, tmp_path: Path) -> None:
    text = (FOLDER / "solutions" / f"lab{wrong.lab}.py").read_text(encoding="utf-8")
    for piece, instead in wrong.pieces:
        assert piece in text, piece
        text = text.replace(piece, instead)
    path = tmp_path / f"lab{wrong.lab}.py"
    path.write_text(text)
    check = Check(wrong.lab, path)
    check.cases = tuple(case for case in check.cases if case.name.startswith(wrong.caught_by))[:1]
    (result,) = check.run().results
    assert result.points == 0
    told = "expected: " in result.feedback and "hint: " in result.feedback
    assert told or f"lab{wrong.lab}.py:" in result.feedback, result.feedback


def test_every_test_has_a_mistake_that_it_catches() -> None:
    """But for those that look at the whole once more."""
    from monitor.labs import all_labs

    whole = ("a whole guest", "x87", "on a processor with UMIP", "conditional branches",
             "a user program with IOPL 3", "faults in the middle")  # fmt: skip
    for lab in all_labs():
        caught = [wrong.caught_by for wrong in WRONG if wrong.lab == lab.number]
        for case in lab.cases():
            assert case.name.startswith((*caught, *whole)), f"lab {lab.number}: {case.name}"

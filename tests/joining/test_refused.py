"""What cannot be joined is refused, with file and line and what to do; no compiler is asked.

An uncompiled interpreter would run all of these, and a compiled one do something else.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from join_sample import HEAD, sample_in

from bt.instruction import Instruction
from bt.interp.build import amalgamate, tables_of
from bt.interp.handlers import Tables
from bt.interp.join import Refused, Sources
from bt.table import TABLE


def said(tmp_path: Path, text: str, **others: str) -> str:
    """What joining says to sample.py, and to others beside it."""
    sample = sample_in(tmp_path)
    sample.write(text, **others)
    with pytest.raises(Refused) as refused:
        amalgamate(Sources(sample.folder), tmp_path / "build", Tables())
    return str(refused.value)


# What stands after HEAD, which is six lines; where it is refused, and what is said.
STATEMENTS = {
    "if M32:\n    LIMIT = 1": (7, "`if M32:` cannot be joined; at the top of a file stand its"),
    "LIMIT: u32 = 1": (7, "`LIMIT: u32 = 1` cannot be joined; at the top of a file stand its"),
    "LIMIT = 1\nLIMIT += 1": (8, "`LIMIT += 1` cannot be joined; at the top of a file stand its"),
    '"""Once more."""': (7, "cannot be joined; at the top of a file stand its docstring, imports"),
    "import os": (7, "`import os`: the compiled module will not have it; import it inside the"),
    "from math import pi": (7, "import it inside the method that uses it"),
    "from bt.interp.sources import digest": (7, "import it inside the method that uses it"),
    "from bt.interp.state import EAX as A": (7, "all joined files share their names; import each"),
    "from bt.interp.state import *": (7, "import each by its own name"),
    "from bt.interp.other import A": (7, "there is no other.py beside it"),
    'NAME = "text"': (7, "is of type str; a constant is NAME = <integer>, of integers and"),
    "PAIR = (1, 2)": (7, "`PAIR = (1, 2)` is of type tuple; a constant is NAME = <integer>"),
    "YES = True": (7, "is of type bool; a constant is NAME = <integer>"),
    "A = B = 1": (7, "`A = B = 1` has no one name; a constant is NAME = <integer>"),
    "A, B = 1, 2": (7, "has no one name; a constant is NAME = <integer>"),
    "A = UNKNOWN + 1": (7, "name 'UNKNOWN' is not defined; a constant is NAME = <integer>"),
    "A = 1 << 64": (7, "0x10000000000000000 fits no C type of the dialect"),
    "def f() -> i32:\n    return 0": (7, "f() is not just @func or @inline; make it one of these"),
    "@func\n@inline\ndef f() -> i32:\n    return 0": (9, "f() is not just @func or @inline; make"),
    "@func\ndef f(a) -> i32:\n    return 0": (8, "f() cannot be a C function; give each parameter"),
    "@func\ndef f(a: i32):\n    return 0": (8, "and the result a C type, and no defaults"),
    "@func\ndef f(a: i32 = 1) -> i32:\n    return 0": (8, "a C type, and no defaults"),
    "@func\ndef f(*, a: i32) -> i32:\n    return 0": (8, "f() cannot be a C function"),
    "@func\ndef f(*a: i32) -> i32:\n    return 0": (8, "f() cannot be a C function"),
    "@func\ndef f() -> i32: return 0": (8, "the body of f has to begin on a line of its own"),
    "class A:\n    pass": (7, "class A is not just @state or @struct; make it one of these"),
    "@state\nclass A:\n    x: float": (9, "field x: float has no C type (dialect.py lists them)"),
    "@state\nclass A:\n    x: u32 = 1": (9, "field x has a value; all fields begin as 0 or None"),
    "@state\nclass A:\n    x = 1": (9, "`x = 1` cannot be joined; in a class stand its docstring"),
    "x = (": (7, "'(' was never closed"),
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_statement_is_refused(tmp_path: Path, text: str) -> None:
    line, expected = STATEMENTS[text]
    message = said(tmp_path, f"{HEAD}{text}\n")
    assert message.startswith(f"bt/interp/sample.py:{line}: ") and expected in message, message


# A second file that is joined after sample.py, and what is said of it.
TWICE = {
    "LIMIT = 2": "LIMIT is defined twice (first in sample.py:7); names are unique over all joined",
    "@func\ndef LIMIT() -> i32:\n    return 0": "LIMIT is defined twice (first in sample.py:7)",
    "EAX = 0": "EAX is defined twice (first in state.py:",
    "M32 = 1": "M32 is defined twice (first in dialect.py:",
    "@state\nclass Cpu:\n    x: u32": "Cpu is defined twice (first in state.py:",
    "A = 1\nA = 1": ":8: A is defined twice (first in second.py:7)",
}


@pytest.mark.parametrize("text", TWICE)
def test_a_second_definition_is_refused(tmp_path: Path, text: str) -> None:
    message = said(tmp_path, f"{HEAD}LIMIT = 1\n", second=f"{HEAD}{text}\n")
    assert message.startswith("bt/interp/second.py:") and TWICE[text] in message, message
    assert message.endswith("import that one, or rename this one")


def test_a_circle_is_refused(tmp_path: Path) -> None:
    there, back = "from bt.interp.second import B\n", "from bt.interp.sample import A\n"
    message = said(tmp_path, HEAD + there, second=HEAD + back)
    assert message == (
        "bt/interp/sample.py:7: the imports go in a circle, second -> sample -> second; "
        "move what both need into a file that imports neither"
    ) or message == (
        "bt/interp/second.py:7: the imports go in a circle, sample -> second -> sample; "
        "move what both need into a file that imports neither"
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Instruction("0F FF", "UD0", "", "none"), "0F FF UD0: there is no function none() in bt/"),
        (Instruction("0F FF", "UD0", "", "hlt", (1, 2)), "hlt() is given (1, 2); a row gives its"),
        (Instruction("0F FF", "UD0", "", "hlt", feature="x"), "0F FF UD0: bt/interp/features.py"),
    ],
    ids=["no body", "too much for it", "no such feature"],
)
def test_a_row_that_no_body_can_serve_is_refused(
    row: Instruction, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("bt.table", "bt.interp.handlers"):
        monkeypatch.setattr(f"{module}.TABLE", [*TABLE, row])
    with pytest.raises(Refused) as refused:
        tables_of(Sources())
    assert str(refused.value).startswith(f"bt/table.py: {message}")

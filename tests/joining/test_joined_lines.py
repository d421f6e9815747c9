"""Every statement of a joined file keeps its line, so that compilers speak of the source's lines.

The interpreter's own files are joined here, but not compiled.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bt.interp.build import ROOT, amalgamate, as_written, shortened
from bt.interp.join import Sources, first_line, for_cython, last_line

SOURCES = Sources()


def same(before: list[str], after: list[str], node: ast.stmt) -> bool:
    lines = slice(first_line(node) - 1, last_line(node))
    return before[lines] == after[lines]


@pytest.mark.parametrize("name", SOURCES.texts)
def test_every_statement_keeps_its_line(name: str) -> None:
    before = for_cython(SOURCES.texts[name]).split("\n")
    after = SOURCES.piece(name).split("\n")
    assert len(before) == len(after)
    for node in SOURCES.trees[name].body:
        if isinstance(node, ast.FunctionDef):
            assert f" {node.name}(" in after[node.lineno - 1]
            assert all(same(before, after, each) for each in node.body)
        elif isinstance(node, ast.ClassDef):
            assert node.name in after[node.lineno - 1]
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    assert same(before, after, item)
                elif isinstance(item, ast.AnnAssign):
                    line = after[item.lineno - 1]
                    assert ast.unparse(item.target) in line or "PureOnly" in before[item.lineno - 1]
        else:
            assert not any(after[first_line(node) - 1 : last_line(node)])


def test_the_interpreter_can_be_joined(tmp_path: Path) -> None:
    module = amalgamate(output=tmp_path)
    included = re.findall(r'^include "(\w+)\.pxi"$', module.read_text(), re.MULTILINE)
    assert included == SOURCES.order() and set(included) == set(SOURCES.texts)


def test_what_has_not_changed_keeps_its_time(tmp_path: Path) -> None:
    first = {path: path.stat().st_mtime_ns for path in amalgamate(output=tmp_path).parent.iterdir()}
    (tmp_path / "gone.pxi").write_text("of a file that was joined once")
    (tmp_path / "alu.pxi").write_text("old")
    amalgamate(output=tmp_path)
    later = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert later.keys() == first.keys()
    assert [path.name for path in first if later[path] != first[path]] == ["alu.pxi"]


def test_pieces_are_called_by_their_sources_names() -> None:
    output = ROOT / "build" / "interpreter"
    said = f"{output}/alu.pxi:12:3: why\nbuild/interpreter/x87_env.pxi:7: bt/interp/dialect.pxi:1\n"
    assert as_written(said, Path("build/interpreter").absolute()) == (
        "bt/interp/alu.py:12:3: why\nbt/interp/x87_env.py:7: bt/interp/dialect.pxi:1\n"
    )


def test_only_the_first_errors_are_shown() -> None:
    """The others follow from these, and there may be a thousand."""
    error = "\nError compiling Cython file:\n{}\n"
    few = "Compiling\n" + "".join(map(error.format, range(10)))
    assert shortened(few) == few
    assert shortened(few + error.format(10) + error.format(11)) == f"{few}\n... and 2 more\n"

"""Every row of the table has a body in bt/interp, with the parameters the row will stamp into it.

The sources are only parsed: this holds for both builds.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

import pytest

import bt.interp
from bt.instruction import Instruction
from bt.table import TABLE

SOURCES = sorted(Path(bt.interp.__file__).parent.glob("*.py"))
STAMPED = {"size", "mem"}


@lru_cache
def bodies() -> dict[str, ast.FunctionDef]:
    """Functions that can be a body: C functions from (c: Cpu, op: Op, ...) to a status."""
    found = {}
    for source in SOURCES:
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.FunctionDef) and is_body(node):
                found[node.name] = node
    return found


def is_body(node: ast.FunctionDef) -> bool:
    decorators = {ast.unparse(each) for each in node.decorator_list}
    first = [(a.arg, a.annotation and ast.unparse(a.annotation)) for a in node.args.args[:2]]
    return (
        bool(decorators & {"inline", "func"})
        and first == [("c", "Cpu"), ("op", "Op")]
        and node.returns is not None
        and ast.unparse(node.returns) == "i32"
    )


def parameters(name: str) -> list[str]:
    return [argument.arg for argument in bodies()[name].args.args[2:]]


@pytest.mark.parametrize("name", sorted({row.body for row in TABLE}))
def test_a_body_exists(name: str) -> None:
    assert name in bodies()


@pytest.mark.parametrize("name", sorted({row.body for row in TABLE} & bodies().keys()))
def test_a_body_takes_what_its_rows_give(name: str) -> None:
    names = parameters(name)
    for row in rows_of(name):
        count = len(row.args)
        assert not STAMPED & set(names[:count]), f"{row.opcode}: the row's arguments come first"
        assert set(names[count:]) <= STAMPED, f"{row.opcode}: nothing gives {names[count:]}"
        assert len(set(names)) == len(names)


def rows_of(name: str) -> list[Instruction]:
    return [row for row in TABLE if row.body == name]


def test_bodies_take_c_integers_only() -> None:
    for name in {row.body for row in TABLE} & bodies().keys():
        arguments = bodies()[name].args
        assert not arguments.defaults and not arguments.kwonlyargs and arguments.vararg is None
        kinds = {ast.unparse(a.annotation) for a in arguments.args[2:] if a.annotation}
        assert kinds <= {"u32"}, name


def test_function_names_are_unique_over_all_sources() -> None:
    """They become one C file."""
    seen: dict[str, str] = {}
    for source in SOURCES:
        for node in ast.parse(source.read_text()).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            if not {ast.unparse(each) for each in node.decorator_list} & {"inline", "func"}:
                continue
            assert node.name not in seen, f"{node.name}: {seen.get(node.name)} and {source.name}"
            seen[node.name] = source.name

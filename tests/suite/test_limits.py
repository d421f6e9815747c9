"""No test fails for being slow, and none by chance: its limits and its dice, read from its source.

A number as a limit is either SHORT, and then it is itself under test, or it is PATIENCE
(patience.py says why). Dice have a seed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from patience import PATIENCE, SHORT

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))
WAITS = ("wait", "join", "settimeout", "communicate", "alarm")  # their first argument is a limit
OPTION = "--timeout"
DICE = ("Random", "default_rng")
# `vp run --timeout 9` and the like: command lines that are parsed here, and run nothing.
ONLY_PARSED = {"surfaces/test_vp_arguments.py"}


def number(node: ast.expr) -> float | None:
    """The value of a literal number, or of a string that is one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        try:
            return float(node.value)
        except ValueError:
            return None
    return None


def too_short(tree: ast.AST) -> Iterator[tuple[int, float]]:
    """Lines with a limit between SHORT, which is under test, and PATIENCE, which is for ever."""
    for node in ast.walk(tree):
        limits: list[ast.expr] = []
        if isinstance(node, ast.Call):
            limits = [word.value for word in node.keywords if word.arg == "timeout"]
            if isinstance(node.func, ast.Attribute) and node.func.attr in WAITS:
                limits += node.args[:1]
        items = getattr(node, "args", None) or getattr(node, "elts", None)
        if isinstance(items, list):
            limits += [after for word, after in pairwise(items)
                       if isinstance(word, ast.Constant) and word.value == OPTION]  # fmt: skip
        for limit in limits:
            value = number(limit)
            if value is not None and SHORT < value < PATIENCE:
                yield limit.lineno, value


def without_a_seed(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines that throw dice without one: new ones, or the module's, which all share."""
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                for name in node.names}  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        module, _, last = name.rpartition(".")
        alone = last in DICE and not node.args and not node.keywords
        shared = last not in DICE and module == "random" and module in imported
        if alone or shared:
            yield node.lineno, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_limits_and_dice(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[int, object]] = [*without_a_seed(tree)]
    if path.relative_to(TESTS).as_posix() not in ONLY_PARSED:
        found += too_short(tree)
    assert not found, f"{path.name}: {found}: see tests/patience.py"


BAD = (
    "machine.run(timeout=60)",
    "subprocess.run(line, check=True, timeout=20.5)",
    "thread.join(60)",
    "process.wait(30)",
    "link.settimeout(10)",
    "vp('run', '--timeout', 20)",
    "line = ['vp', '--timeout', '20']",
)
GOOD = (
    "machine.run(timeout=PATIENCE)",
    "machine.run(timeout=0.3)",
    "thread.join()",
    "', '.join(names)",
    "vp('run', '--timeout', '0.5')",
    "subprocess.run(line)",
)


@pytest.mark.parametrize("source", BAD)
def test_a_bad_limit_is_seen(source: str) -> None:
    assert list(too_short(ast.parse(source)))


@pytest.mark.parametrize("source", GOOD)
def test_a_good_one_is_not(source: str) -> None:
    assert not list(too_short(ast.parse(source)))


@pytest.mark.parametrize(
    "source", ["import random\nrandom.random()", "Random()", "numpy.random.default_rng()"]
)
def test_dice_without_a_seed_are_seen(source: str) -> None:
    assert list(without_a_seed(ast.parse(source)))


def test_dice_with_a_seed_are_not() -> None:
    source = "random.Random(3)\ndefault_rng(seed=3)\ndef roll(random: Random): random.random()"
    assert not list(without_a_seed(ast.parse(source)))

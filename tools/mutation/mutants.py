"""All mutants of a file: those of the operators, and those of tests/mutants/by_hand.toml.

A mutant is named by its file, its function, and the lines it changes before and after: a name that
holds as long as those lines do, wherever they move to. `number` tells mutants apart whose names
would be the same otherwise.
"""

from __future__ import annotations

import ast
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.mutation import templates
from tools.mutation.operators import Place, changes, children, cuts, place

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent.parent
MODULE = "<module>"
SEED = 1999
COMMENT = re.compile(r"\s*# .*")


@dataclass(frozen=True)
class Mutant:
    file: str  # relative to the project's folder
    function: str  # dotted; MODULE: outside of all
    line: int
    before: str  # the changed lines, blanks squeezed
    after: str
    number: int  # of those with the same names
    place: Place
    text: str  # what stands at that place instead
    lines: frozenset[int]  # the statement's own: a test that runs none of them cannot notice

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.file, self.function, self.before, self.after, self.number

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}: {self.before}  ->  {self.after}"


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


BY_HAND = ROOT / "tests" / "mutants" / "by_hand.toml"


def by_hand(file: str) -> list[Mutant]:
    """Mistakes that no operator makes: `find` and `replace`, of one `file`."""
    source = read(file)
    found = []
    for entry in tomllib.loads(BY_HAND.read_text(encoding="utf-8"))["mutant"]:
        if entry["file"] == file:
            if source.count(entry["find"]) != 1:
                raise ValueError(f"{BY_HAND.name}: not once in {file}: {entry['find']!r}")
            found.append(_found(file, source, entry["find"], entry["replace"]))
    return found


def _found(file: str, source: str, old: str, new: str) -> Mutant:
    start = source.index(old)
    old, new = old.removesuffix("\n"), new.removesuffix("\n")
    first = source.count("\n", 0, start) + 1
    last = first + old.count("\n")
    column = start - (source.rfind("\n", 0, start) + 1)
    end = start + len(old) - (source.rfind("\n", 0, start + len(old)) + 1)
    where = first, column, last, end
    function = _function_at(ast.parse(source), first)
    lines = source.splitlines(keepends=True)
    before = _squeezed("".join(lines[first - 1 : last]))
    return Mutant(file, function, first, before, _squeezed(_replaced(lines, where, new)), 1,
                  where, new, frozenset(range(first, last + 1)))  # fmt: skip


def _function_at(tree: ast.Module, line: int) -> str:
    """The innermost function or class around a line."""
    names: list[str] = []
    node: ast.AST = tree
    while True:
        around = [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, (ast.FunctionDef, ast.ClassDef))
            and child.lineno <= line <= (child.end_lineno or 0)
        ]
        if not around:
            return ".".join(names) or MODULE
        node = around[0]
        names.append(around[0].name)


def mutants(file: str, sample: int | None = None, seed: int = SEED) -> list[Mutant]:
    """Every mutant, or a sample that a seed and the file's name decide, and those by hand."""
    found = list(_named(file))
    if sample is not None and sample < len(found):
        chosen = random.Random(f"{seed} {file}").sample(range(len(found)), sample)
        found = [found[index] for index in sorted(chosen)]
    return by_hand(file) + found


def mutated(mutant: Mutant, source: str) -> str:
    lines = source.splitlines(keepends=True)
    first, _, last, _ = mutant.place
    changed = _replaced(lines, mutant.place, mutant.text)
    return "".join([*lines[: first - 1], changed, *lines[last:]])


def _named(file: str) -> Iterator[Mutant]:
    source = read(file)
    lines = source.splitlines(keepends=True)
    seen: Counter[tuple[str, str, str]] = Counter()
    places: set[tuple[Place, str]] = set()
    for function, statement, where, text in _everywhere(ast.parse(source), lines):
        if (where, text) in places:
            continue
        places.add((where, text))
        first, last = where[0], where[2]
        before = _squeezed("".join(lines[first - 1 : last]))
        after = _squeezed(_replaced(lines, where, text))
        if before == after:
            continue
        seen[function, before, after] += 1
        yield Mutant(file, function, first, before, after, seen[function, before, after],
                     where, text, statement)  # fmt: skip


def _everywhere(
    tree: ast.Module, lines: list[str]
) -> Iterator[tuple[str, frozenset[int], Place, str]]:
    """Function, lines of the statement, place and new text of each change."""
    pending: list[tuple[ast.AST, ast.AST, str, frozenset[int]]] = [
        (child, tree, MODULE, frozenset()) for child in reversed(list(children(tree)))
    ]
    while pending:
        node, parent, function, statement = pending.pop()
        if isinstance(node, ast.stmt):
            statement = _own_lines(node)
        if isinstance(node, (ast.stmt, ast.expr)):
            for text in changes(node, parent):
                yield function, statement, place(node), text
            for where, text in cuts(node, parent):
                yield function, statement, where, text
        if templates.is_template(node):
            assert isinstance(node, ast.Constant)
            for where, text in templates.changes(node, lines):
                yield function, statement, where, text
        inside = function
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            inside = node.name if function == MODULE else f"{function}.{node.name}"
        pending += [(child, node, inside, statement) for child in reversed(list(children(node)))]


def _own_lines(node: ast.stmt) -> frozenset[int]:
    """Of a compound statement, only its head's."""
    body = getattr(node, "body", None)
    assert node.end_lineno is not None
    last = body[0].lineno - 1 if body else node.end_lineno
    return frozenset(range(node.lineno, max(last, node.lineno) + 1))


def _replaced(lines: list[str], where: Place, text: str) -> str:
    """The lines of a place with another text there."""
    first, start, last, end = where
    head = lines[first - 1].encode()[:start].decode()
    tail = lines[last - 1].encode()[end:].decode()
    return head + text + tail


def _squeezed(text: str) -> str:
    """Without comments and with single blanks."""
    return " ".join(" ".join(COMMENT.sub("", line) for line in text.splitlines()).split())


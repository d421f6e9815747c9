"""All mutants of a file.

A mutant is named by its file, its function, and the lines it changes before and after: a name that
holds as long as those lines do, wherever they move to. `number` tells mutants apart whose names
would be the same otherwise.
"""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.mutation import templates
from tools.mutation.operators import Place, changes, children, cuts, place

ROOT = Path(__file__).resolve().parent.parent.parent
MODULE = "<module>"
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


def mutants(file: str, sample: int | None = None, seed: int = 1999) -> list[Mutant]:
    """Every mutant, or a sample that a seed and the file's name decide."""
    found = list(_named(file))
    if sample is not None and sample < len(found):
        chosen = random.Random(f"{seed} {file}").sample(range(len(found)), sample)
        found = [found[index] for index in sorted(chosen)]
    return found


def mutated(mutant: Mutant, source: str) -> str:
    return _replace(source.splitlines(keepends=True), mutant.place, mutant.text)


def _named(file: str) -> Iterator[Mutant]:
    source = read(file)
    lines = source.splitlines(keepends=True)
    seen: Counter[tuple[str, str, str]] = Counter()
    texts: set[str] = set()
    for function, statement, where, text in _everywhere(ast.parse(source), lines):
        after_all = _replace(lines, where, text)
        if after_all in texts or not _compiles(after_all):
            continue
        texts.add(after_all)
        first, last = where[0], where[2]
        before = _squeezed("".join(lines[first - 1 : last]))
        kept = len(lines) - last
        now = after_all.splitlines(keepends=True)
        after = _squeezed("".join(now[first - 1 : len(now) - kept]))
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


def _replace(lines: list[str], where: Place, text: str) -> str:
    first, start, last, end = where
    head = lines[first - 1].encode()[:start].decode()
    tail = lines[last - 1].encode()[end:].decode()
    return "".join([*lines[: first - 1], head + text + tail, *lines[last:]])


def _squeezed(text: str) -> str:
    """Without comments and with single blanks."""
    return " ".join(" ".join(COMMENT.sub("", line) for line in text.splitlines()).split())


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True

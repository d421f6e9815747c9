"""Mutants of assembly text: the templates of bt/stubs.py.

A line of a template goes, or one of the words behind its bar, or a bit of a number in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tools.mutation.operators import Place, numbers


def is_template(node: ast.AST) -> bool:
    """A text of several lines that begins with an empty one: no message, and no docstring."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return node.value.startswith("\n") and node.value.count("\n") > 1


def changes(node: ast.Constant, lines: list[str]) -> Iterator[tuple[Place, str]]:
    """What to replace where; `lines` are the file's."""
    assert node.end_lineno is not None
    for number in range(node.lineno + 1, node.end_lineno):
        text = lines[number - 1].rstrip("\n")
        for changed in _line(text):
            yield (number, 0, number, len(text.encode())), changed


def _line(text: str) -> Iterator[str]:
    code, bar, tags = text.partition("|")
    label, colon, _ = code.partition(":")
    if not (colon and label.strip().isidentifier()) and code.strip() != "slow:":
        yield ""
    words = [word.strip() for word in tags.split(",") if word.strip()]
    for word in words:
        rest = ", ".join(other for other in words if other != word)
        yield f"{code}{bar} {rest}"
    for found in re.finditer(r"\b(0x[0-9A-Fa-f]+|\d+)\b", code):
        for value in numbers(int(found[0], 0)):
            yield f"{code[: found.start()]}{value:#x}{code[found.end() :]}{bar}{tags}"

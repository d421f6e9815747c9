"""Docstrings of this project as Sphinx's autodoc wants them: an extension of Sphinx.

Our docstrings are plain text: paragraphs, names between single backticks, lists with "* ",
examples and tables indented, doctests. Read as reStructuredText, an indented block would be a
quotation, and an asterisk the beginning of emphasis. `to_rst` writes down what is meant:

>>> print("\\n".join(to_rst(["Where `reason` is INT *:", "", "    in al, dx", "", "    hlt"])))
Where ``reason`` is INT \\*:
<BLANKLINE>
::
<BLANKLINE>
    in al, dx
<BLANKLINE>
    hlt
<BLANKLINE>
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TEXT, LIST, DOCTEST, CODE = "text", "list", "doctest", "code"
BULLET, PROMPT = "* ", ">>>"
LITERAL = re.compile(r"(``.+?``|`.+?`)", re.DOTALL)
SPECIAL = re.compile(r"[\\*|]|(?<=\w)_(?!\w)")  # emphasis, substitutions, references


def to_rst(lines: list[str]) -> list[str]:
    """A docstring, without its indentation, as reStructuredText."""
    written = []
    for kind, block in _blocks(lines):
        if kind == TEXT:
            block = _escaped("\n".join(block)).split("\n")
        elif kind == LIST:
            block = _escaped("\n".join(block)).split("\n")
            block = [line.replace("\\* ", BULLET, 1) if line.startswith("\\* ") else line
                     for line in block]  # fmt: skip
        elif kind == CODE and not block[0].lstrip().startswith(PROMPT):
            block = ["::", "", *block]
        written += [*block, ""]
    return written


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Stretches of one kind. Empty lines are between them, or within an indented one."""
    block: list[str] = []
    kind = ""
    for line in lines:
        if not line.strip():
            if kind == CODE:
                block.append("")
            else:
                kind = ""
            continue
        now = _kind(line, kind)
        if now != kind:
            if block:
                yield previous, _without_end(block)
            block = []
        elif now == TEXT and not kind:
            block.append("")
        block.append(line)
        kind = previous = now
    if block:
        yield previous, _without_end(block)


def _kind(line: str, before: str) -> str:
    """What a line is, by how it begins and by what it follows without an empty line."""
    if line.startswith(" ") and before != CODE:
        return before if before in (LIST, DOCTEST) else CODE
    if line.startswith(" "):
        return CODE
    if line.startswith(PROMPT) or before == DOCTEST:
        return DOCTEST
    return LIST if line.startswith(BULLET) else TEXT


def _without_end(block: list[str]) -> list[str]:
    while not block[-1]:
        block.pop()
    return block


def _escaped(text: str) -> str:
    """`names` as code, and nothing else that reStructuredText would take for more than text."""
    parts = LITERAL.split(text)
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = f"``{part.strip('`')}``"
        else:
            parts[number] = SPECIAL.sub(r"\\\g<0>", part)
    return "".join(parts)


def _process(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = to_rst(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}

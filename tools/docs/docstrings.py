"""Docstrings of this project as Sphinx's autodoc wants them: an extension of Sphinx.

Our docstrings are plain text: paragraphs, names between single backticks, *emphasis*, lists with
"* ", examples and tables indented, doctests. Read as reStructuredText, an indented block would be a
quotation, and any asterisk the beginning of emphasis. `to_rst` writes down what is meant:

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

GAP, TEXT, LIST, DOCTEST, CODE = "gap", "text", "list", "doctest", "code"
BULLET, PROMPT = "* ", ">>>"
MEANT = re.compile(r"(``.+?``|`.+?`|(?<![\w*])\*\w[\w\s-]*\*(?![\w*]))", re.DOTALL)
SPECIAL = re.compile(r"^\* |[\\*|]|(?<=\w)_(?!\w)", re.MULTILINE)  # emphasis, references...

#: What Python itself says of a field.
OF_A_NAMED_TUPLE = re.compile(r"Alias for field number \d+$")

Block = tuple[str, list[str]]


def to_rst(lines: list[str]) -> list[str]:
    """A docstring, without its indentation, as reStructuredText."""
    written = []
    for kind, block in _blocks(lines):
        if kind in (TEXT, LIST):
            block = _escaped("\n".join(block).replace("::", ":")).split("\n")
        elif kind == CODE and not block[0].lstrip().startswith(PROMPT):
            block = ["::", "", *block]
        written += [*block, ""]
    return written


def _blocks(lines: list[str]) -> Iterator[Block]:
    """Stretches of one kind, without the empty lines around them."""
    kind, block = GAP, list[str]()
    for line in [*lines, ""]:
        now = _kind(line, kind)
        if now != kind:
            yield from _ended(kind, block)
            kind, block = now, []
        block.append(line)
    yield from _ended(kind, block)


def _ended(kind: str, block: list[str]) -> Iterator[Block]:
    while block and not block[-1].strip():
        block.pop()
    if kind != GAP and block:
        yield kind, block


def _kind(line: str, before: str) -> str:
    """What a line is, by how it begins and by what it follows. Code may have empty lines in it."""
    if not line.strip():
        return CODE if before == CODE else GAP
    if line.startswith(" "):
        return before if before in (LIST, DOCTEST) else CODE
    if line.startswith(PROMPT) or before == DOCTEST:
        return DOCTEST
    return LIST if line.startswith(BULLET) else TEXT


def _escaped(text: str) -> str:
    """`names` as code, *emphasis*, and nothing else that would be taken for more than text."""
    parts = MEANT.split(text)
    for number, part in enumerate(parts):
        if not number % 2:
            parts[number] = SPECIAL.sub(_escape, part)
        elif part.startswith("`"):
            parts[number] = f"``{part.strip('`')}``"
    return "".join(parts)


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[0] == BULLET else f"\\{found[0]}"


def _docstring(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = [] if lines and OF_A_NAMED_TUPLE.match(lines[0]) else to_rst(lines)


def _signature(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:  # fmt: skip
    """A dataclass' field with a default_factory has a default that is no Python."""
    return signature and signature.replace("<factory>", "..."), returns


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True}

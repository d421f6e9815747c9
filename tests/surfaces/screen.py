"""What a person sees: a terminal's screen after these bytes, as far as `vp` uses it.

    >>> screen = Screen(b"loading\\r\\x1b[2Kready\\r\\n")
    >>> screen.lines
    ['ready']

Printing, CR, LF, and of the control sequences (ECMA-48, 8.3) cursor up, erase line, SGR, and the
cursor that is shown or hidden. Anything else is an AssertionError.
"""

from __future__ import annotations

import re

SEQUENCE = re.compile(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])")


class Screen:
    """A terminal without an end at the bottom or on the right."""

    def __init__(self, output: bytes) -> None:
        self._rows: list[str] = [""]
        self._row = self._column = 0
        self.cursor_shown = True
        text, at = output.decode(), 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                assert found is not None, f"no sequence that we know: {text[at:at + 20]!r}"
                self._act(found[1], found[2])
                at = found.end()
            else:
                self._print(text[at])
                at += 1

    @property
    def lines(self) -> list[str]:
        """From the top, without blanks at the ends of lines and empty lines at the end."""
        rows = [row.rstrip() for row in self._rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _act(self, parameters: str, kind: str) -> None:
        if kind == "A":
            self._row = max(0, self._row - int(parameters or 1))
        elif kind == "K":
            assert parameters == "2"
            self._rows[self._row] = ""
        elif kind in "hl":
            assert parameters == "?25"
            self.cursor_shown = kind == "h"
        else:
            assert kind == "m", kind

    def _print(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._row += 1
            self._rows += [""] * (self._row + 1 - len(self._rows))
        else:
            row = self._rows[self._row].ljust(self._column)
            self._rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1

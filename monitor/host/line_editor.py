"""A line that is typed key by key on a raw terminal: echo, corrections, history, completion.

    editor = LineEditor("(vp) ", complete)
    shown, lines = editor.feed(b"info pic\\r")

`shown` is what the terminal has to be sent, `lines` what was entered. The keys are those that
shells have in common: Backspace, Ctrl-W, Ctrl-U, Up, Down, Tab, Enter; Ctrl-C gives a line up.

>>> editor = LineEditor("> ", lambda text: [])
>>> editor.feed(b"helo\\x7fp\\r")[1]
['help']
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

LONGEST = 1000  # characters of a line
KEPT = 100  # lines of history
ERASE = "\x1b[K"
ESCAPES = {"\x1b[A": -1, "\x1b[B": 1, "\x1bOA": -1, "\x1bOB": 1}  # Up, Down
ENTER, TAB, ESC = "\r\n", "\t", "\x1b"
BACKSPACE, KILL, WORD, GIVE_UP = "\x7f\x08", "\x15", "\x17", "\x03"

Complete = Callable[[str], list[str]]
"""From the text so far to the lines that it may become."""


class LineEditor:
    """One prompt's."""

    def __init__(self, prompt: str, complete: Complete) -> None:
        self.prompt = prompt
        self._complete = complete
        self._text = ""
        self._history: list[str] = []
        self._at = 0  # in the history; its length: the new line
        self._escape = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    def feed(self, typed: bytes) -> tuple[str, list[str]]:
        """What to show, and the lines that were entered."""
        shown, lines = "", []
        for key in self._decoder.decode(typed):
            if self._escape or key == ESC:
                shown += self._escaped(key)
            elif key in ENTER:
                lines.append(self._enter())
                shown += "\n"
            else:
                shown += self._edit(key)
        return shown, lines

    def line(self) -> str:
        """The prompt and what was typed, anew."""
        return f"\r{self.prompt}{self._text}{ERASE}"

    def said(self, text: str) -> str:
        """What to show of a text that comes amid the line: in its place, ending with a line."""
        return f"\r{text}{ERASE}\n" if text else ""

    def _enter(self) -> str:
        text, self._text = self._text, ""
        if text.strip() and (not self._history or self._history[-1] != text):
            self._history = [*self._history, text][-KEPT:]
        self._at = len(self._history)
        return text

    def _edit(self, key: str) -> str:
        if key in BACKSPACE:
            self._text = self._text[:-1]
        elif key == KILL:
            self._text = ""
        elif key == WORD:
            self._text = self._text.rstrip().rpartition(" ")[0]
            self._text += " " if self._text else ""
        elif key == GIVE_UP:
            self._text, self._at = "", len(self._history)
            return f"^C\n{self.line()}"
        elif key == TAB:
            return self._completed()
        elif key.isprintable() and len(self._text) < LONGEST:
            self._text += key
        return self.line()

    def _escaped(self, key: str) -> str:
        """A key that sends several bytes, of which ESC is the first."""
        self._escape += key
        whole = self._escape
        if whole in ESCAPES:
            self._escape = ""
            self._recall(ESCAPES[whole])
            return self.line()
        if (len(whole) > 2 and (key.isalpha() or key == "~")) or len(whole) > 8:
            self._escape = ""  # some other key
        return ""

    def _recall(self, step: int) -> None:
        self._at = max(0, min(len(self._history), self._at + step))
        self._text = self._history[self._at] if self._at < len(self._history) else ""

    def _completed(self) -> str:
        found = self._complete(self._text)
        if len(found) == 1:
            self._text = f"{found[0]} "
        elif found:
            common = found[0]
            while not all(each.startswith(common) for each in found):
                common = common[:-1]
            if common == self._text:
                return f"\n{'  '.join(found)}\n{self.line()}"
            self._text = common
        return self.line()

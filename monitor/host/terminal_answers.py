r"""What a terminal says of itself when it is asked: has it graphics, and how large is it?

Manual: xterm's control sequences, "Primary DA" and "Window manipulation" (14t); kitty's "Terminal
graphics protocol", querying support. Nobody is waited for: the answers come among the keys.

    ESC [ ? 62 ; 4 ; ... c    attributes, of which 4 is sixel
    ESC _ G i=31 ; OK ESC \   kitty's graphics
    ESC [ 4 ; H ; W t         the pixels of the whole text

>>> answers = Answers()
>>> answers.feed(b"ls\x1b[?62;4c\r"), answers.sixel, answers.kitty, answers.pixels
(b'ls\r', True, False, None)
"""

from __future__ import annotations

import re

QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[14t\x1b[c"
ANSWER = re.compile(rb"\x1b\[\?([\d;]*)c|\x1b_G([^\x1b]*)\x1b\\|\x1b\[4;(\d{1,5});(\d{1,5})t")
BEGUN = re.compile(rb"\x1b(?:\[\?[\d;]*|_G[^\x1b]*\x1b?|\[4;[\d;]*)$")
LONGEST = 256
SIXEL = b"4"


class Answers:
    """Taken out of what is typed, until the last has come; pieces of one are put together."""

    def __init__(self) -> None:
        self.sixel = self.kitty = False
        #: Width and height of all of the terminal's text, if it has said.
        self.pixels: tuple[int, int] | None = None
        self._begun = b""
        self._over = False  # primary DA is answered by every terminal, and was asked last

    def feed(self, sent: bytes) -> bytes:
        """The keys among it."""
        if self._over:
            return sent
        data = self._begun + sent
        self._begun = b""
        data = ANSWER.sub(self._understand, data)
        begun = BEGUN.search(data)
        if begun is not None and not self._over and len(begun[0]) <= LONGEST:
            self._begun = begun[0]
            data = data[: begun.start()]
        return data

    def _understand(self, answer: re.Match[bytes]) -> bytes:
        attributes, graphics, height, width = answer.groups()
        if attributes is not None:
            self.sixel = SIXEL in attributes.split(b";")[1:]
            self._over = True
        elif graphics is not None:
            self.kitty |= graphics.endswith(b";OK")
        elif int(height) and int(width):
            self.pixels = int(width), int(height)
        return b""

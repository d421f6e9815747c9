"""What a submission prints, by the test and the case in which it was printed.

    marks = Marks(1, token)                 # where the submission runs
    marks.begin(2, "program 1 of 3, alone")
    found = Sorter(token)                   # where the stream is read
    found.feed(piece)
    found.of(2)                             # the first LINES lines, and how many more there were

Marks stand in the stream itself, so that nothing has to be awaited, whether the submission prints
by Python or past it. Whoever knows the token can forge one; then a line is shown in a wrong place,
and no grade depends on it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

LINES = 20  # of a test that are kept
WIDTH = 200  # characters of a line
WITHOUT_END = 1 << 16  # bytes after which a line is taken to be over
DIGITS = 3  # of a test's number
INDENT = "  "


class Marks:
    """Writes marks to a descriptor, a copy of which it keeps: the submission may close its own."""

    def __init__(self, descriptor: int, token: str) -> None:
        self._copy = os.dup(descriptor)
        self._token = token

    def begin(self, test: int, case: str) -> None:
        """From here on it is test number `test`, counted from 0, and this case of it."""
        with suppress(OSError):  # a pipe that nobody reads any more
            line = f"{test} {' '.join(case.split())}\n"
            os.write(self._copy, _start(self._token) + line.encode(errors="replace"))


class Sorter:
    """Takes the marks out of a stream again; keeps little of it, however long it is."""

    def __init__(
        self, token: str, plain: int = 0, on_test: Callable[[int], None] = lambda _: None
    ) -> None:
        """`plain`: so many bytes of the beginning are kept as they were printed.

        `on_test` is called with the number of each test that begins, as its mark is met.
        """
        self.plain = bytearray()
        self._most = plain
        self._start = _start(token)
        self._on_test = on_test
        self._rest = b""
        self._test, self._case, self._begun = 0, "", False
        self._kept: dict[int, list[tuple[str, str]]] = {}
        self._seen: Counter[int] = Counter()

    def feed(self, piece: bytes) -> None:
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(line)
        if len(self._rest) > WITHOUT_END:
            self._take(self._rest, b"")
            self._rest = b""

    def close(self) -> None:
        """The stream is at its end, with or without one of its last line."""
        if self._rest:
            self._take(self._rest, b"")
        self._rest = b""

    def all(self) -> dict[int, str]:
        """`of` each test in which something was printed."""
        return {test: self.of(test) for test in sorted(self._kept)}

    def of(self, test: int) -> str:
        """What was printed in a test: lines, below the case's name where it has one."""
        shown, before = [], ""
        for case, line in self._kept.get(test, ()):
            if case and case != before:
                shown.append(f"{case}:")
            shown.append(f"{INDENT if case else ''}{line}")
            before = case
        more = self._seen[test] - len(self._kept.get(test, ()))
        if more:
            shown.append(f"... and {more:,} {'line' if more == 1 else 'lines'} more")
        return "\n".join(shown)

    def _take(self, line: bytes, end: bytes = b"\n") -> None:
        text, found, mark = line.partition(self._start)
        self.plain += (text if found else text + end)[: self._most - len(self.plain)]
        if text or not found:  # a line of its own, or one that a mark cut short
            self._keep(text)
        if found:
            test, _, case = mark.partition(b" ")
            if test.isdigit() and len(test) <= DIGITS:
                if int(test) != self._test or not self._begun:
                    self._on_test(int(test))
                self._begun = True
                self._test, self._case = int(test), case.decode(errors="replace")[:WIDTH]

    def _keep(self, line: bytes) -> None:
        self._seen[self._test] += 1
        kept = self._kept.setdefault(self._test, [])
        if len(kept) < LINES:
            text = line.decode(errors="backslashreplace").rstrip("\r")
            kept.append((self._case, text if len(text) <= WIDTH else f"{text[:WIDTH]} ..."))


def _start(token: str) -> bytes:
    return f"\0{token}".encode()

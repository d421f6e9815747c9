r"""`vp run --type TEXT`, `--keys TEXT`: typing when the guest's console shows that it listens.

Each text waits for its cue. The cue is the text of the `--type-after` before it, or else a
shell's prompt: the output ends with "# " or "$ " there, in a line that began after the last text
was typed (what the guest echoes is no prompt). Texts are typed in the order of the command line,
each as soon as its cue is complete, at that very byte of output: with `--clock icount` a run with
typing repeats exactly. A cue may also come on a text screen, where it was not, or not as often,
when the last text was typed (monitor/screen/watch.py says when that is looked at).

    --type 'ls /\n' --type-after 'login: ' --type 'root\n'

types `ls /` at the first prompt, and `root` when `login: ` shows up after that. --type types on the
serial line, --keys on the keyboard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

PROMPTS = (b"# ", b"$ ")
NEWLINE = 0x0A


@dataclass(frozen=True)
class TypedLine:
    """A text to type, or strokes of keys, and the output to wait for; no cue means a prompt."""

    text: bytes
    cue: bytes | None = None
    strokes: tuple[str, ...] = ()


class Typist:
    """Listens to the console (a callable for `machine.serial.listeners`) and types with `send`.

    Strokes go to `press`, where there are any.
    """

    def __init__(
        self,
        lines: Iterable[TypedLine],
        send: Callable[[bytes], None],
        press: Callable[[list[str]], None] = lambda strokes: None,
    ) -> None:
        self._waiting = deque(lines)
        self._send = send
        self._press = press
        self._heard = bytearray()  # the end of the output since the last text
        self._on_a_new_line = True  # has a line begun since then?
        self._screen = ""  # what was seen there last
        self._times = 0  # how often the next cue was there already

    @property
    def done(self) -> bool:
        """Has everything been typed?"""
        return not self._waiting

    def __call__(self, output: bytes) -> None:
        for byte in output:
            if self.done:
                return
            self._hear(byte)
            if self._cue_is_complete(self._waiting[0].cue):
                self._type(self._waiting.popleft())

    def shown(self, screen: str) -> None:
        """What a text screen shows now. A cue that scrolls away may come again."""
        self._screen = screen
        if self.done:
            return
        times = self._times_shown()
        if times > self._times:
            self._type(self._waiting.popleft())
        else:
            self._times = times

    def _times_shown(self) -> int:
        cue = self._waiting[0].cue if self._waiting else None
        return 0 if cue is None else self._screen.count(cue.decode(errors="replace"))

    def _type(self, line: TypedLine) -> None:
        self._heard.clear()
        self._on_a_new_line = False
        self._times = self._times_shown()
        if line.text:
            self._send(line.text)
        if line.strokes:
            self._press(list(line.strokes))

    def _hear(self, byte: int) -> None:
        """One more byte of output; no more is kept than the next cue may need."""
        self._heard.append(byte)
        self._on_a_new_line |= byte == NEWLINE
        needed = len(self._waiting[0].cue or PROMPTS[0])
        if len(self._heard) > needed:
            del self._heard[:-needed]

    def _cue_is_complete(self, cue: bytes | None) -> bool:
        if cue is not None:
            return self._heard.endswith(cue)
        return self._on_a_new_line and self._heard.endswith(PROMPTS)

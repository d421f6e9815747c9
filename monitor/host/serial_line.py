"""The host's end of a serial line: what the guest sent is kept and told, what is typed waits.

    line = SerialLine(on_news=machine_looks)
    line.listeners.append(print)                # called with what the guest sends
    line.send(b"root\\n")                        # from any thread
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from monitor.host.console import Console


class SerialLine:
    """A CharacterBackEnd (monitor/vmm/back_ends.py).

    `on_news` is called when something was typed, and when a text that somebody waits for has come:
    the machine looks at both between two instructions.
    """

    def __init__(self, on_news: Callable[[], None]) -> None:
        self._on_news = on_news
        #: What the guest sent: a bounded tail, the stream's length and digest.
        self.output = Console(on_found=on_news)
        #: Functions that are called with what the guest sends.
        self.listeners: list[Callable[[bytes], None]] = []
        #: May somebody still send() while the machine runs?
        self.input_open = False
        self._typed: deque[bytes] = deque()
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """The guest sent this."""
        self.output.write(data)
        for listener in self.listeners:
            listener(bytes(data))

    def send(self, data: bytes) -> None:
        """Queue bytes for the guest. Safe from any thread."""
        with self._lock:
            self._typed.append(bytes(data))
        self._on_news()

    def take(self) -> bytes:
        """All that is queued, which is then the guest's."""
        with self._lock:
            data = b"".join(self._typed)
            self._typed.clear()
        return data

    def peek(self) -> bytes:
        """What take() would give."""
        with self._lock:
            return b"".join(self._typed)

    @property
    def waiting(self) -> int:
        """Bytes that are queued. Safe from any thread."""
        if not self._typed:  # nearly always, and asked in every turn of the machine
            return 0
        with self._lock:
            return sum(map(len, self._typed))

"""What a submission tries, as far as Python's audit hooks notice it (PEP 578).

The filter stops it whether it is noticed or not. A note says what to look at: that it tried to
start a process, and which. What goes past Python, through ctypes, leaves none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

#: Beginnings of the audit events' names, and the flag that they raise.
EVENTS = {
    "os.fork": "process", "os.forkpty": "process", "os.posix_spawn": "process",
    "os.spawn": "process", "os.exec": "process", "os.system": "process",
    "subprocess.Popen": "process", "pty.spawn": "process",
    "_thread.start_new_thread": "thread", "_thread.start_joinable_thread": "thread",
    "socket.": "network",
    "os.kill": "signal", "os.killpg": "signal", "signal.pthread_kill": "signal",
    "os.remove": "write", "os.rename": "write", "os.rmdir": "write", "os.mkdir": "write",
    "os.truncate": "write", "os.link": "write", "os.symlink": "write", "os.chmod": "write",
    "os.chown": "write", "os.utime": "write", "os.setxattr": "write",
}  # fmt: skip
READ = "read"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
MOST = 20  # notes of one run
LONGEST = 160


class Notes:
    """Passes on what is worth a note, each text once."""

    def __init__(self, send: Callable[[str, str], None], readable: Iterable[Path]) -> None:
        self._send = send
        self._readable = tuple(f"{path}/" for path in readable)
        self._seen: set[tuple[str, str]] = set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(*arguments)
            return
        if not event.startswith(("os.", "s", "_thread.", "pty.")):
            return  # most of them, and there are many
        for beginning, flag in EVENTS.items():
            if event.startswith(beginning):
                if flag != "write" or not isinstance(arguments[0], int):  # os.ftruncate of its own
                    self._note(flag, event + _first(arguments))
                return

    def _opened(self, path: object, _mode: object, flags: object) -> None:
        if not isinstance(path, (str, bytes)) or not isinstance(flags, int):
            return
        name = os.path.abspath(os.fsdecode(path))
        if flags & WRITING:
            self._note("write", f"open {name}")
        elif not name.startswith(self._readable) and not name.startswith(os.getcwd()):
            self._note(READ, f"open {name}")

    def _note(self, flag: str, text: str) -> None:
        note = flag, text[:LONGEST]
        if note not in self._seen and len(self._seen) < MOST:
            self._seen.add(note)
            self._send(*note)


def _first(arguments: tuple[Any, ...]) -> str:
    """A path or a command. Other objects may be the submission's, and process ids change."""
    if arguments and type(arguments[0]) in (str, bytes):
        return f" {os.fsdecode(arguments[0])}"
    return ""

"""The host's own clipboard, through the commands that its desktop has for it.

wl-copy and wl-paste (Wayland), xclip or xsel (X11), pbcopy and pbpaste (macOS). A command that does
not answer is given up after a moment, and asked again only after a while.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.vmm.errors import UserError

SECONDS = 2.0  # for one command
PASTE_INTERVAL = 0.5  # seconds for which a pasted text counts as the present one
MAX_PASTE = 1 << 20  # bytes that are read; more is not a text for a guest


class ClipboardError(Exception):
    """It did not work this time."""


@dataclass(frozen=True)
class Tool:
    """Two commands; the environment variable without which they have no display."""

    copy: tuple[str, ...]
    paste: tuple[str, ...]
    needs: str = ""


TOOLS = (
    Tool(("wl-copy",), ("wl-paste", "--no-newline"), "WAYLAND_DISPLAY"),
    Tool(
        ("xclip", "-selection", "clipboard"), ("xclip", "-selection", "clipboard", "-o"), "DISPLAY"
    ),
    Tool(("xsel", "--clipboard", "--input"), ("xsel", "--clipboard", "--output"), "DISPLAY"),
    Tool(("pbcopy",), ("pbpaste",)),
)


class HostClipboard:
    """The clipboard of whoever runs the machine."""

    def __init__(self, tool: Tool, seconds: float = SECONDS) -> None:
        self.tool = tool
        self.seconds = seconds
        self._pasted = b""
        self._pasted_at = float("-inf")

    def copy(self, data: bytes) -> None:
        # It leaves a child behind that holds the text: that must not hold our pipes.
        self._run(self.tool.copy, data, subprocess.DEVNULL)
        self._pasted, self._pasted_at = data, time.monotonic()

    def paste(self) -> bytes:
        """The text; a guest that asks in a loop does not start a process each time."""
        if time.monotonic() - self._pasted_at > PASTE_INTERVAL:
            try:
                self._pasted = self._run(self.tool.paste, b"", subprocess.PIPE)[:MAX_PASTE]
            finally:
                self._pasted_at = time.monotonic()
        return self._pasted

    def _run(self, command: tuple[str, ...], data: bytes, output: int) -> bytes:
        try:
            done = subprocess.run(
                command,
                input=data,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=self.seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClipboardError(f"{command[0]}: {error}") from error
        # Pasting from an empty clipboard fails with status 1.
        return done.stdout or b""


def find_host_clipboard(environment: Mapping[str, str] | None = None) -> HostClipboard:
    """The first that is there; UserError if none is."""
    environment = os.environ if environment is None else environment
    path = environment.get("PATH")
    for tool in TOOLS:
        if tool.needs and not environment.get(tool.needs):
            continue
        if shutil.which(tool.copy[0], path=path) and shutil.which(tool.paste[0], path=path):
            return HostClipboard(tool)
    raise UserError(
        "no clipboard to share: install wl-clipboard (Wayland) or xclip (X11), and run where"
        " WAYLAND_DISPLAY or DISPLAY is set"
    )

"""Where a parallel port leads to, as `--parallel` says it.

    FILE, file:FILE     what is printed, into a file
    pipe:COMMAND        to a command, when the machine has ended: pipe:lp

>>> parse_printer("pipe:lp -d office").command
'lp -d office'
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.vmm.errors import UserError

FORMS = ("FILE", "pipe:COMMAND")


@dataclass(frozen=True)
class PrinterConfig:
    """A file or a command."""

    path: Path | None = None
    command: str = ""
    append: bool = False  # to what the file holds


def parse_printer(text: str) -> PrinterConfig:
    """What `--parallel` says. UserError."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "pipe" and rest.strip():
        return PrinterConfig(command=rest.strip())
    if colon and kind == "file" and rest:
        return PrinterConfig(Path(rest))
    if not text or (colon and kind in ("pipe", "file")):
        raise UserError(f"--parallel {text}: choose from {', '.join(FORMS)}")
    return PrinterConfig(Path(text))

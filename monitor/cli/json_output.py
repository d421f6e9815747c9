"""`--json [FILE]`, the same for every verb that prints data.

    --json          one JSON document on standard output, and nothing else there
    --json FILE     the document in FILE, whole or not at all, beside the usual text
    --json -        as without FILE

An option that may have a value takes the word behind it. Whoever meant another file by that word
(`vp lab check 3 --json lab3.py`) must not lose it: what holds no JSON is not overwritten.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.cli.text_file import TextFile
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor.settings.serial_config import SerialConfig

OPTION = "--json"
STANDARD_OUTPUT = "-"
BEGINNINGS = (b"{", b"[")
LOOK = 64  # bytes


def add_json(parser: argparse._ActionsContainer, what: str = "everything") -> None:
    """The option."""
    parser.add_argument(OPTION, nargs="?", const=STANDARD_OUTPUT, metavar="FILE",
                        help=f"{what} as JSON in FILE too; without FILE on standard output, in "
                        "place of the text")  # fmt: skip


class JsonOutput:
    """A context manager: entering finds out whether FILE can be written. UserError if not.

    `name` is what the option gave; None: nothing is wanted, and nothing is written.
    """

    def __init__(self, name: str | None) -> None:
        self.wanted = name is not None
        #: Is standard output for the document alone?
        self.alone = name == STANDARD_OUTPUT
        self._file = None if name is None or self.alone else TextFile(Path(name), OPTION)

    def keep_apart(self, serial: SerialConfig) -> None:
        """UserError if the guest's console goes where the document goes alone."""
        if self.alone and serial.kind == "stdio":
            raise UserError(f"{OPTION}: the guest's console has standard output; give {OPTION} a "
                            "FILE, or --serial another place")  # fmt: skip

    def __enter__(self) -> Self:
        if self._file is not None:
            _check_no_loss(self._file.path)
            self._file.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.__exit__(*exception)

    def write(self, document: Callable[[], object]) -> None:
        """The whole document, which is made only if it is wanted."""
        if self.wanted:
            self.append(json.dumps(document(), indent=1) + "\n")
            self.finish()

    def append(self, text: str) -> None:
        """A part of it."""
        if self._file is not None:
            self._file.append(text)
        elif self.alone:
            sys.stdout.write(text)

    def finish(self) -> None:
        """It is complete: the file gets its name."""
        if self._file is not None:
            self._file.finish()


def _check_no_loss(path: Path) -> None:
    """Trouble in reading it is left to writing."""
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            beginning = file.read(LOOK).lstrip()
    except OSError:
        return
    if beginning and not beginning.startswith(BEGINNINGS):
        raise UserError(f"{OPTION} {path}: would overwrite what holds no JSON; name another file, "
                        f"or put {OPTION} last for standard output")  # fmt: skip

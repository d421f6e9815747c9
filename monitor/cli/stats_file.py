"""`--stats F.json`: statistics written whole or not at all, to a place checked before the run.

The file grows under a temporary name beside its own and takes its own name when it is complete.
What is no regular file (/dev/stdout, a pipe) cannot be replaced and is written as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.errors import UserError


class StatsFile:
    """A context manager: entering finds out whether the file can be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target = Path(os.path.realpath(path))
        in_place = self._target.exists() and not self._target.is_file()
        self._draft = self._target if in_place else self._target.with_name(
            f".{self._target.name}.{os.getpid()}"
        )

    def __enter__(self) -> StatsFile:
        try:
            self._stream = self._draft.open("w", encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write --stats {self.path}: {error.strerror}") from error
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stream.close()
        if self._draft != self._target:
            self._draft.unlink(missing_ok=True)

    def write(self, statistics: Mapping[str, Any]) -> None:
        """Write, and give the file its name."""
        try:
            json.dump(statistics, self._stream, indent=2)
            self._stream.write("\n")
            self._stream.flush()
            if self._draft != self._target:
                self._draft.replace(self._target)
        except OSError as error:
            raise UserError(f"cannot write --stats {self.path}: {error.strerror}") from error

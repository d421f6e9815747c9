"""`--stats F.json`: the statistics as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.cli.text_file import TextFile


class StatsFile(TextFile):
    """A context manager: entering finds out whether the file can be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "--stats")

    def write(self, statistics: Mapping[str, Any]) -> None:
        """Write, and give the file its name."""
        self.write_text(json.dumps(statistics, indent=2) + "\n")

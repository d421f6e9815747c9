"""Focused tests of the monitor's parts, on the labs that the other folders have."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("translate", "engine"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

"""The suites by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monitor.bench.results import Options, Suite
from monitor.bench.suite_ablations import Ablations
from monitor.bench.suite_macro import Macro
from monitor.bench.suite_nano import Nano
from monitor.bench.suite_talk import Talk
from monitor.guests import linux
from monitor.vmm.errors import UserError

SUITES: Mapping[str, type[Nano] | type[Talk] | type[Ablations] | type[Macro]] = {
    suite.name: suite for suite in (Nano, Talk, Ablations, Macro)
}


def make(name: str, options: Options) -> Suite:
    """A suite with these rows (all for none). Raises UserError."""
    return SUITES[name](options)


def left_out(name: str, options: Options) -> str:
    """Why this suite cannot be one of all; empty if it can."""
    if name == Ablations.name and options.host_clock:
        return "it compares counts, and has no --clock host"
    return linux.missing() if name == Macro.name else ""


def check_folder(folder: Path) -> None:
    """Can results be written there? Better known before they are measured."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write --out {folder}: {error.strerror}") from error

"""`--checkpoint`: the options, the key Ctrl-A w, and what is said of the files.

    vp run ... --checkpoint boot.vpcheck                          at the end of the run
    vp run ... --checkpoint boot.vpcheck --checkpoint-at "/ # "   once the console shows it
    vp run ... --checkpoint boot.vpcheck --checkpoint-at 2e9      after so many instructions

With `--checkpoint-at` the run goes on behind it. Ctrl-A w writes the file at any time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.settings import units
from monitor.settings.config import unescape
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

if TYPE_CHECKING:
    from monitor import Machine

GOES_ON = ("until", "timeout", "instructions", "stopped")  # ends of a run, not of the guest
Say = Callable[[str], None]


def add_checkpoint(group: argparse._ActionsContainer) -> None:
    """The options."""
    group.add_argument("--checkpoint", type=Path, metavar="FILE",
                       help="write the whole machine there when the run is over, and at Ctrl-A w; "
                       "vp resume goes on from it")
    group.add_argument("--checkpoint-at", metavar="WHEN",
                       help="with --checkpoint: write it once the console shows this TEXT, or "
                       "after so many instructions (1e9), and run on")


@dataclass(frozen=True)
class CheckpointConfig:
    """What was asked for."""

    path: Path | None = None
    text: bytes | None = None
    count: int | None = None

    @property
    def at_end(self) -> bool:
        """Is it written when the run is over?"""
        return self.path is not None and self.text is None and self.count is None


def checkpoint_of(args: argparse.Namespace) -> CheckpointConfig:
    """The options, checked."""
    when: str | None = args.checkpoint_at
    if when is None:
        return CheckpointConfig(args.checkpoint)
    if args.checkpoint is None:
        raise UserError("--checkpoint-at needs --checkpoint: say into which file")
    if when == "":
        raise UserError("--checkpoint-at needs a text to wait for, or a number of instructions")
    try:
        return CheckpointConfig(args.checkpoint, count=units.count(when))
    except UserError:
        return CheckpointConfig(args.checkpoint, text=unescape(when, "--checkpoint-at"))


class CheckpointWriter:
    """Writes the files of one run, and says so."""

    def __init__(self, machine: Machine, config: CheckpointConfig, quiet: bool) -> None:
        self._machine = machine
        self._config = config
        self._quiet = quiet
        self._missing = not config.at_end and config.path is not None
        self._trouble: UserError | None = None
        self.say: Say = print
        machine.checkpoints.watch()
        machine.checkpoints.told = self._told
        if config.path is not None and not config.at_end:
            machine.checkpoints.when(config.path, text=config.text, instructions=config.count)

    def key(self) -> None:
        """Ctrl-A w, on the thread that reads keys."""
        if self._config.path is None:
            self.say("no file to write: --checkpoint FILE names it")
        else:
            self._machine.checkpoints.soon(self._config.path)

    def finish(self, outcome: Outcome) -> bool:
        """The run is over: the file of its end. False: the one that was asked for never came.

        UserError: one could not be written.
        """
        if self._trouble is not None:
            raise self._trouble
        path = self._config.path
        if path is not None and self._config.at_end:
            if outcome.kind in GOES_ON:
                self._told(path, self._machine.checkpoints.save(path))
            else:
                self.say(f"{path}: no checkpoint was written, for the guest has ended")
                return False
        if self._missing:
            self.say(f"{path}: no checkpoint was written: --checkpoint-at did not come")
        return not self._missing

    def _told(self, path: Path, result: int | UserError) -> None:
        if isinstance(result, UserError):
            self._trouble = result
            self.say(str(result))
            return
        self._missing = False
        if not self._quiet:
            done = f"{self._machine.instructions:,} instructions"
            self.say(f"checkpoint after {done}, {result / (1 << 20):.1f} MiB: {path}")

"""The Linux boot with typed commands, over and over, in every mode: ten times out of ten?

    PYTHONPATH=tests python tests/guests/soak.py [ROUNDS]        (`make soak`: ten rounds)

Each round boots Linux in a process of its own through `vp run`, types the commands of boots.py, and
waits for the reboot. All rounds of all modes must print the same bytes after the same number of
instructions. The tally comes last; exit status 0 only if every round was right.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from boots import INITRD, KERNEL, QUICK, SHELL
from patience import PATIENCE

MODES = ("bare", "translate")
ROUNDS = 10


@dataclass(frozen=True)
class Round:
    """How one boot ended."""

    mode: str
    status: int
    console: bytes
    instructions: int
    seconds: float

    @property
    def key(self) -> tuple[int, bytes, int]:
        """What must be the same every time."""
        return self.status, self.console, self.instructions


def boot(mode: str) -> Round:
    """One boot through the command."""
    commands = [command for command, _ in SHELL] + ["reboot -f"]
    typing = [part for command in commands for part in ("--type", escaped(command) + r"\n")]
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder, "stats.json")
        line = [
            *(sys.executable, "-m", "monitor", "run", "--mode", mode, "--timeout", str(PATIENCE)),
            *("--kernel", str(KERNEL), "--initrd", str(INITRD), "--append", QUICK, "--quiet"),
            *("--stats", str(stats), *typing),
        ]
        begun = time.monotonic()
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE + 60
        )
        spent = time.monotonic() - begun
        figures = json.loads(stats.read_text()) if stats.exists() else {}
    sys.stderr.write(done.stderr.decode(errors="replace"))
    return Round(mode, done.returncode, done.stdout, figures.get("instructions", -1), spent)


def escaped(command: str) -> str:
    """As `--type` takes it."""
    return command.replace("\\", r"\\")


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    right = dict.fromkeys(MODES, 0)
    first: Round | None = None
    for number in range(rounds):
        for mode in MODES:
            one = boot(mode)
            first = first or one
            good = one.status == 0 and b"Restarting system" in one.console and one.key == first.key
            right[mode] += good
            print(f"{number + 1:3} {mode:9} {'right' if good else 'WRONG':5} status {one.status} "
                  f"{one.instructions:,} instructions {one.seconds:.1f} s", flush=True)  # fmt: skip
    for mode, count in right.items():
        print(f"{mode}: {count} of {rounds} right")
    return 0 if all(count == rounds for count in right.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

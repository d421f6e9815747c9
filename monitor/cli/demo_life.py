"""One life of the embedded guest in one mode, and what to make of several of them.

The guest prints a line for each check of its processor, ``check NAME ok`` or ``check NAME WRONG
got X want Y``. A life that ended early has a console that stops somewhere, perhaps in the middle
of a line: what is missing was not reached.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor import Outcome

MEMORY_MB = 8
INSTRUCTIONS = 20_000_000  # forty times what the guest needs: one that spins is cut off there
OK = "ok"
CHECK_LINE = re.compile(r"check (\S+) (?:(ok)|WRONG (got \S+ want \S+))")


@dataclass(frozen=True)
class Life:
    """What the guest printed and what the machine counted."""

    mode: str
    outcome: Outcome
    console: bytes
    expected: Sequence[str]
    statistics: Mapping[str, Any]

    @property
    def right(self) -> bool:
        """Did the guest print just what it prints on a processor that is right?"""
        return self.console == "".join(f"{line}\r\n" for line in self.expected).encode()

    @property
    def checks(self) -> dict[str, str]:
        """Every check that was reached: OK, or what it got and wanted."""
        return checks_in(self.console.decode(errors="replace").split("\r\n")[:-1])

    @property
    def wrong(self) -> dict[str, str]:
        """The checks that went wrong."""
        return {name: result for name, result in self.checks.items() if result != OK}

    @property
    def not_reached(self) -> list[str]:
        """The checks that never came."""
        return [name for name in checks_in(self.expected) if name not in self.checks]


@dataclass(frozen=True)
class Verdict:
    """Is everything as it should be? And why."""

    right: bool
    text: str


def checks_in(lines: Sequence[str]) -> dict[str, str]:
    """The checks among lines of the console.

    >>> checks_in(["hello", "check a ok", "check b WRONG got 00000003 want 00000000"])
    {'a': 'ok', 'b': 'got 00000003 want 00000000'}
    """
    found = filter(None, map(CHECK_LINE.fullmatch, lines))
    return {match[1]: match[2] or match[3] for match in found}


def live(mode: str, seconds: float) -> Life:
    """Run the guest in a machine of its own until it ends, or is cut off."""
    from monitor import Machine
    from monitor.guests import embedded_image

    guest = embedded_image()
    machine = Machine(memory_mb=MEMORY_MB, mode=mode)
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    outcome = machine.run(timeout=seconds, max_instructions=INSTRUCTIONS)
    return Life(mode, outcome, machine.console, guest.expected_console, machine.statistics())


def judge(lives: Sequence[Life]) -> Verdict:
    """Bare and translate must be right, which makes them identical; trap must be wrong."""
    failures = []
    for each in lives:
        if each.mode == "trap" and each.right:
            failures.append("trap gave no wrong answer, which cannot be: POPF alone must")
        elif each.mode != "trap" and not each.right:
            failures.append(f"{each.mode} differs from what the guest should print"
                            f"{_first_difference(each)}")
    if failures:
        return Verdict(False, "Not as it should be: " + "; ".join(failures) + ".")
    return Verdict(True, " ".join(_good_news(each) for each in lives))


def _good_news(each: Life) -> str:
    if each.mode != "trap":
        return f"{each.mode}: all {len(each.checks)} checks right."
    missing = f", {len(each.not_reached)} never reached" if each.not_reached else ""
    return f"trap: {len(each.wrong)} checks wrong{missing}, as it must be on x86."


def _first_difference(each: Life) -> str:
    """Where the console leaves the expected path."""
    lines = each.console.decode(errors="replace").split("\r\n")
    for number, wanted in enumerate(each.expected):
        got = lines[number] if number < len(lines) else ""
        if got != wanted:
            return f" (line {number + 1} is {got!r}, not {wanted!r})"
    return " (more follows after the end)"


def document(lives: Sequence[Life], verdict: Verdict) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "lives": [
            {
                "mode": each.mode,
                "ended": each.outcome.kind,
                "right": each.right,
                "checks": each.checks,
                "not_reached": each.not_reached,
                "console": each.console.decode(errors="backslashreplace"),
                "statistics": dict(each.statistics),
            }
            for each in lives
        ],
        "verdict": {"right": verdict.right, "text": verdict.text},
    }

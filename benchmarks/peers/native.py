"""The host's own CPU, running the mix as a static i386 program."""

from __future__ import annotations

from benchmarks import images
from benchmarks.timing import Measured, measure


def run(rounds: int) -> Measured:
    """Run so many rounds; the output is the checksum."""
    return measure([images.integer_mix(rounds, "native").elf])

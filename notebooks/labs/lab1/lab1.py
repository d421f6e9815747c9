"""Lab 1: find the critical instructions. Read handout.md; `vp lab check 1` grades this file."""

from __future__ import annotations

from monitor.labs.lab1 import Evidence  # also GUESTS, MONITOR, LENIENT, VARIANTS


def classify(evidence: Evidence) -> str:
    """The class of an instruction, from what it did in each world.

    One of "innocuous", "privileged", "sensitive" and "critical". `evidence.trials` holds one
    dictionary for each start state: trial["monitor"].trap, .visible and .changes() are what came of
    it in the world "monitor".
    """
    raise NotImplementedError

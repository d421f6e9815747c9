"""What somebody may have meant who wrote a word that there is not.

    >>> nearest("chainig", ("chaining", "stubs"))
    ['chaining']
    >>> choose("chainig", ("chaining", "stubs"))
    'choose from chaining, stubs; did you mean chaining?'
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

MOST = 3
SHORTEST = 2  # letters that may stand for a word that begins with them
ALIKE = 0.6  # of SequenceMatcher's measure, from 0 to 1
NEARLY_AS_ALIKE = 0.1  # less than the one that is most like it


def nearest(word: str, choices: Iterable[str]) -> list[str]:
    """Those that begin with it, or else the ones most like it; at most three.

    Case and leading dashes say nothing.
    """
    bare = _bare(word)
    by_bare = {_bare(choice): choice for choice in choices}
    if bare in by_bare:
        return [by_bare[bare]]
    begun = [bare_choice for bare_choice in by_bare if bare_choice.startswith(bare)]
    if len(bare) >= SHORTEST and begun:
        return [by_bare[each] for each in begun[:MOST]]
    alike = {each: SequenceMatcher(None, each, bare).ratio() for each in by_bare}
    enough = max(ALIKE, max(alike.values(), default=0) - NEARLY_AS_ALIKE)
    best = sorted(alike, key=lambda each: -alike[each])[:MOST]
    return [by_bare[each] for each in best if alike[each] >= enough]


def question(word: str, choices: Iterable[str]) -> str:
    """`did you mean X?`, or nothing if there is nothing like it."""
    found = nearest(word, choices)
    if not found:
        return ""
    *others, last = found
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"


def choose(word: str, choices: Iterable[str]) -> str:
    """All of the choices, and which of them may have been meant."""
    listed = list(choices)
    asked = question(word, listed)
    return f"choose from {', '.join(listed)}" + (f"; {asked}" if asked else "")


def _bare(word: str) -> str:
    return word.lstrip("-").lower().replace("_", "-")

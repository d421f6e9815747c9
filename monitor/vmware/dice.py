"""Random numbers for a guest: repeatable where the machine's clock is, else the host's best.

>>> one, two = Dice(7), Dice(0)
>>> one.bits() == two.bits()
False
>>> two.restore(one.snapshot()); one.bits() == two.bits()
True
"""

from __future__ import annotations

import random
from typing import Any

from devices.shapes import DWORD, Number, exactly, maybe

WORDS = 624  # of the generator's state (random.getstate), behind which it keeps its place
ALGORITHM = 3


class Dice:
    """One generator, from a seed; None: no run shall repeat."""

    shape = maybe(exactly(DWORD, WORDS + 1))

    def __init__(self, seed: int | None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)
        self._repeats = seed is not None

    def bits(self) -> int:
        """The next 32."""
        return self._random.getrandbits(32)

    def snapshot(self) -> list[int] | None:
        """Where it stands; None if it stands nowhere."""
        return list(self._random.getstate()[1]) if self._repeats else None

    def restore(self, saved: Any) -> None:
        """Stand there. WrongField: no generator does."""
        words = self.shape.check(saved)
        if self._repeats and words is not None:
            Number(0, WORDS).check(words[-1])
            self._random.setstate((ALGORITHM, tuple(words), None))

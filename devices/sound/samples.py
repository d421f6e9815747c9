"""What a chip that is heard gives: numbered samples of 16 bits, RATE a second of virtual time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RATE = 44100

Samples = NDArray[np.int16]  # of one side, or left and right
#: Given the number of the first one; those between two calls are silent.
OnSamples = Callable[[int, Samples], None]


def unheard(_first: int, _samples: Samples) -> None:
    """Nobody listens."""

"""What is heard, and who hears it: the two sides of a machine's sound.

A chip of devices/sound renders what has become due when it likes, and gives it to `on_samples` with
the number of the first sample; those between two calls are silent. There are 44,100 a second of
virtual time since the machine was switched on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from monitor.vmm.back_ends import SoundBackEnd

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SoundBackEnd", "Sounding", "unheard"]


class Sounding(Protocol):
    """A chip that is heard (devices/sound), or several."""

    on_samples: Callable[[int, NDArray[np.int16]], None]

    @property
    def samples(self) -> int:
        """How many there were so far."""

    def render(self) -> None:
        """Everything up to now."""


def unheard(_first: int, _samples: NDArray[np.int16]) -> None:
    """Nobody listens."""

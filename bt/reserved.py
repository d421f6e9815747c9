"""The segment register through which stubs reach the vCPU page: the one the guest needs least.

Translated code cannot load segment registers, so one of them is set aside before the engine runs:
FS or GS, since string instructions use ES by themselves. What the guest does through the other one
is copied as it is; what it does through the reserved one costs a stub (bt/segment_access.py). Code
of ring 0 and of ring 3 choose for themselves, because most systems use one in the kernel and the
other in user code.

The choice begins with the usual one and follows the guest: places in its code that use either are
counted as they are translated. A choice that changes costs all translations, so it changes only
when the reserved register has more than twice as many uses as the other one, and enough more to be
worth what was translated so far. The counts stay, so from one change to the next they must grow
fourfold: there are never many.

Worked example: a kernel that keeps its per-CPU data in GS, and never uses FS. The first use of GS
is met with GS reserved, soon after the start: 1 against 0, so FS is reserved from now on. A kernel
that uses FS at a thousand places and GS at three hundred keeps GS reserved, and has three hundred
stubs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bt.interp.state import FS, GS

MUCH_MORE = 2  # times as many uses are enough more
WORTH = 512  # instructions that are translated anew for one use more


@dataclass(frozen=True)
class Reserved:
    """A segment register that can be set aside."""

    name: str
    number: int
    override: int  # the prefix that names it


RESERVED = {FS: Reserved("fs", FS, 0x64), GS: Reserved("gs", GS, 0x65)}


class Choice:
    """Which register is reserved, for all code of the kernel or all user code."""

    def __init__(self, first: int) -> None:
        """`first`: the number of the register to begin with."""
        self.now = RESERVED[first]
        self.uses = dict.fromkeys(RESERVED, 0)
        self.changes = 0

    def note(self, segments: Iterable[int], translated: int) -> bool:
        """Count what instructions name as their segment; True: the choice has changed.

        `translated`: guest instructions so far.
        """
        for segment in segments:
            if segment in self.uses:
                self.uses[segment] += 1
        number = self.now.number
        other = FS + GS - number
        if self.uses[number] <= MUCH_MORE * self.uses[other] + translated // WORTH:
            return False
        self.now = RESERVED[other]
        self.changes += 1
        return True

"""A controller of the VGA's: registers behind an index, as most of them are reached.

    out 3C4h, 2        # the index
    out 3C5h, 0Fh      # the register of that index: sequencer 02h, Map Mask

A register keeps the bits that it has. An index without a register reads zeros, and writes vanish.
"""

from __future__ import annotations

from typing import ClassVar

from devices.device import Chip

ADDRESS, DATA = 0, 1


class IndexedPart(Chip):
    """`masks` are the bits of each register; `index_mask` those of the index."""

    masks: ClassVar[tuple[int, ...]]
    index_mask: ClassVar[int]

    def __init__(self) -> None:
        self.index = 0
        self.registers = [0] * len(self.masks)

    def reset(self) -> None:
        """The RESET pin."""
        self.index = 0
        self.registers = [0] * len(self.masks)

    def read_port(self, offset: int, size: int) -> int:
        """The index at ADDRESS, the register at DATA."""
        if offset == ADDRESS:
            return self.index
        return self.registers[self.index] if self.index < len(self.masks) else 0

    def write_port(self, offset: int, size: int, value: int) -> None:
        """The index, or the register behind it."""
        if offset == ADDRESS:
            self.index = value & self.index_mask
        elif self.index < len(self.masks):
            self.put(self.index, value & self.masks[self.index])

    def put(self, index: int, value: int) -> None:
        """A register gets bits that it has."""
        self.registers[index] = value

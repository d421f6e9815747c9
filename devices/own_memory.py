"""Memory of a device's own, which the guest reads and writes at the speed of RAM: a frame buffer.

    self.picture = bus.make_memory("picture", 1 << 20)
    self.picture.show(0xE0000000)               # and where a BAR says, later: move(), hide()
    for page in self.picture.written_pages():   # what is to be drawn anew
        draw(page, self.picture.bytes[page : page + 4096])

No access to it is told to the device. The machine says what it is (monitor/vmm/physical_map.py).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class OwnMemory(Protocol):
    """As a device knows it; sizes and addresses are multiples of 4096."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def bytes(self) -> npt.NDArray[np.uint8]:
        """All of it, no copy. After writing, say so: wrote()."""
        ...

    def show(self, first: int, offset: int = 0, size: int | None = None) -> None:
        """Let it, or a part, appear from a physical address on, beside other places."""
        ...

    def hide(self, first: int | None = None) -> None:
        """Let it appear from this address on no more; nowhere, if none is given."""
        ...

    def move(self, first: int) -> None:
        """Let it appear as a whole, here and nowhere else."""
        ...

    def written_pages(self) -> list[int]:
        """Offsets of the pages that were written, by whoever, since this was asked last."""
        ...

    def wrote(self, offset: int, size: int) -> None:
        """The device has written into `bytes`."""
        ...

    def stored(self, offset: int, size: int) -> None:
        """The same of a few bytes in one page, from within write_memory(): it costs less."""
        ...

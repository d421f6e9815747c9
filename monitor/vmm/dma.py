"""Guest memory as devices reach it by themselves (devices/dma.py): where it is, and who must know.

What a device writes, no processor has written: decoded blocks and translations of those bytes are
dropped here, and the processor leaves behind the instruction that it is at, which may be one of
them. So the very next instruction is the new one, bare and translated, in the middle of a block and
of a REP alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bt.engine import Ram
from monitor.vmm.memory import PAGE, GuestMemory, by_page
from monitor.vmm.processor import Processor

Bytes = npt.NDArray[np.uint8]
Pieces = Iterator[tuple[Bytes | None, int]]


class DeviceAccess:
    """One machine's `devices.dma.PhysicalMemory`."""

    def __init__(self, memory: GuestMemory, ram: Ram, processor: Processor) -> None:
        self._memory = memory
        self._ram = ram
        self._processor = processor

    def readable(self, address: int, size: int) -> Pieces:
        """RAM and ROM as arrays, no copy."""
        return self._pieces(address, size, False)

    def writable(self, address: int, size: int) -> Pieces:
        """RAM as arrays, no copy."""
        return self._pieces(address, size, True)

    def written(self, address: int, size: int) -> None:
        """What was made of the code there is dropped."""
        for at, n in by_page(address, size):
            self._processor.memory_changed(at, n)

    def _pieces(self, address: int, size: int, write: bool) -> Pieces:
        """Runs of pages that are alike."""
        begun, is_memory = address, self._is_memory(address, write)
        for at in range((address | PAGE - 1) + 1, address + size, PAGE):
            here = self._is_memory(at, write)
            if here != is_memory:
                yield self._array(begun, at, is_memory), at - begun
                begun, is_memory = at, here
        yield self._array(begun, address + size, is_memory), address + size - begun

    def _is_memory(self, address: int, write: bool) -> bool:
        if not 0 <= address < 1 << 32 or not self._ram.is_ram(address):
            return False
        return not (write and self._ram.is_rom(address))

    def _array(self, first: int, end: int, is_memory: bool) -> Bytes | None:
        return self._memory.map()[first:end] if is_memory else None

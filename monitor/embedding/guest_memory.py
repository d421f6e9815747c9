"""Guest memory as an embedder reads and writes it, physical or through the guest's page tables."""

from __future__ import annotations

from monitor.vmm.errors import UserError
from monitor.vmm.memory import GuestMemory, by_page
from monitor.vmm.processor import Processor


class MemoryAccess:
    """One machine's. UserError where there is no RAM, or nothing is mapped."""

    def __init__(self, memory: GuestMemory, processor: Processor) -> None:
        self._memory = memory
        self._processor = processor

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes of RAM."""
        self._check_ram(address, size)
        return self._memory.read(address, size)

    def write_physical(self, address: int, data: bytes) -> None:
        """Store bytes in RAM, all or none."""
        self._check_ram(address, len(data))
        self._memory.write(address, data)
        for at, n in by_page(address, len(data)):
            self._processor.memory_changed(at, n)

    def _check_ram(self, address: int, size: int) -> None:
        for at, _ in by_page(address, size):
            if not 0 <= at < self._memory.size or not self._processor.ram.is_ram(at):
                raise UserError(f"there is no guest RAM at physical address {at:#010x}")

    def read(self, linear: int, size: int) -> bytes:
        """Bytes at a linear address, whatever protects them."""
        out = bytearray()
        for at, n in by_page(linear, size):
            out += self._memory.read(self.physical(at), n)
        return bytes(out)

    def write(self, linear: int, data: bytes) -> None:
        """Store bytes at a linear address, all or none."""
        places = [(self.physical(at), n) for at, n in by_page(linear, len(data))]
        done = 0
        for physical, n in places:
            self._memory.write(physical, data[done : done + n])
            self._processor.memory_changed(physical, n)
            done += n

    def physical(self, linear: int) -> int:
        """Where a linear address is."""
        self._processor.sync()
        physical = self._processor.ideal.peek_translation(linear)
        if physical < 0:
            raise UserError(f"linear address {linear:#010x} is not mapped by the guest")
        return int(physical)

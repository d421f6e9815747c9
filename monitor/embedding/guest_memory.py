"""Guest memory as an embedder reads and writes it, physical or through the guest's page tables."""

from __future__ import annotations

from monitor.vmm.errors import UserError
from monitor.vmm.memory import by_page
from monitor.vmm.physical_map import PhysicalMap
from monitor.vmm.processor import Processor


class MemoryAccess:
    """One machine's. UserError where there is no memory, or nothing is mapped."""

    def __init__(self, physical_map: PhysicalMap, processor: Processor) -> None:
        self._map = physical_map
        self._processor = processor

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes of RAM, ROM or a device's memory."""
        return self._map.read(address, size)

    def write_physical(self, address: int, data: bytes) -> None:
        """Store bytes there, all or none."""
        self._map.write(address, data)

    def read(self, linear: int, size: int) -> bytes:
        """Bytes at a linear address, whatever protects them."""
        out = bytearray()
        for at, n in by_page(linear, size):
            out += self._map.read(self.physical(at), n)
        return bytes(out)

    def write(self, linear: int, data: bytes) -> None:
        """Store bytes at a linear address, all or none."""
        places = [(self.physical(at), n) for at, n in by_page(linear, len(data))]
        for physical, n in places:
            self._map.read(physical, n)  # is there memory?
        done = 0
        for physical, n in places:
            self._map.write(physical, data[done : done + n])
            done += n

    def physical(self, linear: int) -> int:
        """Where a linear address is."""
        self._processor.sync()
        physical = self._processor.ideal.peek_address(linear)
        if physical < 0:
            raise UserError(f"linear address {linear:#010x} is not mapped by the guest")
        return int(physical)

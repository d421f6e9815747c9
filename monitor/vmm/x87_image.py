"""The x87 unit of a processor as a program sees it: the 108 bytes of FNSAVE (SDM vol. 1, 8.1.10).

A scratch processor takes the state over, as the engine contract allows, and executes FNSAVE or
FRSTOR; the guest's own unit is not touched by looking at it.
"""

from __future__ import annotations

from functools import lru_cache

from bt.engine import AddressSpace, Interp, Ram
from bt.interp.state import CS, DS, EXIT_BUDGET, PERM_EXEC, PERM_WRITE
from monitor.vmm.errors import MonitorBug

SIZE, HEADER, REGISTER = 108, 28, 10  # SDM vol. 1, figure 8-9


class X87Unit:
    """A scratch processor with two programs of one instruction."""

    SAVE = bytes.fromhex("dd35 00100000")  # fnsave [0x1000]
    CLEAR_RESTORE = bytes.fromhex("dbe2 dd25 00100000")  # fnclex, frstor [0x1000]
    AREA = 0x1000
    RESTORE_AT = 0x10
    CR0 = 0x80000031  # protected, paged, and no reason for #NM

    def __init__(self) -> None:
        self._buffer = bytearray(0x2000)
        self._buffer[: len(self.SAVE)] = self.SAVE
        end = self.RESTORE_AT + len(self.CLEAR_RESTORE)
        self._buffer[self.RESTORE_AT : end] = self.CLEAR_RESTORE
        ram = Ram(self._buffer, len(self._buffer), 4096)
        self._cpu = Interp(ram, None, external=True)
        self._space = AddressSpace(ram)
        self._cpu.cr0 = self.CR0
        self._cpu.set_privilege(3)
        self._cpu.set_segment(CS, 0x1B, 0, 0xFFFFFFFF, 0xC0FB)
        self._cpu.set_segment(DS, 0x23, 0, 0xFFFFFFFF, 0xC0F3)
        self._cpu.use_spaces(self._space, self._space)
        self._cpu.map_page(self._space, 0, 0, PERM_EXEC)
        self._cpu.map_page(self._space, self.AREA, self.AREA, PERM_WRITE)

    def image(self, source: Interp) -> bytes:
        """What FNSAVE would store for `source`, in the 32-bit protected-mode format."""
        source.give_registers(self._cpu)
        self._run(0, 1)
        return bytes(self._buffer[self.AREA : self.AREA + SIZE])

    def load(self, target: Interp, image: bytes) -> None:
        """Give `target` the unit that FRSTOR makes of an image; nothing else of it changes."""
        eip = target.eip
        target.give_registers(self._cpu)
        self._buffer[self.AREA : self.AREA + SIZE] = image
        self._run(self.RESTORE_AT, 2)
        self._cpu.give_registers(target)
        target.eip = eip

    def registers(self, source: Interp) -> tuple[bytes, ...]:
        """ST0 to ST7 of `source`, ten bytes each."""
        return stack_of(self.image(source))

    def _run(self, eip: int, count: int) -> None:
        self._cpu.eip = eip
        if self._cpu.run(count) != EXIT_BUDGET:
            vector = self._cpu.fault_vector
            raise MonitorBug(f"the scratch processor's x87 instruction faulted: vector {vector}")


def stack_of(image: bytes) -> tuple[bytes, ...]:
    """The registers of an image."""
    return tuple(image[at : at + REGISTER] for at in range(HEADER, SIZE, REGISTER))


@lru_cache(maxsize=1)
def x87_unit() -> X87Unit:
    """One for all machines: it keeps nothing between two calls."""
    return X87Unit()

"""The extension point of the shadow MMU: what to do about a shadow page fault.

A shadow page table holds what the engine may reach right now. When it lacks a page, or the right to
write it, the engine leaves with a page fault, and one of two things is true (Adams and Agesen
2006, section 2.4; SDM vol. 3, chapter 4):

* a *hidden* fault: the guest's own page tables allow the access. The page is entered into the
  shadow, with the accessed and dirty bits that the processor would have set, and the guest never
  hears of it.
* a *true* fault: they do not. The guest's own handler shall see it.

    def fill(fault: Fault, guest: GuestTables, shadow: Shadow) -> bool:
        entry = guest.read(...)
        ...
        shadow.map(frame, writable=True)
        return True                         # hidden; False: true

The monitor goes on from there: it looks whether there is RAM behind the page, withholds the right
to write from pages of user code that it has searched, and raises true faults. `fill` is called only
while CR0.PG is set. Fetches of kernel code do not come here: that code is translated.

Whoever wants the shadow to agree with the guest's tables at all times, and not only at the times
when the architecture demands it of a TLB, *traces* the entries that he has read:

    shadow.trace(address)                   # of an entry, 4 bytes, in fill

    def table_written(address: int, guest: GuestTables, shadow: Shadow) -> None:
        shadow.unmap(linear)                # whatever was made from the entry there
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bt.contract import PERM_GLOBAL, PERM_LARGE, PERM_PRESENT, PERM_WRITE, Engine
from bt.engine import Interp, Ram
from bt.interp.state import CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE
from monitor.vmm.calling import ExtensionFailed, call, nonsense
from monitor.vmm.memory import PAGE, GuestMemory
from monitor.vmm.shadow import HIDDEN_BASE, ShadowMmu

ENTRY = 4  # bytes
M32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Fault:
    """An access that the shadow did not allow."""

    #: The address.
    linear: int
    #: Is it a write?
    write: bool
    #: Is it at CPL 3? Else at CPL 0 to 2.
    user: bool


class GuestTables:
    """The guest's page tables and the registers that say how to read them."""

    def __init__(self, memory: GuestMemory, ideal: Interp) -> None:
        self._memory = memory
        self._ideal = ideal

    @property
    def cr3(self) -> int:
        """Where the page directory is, in bits 12 to 31."""
        return int(self._ideal.cr3)

    @property
    def write_protect(self) -> bool:
        """CR0.WP: does R/W = 0 bind the supervisor, too?"""
        return bool(self._ideal.cr0 & CR0_WP)

    @property
    def large_pages(self) -> bool:
        """CR4.PSE: do page-directory entries with PS = 1 map 4 MiB?"""
        return bool(self._ideal.cr4 & CR4_PSE)

    @property
    def global_pages(self) -> bool:
        """CR4.PGE: does G mean anything?"""
        return bool(self._ideal.cr4 & CR4_PGE)

    def read(self, physical: int) -> int:
        """An entry of a table. Zero, not present, where there is no RAM."""
        _check_entry("read", physical)
        if physical + ENTRY > self._memory.size:
            return 0
        return int.from_bytes(self._memory.read(physical, ENTRY), "little")

    def write(self, physical: int, value: int) -> None:
        """Set accessed and dirty bits."""
        _check_entry("write", physical)
        if physical + ENTRY > self._memory.size:
            raise ExtensionFailed(f"guest.write({physical:#x}, ...): there is no guest RAM there")
        self._memory.write(physical, (value & M32).to_bytes(ENTRY, "little"))


class Shadow:
    """The shadow page tables as `fill` sees them: one for CPL 3, one for the supervisor."""

    def __init__(self, mmu: FilledShadow) -> None:
        self._mmu = mmu
        #: What map() was told of the fault's page: the frame's address, and PERM_*.
        self.mapped: tuple[int, int] | None = None

    def map(
        self, frame: int, *, writable: bool, is_global: bool = False, large: bool = False
    ) -> None:
        """Map the page of the fault's linear address to a frame of 4 KiB, by its address.

        It is mapped for the privilege level that faulted. `large`: the guest maps it as a piece of
        4 MiB, so that INVLPG of any of them drops all.
        """
        if not isinstance(frame, int) or frame & PAGE - 1 or not 0 <= frame <= M32:
            said = f"{frame:#x}" if isinstance(frame, int) else repr(frame)
            raise ExtensionFailed(f"shadow.map({said}): a frame's address is a multiple of 0x1000")
        perm = PERM_PRESENT | PERM_WRITE * bool(writable)
        self.mapped = frame, perm | PERM_GLOBAL * bool(is_global) | PERM_LARGE * bool(large)

    def trace(self, physical: int) -> None:
        """Have `table_written` called whenever the guest writes these 4 bytes."""
        _check_entry("trace", physical)
        self._mmu.trace(physical)

    def unmap(self, linear: int) -> None:
        """Drop the page of a linear address from both shadows."""
        self._mmu.flush_page(linear & M32)


def _check_entry(name: str, physical: int) -> None:
    if not isinstance(physical, int) or physical % ENTRY or not 0 <= physical <= M32:
        said = f"{physical:#x}" if isinstance(physical, int) else repr(physical)
        raise ExtensionFailed(f"{name}({said}): the physical address of a 4-byte entry is wanted")


class FilledShadow(ShadowMmu):
    """A shadow MMU that asks an extension about each page fault, but for PAE's tables."""

    def __init__(
        self,
        memory: GuestMemory,
        ram: Ram,
        ideal: Interp,
        engine: Engine[Any],
        has_device: Callable[[int, int], bool],
        fill: Callable[[Fault, GuestTables, Shadow], bool],
        table_written: Callable[[int, GuestTables, Shadow], None] | None,
    ) -> None:
        super().__init__(memory, ram, ideal, engine, has_device)
        self._fill = fill
        self._table_written = table_written
        self._guest = GuestTables(memory, ideal)
        self._view = Shadow(self)
        self._entries: set[int] = set()  # traced, by physical address
        self.hidden_faults = 0
        self.true_faults = 0
        self.walk = self._ask

    def _ask(self, linear: int, write: bool, user: bool) -> int:
        if not self.ideal.cr0 & CR0_PG or self.ideal.cr4 & CR4_PAE:
            return int(self.ideal.translation(linear, write, user))
        self._view.mapped = None
        hidden = call(self._fill, Fault(linear, write, user), self._guest, self._view)
        if hidden is False:
            self.true_faults += 1
            return -1
        if hidden is not True:
            nonsense(self._fill, f"returned {hidden!r}: True (hidden fault) or False (true fault)")
        return self._entered(linear, write)

    def _entered(self, linear: int, write: bool) -> int:
        if self._view.mapped is None:
            nonsense(self._fill, f"said that {linear:#x} is a hidden fault, and mapped nothing")
        frame, perm = self._view.mapped
        if write and not perm & PERM_WRITE:
            why = f"answered a write to {linear:#x} with a read-only page: it would fault for ever"
            nonsense(self._fill, why)
        self.hidden_faults += 1
        return self.ideal.place(frame | linear & PAGE - 1) << 8 | perm

    @property
    def traced(self) -> int:
        """How many entries are."""
        return len(self._entries)

    def trace(self, physical: int) -> None:
        if self._table_written is None:
            raise ExtensionFailed("shadow.trace(): there is no table_written to be called")
        if physical + ENTRY <= self.memory.size and physical not in self._entries:
            self._entries.add(physical)
            self._frames.trace_writes(physical, ENTRY, True)

    def all_written(self) -> None:
        """Nobody knows any more what was written: tell of every traced entry."""
        for at in sorted(self._entries):
            self.written(at, ENTRY)

    def written(self, physical: int, size: int) -> None:
        """The guest wrote there: tell of each traced entry."""
        if self._table_written is None:
            return
        for at in range(physical & -ENTRY, physical + size, ENTRY):
            if at in self._entries:
                call(self._table_written, at, self._guest, self._view)

    def guest_mappings(self) -> list[tuple[bool, int, int, int]]:
        """What is mapped for the guest: user?, linear page, frame's address, PERM_*."""
        return [
            (name == "user", linear, physical, perm)
            for name, rows in self.mappings().items()
            for linear, physical, perm in rows
            if linear < HIDDEN_BASE
        ]

"""The shadow MMU: what the engine may reach, derived from the guest's page tables.

Two address spaces, one for guest code at CPL 3 and one for CPL 0 to 2, because both run in the
engine's ring 3 but may touch different pages. They are filled on page faults by the same walk that
the bare processor does (accessed and dirty bits included) and are treated as TLBs: what the
architecture lets a TLB keep, they keep; INVLPG, CR3 loads and the rest invalidate.

User pages get execute permission only once they were searched for critical instructions
(bt/user_pages.py). A clean page runs as it is, and cannot be written without another look. In a
page with candidates the engine stops before each instruction that is really one (*audit*); such a
page may be written, because the engine looks at decode time.

Where the monitor lives: the top 8 MiB of the linear address space, mapped for the engine in both
spaces, and kept from the guest by truncated segments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bt.cache import CONTEXT_COUNT
from bt.contract import (
    PERM_EXEC,
    PERM_PINNED,
    PERM_PRESENT,
    PERM_WRITE,
    AddressSpace,
    Engine,
)
from bt.engine import Interp, Ram
from bt.interp.crossing_state import FRAME_IS_AUDITED, FRAME_IS_CLEAN
from bt.policy import CONTEXTS, Context
from bt.user_pages import may_run_directly
from bt.vcpu_page import VCPU_BYTES, VCPU_PAGES, VSYS
from monitor.vmm.memory import PAGE, GuestMemory

HIDDEN_BASE = 0xFF800000  # also the ceiling of truncated segments
TC_BYTES = 0x580000
VCPU_LINEAR = HIDDEN_BASE + TC_BYTES  # one range of VCPU_BYTES for each context
TABLE_BYTES = VCPU_BYTES - VCPU_PAGES
OPEN_BUS = TC_BYTES + VCPU_PAGES + CONTEXT_COUNT * TABLE_BYTES  # a page of ones
HIDDEN_BYTES = OPEN_BUS + PAGE

# Linear address, is it a write, at CPL 3? Place << 8 | PERM_*, or -1: a true fault.
Walk = Callable[[int, bool, bool], int]

FLIPS = 8  # changes between written and executed before a page stays both, and is audited


class ShadowMmu:
    """Owner of the engine's address spaces."""

    def __init__(
        self,
        memory: GuestMemory,
        ram: Ram,
        ideal: Interp,
        engine: Engine[Any],
        has_device: Callable[[int, int], bool],
    ) -> None:
        """`has_device(address, size)`: does a device answer in this physical range?"""
        self.memory = memory
        self.has_device = has_device
        ones = self.physical(OPEN_BUS)
        memory.buffer[ones : ones + PAGE] = b"\xff" * PAGE
        self.ram = ram
        self.ideal = ideal
        self.walk: Walk = ideal.translation  # how a guest's page tables are read
        self.engine = engine
        self.kernel: AddressSpace = engine.new_space()
        self.user: AddressSpace = engine.new_space()
        self._frames = engine.memory()
        self._flips: dict[int, int] = {}
        self.searched = bytearray(1 << 20)  # for each frame: FRAME_IS_*
        self.fills = 0
        self.flushes = 0
        self.hidden = 0  # accesses that met the monitor's region
        self.held = bytearray(CONTEXT_COUNT)  # by context, 1: the page of VSYS is read-only
        self._map_hidden()

    def _map_hidden(self) -> None:
        """The monitor's pages: pinned in both spaces, behind the guest's RAM physically."""
        for offset in range(0, TC_BYTES, PAGE):
            for space in (self.kernel, self.user):
                perm = PERM_PINNED | PERM_EXEC
                self.engine.map_page(space, HIDDEN_BASE + offset, self.physical(offset), perm)
        for context in CONTEXTS:
            for offset in range(0, VCPU_BYTES, PAGE):
                self._map_vcpu(context, offset, PERM_WRITE)

    def _map_vcpu(self, context: Context, offset: int, perm: int) -> None:
        """A page of a context's view: the shared vCPU pages, then its tables of landings."""
        physical = self.physical(TC_BYTES + offset)
        if offset >= VCPU_PAGES:
            physical += context.number * TABLE_BYTES
        space = self.user if context.user else self.kernel
        linear = vcpu_linear(context) + offset
        self.engine.unmap_page(space, linear)
        self.engine.map_page(space, linear, physical, PERM_PINNED | perm)

    def hold_interrupt_flag(self, context: Context, held: bool) -> None:
        """While an interrupt waits for IF, the page of VSYS is read-only.

        So a stub that would set IF faults, and the monitor gets to deliver; while none waits, the
        stubs need not look.
        """
        if held != self.held[context.number]:
            self.held[context.number] = held
            self._map_vcpu(context, VSYS, 0 if held else PERM_WRITE)

    def physical(self, offset: int) -> int:
        """The place of an offset in the monitor's memory."""
        return self.memory.monitor + offset

    def fault(self, linear: int, write: bool, fetch: bool, user: bool) -> bool:
        """The engine had no mapping for this access: fill it in if the guest has one.

        False: the fault is the guest's own, or there is no RAM behind the address, or it is the
        monitor's region. The ideal processor shall do the instruction.
        """
        if linear >= HIDDEN_BASE:
            self.hidden += linear < VCPU_LINEAR
            return False
        found = self.walk(linear, write, user)
        if found < 0:
            return False
        pa, perm = found >> 8, found & 0xFF & ~PERM_EXEC
        if not self._is_ram(pa):
            return not write and not fetch and self._map_open_bus(linear, pa, user)
        frame = pa >> 12
        if fetch:
            self._search(frame)
        elif write and self.searched[frame] == FRAME_IS_CLEAN:
            self._written(frame)
        if self.searched[frame] == FRAME_IS_CLEAN:
            perm = (perm | PERM_EXEC) & ~PERM_WRITE
        elif self.searched[frame]:
            perm |= PERM_EXEC
        self.fills += 1
        space = self.user if user else self.kernel
        self.engine.map_page(space, linear & -PAGE, pa & -PAGE, perm | PERM_PRESENT)
        return True

    def _map_open_bus(self, linear: int, pa: int, user: bool) -> bool:
        """Nobody answers there: let reads find a page of ones. Writes keep faulting."""
        if self.has_device(pa & 0xFFFFF000, PAGE):
            return False
        space = self.user if user else self.kernel
        self.engine.map_page(space, linear & -PAGE, self.physical(OPEN_BUS), PERM_PRESENT)
        self.fills += 1
        return True

    def mappings(self) -> dict[str, list[tuple[int, int, int]]]:
        """What the shadows hold, by their names: linear address, physical address, PERM_*."""
        spaces = {"kernel": self.kernel, "user": self.user}
        return {name: self.engine.mappings(space) for name, space in spaces.items()}

    def run_anything(self, linear: int) -> bool:
        """Trap mode: map a page of kernel code for execution, unsearched."""
        found = self.ideal.translation(linear, False, False)
        if found < 0 or not self._is_ram(found >> 8):
            return False
        perm = (found & 0xFF) | PERM_EXEC
        self.engine.map_page(self.kernel, linear & -PAGE, found >> 8 & -PAGE, perm)
        self.fills += 1
        return True

    def _is_ram(self, pa: int) -> bool:
        return self.ram.is_ram(pa)

    def _search(self, frame: int) -> None:
        """Before a frame runs as user code: does it hold what may be a critical instruction?"""
        if self.searched[frame]:
            return
        page = self.memory.bytes_at(frame << 12, PAGE)
        if self._flips.get(frame, 0) <= FLIPS and may_run_directly(page, native=False):
            self.searched[frame] = FRAME_IS_CLEAN
            self._forget_frame(frame)  # writable mappings of it must go
        else:
            self.searched[frame] = FRAME_IS_AUDITED
        # Clean frames too: what the ideal processor writes into one passes by its write protection.
        self._frames.audit(frame, True)

    def _written(self, frame: int) -> None:
        """A page of user code is written: it must be searched again before it runs."""
        self.searched[frame] = 0
        self._flips[frame] = self._flips.get(frame, 0) + 1
        self._forget_frame(frame)

    def _forget_frame(self, frame: int) -> None:
        """Drop every mapping of a frame; page faults will bring it back as it may now be."""
        self.engine.unmap_frame(self.user, frame)
        self.engine.unmap_frame(self.kernel, frame)

    def statistics(self) -> dict[str, int]:
        return {
            "fills": self.fills,
            "flushes": self.flushes,
            "hidden_region_accesses": self.hidden,
            "pages_clean": self.searched.count(FRAME_IS_CLEAN),
            "pages_audited": self.searched.count(FRAME_IS_AUDITED),
        }

    def flush(self, keep_global: bool) -> None:
        self.flushes += 1
        self.kernel.flush(keep_global)
        self.user.flush(keep_global)

    def flush_page(self, linear: int) -> None:
        if linear < HIDDEN_BASE:
            self.engine.invalidate_shadow(self.kernel, linear)
            self.engine.invalidate_shadow(self.user, linear)


def vcpu_linear(context: Context) -> int:
    """Where a context's reserved segment register finds the vCPU pages and its landings."""
    return VCPU_LINEAR + context.number * VCPU_BYTES

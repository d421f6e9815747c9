"""The guest's instructions as text, found through the page tables that they ran under.

Code may rewrite itself, so the bytes are those that the processor noted when they ran. Where it
noted none they are read from memory: of translated code, whose notes are always taken before it is
written, and of an instruction's second page.
"""

from __future__ import annotations

from bt.engine import Ram
from bt.interp.paging import PTE_P, PTE_PS
from bt.interp.state import TRACE_PAGING, TRACE_WIDE
from monitor.vmm.memory import PAGE, GuestMemory
from monitor.watch.disassembly import CodeLine, one

LONGEST = 15
MOST_KEPT = 1 << 16


class GuestCode:
    def __init__(self, memory: GuestMemory, ram: Ram) -> None:
        self._memory = memory
        self._ram = ram
        self._pages: dict[tuple[int, int], int] = {}  # CR3 and linear page -> physical, or -1
        self._lines: dict[tuple[int, bytes, bool], CodeLine] = {}

    def look_anew(self) -> None:
        """The page tables may have changed."""
        self._pages.clear()

    def at(self, eip: int, root: int, known: bytes = b"") -> CodeLine:
        """The instruction at EIP; `root` is a TRACE_* word (bt/interp/state.py).

        `known`: its bytes, which hold as far as its first page goes.
        """
        linear = (root >> 32) + eip & 0xFFFFFFFF
        code = known if linear % PAGE <= PAGE - LONGEST else b""
        if not code:
            code = self._bytes(linear, root)
            code = known[: PAGE - linear % PAGE] + code[PAGE - linear % PAGE :] if known else code
        key = (eip, code, bool(root & TRACE_WIDE))
        found = self._lines.get(key)
        if found is None:
            if len(self._lines) >= MOST_KEPT:
                self._lines.clear()
            found = self._lines[key] = one(code, eip, key[2])
        return found

    def _bytes(self, linear: int, root: int) -> bytes:
        head = min(LONGEST, PAGE - linear % PAGE)
        code = self._piece(linear, head, root)
        if head < LONGEST and len(code) == head:
            code += self._piece(linear + head & 0xFFFFFFFF, LONGEST - head, root)
        return code

    def _piece(self, linear: int, size: int, root: int) -> bytes:
        """Bytes within one page; none where there is no RAM."""
        key = (root & 0xFFFFFFFF, linear // PAGE)
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = self._page(linear, root)
        return b"" if page < 0 else self._memory.read(page + linear % PAGE, size)

    def _page(self, linear: int, root: int) -> int:
        """Physical address of a linear page, by a walk without side effects."""
        page = linear & -PAGE
        if root & TRACE_PAGING:
            entry = self._entry((root & 0xFFFFF000) + (linear >> 22) * 4)
            if entry & PTE_PS:
                page = (entry & 0xFFC00000) + (linear & 0x3FF000)
            else:
                entry = entry and self._entry((entry & 0xFFFFF000) + (linear >> 12 & 0x3FF) * 4)
                page = entry & 0xFFFFF000
            if not entry:
                return -1
        return page if self._holds(page) else -1

    def _entry(self, address: int) -> int:
        """A paging entry; 0 if it is not present."""
        if not self._holds(address):
            return 0
        entry = int.from_bytes(self._memory.read(address, 4), "little")
        return entry if entry & PTE_P else 0

    def _holds(self, address: int) -> bool:
        return address + PAGE <= self._memory.size and self._ram.is_ram(address)

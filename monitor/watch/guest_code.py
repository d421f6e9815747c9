"""The guest's instructions as text, found through the page tables that they ran under.

Code may rewrite itself, so the bytes are those that the processor noted when they ran. Where it
noted none they are read from memory: of translated code, whose notes are always taken before it is
written, and of an instruction's second page.
"""

from __future__ import annotations

from bt.engine import Interp, Ram
from bt.interp.state import RECORD_PAE, RECORD_PAGING, RECORD_WIDE
from monitor.vmm.memory import PAGE, GuestMemory
from monitor.watch.disassembly import CodeLine, one

LONGEST = 15
MOST_KEPT = 1 << 16


class GuestCode:
    def __init__(self, cpu: Interp, memory: GuestMemory, ram: Ram) -> None:
        self._cpu = cpu
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
        key = (eip, code, bool(root & RECORD_WIDE))
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
        return b"" if page < 0 else self._memory.bytes_at(page + linear % PAGE, size)

    def _page(self, linear: int, root: int) -> int:
        """The place of a linear page of memory, by a walk without side effects; or -1."""
        page = int(self._cpu.place(linear & -PAGE))
        if root & RECORD_PAGING:
            page = int(
                self._cpu.peek_entry(linear, root & 0xFFFFFFE0, bool(root & RECORD_PAE))
            ) & -PAGE
        return page if self._holds(page) else -1

    def _holds(self, place: int) -> bool:
        return bool(self._ram.is_ram(place))

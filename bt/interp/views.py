"""Memory, page tables and instructions as a processor sees them, for Python to look at.

The second part of `Interp` (interp.py). What is called peek_ has no effect that a guest could find.
"""

from __future__ import annotations

from bt.interp.decode import SH_MODRM, decode, op_ends, op_shape
from bt.interp.dialect import (
    M32,
    i64,
    op_at,
    shape_table,
    state,
    u32,
    u64,
)
from bt.interp.memory import ea, read_linear
from bt.interp.pae import (
    any_peek,
    load_pointers,
    pae_page_bits,
    pae_paging,
    pae_peek_last,
    pae_peek_top,
    peek_at,
)
from bt.interp.paging import (
    find_place,
    flush_page,
    flush_tlb,
)
from bt.interp.physical import on_board, phys_read, phys_write, place_of
from bt.interp.registers import A20_CLOSED, Registers
from bt.interp.state import (
    ACC_READ,
    ACC_USER,
    ACC_WRITE,
    CR0_PG,
    CR4_PAE,
    H_FIRST,
)
from bt.interp.walk import (
    PTE_A,
    PTE_G,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
    last_entry,
    maps_large,
    page_bits,
    top_entry,
)


@state
class Views(Registers):
    """What `Interp` tells of memory."""

    # --- physical memory ---------------------------------------------------------------

    def place(self, pa: int) -> int:
        """What a physical address leads to; see physical.py."""
        return on_board(self, pa & M32)

    def read_physical(self, pa: int, size: int) -> int:
        return phys_read(self, pa & M32, size)

    def write_physical(self, pa: int, size: int, value: int) -> None:
        phys_write(self, pa & M32, size, value & M32)

    def set_a20(self, enabled: bool) -> None:
        """The A20 gate: closed, physical address bit 20 is always 0."""
        self.a20_mask = M32 if enabled else A20_CLOSED
        flush_tlb(self, 0)

    # --- linear memory and the guest's tables ------------------------------------------

    def peek_address(self, la: int) -> int:
        """The physical address that a linear one leads to, behind the A20 gate; -1: not mapped.

        Without faults or accessed bits.
        """
        if self.cr0 & CR0_PG == 0:
            return la & self.a20_mask
        found = any_peek(self, la & M32)
        if found < 0:
            return -1
        at: u64 = found & 0xFFFFFF000
        if at > M32:
            return at | la & 0xFFF
        return (at | la & 0xFFF) & self.a20_mask

    def peek_translation(self, la: int) -> int:
        """The place of a linear address, without faults or accessed bits; -1: not mapped.

        As on_board() has it, like translation() and peek_entry(): see physical.py.
        """
        address = self.peek_address(la & M32)
        return -1 if address < 0 else place_of(self, address)

    def peek_entry(self, la: int, root: int = -1, wide: bool = False) -> int:
        """What the tables say of a linear page, without faults or accessed bits; -1: not mapped.

        The frame's place, and below it page_bits(). By the tables that CR3 names if paging is on,
        or, at any time, by those of another `root`, which are PAE's if `wide`.
        """
        if root < 0 and self.cr0 & CR0_PG == 0:
            return on_board(self, la & 0xFFFFF000) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_G
        found: i64 = 0
        if root < 0:
            found = any_peek(self, la & M32)
        else:
            found = peek_at(self, root & M32, la & M32, 1 if wide else 0)
        if found < 0:
            return -1
        at: u64 = place_of(self, found & 0xFFFFFF000)
        return at | found & 0xFFF

    def peek_tables(self) -> list[tuple[int, int, int]]:
        """All that the tables that CR3 names map: linear address, number of pages, page_bits().

        Their frame's address is as it stands in the tables, that of the first one of many.
        """
        if self.cr4 & CR4_PAE:
            return self.peek_pae_tables()
        found: list[tuple[int, int, int]] = []
        for number in range(1024):
            region: u32 = number << 22
            top = top_entry(self, self.cr3, region, 1)
            if top & PTE_P == 0:
                continue
            large = maps_large(self, top)
            for i in range(1 if large else 1024):
                la: u32 = region | i << 12
                bits = page_bits(self, la, top, last_entry(self, top, la, 1))
                if bits >= 0:
                    found.append((la, 1024 if large else 1, bits))
        return found

    def peek_pae_tables(self) -> list[tuple[int, int, int]]:
        """The same for PAE's tables, of which an entry at the top maps 512 pages."""
        found: list[tuple[int, int, int]] = []
        for number in range(2048):
            region: u32 = number << 21
            top = pae_peek_top(self, region, self.pdpte[number >> 9])
            if top & PTE_P == 0:
                continue
            large = top & PTE_PS
            for i in range(1 if large else 512):
                la: u32 = region | i << 12
                bits = pae_page_bits(self, la, top, pae_peek_last(self, la, top))
                if bits >= 0:
                    found.append((la, 512 if large else 1, bits))
        return found

    def reload_pointers(self) -> None:
        """The embedder changed a control register: read PAE's pointer entries if they count.

        Those with reserved bits, which no MOV could have loaded, leave the ones before.
        """
        if pae_paging(self):
            load_pointers(self, self.cr3)

    def read_linear_memory(self, la: int, size: int, user: bool = False) -> int:
        """Read 1, 2 or 4 bytes as the processor would; -1 if that faults (nothing is raised)."""
        keep = self.cr2
        hit = self.wp_hit
        value = read_linear(self, la & M32, size, ACC_USER if user else ACC_READ)
        self.wp_hit = hit
        if value < 0:
            self.cr2 = keep
        return value

    def translation(self, la: int, write: bool = False, user: bool = False) -> int:
        """Walk the guest's tables as an access would: place << 8 | PERM_*, or -1.

        Sets accessed and dirty bits; a failed walk changes nothing, CR2 included. The A20 gate has
        its say.
        """
        access: u32 = (ACC_WRITE if write else 0) | (ACC_USER if user else 0)
        return find_place(self, la & M32, access)

    def invalidate(self, la: int) -> None:
        flush_page(self, la & M32)

    def flush(self) -> None:
        flush_tlb(self, 0)

    # --- decoded instructions ----------------------------------------------------------

    def survey(self, pa: int, eip: int, available: int, most: int) -> list[tuple[int, ...]]:
        """Decode up to `most` instructions of guest code at pa, as far as `available` bytes go.

        Each is (eip, length, opcode * 8 + ModRM.reg, ModRM, immediate, operand size, prefixes used:
        rep | address-size-differs << 8, segment, 1 if it never falls through).
        Stops after one that never falls through.
        """
        found: list[tuple[int, ...]] = []
        op = op_at(self.mem.blocks.scratch, 0)
        at: u32 = eip
        used: u32 = 0
        while len(found) < most and used < available:
            self.fetch_host = self.mem.host + pa + used
            self.fetch_avail = available - used
            length: u32 = decode(self, op, at)
            if self.fetch_short:
                break
            entry: u32 = op.opcode * 8
            if shape_table(entry) & SH_MODRM:
                entry += (op.modrm >> 3) & 7
            if op.handler < H_FIRST:
                entry = 0xFFFF
            wide: u32 = 0x100 if op.amask != M32 else 0
            ends = op_ends(op)
            rep = op.rep | wide
            found.append((at, length, entry, op.modrm, op.imm, op.size, rep, op.seg, ends))
            if op_ends(op):
                break
            used += length
            at = op.next_eip
        return found

    def operand_linear(self, pa: int) -> int:
        """Linear address of the memory operand of the instruction at EIP, whose bytes are at pa.

        -1: it has none (or crosses the page).
        """
        op = op_at(self.mem.blocks.scratch, 0)
        self.fetch_host = self.mem.host + pa
        self.fetch_avail = 0x1000 - (pa & 0xFFF)
        decode(self, op, self.eip)
        if self.fetch_short or op_shape(op) & SH_MODRM == 0 or op.modrm >= 0xC0:
            return -1
        return (ea(self, op) + self.seg_base[op.seg]) & M32

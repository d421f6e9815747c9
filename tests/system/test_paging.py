"""Paging: protection, error codes, accessed and dirty bits, page sizes (SDM vol. 3, ch. 4).

The first MiB is mapped 1:1 by 4 KiB pages: directory at 0x80000, its table at 0x81000. Linear
4 MiB upwards is free for what a test needs.
"""

from __future__ import annotations

import random

import pytest
from system_lab import (
    CODE,
    CODE0,
    DATA,
    DATA0,
    DF,
    EAX,
    EBP,
    EBX,
    ECX,
    ESP,
    EXIT_SHUTDOWN,
    FLAG_RF,
    HANDLERS,
    IDT,
    LDT,
    PF,
    STACK0,
    Lab,
    descriptor,
    gate,
)

from bt.interp.state import MAP_MEMORY, OUTSIDE

DIRECTORY, TABLE = 0x80000, 0x81000
P, W, U, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
CR4_PSE = 0x10
HIGH = 0x400000
TABLES, PARTS = ("gdtr", "idtr"), ("base", "limit")


def entry(la: int) -> int:
    """Where the page-table entry of a linear address in the first MiB is."""
    return TABLE + (la >> 12) * 4


@pytest.fixture
def paged(lab: Lab) -> Lab:
    for page in range(256):
        lab.dword(TABLE + page * 4, page << 12 | P | W | U)
    lab.dword(DIRECTORY, TABLE | P | W | U)
    lab.cpu.cr3 = DIRECTORY
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()
    return lab


@pytest.mark.parametrize(
    ("rights", "cpl", "write_protect", "code", "error"),
    [
        (P | W | U, 3, 0, "mov [{0}], eax", None),
        (P | W | U, 3, 0, "mov eax, [{0}]", None),
        (P | U, 3, 0, "mov eax, [{0}]", None),
        (P | U, 3, 0, "mov [{0}], eax", 7),
        (P | U, 3, 0, "inc dword ptr [{0}]", 7),
        (P | W, 3, 0, "mov eax, [{0}]", 5),
        (P | W, 3, 0, "mov [{0}], eax", 7),
        (W | U, 3, 0, "mov eax, [{0}]", 4),
        (W | U, 3, 0, "mov [{0}], eax", 6),
        (W | U, 0, 0, "mov eax, [{0}]", 0),
        (W | U, 0, 0, "mov [{0}], eax", 2),
        (P, 0, 0, "mov eax, [{0}]", None),
        (P, 0, 0, "mov [{0}], eax", None),  # CR0.WP = 0: ring 0 writes everywhere
        (P, 0, 1, "mov [{0}], eax", 3),
        (P | U, 0, 1, "mov [{0}], eax", 3),
        (P, 0, 1, "mov eax, [{0}]", None),
    ],
)
@pytest.mark.parametrize("level", ["table", "directory"])
def test_protection(
    paged: Lab, level: str, rights: int, cpl: int, write_protect: int, code: str, error: int | None
) -> None:
    """The same rights in the table entry or, for a page of its own, in the directory entry."""
    if level == "table":
        paged.dword(entry(DATA), DATA | rights)
        la = DATA
    else:
        paged.dword(DIRECTORY + 4, 0x82000 | rights)
        paged.dword(0x82000, DATA | P | W | U)
        la = HIGH
    paged.cpu.cr0 |= 0x10000 if write_protect else 0
    paged.ring(cpl)
    stop = paged.run(code.format(la + 4), budget=1 if error is None else 10)
    if error is None:
        assert paged.cpu.eip > CODE
        return
    assert (stop.vector, stop.error) == (PF, error)
    assert paged.cpu.cr2 == la + 4
    assert stop.frame[1] == CODE
    assert stop.frame[3] & FLAG_RF


def test_accessed_and_dirty_bits(paged: Lab) -> None:
    at = entry(DATA)
    paged.run(f"nop; mov eax, [{DATA}]")
    assert paged.peek(at) & (A | D) == A
    assert paged.peek(DIRECTORY) & A
    paged.run(f"mov eax, [{DATA}]; mov [{DATA}], eax")
    assert paged.peek(at) & (A | D) == A | D
    assert paged.peek(entry(CODE)) & (A | D) == A, "fetching only marks accessed"


def test_a_faulting_access_sets_no_bits(paged: Lab) -> None:
    paged.dword(entry(DATA), DATA | P | U)
    paged.ring(3).run(f"mov [{DATA}], eax")
    assert paged.peek(entry(DATA)) & (A | D) == 0


def test_write_sets_dirty_though_a_read_filled_the_tlb(paged: Lab) -> None:
    paged.run(f"mov eax, [{DATA}]; mov eax, [{DATA + 8}]; inc dword ptr [{DATA}]")
    assert paged.peek(entry(DATA)) & D


def test_descriptor_accessed_bit_write_goes_through_paging(paged: Lab) -> None:
    """Loading a segment in ring 3 writes the GDT as supervisor."""
    paged.dword(entry(0x1000), 0x1000 | P | W)
    paged.describe(0xC0, descriptor(0, 0xFFFF, 0x40F2))
    paged.cpu.set_reg(EAX, 0xC3)
    paged.ring(3).run("mov ds, ax", budget=1)
    assert paged.attr(0xC0) & 1
    assert paged.peek(entry(0x1000)) & D


def test_large_pages(paged: Lab) -> None:
    paged.cpu.cr4 = CR4_PSE
    paged.dword(DIRECTORY + 4, P | W | PS)
    paged.dword(DATA, 0x1234)
    paged.run(f"mov eax, [{HIGH + DATA}]; mov [{HIGH + DATA + 4}], eax")
    assert paged.peek(DATA + 4) == 0x1234
    assert paged.peek(DIRECTORY + 4) == P | W | PS | A | D


def test_ps_means_nothing_without_pse(paged: Lab) -> None:
    paged.dword(DIRECTORY + 4, 0x82000 | P | W | PS)
    paged.dword(0x82000, DATA | P | W)
    paged.dword(DATA, 0x5678)
    paged.run(f"mov ebx, [{HIGH}]")
    assert paged.reg(EBX) == 0x5678


def test_reserved_bits_of_a_large_page(paged: Lab) -> None:
    paged.cpu.cr4 = CR4_PSE
    paged.dword(DIRECTORY + 4, 0x2000 | P | W | PS)
    stop = paged.run(f"mov ebx, [{HIGH}]")
    assert (stop.vector, stop.error) == (PF, 9)


def test_fetch_from_an_absent_page(paged: Lab) -> None:
    stop = paged.run(f"mov eax, {HIGH + 0x123}; jmp eax")
    assert (stop.vector, stop.error) == (PF, 0)
    assert stop.frame[1] == paged.cpu.cr2 == HIGH + 0x123


def test_instruction_across_two_pages(paged: Lab) -> None:
    """The second page is absent: CR2 names it, EIP the instruction's start."""
    at = CODE + 0xFFE
    paged.memory[at : at + 5] = b"\xb8\x01\x02\x03\x04"
    paged.dword(entry(CODE + 0x1000), 0)
    stop = paged.run(f"jmp {at}")
    assert (stop.vector, stop.error) == (PF, 0)
    assert (stop.frame[1], paged.cpu.cr2) == (at, CODE + 0x1000)
    paged.dword(entry(CODE + 0x1000), (CODE + 0x1000) | P)
    paged.memory[CODE + 0x1003] = 0xF4
    paged.run(f"jmp {at}")
    assert paged.reg(EAX) == 0x04030201


def test_data_across_two_pages_moves_all_or_nothing(paged: Lab) -> None:
    paged.dword(entry(DATA + 0x1000), 0)
    paged.dword(DATA + 0xFFC, 0x11223344)
    paged.cpu.set_reg(EAX, 0xFFFFFFFF)
    stop = paged.run(f"mov [{DATA + 0xFFE}], eax")
    assert (stop.vector, stop.error) == (PF, 2)
    assert paged.cpu.cr2 == DATA + 0x1000
    assert paged.peek(DATA + 0xFFC) == 0x11223344


def test_pages_need_not_be_neighbours(paged: Lab) -> None:
    paged.dword(DIRECTORY + 4, 0x82000 | P | W)
    paged.dword(0x82000, 0x35000 | P | W, 0x33000 | P | W)
    paged.run(f"mov eax, 0x44332211; mov [{HIGH + 0xFFE}], eax; mov ebx, [{HIGH + 0xFFE}]")
    assert paged.peek(0x35FFE, 2) == 0x2211
    assert paged.peek(0x33000, 2) == 0x4433
    assert paged.reg(EBX) == 0x44332211


def test_push_that_faults_leaves_esp(paged: Lab) -> None:
    """The handler runs in ring 0 on its own stack, so the bad one may be ring 3's."""
    paged.ring(3).cpu.set_reg(ESP, HIGH)
    paged.dword(entry(0xFF000), 0xFF000)
    paged.cpu.set_reg(ESP, 0x100000)
    stop = paged.run("push eax")
    assert (stop.vector, stop.error) == (PF, 6)
    assert stop.frame[4] == 0x100000


def test_page_fault_while_delivering_a_page_fault(paged: Lab) -> None:
    """Ring 0's stack is absent: double fault, and as that needs the stack too, shutdown."""
    paged.dword(entry(STACK0 - 4), 0)
    stop = paged.ring(3).run(f"mov eax, [{HIGH}]")
    assert stop.reason == EXIT_SHUTDOWN
    assert paged.cpu.cr2 == STACK0 - 4


def test_page_fault_on_the_idt_while_delivering_one(paged: Lab) -> None:
    """The #PF gate lies on an absent page, that of #DF before it does not."""
    base = 0x3F000 - PF * 8
    paged.memory[base : base + 0x180] = paged.memory[IDT : IDT + 0x180]
    paged.cpu.idtr_base = base
    paged.dword(entry(0x3F000), 0)
    stop = paged.run(f"nop; mov eax, [{HIGH}]")
    assert (stop.vector, stop.error) == (DF, 0)
    assert stop.frame[1:3] == [CODE + 1, CODE0]
    assert paged.cpu.cr2 == 0x3F000


def test_page_fault_while_delivering_a_contributory_exception(paged: Lab) -> None:
    """They are handled in turn (SDM vol. 3, table 6-5): #GP's gate is absent, #PF's is not."""
    base = 0x3F000 - PF * 8
    paged.memory[base : base + 0x180] = paged.memory[IDT : IDT + 0x180]
    paged.cpu.idtr_base = base
    paged.dword(entry(0x3E000), 0)
    stop = paged.run("nop; mov eax, 0x100; mov ds, ax")
    assert (stop.vector, stop.error) == (PF, 0)
    assert stop.frame[1:3] == [CODE + 6, CODE0]
    assert paged.cpu.cr2 == 0x3F000 - 8


@pytest.mark.parametrize("name", ["lgdt", "lidt", "verr", "verw", "lldt", "ltr", "lmsw"])
def test_operands_of_system_instructions_that_are_absent(paged: Lab, name: str) -> None:
    before = paged.regs(), paged.cpu.gdtr_base, paged.cpu.idtr_base
    size = "" if name in ("lgdt", "lidt") else "word ptr"
    stop = paged.run(f"{name} {size} [{HIGH}]")
    assert (stop.vector, stop.error, paged.cpu.cr2) == (PF, 0, HIGH)
    assert stop.frame[1] == CODE
    assert paged.regs()[:4] == before[0][:4]
    assert (paged.cpu.gdtr_base, paged.cpu.idtr_base) == before[1:]


@pytest.mark.parametrize("name", ["lgdt", "lidt"])
def test_a_table_register_whose_base_is_absent(paged: Lab, name: str) -> None:
    """The limit lies in the page before: nothing is loaded."""
    before = [getattr(paged.cpu, f"{table}_{part}") for table in TABLES for part in PARTS]
    paged.dword(entry(DATA + 0x1000), 0)
    stop = paged.run(f"{name} [{DATA + 0xFFE}]")
    assert (stop.vector, stop.error, paged.cpu.cr2) == (PF, 0, DATA + 0x1000)
    assert stop.frame[1] == CODE
    assert [getattr(paged.cpu, f"{table}_{part}") for table in TABLES for part in PARTS] == before


@pytest.mark.parametrize("code", ["verr ax", "verw ax", "lar ebx, eax", "lsl ebx, eax"])
def test_queries_of_a_descriptor_that_is_absent(paged: Lab, code: str) -> None:
    """The page of the LDT: a page fault of the processor's own, as supervisor."""
    paged.dword(entry(LDT), 0)
    paged.cpu.set_reg(EAX, 0xF)
    stop = paged.ring(3).run(code)
    assert (stop.vector, stop.error, paged.cpu.cr2) == (PF, 0, LDT + 8)
    assert stop.frame[1] == CODE


@pytest.mark.parametrize("below", range(1, 8))
@pytest.mark.parametrize("missing", [0, 0x1000])
def test_popad_across_a_missing_page(paged: Lab, missing: int, below: int) -> None:
    """`below` of its eight doublewords lie in the page below; nothing is popped."""
    paged.dword(entry(DATA + missing), 0)
    for register in (EAX, EBX, ECX):
        paged.cpu.set_reg(register, 0x1234 + register)
    paged.ring(3).cpu.set_reg(ESP, DATA + 0x1000 - 4 * below)
    before = paged.regs()
    stop = paged.run("popad")
    if missing and below == 4:  # the first in the page above is ESP's, which is only skipped
        assert paged.cpu.cr2 in (DATA + 0x1000, DATA + 0x1004)
    else:
        first = DATA + 0x1000 if missing else DATA + 0x1000 - 4 * below
        assert paged.cpu.cr2 in (first, first + 4)
    assert (stop.vector, stop.error, stop.frame[4]) == (PF, 4, before[ESP])
    assert paged.regs()[:4] + paged.regs()[5:] == before[:4] + before[5:]


def test_invlpg_of_an_address_in_a_segment(paged: Lab) -> None:
    """The linear address counts: offset and base."""
    paged.cpu.set_segment(4, DATA0, DATA - 0x20, 0xFFFFFFFF, 0xC093)
    paged.cpu.take_news()
    paged.run(b"\x64\x0f\x01\x3d\x20\0\0\0")  # INVLPG FS:[0x20]
    paged.cpu.take_news()
    assert paged.cpu.told_pages() == [DATA]
    paged.run(f"mov ebx, [{DATA}]")
    paged.dword(entry(DATA), 0)
    assert paged.run(b"\x64\x0f\x01\x3d\x20\0\0\0" + b"\xa1\0\0\3\0").vector == PF


@pytest.mark.parametrize("missing", [None, 0, 0x1000])
def test_ins_across_two_pages_asks_before_it_reads(paged: Lab, missing: int | None) -> None:
    """What the device has given away could not be read again."""
    paged.ports.values = {0x1F0: 0x44332211}
    if missing is not None:
        paged.dword(entry(DATA + missing), 0)
    stop = paged.run(f"mov edx, 0x1f0; mov edi, {DATA + 0xFFE}; insd")
    if missing is None:
        assert (stop.vector, paged.peek(DATA + 0xFFE)) == (None, 0x44332211)
        assert len(paged.ports.seen) == 1
    else:
        assert (stop.vector, stop.error) == (PF, 2)
        assert paged.cpu.cr2 == DATA + (missing or 0xFFE)
        assert paged.ports.seen == []


def test_enter_whose_last_push_faults(paged: Lab) -> None:
    """EBP went to the page above: ESP and EBP are as before, and it can be restarted."""
    paged.dword(entry(DATA), 0)
    paged.ring(3).cpu.set_reg(ESP, DATA + 0x1004)
    paged.cpu.set_reg(EBP, 0x1234)
    stop = paged.run("enter 0, 1")
    assert (stop.vector, stop.error, paged.cpu.cr2) == (PF, 6, DATA + 0xFFC)
    assert (stop.frame[1], stop.frame[4], paged.reg(EBP)) == (CODE, DATA + 0x1004, 0x1234)


def test_interrupted_stack_page_is_checked_as_supervisor(paged: Lab) -> None:
    """Ring 0's stack may be on a supervisor page while ring 3 runs."""
    paged.dword(entry(STACK0 - 4), 0x8000 | P | W)
    paged.idt(0x20, gate(14, CODE0, HANDLERS + 0x200, dpl=3))
    stop = paged.ring(3).run(b"\xcd\x20")
    assert stop.vector == 0x20


def test_linear_addresses_wrap(paged: Lab) -> None:
    paged.dword(DIRECTORY + 0xFFC, 0x82000 | P | W)
    paged.dword(0x82FFC, DATA | P | W)
    paged.dword(DATA + 0xFFC, 0x11223344)
    paged.dword(0, 0x55667788)
    paged.cpu.set_segment(4, DATA0, 0xFFFFFF00, 0xFFFFFFFF, 0xC093)
    paged.run("mov ebx, fs:[0xfc]; mov ecx, fs:[0xfe]")
    assert paged.reg(EBX) == 0x11223344
    assert paged.reg(ECX) == 0x77881122


def test_rmw_on_a_read_only_page_faults_as_a_write(paged: Lab) -> None:
    paged.dword(entry(DATA), DATA | P | U)
    stop = paged.ring(3).run(f"xadd [{DATA}], eax")
    assert (stop.vector, stop.error) == (PF, 7)


def test_a20_gate(lab: Lab) -> None:
    """Closed, address bit 20 is lost: 1 MiB + x is x."""
    lab.dword(0x500, 0xA20)
    lab.cpu.set_a20(False)
    lab.run("mov ebx, [0x100500]")
    lab.cpu.set_a20(True)
    lab.run("mov ecx, [0x100500]")
    assert (lab.reg(EBX), lab.reg(ECX)) == (0xA20, 0xFFFFFFFF)


def test_what_a_monitor_asks_of_the_walk(paged: Lab) -> None:
    """A walk that fails says so, and leaves CR2 alone; one that succeeds sets the bits."""
    cpu = paged.cpu
    cpu.cr2 = 0x1234
    paged.dword(entry(0x50000), 0)
    assert cpu.translation(0x50123, False, False) == -1
    assert cpu.translation(0x60123, True, True) >> 8 == 0x60123
    assert paged.peek(entry(0x60000)) == 0x60000 | P | W | U | A | D
    assert cpu.peek_translation(0x50123) == -1 and cpu.peek_entry(0x50123) == -1
    assert cpu.cr2 == 0x1234


def test_the_gate_and_the_window_are_behind_the_walk(paged: Lab) -> None:
    """A20 closed, and physical memory that shows another part: the monitor is told where it is."""
    cpu = paged.cpu
    paged.dword(entry(0x50000), 0x150000 | P | W | U)
    paged.dword(entry(0x51000), 0xFFFF1000 | P | W | U)
    paged.ram.map_frames(0xFFFF0, 16, 0x20, MAP_MEMORY)
    cpu.set_a20(False)
    assert cpu.peek_translation(0x50004) == 0x50004 == cpu.translation(0x50004) >> 8
    cpu.set_a20(True)
    outside = OUTSIDE | 0x150004  # no memory, but a device, or nobody
    assert cpu.peek_translation(0x50004) == outside == cpu.translation(0x50004) >> 8
    assert cpu.peek_address(0x50004) == 0x150004
    assert cpu.peek_translation(0x51004) == 0x21004 == cpu.translation(0x51004) >> 8
    assert cpu.peek_entry(0x51004) >> 12 == 0x21
    cpu.cr0 &= ~0x80000000
    cpu.flush()
    assert cpu.translation(0xFFFF0010) >> 8 == 0x20010 == cpu.peek_translation(0xFFFF0010)
    outside = OUTSIDE | 0xFFFEFFFF
    assert cpu.translation(0xFFFEFFFF) >> 8 == outside == cpu.peek_translation(0xFFFEFFFF)
    assert cpu.peek_address(0xFFFF0010) == 0xFFFF0010 and cpu.place(0xFFFF0010) == 0x20010


def expected(lab: Lab, root: int, la: int) -> int:
    """What a walk finds, from the manual (SDM vol. 3, tables 4-4 to 4-6): -1, or address | bits."""
    pde = lab.peek(root + (la >> 22) * 4)
    if not pde & P:
        return -1
    if pde & PS:
        if pde & 0x3FE000:
            return -1
        return pde & 0xFFC00000 | la & 0x3FF000 | pde & (P | W | U | A | D | PS | G)
    table = pde & 0xFFFFF000
    pte = lab.peek(table + (la >> 12 & 0x3FF) * 4) if table < lab.SIZE else 0
    if not pte & P:
        return -1
    return pte & 0xFFFFF000 | pte & (D | G) | pte & pde & (P | W | U | A)


def test_who_only_looks_finds_what_the_walk_finds(paged: Lab) -> None:
    """Random tables, two sets of them: page by page, all at once, and with accessed bits or not."""
    dice = random.Random(1)
    cpu, roots = paged.cpu, (0x40000, 0x41000)
    cpu.cr4 |= 0x90  # PSE, PGE
    places = (0x42000, 0x43000, 0xFFFFF000)
    own = 1023  # the entry by which a directory is its own page table
    for root in roots:
        for i in range(1024):
            bits = dice.getrandbits(8) | dice.choice([0, P, P, P]) | dice.getrandbits(1) << 8
            large = dice.getrandbits(10) << 22 | (dice.getrandbits(1) << 13 if i % 5 == 0 else 0)
            paged.dword(root + 4 * i, (large if bits & PS else dice.choice(places)) | bits)
        paged.dword(root + 4 * own, root | P | W | U)
    for at in range(0x42000, 0x44000, 4):
        paged.dword(at, dice.getrandbits(32) & 0xFFFFF1FF)
    before = bytes(paged.memory)
    sample = [dice.getrandbits(32) for _ in range(3000)]
    sample += [0xFFFFFFFF, 0xFFC00000, *(0xFFC00000 | dice.getrandbits(22) for _ in range(100))]
    for root in roots:
        cpu.cr3 = root
        other = roots[0] + roots[1] - root
        for la in sample:
            for tables, found in ((root, cpu.peek_entry(la)), (other, cpu.peek_entry(la, other))):
                address = found & ~OUTSIDE if found >= 0 else found
                assert address == expected(paged, tables, la)
        shown = {
            la + 4096 * i: bits + 4096 * i
            for la, pages, bits in cpu.peek_tables()
            for i in range(pages)
        }
        for la in sample:
            assert shown.get(la & -4096, -1) == expected(paged, root, la)
    assert bytes(paged.memory) == before
    assert paged.ports.seen == []
    cpu.cr0 &= ~0x10000  # no write protection: only what is not present faults
    for la in sample[-500:]:
        pde = paged.peek(cpu.cr3 + (la >> 22) * 4)
        if not pde & PS and pde > paged.SIZE:
            continue  # the processor asks the bus
        want, found = expected(paged, cpu.cr3, la), cpu.translation(la)
        place = found >> 8 & ~OUTSIDE if found >= 0 else -1
        assert place == (-1 if want < 0 else want & -4096 | la & 0xFFF)
        if want >= 0:
            assert cpu.peek_entry(la) & ~(A | D | OUTSIDE) == want & ~(A | D)

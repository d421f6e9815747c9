"""Physical address extension and PSE-36: walks, reserved bits, pointers (SDM vol. 3, 4.3, 4.4).

The first MiB is mapped 1:1 by 4 KiB pages: pointers at 0x83000, directory at 0x80000, its table at
0x81000. Linear 2 MiB upwards is free for what a test needs.
"""

from __future__ import annotations

import random

import pytest
import system_lab
from system_lab import CODE, CODE0, DATA, DATA0, EAX, EBX, GP, PF, TSS_TWO, TWO_TSS, Lab

from bt.interp.state import NOWHERE
from bt.models import MODELS

POINTERS, DIRECTORY, TABLE = 0x83000, 0x80000, 0x81000
P, W, U, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
PE, WP, PG = 1, 0x10000, 0x80000000
PSE, PAE, PGE = 0x10, 0x20, 0x80
HIGH = 0x200000  # the second entry of the directory
RSVD = 8
RESERVED_HIGH = [1 << bit for bit in range(36, 64)]


def put(lab: Lab, at: int, entry: int) -> None:
    lab.dword(at, entry & 0xFFFFFFFF, entry >> 32)


def get(lab: Lab, at: int) -> int:
    return lab.peek(at, 8)


def entry(la: int) -> int:
    """Where the page-table entry of a linear address in the first 2 MiB is."""
    return TABLE + (la >> 12) * 8


@pytest.fixture
def plain() -> Lab:
    """Tables of PAE in memory, and paging off."""
    lab = Lab()
    lab.cpu.set_model(MODELS["pentium3"])
    for page in range(512):
        put(lab, TABLE + page * 8, page << 12 | P | W | U)
    put(lab, DIRECTORY, TABLE | P | W | U)
    put(lab, POINTERS, DIRECTORY | P)
    return lab


def switch_on(lab: Lab) -> Lab:
    assert lab.run(f"mov eax, {POINTERS}; mov cr3, eax; mov eax, {PAE}; mov cr4, eax;"
                   "mov eax, cr0; or eax, 0x80000000; mov cr0, eax").vector is None  # fmt: skip
    return lab


@pytest.fixture
def paged(plain: Lab) -> Lab:
    return switch_on(plain)


@pytest.mark.parametrize(
    ("rights", "cpl", "write_protect", "code", "error"),
    [
        (P | W | U, 3, 0, "mov [{0}], eax", None),
        (P | U, 3, 0, "mov eax, [{0}]", None),
        (P | U, 3, 0, "mov [{0}], eax", 7),
        (P | W, 3, 0, "mov eax, [{0}]", 5),
        (P | W, 3, 0, "mov [{0}], eax", 7),
        (W | U, 3, 0, "mov eax, [{0}]", 4),
        (W | U, 0, 0, "mov [{0}], eax", 2),
        (P, 0, 0, "mov [{0}], eax", None),
        (P, 0, 1, "mov [{0}], eax", 3),
        (P, 0, 1, "mov eax, [{0}]", None),
    ],
)
@pytest.mark.parametrize("level", ["table", "directory", "large"])
def test_protection(
    paged: Lab, level: str, rights: int, cpl: int, write_protect: int, code: str, error: int | None
) -> None:
    """The same rights in the table entry, the directory entry, and one of 2 MiB."""
    la = HIGH
    put(paged, DIRECTORY + 8, 0x82000 | P | W | U)
    put(paged, 0x82000, DATA | rights)
    if level == "directory":
        put(paged, DIRECTORY + 8, 0x82000 | rights)
        put(paged, 0x82000, DATA | P | W | U)
    elif level == "large":
        put(paged, DIRECTORY + 8, rights | PS)
        la = HIGH | DATA
    paged.cpu.cr0 |= WP if write_protect else 0
    paged.ring(cpl)
    stop = paged.run(code.format(la + 4), budget=1 if error is None else 10)
    if error is None:
        assert paged.cpu.eip > CODE
        return
    assert (stop.vector, stop.error, paged.cpu.cr2) == (PF, error, la + 4)


def test_accessed_and_dirty_bits(paged: Lab) -> None:
    put(paged, entry(DATA), DATA | P | W | U)
    paged.run(f"nop; mov eax, [{DATA}]")
    assert get(paged, entry(DATA)) == DATA | P | W | U | A
    assert get(paged, DIRECTORY) & (A | D) == A
    paged.run(f"mov eax, [{DATA}]; mov [{DATA}], eax")
    assert get(paged, entry(DATA)) == DATA | P | W | U | A | D
    put(paged, DIRECTORY + 8, P | W | PS)
    paged.run(f"mov eax, [{HIGH + DATA}]")
    assert get(paged, DIRECTORY + 8) == P | W | PS | A
    paged.run(f"mov [{HIGH + DATA}], eax")
    assert get(paged, DIRECTORY + 8) == P | W | PS | A | D
    assert get(paged, POINTERS) == DIRECTORY | P, "pointer entries have no such bits"


def test_two_mebibytes_whatever_pse_says(paged: Lab) -> None:
    put(paged, DIRECTORY + 8, P | W | PS)
    paged.dword(DATA, 0x12345678)
    for pse in (0, PSE):
        paged.cpu.cr4 = PAE | pse
        paged.cpu.flush()
        paged.run(f"mov eax, [{HIGH + DATA}]")
        assert paged.reg(EAX) == 0x12345678


@pytest.mark.parametrize("level", ["table", "directory", "large"])
@pytest.mark.parametrize("bit", RESERVED_HIGH)
def test_high_bits_are_reserved(paged: Lab, level: str, bit: int) -> None:
    """There is no execute-disable: bit 63 too."""
    put(paged, DIRECTORY + 8, 0x82000 | P | W | U | (bit if level == "directory" else 0))
    put(paged, 0x82000, DATA | P | W | U | (bit if level == "table" else 0))
    if level == "large":
        put(paged, DIRECTORY + 8, P | W | U | PS | bit)
    stop = paged.ring(3).run(f"mov [{HIGH + 8}], eax")
    assert (stop.vector, stop.error, paged.cpu.cr2) == (PF, P | 2 | 4 | RSVD, HIGH + 8)
    assert get(paged, 0x82000) & (A | D) == 0


@pytest.mark.parametrize("bit", range(12, 22))
def test_low_bits_of_a_large_page(paged: Lab, bit: int) -> None:
    """Bit 12 is PAT's, and bit 21 of the address."""
    put(paged, DIRECTORY + 8, P | W | PS | 1 << bit)
    stop = paged.run(f"mov eax, [{HIGH}]")
    assert (stop.vector, stop.reason and 0) == (None if bit in (12, 21) else PF, 0)
    if bit not in (12, 21):
        assert stop.error == P | RSVD


@pytest.mark.parametrize("bit", [*RESERVED_HIGH, 2])
def test_what_is_not_present_has_no_reserved_bits(paged: Lab, bit: int) -> None:
    put(paged, DIRECTORY + 8, bit)
    stop = paged.run(f"mov eax, [{HIGH}]")
    assert (stop.vector, stop.error) == (PF, 0)


@pytest.mark.parametrize("level", ["table", "large"])
@pytest.mark.parametrize("high", [1, 0xF])
def test_beyond_memory_is_the_open_bus(paged: Lab, level: str, high: int) -> None:
    put(paged, DIRECTORY + 8, 0x82000 | P | W | U)
    put(paged, 0x82000, high << 32 | DATA | P | W | U)
    if level == "large":
        put(paged, DIRECTORY + 8, high << 32 | P | W | U | PS)
    paged.dword(DATA, 0x12345678)
    stop = paged.run(f"mov dword ptr [{HIGH}], 5; mov eax, [{HIGH}]; movzx ebx, word ptr [{HIGH}]")
    assert (stop.vector, paged.reg(EAX), paged.reg(EBX)) == (None, 0xFFFFFFFF, 0xFFFF)
    assert paged.peek(DATA) == 0x12345678
    assert paged.cpu.peek_translation(HIGH) >= NOWHERE
    assert paged.cpu.peek_address(HIGH) >> 32 == high
    assert paged.cpu.translation(HIGH) >> 8 >= NOWHERE


def test_code_beyond_memory(paged: Lab) -> None:
    """Ones: FF FF is none of group 5's."""
    put(paged, DIRECTORY + 8, 1 << 32 | P | W | U | PS)
    stop = paged.run(f"mov eax, {HIGH + 16}; jmp eax")
    assert (stop.vector, stop.frame[0]) == (6, HIGH + 16)


def test_a_table_beyond_memory(paged: Lab) -> None:
    """Its entries read as ones, of which some are reserved."""
    put(paged, DIRECTORY + 8, 1 << 32 | P | W | U)
    stop = paged.run(f"mov eax, [{HIGH}]")
    assert (stop.vector, stop.error) == (PF, P | RSVD)
    assert paged.cpu.peek_translation(HIGH) == -1


def test_global_pages(paged: Lab) -> None:
    paged.cpu.cr4 = PAE | PGE
    for bits, kept in ((G, True), (0, False)):
        put(paged, entry(DATA), DATA | P | W | bits)
        paged.dword(DATA, 0x1111)
        paged.dword(DATA + 0x1000, 0x2222)
        other = (DATA + 0x1000) | P | W
        paged.run(f"invlpg [{DATA}]; mov ebx, [{DATA}]; mov dword ptr [{entry(DATA)}], {other};"
                  f"mov ecx, cr3; mov cr3, ecx; mov eax, [{DATA}]")  # fmt: skip
        assert paged.reg(EAX) == (0x1111 if kept else 0x2222)


def test_invlpg_of_a_large_page(paged: Lab) -> None:
    """All of it goes, wherever it was touched."""
    put(paged, DIRECTORY + 8, P | W | PS)
    put(paged, 0x82000, DATA | P | W)
    paged.dword(0x5000, 0x5555)
    paged.dword(DATA, 0x3333)
    paged.run(f"mov eax, [{HIGH}]; mov eax, [{HIGH + 0x5000}];"
              f"mov dword ptr [{DIRECTORY + 8}], {0x82000 | P | W}; invlpg [{HIGH + 0x1FF000}];"
              f"mov eax, [{HIGH}]; mov ebx, [{HIGH + 0x5000}]")  # fmt: skip
    assert (paged.cpu.cr2, paged.reg(EAX)) == (HIGH + 0x5000, 0x3333)


# --- pointer entries ---------------------------------------------------------------------

POINTER_RESERVED = [1 << bit for bit in (1, 2, 5, 6, 7, 8)] + RESERVED_HIGH


@pytest.mark.parametrize("bit", POINTER_RESERVED)
@pytest.mark.parametrize("number", [0, 3])
def test_reserved_bits_of_pointers(paged: Lab, number: int, bit: int) -> None:
    """#GP(0) when CR3 is loaded, and then nothing has changed; not while they are not present."""
    at = POINTERS + 0x20 + 8 * number
    put(paged, POINTERS + 0x20, DIRECTORY | P)
    put(paged, at, DIRECTORY | P | bit)
    load = f"mov eax, {POINTERS + 0x20}; mov cr3, eax"
    stop = paged.run(load)
    assert (stop.vector, stop.error, paged.cpu.cr3) == (GP, 0, POINTERS)
    if number:
        put(paged, at, DIRECTORY | bit)
        assert paged.run(load).vector is None
        assert paged.cpu.cr3 == POINTERS + 0x20


@pytest.mark.parametrize("bit", [3, 4, 9, 10, 11])
def test_other_bits_of_pointers_may_be_set(paged: Lab, bit: int) -> None:
    put(paged, POINTERS, DIRECTORY | P | 1 << bit)
    assert paged.run("mov eax, cr3; mov cr3, eax").vector is None


def test_pointers_count_from_the_load_on(paged: Lab) -> None:
    """In memory they may be anything until then."""
    put(paged, POINTERS + 8, DIRECTORY | P)
    far = 0x40000000 + DATA
    assert paged.run(f"mov eax, [{far}]").vector == PF
    put(paged, POINTERS, 0)
    paged.dword(DATA, 77)
    assert paged.run(f"mov eax, [{DATA}]").vector is None, "the old ones still count"
    put(paged, POINTERS, DIRECTORY | P)
    assert paged.run(f"mov eax, cr3; mov cr3, eax; mov eax, [{far}]").vector is None
    assert paged.reg(EAX) == 77
    assert paged.cpu.save_state()["pdpte1"] == DIRECTORY | P


@pytest.mark.parametrize(
    ("change", "loads"),
    [
        ("mov eax, cr4; xor eax, 0x80; mov cr4, eax", True),  # PGE
        ("mov eax, cr4; xor eax, 0x10; mov cr4, eax", True),  # PSE
        ("mov eax, cr4; xor eax, 0x04; mov cr4, eax", False),  # TSD
        ("mov eax, cr0; xor eax, 0x40000000; mov cr0, eax", True),  # CD
        ("mov eax, cr0; xor eax, 0x10000; mov cr0, eax", False),  # WP
        ("mov eax, cr0; xor eax, 0x20; mov cr0, eax", False),  # NE
    ],
)
def test_which_changes_load_them(paged: Lab, change: str, loads: bool) -> None:
    put(paged, POINTERS + 16, DIRECTORY | P | 2)
    before = paged.cpu.cr0, paged.cpu.cr4
    stop = paged.run(change)
    assert stop.vector == (GP if loads else None)
    assert ((paged.cpu.cr0, paged.cpu.cr4) == before) == loads


def test_switching_paging_on_loads_them(plain: Lab) -> None:
    put(plain, POINTERS + 8, P | 2)
    stop = plain.run(f"mov eax, {POINTERS}; mov cr3, eax; mov eax, {PAE}; mov cr4, eax;"
                     "mov eax, cr0; or eax, 0x80000000; mov cr0, eax")  # fmt: skip
    assert (stop.vector, plain.cpu.cr4, plain.cpu.cr0 & PG) == (GP, PAE, 0)


def test_cr3_has_bits_from_five_on(plain: Lab) -> None:
    put(plain, POINTERS + 0x60, DIRECTORY | P)
    put(plain, POINTERS, 0)
    plain.run(f"mov eax, {POINTERS + 0x78}; mov cr3, eax; mov eax, {PAE}; mov cr4, eax;"
              "mov eax, cr0; or eax, 0x80000000; mov cr0, eax; mov ebx, cr3")  # fmt: skip
    assert plain.reg(EBX) == POINTERS + 0x78
    assert plain.cpu.cr0 & PG


def test_a_task_switch_loads_them(paged: Lab) -> None:
    """And faults in the new task if they cannot be."""
    other = POINTERS + 0x40
    put(paged, other, DIRECTORY | P)
    put(paged, other + 8, DIRECTORY | P | 2)
    paged.dword(TSS_TWO + 0x1C, other, CODE + 0x100, 2)
    paged.dword(TSS_TWO + 0x38, 0x7000)
    paged.dword(TSS_TWO + 0x48, DATA0, CODE0, DATA0, DATA0, DATA0, DATA0)
    stop = paged.run(b"\xea\0\0\0\0" + TWO_TSS.to_bytes(2, "little"))
    assert (stop.vector, stop.error, stop.frame[1]) == (GP, 0, CODE + 0x100)
    assert (paged.cpu.cr3, paged.cpu.save_state()["pdpte1"]) == (other, 0)
    put(paged, other + 8, DIRECTORY | P)
    paged.cpu.cr3 = POINTERS
    paged.memory[CODE + 0x100] = 0xF4
    at = system_lab.GDT + TWO_TSS + 5
    paged.memory[at] &= ~2  # no longer busy
    assert paged.ring(0).run(b"\xea\0\0\0\0" + TWO_TSS.to_bytes(2, "little")).vector is None
    assert paged.cpu.save_state()["pdpte1"] == DIRECTORY | P


def test_without_the_feature_the_bit_is_reserved(plain: Lab) -> None:
    plain.cpu.set_model(MODELS["pentium"])
    assert plain.run(f"mov eax, {PAE}; mov cr4, eax").vector == GP


# --- those who only look -----------------------------------------------------------------


def test_looking_finds_what_walking_finds(paged: Lab) -> None:
    """A thousand random directories and tables."""
    dice = random.Random(36)
    rights = (0, P, P | W, P | W | U, P | U, P | W | U | PS, P | W | U | G)
    cpu = paged.cpu
    cpu.cr4 = PAE | PGE
    for _ in range(1000):
        reserved = dice.choice((0, 0, 0, 1 << 36, 1 << 63, 1 << 32, 1 << 14))
        top = dice.choice((0x82000, 0x80000, 0)) | dice.choice(rights) | reserved
        put(paged, DIRECTORY + 8, top)
        reserved = dice.choice((0, 0, 0, 1 << 36, 1 << 63, 1 << 33))
        put(paged, 0x82000 + 8 * 3, dice.randrange(256) << 12 | dice.choice(rights) | reserved)
        la = HIGH + 0x3004
        looked = cpu.peek_entry(la)
        listed = {at: (count, bits) for at, count, bits in cpu.peek_tables()}
        before = bytes(paged.memory)
        cpu.peek_translation(la)
        assert bytes(paged.memory) == before
        cpu.flush()
        found = cpu.translation(la)
        assert (found < 0) == (looked < 0)
        whole = listed.get(HIGH) if top & PS else listed.get(la & -0x1000)
        if found >= 0:
            assert found >> 20 == looked >> 12
            assert whole is not None and whole[0] == (512 if top & PS else 1)
            assert bool(found & 0x20) == bool(looked & PS)
        assert cpu.peek_entry(la, POINTERS, True) == (cpu.peek_entry(la))


# --- PSE-36 ------------------------------------------------------------------------------


def pse(name: str, pde: int) -> Lab:
    """32-bit tables, with a page of 4 MiB at 4 MiB."""
    lab = Lab()
    lab.cpu.set_model(MODELS[name])
    lab.dword(0x80000, P | W | U | PS, pde)
    lab.cpu.cr3, lab.cpu.cr4 = 0x80000, PSE
    lab.cpu.cr0 |= PG
    lab.cpu.flush()
    return lab


@pytest.mark.parametrize("name", ["pentium", "pentiumpro", "pentium2", "pentium4"])
@pytest.mark.parametrize("bit", range(12, 22))
def test_large_pages_beyond_four_gibibytes(name: str, bit: int) -> None:
    """Bits 13 to 16 are an address with PSE-36, and reserved without; 17 to 21 are reserved."""
    lab = pse(name, P | W | U | PS | 1 << bit)
    lab.dword(DATA, 0x12345678)
    stop = lab.run(f"mov eax, [{0x400000 + DATA}]")
    extends = "pse36" in MODELS[name].features and 13 <= bit <= 16
    if bit == 12:
        assert (stop.vector, lab.reg(EAX)) == (None, 0x12345678)
    elif extends:
        assert (stop.vector, lab.reg(EAX)) == (None, 0xFFFFFFFF)
        assert lab.cpu.peek_address(0x400000 + DATA) == (1 << bit - 13 + 32) + DATA
    else:
        assert (stop.vector, stop.error) == (PF, P | RSVD)

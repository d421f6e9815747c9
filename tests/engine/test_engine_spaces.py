"""Address spaces: what is mapped is reached, with these permissions, and nothing else."""

from __future__ import annotations

import pytest
from engine_lab import (
    CODE,
    DATA,
    END,
    ENGINES_OWN,
    FRAMES,
    FREE,
    HOLE,
    MONITOR,
    MONITOR_SIZE,
    PAGE,
    PF,
    RAM_SIZE,
    Lab,
    assemble,
)

from bt.contract import (
    ACC_FETCH,
    ACC_USER,
    ACC_WRITE,
    EXIT_SOFTINT,
    PERM_EXEC,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PINNED,
    PERM_WRITE,
)

PRESENT = 1
PLACE = 0x500000  # a page for the tests to map
LARGE = 0x800000
RETURN = b"\xc3"

#: What a probe does to the byte at PLACE, and the error code's bits of its kind of access.
PROBES = {"read": ("mov al, [ebx]", ACC_USER), "write": ("mov [ebx], al", ACC_USER | ACC_WRITE),
          "fetch": ("call ebx", ACC_USER | ACC_FETCH)}  # fmt: skip


def allowed(probe: str, perm: int) -> bool:
    return {"read": True, "write": bool(perm & PERM_WRITE), "fetch": bool(perm & PERM_EXEC)}[probe]


def reaches(lab: Lab, la: int, probe: str = "read") -> bool:
    """Does the access go through? If not, check that it is told rightly, but for bit 0."""
    code, kind = PROBES[probe]
    end = lab.program(code)
    lab.set(ebx=la)
    exit_ = lab.run()
    if exit_.reason == EXIT_SOFTINT:
        assert (exit_.arg, exit_.eip) == (0x20, end)
        return True
    assert (exit_.vector, exit_.error & ~PRESENT, exit_.address) == (PF, kind, la)
    if probe == "fetch":
        lab.set(esp=lab.reg("esp") + 4)  # the call has pushed
    return False


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("perm", [0, PERM_WRITE, PERM_EXEC, PERM_WRITE | PERM_EXEC])
def test_permissions(lab: Lab, probe: str, perm: int) -> None:
    lab.write(FREE << 12, RETURN)
    lab.map(PLACE, FREE, perm)
    assert reaches(lab, PLACE, probe) == allowed(probe, perm)
    if not allowed(probe, perm):
        assert lab.engine.fault_error == PROBES[probe][1] | PRESENT


@pytest.mark.parametrize("probe", PROBES)
def test_nothing_is_mapped_by_itself(lab: Lab, probe: str) -> None:
    for la in (0, PLACE, CODE - 1, HOLE, 0x7FFFFFFF, 0xFF7FFFFF):
        assert not reaches(lab, la, probe)
        assert lab.engine.fault_error == PROBES[probe][1]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("first", [0, PERM_WRITE | PERM_EXEC])
@pytest.mark.parametrize("second", [0, PERM_WRITE, PERM_EXEC])
def test_mapping_again_replaces_permissions(lab: Lab, probe: str, first: int, second: int) -> None:
    """Also after the first mapping was used."""
    lab.write(FREE << 12, RETURN)
    lab.map(PLACE, FREE, first)
    assert reaches(lab, PLACE, probe) == allowed(probe, first)
    lab.map(PLACE, FREE, second)
    assert reaches(lab, PLACE, probe) == allowed(probe, second)


def test_mapping_again_replaces_the_frame(lab: Lab) -> None:
    for frame in (FREE, FREE + 1, FREE):
        lab.write((frame << 12) + 8, bytes([frame]))
        lab.map(PLACE, frame, PERM_WRITE)
        lab.finish("mov al, [ebx + 8]; mov byte ptr [ebx + 9], al", ebx=PLACE)
        assert lab.reg("eax") & 0xFF == frame
        assert lab.read((frame << 12) + 9, 1) == bytes([frame])


def test_mapping_again_replaces_code(lab: Lab) -> None:
    for frame, value in ((FREE, 1), (FREE + 1, 2), (FREE, 1)):
        lab.write(frame << 12, bytes([0xB0, value]) + RETURN)
        lab.map(PLACE, frame, PERM_EXEC)
        lab.finish("call ebx", ebx=PLACE)
        assert lab.reg("eax") & 0xFF == value


@pytest.mark.parametrize("frame", [RAM_SIZE + MONITOR_SIZE + ENGINES_OWN >> 12, 0xA0, 0xFFFFF])
def test_only_memory_can_be_mapped(lab: Lab, frame: int) -> None:
    with pytest.raises(ValueError, match="no memory"):
        lab.map(PLACE, frame, PERM_WRITE)
    assert not reaches(lab, PLACE)


def test_one_frame_at_two_addresses(lab: Lab) -> None:
    lab.map(PLACE, FREE, PERM_WRITE)
    lab.map(PLACE + 0x7000, FREE, 0)
    lab.finish("mov [ebx], eax; mov ecx, [ebx + 0x7000]", ebx=PLACE, eax=0x89ABCDEF)
    assert lab.reg("ecx") == 0x89ABCDEF
    assert not reaches(lab, PLACE + 0x7000, "write")


def test_unmapping(lab: Lab) -> None:
    lab.map(PLACE, FREE, PERM_WRITE)
    lab.map(PLACE + PAGE, FREE, PERM_WRITE)
    assert reaches(lab, PLACE, "write") and reaches(lab, PLACE + PAGE, "write")
    lab.engine.unmap_page(lab.space, PLACE + 0x123)
    assert not reaches(lab, PLACE) and not reaches(lab, PLACE, "write")
    assert reaches(lab, PLACE + PAGE, "write")
    lab.engine.unmap_page(lab.space, PLACE)
    assert not reaches(lab, PLACE)
    lab.map(PLACE, FREE, PERM_WRITE)
    assert reaches(lab, PLACE, "write")


def test_unmapping_code_that_has_run(lab: Lab) -> None:
    lab.write(FREE << 12, RETURN)
    lab.map(PLACE, FREE, PERM_EXEC)
    assert reaches(lab, PLACE, "fetch")
    lab.engine.unmap_page(lab.space, PLACE)
    assert not reaches(lab, PLACE, "fetch")


def test_unmapping_a_frame(lab: Lab) -> None:
    for i in range(3):
        lab.map(PLACE + i * PAGE, FREE, PERM_WRITE)
    lab.map(PLACE + 3 * PAGE, FREE + 1, PERM_WRITE)
    lab.engine.unmap_frame(lab.space, FREE)
    assert [reaches(lab, PLACE + i * PAGE) for i in range(4)] == [False, False, False, True]


KINDS = {"plain": 0, "global": PERM_GLOBAL, "pinned": PERM_PINNED}


@pytest.mark.parametrize(
    ("keep_global", "kept"), [(False, {"pinned"}), (True, {"pinned", "global"})]
)
def test_flushing(lab: Lab, keep_global: bool, kept: set[str]) -> None:
    for i, perm in enumerate(KINDS.values()):
        lab.map(PLACE + i * PAGE, FREE + i, perm | PERM_WRITE)
        assert reaches(lab, PLACE + i * PAGE, "write")
    lab.space.flush(keep_global)
    lab.map(CODE, FRAMES[CODE], PERM_EXEC)
    for i, kind in enumerate(KINDS):
        assert reaches(lab, PLACE + i * PAGE, "write") == (kind in kept)
    assert not reaches(lab, DATA)


def test_invalidating_a_page(lab: Lab) -> None:
    for i, perm in enumerate(KINDS.values()):
        lab.map(PLACE + i * PAGE, FREE + i, perm)
        lab.engine.invalidate_shadow(lab.space, PLACE + i * PAGE + 0x123)
        assert reaches(lab, PLACE + i * PAGE) == bool(perm & PERM_PINNED)
    assert reaches(lab, DATA), "no other page"


def test_invalidating_a_large_page(lab: Lab) -> None:
    """All pieces of it, whichever address is named; small pages of that region may go, too."""
    for offset in (0, 0x5000, 0x3FF000):
        lab.map(LARGE + offset, FREE, PERM_LARGE)
    lab.map(LARGE + 0x400000, FREE, PERM_LARGE)
    lab.engine.invalidate_shadow(lab.space, LARGE + 0x5678)
    assert [reaches(lab, LARGE + at) for at in (0, 0x5000, 0x3FF000)] == [False] * 3
    assert reaches(lab, LARGE + 0x400000)


def test_spaces_are_separate(lab: Lab) -> None:
    """The same addresses lead to other frames and other code; each space keeps its own."""
    code = "mov eax, [0x20000]; add eax, {}"
    other = lab.engine.new_space()
    lab.engine.map_page(other, CODE, (FREE + 1) << 12, PERM_EXEC)
    lab.engine.map_page(other, DATA, FREE << 12, PERM_WRITE)
    lab.poke(DATA, (100).to_bytes(4, "little"))
    lab.write(FREE << 12, (200).to_bytes(4, "little"))
    lab.program(code.format(1))
    lab.write((FREE + 1) << 12, assemble(code.format(2), CODE) + END)
    for space, value in ((lab.space, 101), (other, 202), (lab.space, 101), (other, 202)):
        lab.engine.use_space(space)
        lab.set(eip=CODE)
        assert lab.run().arg == 0x20
        assert lab.reg("eax") == value
    lab.engine.unmap_page(other, DATA)
    lab.set(eip=CODE)
    assert lab.run().address == DATA
    lab.engine.use_space(lab.space)
    other.flush()
    assert reaches(lab, DATA, "write")


def test_many_pages(lab: Lab) -> None:
    """Remapped more often than there are pages; the pinned one stays."""
    lab.map(PLACE, FREE, PERM_PINNED)
    for i in range(600):
        for page in range(4):
            lab.map(LARGE + page * PAGE, FREE + (i + page) % 3, PERM_WRITE)
            lab.engine.unmap_page(lab.space, LARGE + page * PAGE)
    lab.map(LARGE, FREE + 2, PERM_WRITE)
    lab.write(FREE + 2 << 12, b"\x5a")
    lab.finish("mov al, [ebx]", ebx=LARGE)
    assert lab.reg("eax") & 0xFF == 0x5A
    assert reaches(lab, PLACE)


def test_the_monitors_memory_can_be_mapped(lab: Lab) -> None:
    """It is no RAM of the guest: the ideal processor finds nothing there."""
    lab.map(PLACE, MONITOR >> 12, PERM_WRITE)
    lab.finish("mov [ebx], eax", ebx=PLACE, eax=0x13572468)
    assert lab.read(MONITOR, 4) == b"\x68\x24\x57\x13"
    assert lab.ram.is_ram(0) and not lab.ram.is_ram(MONITOR)


# --- accesses to two pages ----------------------------------------------------------------------

STRADDLING = {
    "read": ("mov eax, [ebx]", 4),
    "write": ("mov [ebx], eax", 4),
    "modify": ("not dword ptr [ebx]", 4),
    "read 8": ("fild qword ptr [ebx]", 8),
    "write 8": ("fistp qword ptr [ebx]", 8),
    "write 10": ("fstp tbyte ptr [ebx]", 10),
    "compare": ("cmpxchg8b [ebx]", 8),
    "word": ("mov [ebx], ax", 2),
}


@pytest.mark.parametrize("name", STRADDLING)
def test_a_straddling_access_that_fails_changes_nothing(lab: Lab, name: str) -> None:
    """CR2 is the first byte of the page that is missing, or the operand's own."""
    code, size = STRADDLING[name]
    lab.finish("fld1; fld1")
    for below in range(1, size):
        exit_ = lab.fault(code, ebx=HOLE - below)
        assert (exit_.vector, exit_.address) == (PF, HOLE)
        exit_ = lab.fault(code, ebx=DATA - below)
        assert (exit_.vector, exit_.address) == (PF, DATA - below)


def test_a_straddling_access_reaches_both_frames(lab: Lab) -> None:
    lab.map(PLACE, FREE + 3, PERM_WRITE)
    lab.map(PLACE + PAGE, FREE, PERM_WRITE)
    for below in (1, 2, 3):
        code = "mov [ebx], eax; mov ecx, [ebx]; add dword ptr [ebx], 0x01010101"
        lab.finish(code, ebx=PLACE + PAGE - below, eax=0x44332211)
        assert lab.reg("ecx") == 0x44332211
        both = lab.read((FREE + 4 << 12) - below, below) + lab.read(FREE << 12, 4 - below)
        assert both.hex() == "12233445"


def test_a_straddling_write_into_a_read_only_page(lab: Lab) -> None:
    lab.map(PLACE, FREE, PERM_WRITE)
    lab.map(PLACE + PAGE, FREE + 1, 0)
    exit_ = lab.fault("mov [ebx], eax", ebx=PLACE + PAGE - 2)
    assert (exit_.vector, exit_.error, exit_.address) == (PF, 7, PLACE + PAGE)


# --- fetching from two pages --------------------------------------------------------------------

LONG = bytes.fromhex("b8 11223344")  # mov eax, 0x44332211


@pytest.mark.parametrize("below", [1, 2, 4])
def test_an_instruction_in_two_pages(lab: Lab, below: int) -> None:
    at = PLACE + PAGE - below
    lab.map(PLACE, FREE, PERM_EXEC)
    lab.write((FREE + 1 << 12) - below, LONG[:below])
    lab.program(LONG)
    lab.set(eip=at)
    guest = lab.guest()
    for missing in (None, 0):
        if missing is not None:
            lab.map(PLACE + PAGE, FREE + 5, missing)
        exit_ = lab.run()
        assert (exit_.vector, exit_.address, exit_.eip) == (PF, PLACE + PAGE, at)
        assert exit_.error & ~PRESENT == ACC_USER | ACC_FETCH
        assert lab.guest() == guest
    for frame, byte in ((FREE + 5, 0x44), (FREE + 7, 0x55), (FREE + 5, 0x44)):
        lab.map(PLACE + PAGE, frame, PERM_EXEC)
        lab.write(frame << 12, LONG[below:-1] + bytes([byte]) + END)
        lab.set(eip=at)
        assert lab.run().arg == 0x20
        assert lab.reg("eax") == 0x332211 | byte << 24, "the second page is looked up every time"


def test_a_page_end_is_no_instruction_end(lab: Lab) -> None:
    """One that ends exactly there runs, and the fault is the next one's."""
    lab.map(PLACE, FREE, PERM_EXEC)
    lab.write((FREE + 1 << 12) - 5, LONG)
    lab.set(eip=PLACE + PAGE - 5)
    exit_ = lab.run()
    assert (exit_.vector, exit_.eip, exit_.address, exit_.count) == (
        PF,
        PLACE + PAGE,
        PLACE + PAGE,
        1,
    )
    assert lab.reg("eax") == 0x44332211


# --- for who looks --------------------------------------------------------------------------


def test_what_is_mapped_can_be_listed(lab: Lab) -> None:
    space = lab.engine.new_space()
    assert lab.engine.mappings(space) == []
    lab.engine.map_page(space, PLACE, FREE * PAGE, PERM_WRITE)
    lab.engine.map_page(space, 0xFFFFF000, (FREE + 1) * PAGE, PERM_EXEC | PERM_PINNED)
    lab.engine.map_page(space, 0, (FREE + 2) * PAGE, PERM_GLOBAL)
    lab.engine.map_page(space, PLACE, (FREE + 3) * PAGE, 0)  # replaces
    first = (0, (FREE + 2) * PAGE, PRESENT | PERM_GLOBAL)
    last = (0xFFFFF000, (FREE + 1) * PAGE, PRESENT | PERM_EXEC | PERM_PINNED)
    assert lab.engine.mappings(space) == [first, (PLACE, (FREE + 3) * PAGE, PRESENT), last]
    lab.engine.unmap_page(space, PLACE)
    assert lab.engine.mappings(space) == [first, last]
    space.flush(keep_global=True)
    assert lab.engine.mappings(space) == [first, last]
    space.flush()
    assert lab.engine.mappings(space) == [last]


def test_listing_changes_nothing(lab: Lab) -> None:
    before = lab.engine.mappings(lab.space)
    assert {la for la, _, _ in before} == set(FRAMES)
    lab.finish("mov eax, [0x20000]")
    assert lab.engine.mappings(lab.space) == before

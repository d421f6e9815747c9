"""The translation cache (bt/cache.py) and what is written into it (bt/output.py)."""

from __future__ import annotations

import pytest
from kernel_lab import assembled
from listing import BASE, ORIGIN, SIZE, Listing

from bt.cache import (
    BEGINS,
    CHAIN,
    CONTEXT_COUNT,
    EMULATE,
    ENTRIES,
    INT3,
    Exit,
    TranslatedBlock,
    jmp,
    landing_index,
)
from bt.output import Output
from bt.policy import CONTEXTS
from bt.stub_code import assembled as assembled_stub
from bt.translate import MAX_BLOCK_BYTES
from bt.vcpu_page import FAR_LANDINGS, NEAR_LANDINGS, VCPU_BYTES, VCPU_PAGES

PAGE = 0x1000


def listing(source: str, context: int = 0, **options: bool) -> Listing:
    return Listing(CONTEXTS[context], assembled(source + "\n", ORIGIN).image, **options)


def table(lab: Listing, context: int, far: bool) -> memoryview:
    """A table of landings, as the stubs read it."""
    at = SIZE + (2 * context + far) * 4 * ENTRIES
    return memoryview(lab.hidden)[at : at + 4 * ENTRIES].cast("I")


# --- landings -----------------------------------------------------------------------------------


def test_the_hashes_are_those_of_the_stubs() -> None:
    """Low 16 bits of EIP; for the far ones, of EIP + byte-swapped EIP."""
    assert landing_index(0xC0123456, far=False) == 0x3456
    assert landing_index(0xC0123456, far=True) == (0x3456 + 0x12C0) & 0xFFFF
    assert landing_index(0xFFFFFFFF, far=True) == 0xFFFE


@pytest.mark.parametrize("context", range(4))
def test_empty_tables_lead_to_the_misses(context: int) -> None:
    lab = listing("nop", context)
    for far in (False, True):
        assert set(table(lab, context, far)) == {lab.cache.miss(context, far)}
    assert lab.cache.miss(context, False) != lab.cache.miss(context, True)


def test_the_tables_lie_where_the_vcpu_pages_end() -> None:
    assert NEAR_LANDINGS == VCPU_PAGES
    assert FAR_LANDINGS == NEAR_LANDINGS + 4 * ENTRIES
    assert VCPU_BYTES == FAR_LANDINGS + 4 * ENTRIES
    assert len(CONTEXTS) == CONTEXT_COUNT


def landed(lab: Listing) -> list[tuple[int, int, bool]]:
    """Every entry that is no miss: context, index, far?"""
    return [
        (context, index, far)
        for context in range(CONTEXT_COUNT)
        for far in (False, True)
        for index, address in enumerate(table(lab, context, far))
        if address != lab.cache.miss(context, far)
    ]


@pytest.mark.parametrize("context", range(4))
def test_a_landing_is_near_first_and_far_where_that_is_taken(context: int) -> None:
    lab = listing("nop \n ret", context)
    near, far = (landing_index(ORIGIN, far) for far in (False, True))
    lab.translator.land(lab.block)
    assert landed(lab) == [(context, near, False)]
    lab.translator.land(lab.block)
    assert landed(lab) == [(context, near, False), (context, far, True)]
    assert set(lab.block.landings) == {False, True}


def test_a_dropped_block_leaves_both_tables() -> None:
    lab = listing("nop \n ret")
    lab.translator.land(lab.block)
    lab.translator.land(lab.block)
    lab.cache.drop_landings(lab.block)
    assert landed(lab) == []


@pytest.mark.parametrize("far", [False, True])
def test_a_dropped_block_takes_no_other_blocks_landing(far: bool) -> None:
    lab = listing("nop \n ret")
    for _ in range(2):
        lab.translator.land(lab.block)
    index = landing_index(ORIGIN, far)
    table(lab, 0, far)[index] = BASE + 0x123
    lab.cache.drop_landings(lab.block)
    assert landed(lab) == [(0, index, far)]


def test_landings_are_made_once() -> None:
    lab = listing("nop \n ret")
    for _ in range(2):
        lab.translator.land(lab.block)
    used = lab.cache.used
    lab.translator.land(lab.block)
    assert lab.cache.used == used


def test_a_full_cache_makes_no_landings() -> None:
    lab = listing("nop \n ret")
    lab.cache.used = lab.cache.size - MAX_BLOCK_BYTES + 1
    lab.translator.land(lab.block)
    assert landed(lab) == []
    lab.cache.used = lab.cache.size - MAX_BLOCK_BYTES
    lab.translator.land(lab.block)
    assert landed(lab) == [(0, landing_index(ORIGIN, False), False)]


# --- blocks ---------------------------------------------------------------------------------------


def block(eip: int, pa: int, length: int, context: int = 0) -> TranslatedBlock:
    return TranslatedBlock(eip, pa, length, BASE, BASE + 1, context)


@pytest.mark.parametrize(
    ("pa", "size", "found"),
    [
        (0x4FF0, 1, [1]),
        (0x4FEF, 1, []),
        (0x4FFF, 1, [1]),
        (0x5000, 1, [2]),
        (0x4FFF, 2, [1, 2]),
        (0x500F, 1, [2]),
        (0x5010, 1, []),
        (0x4000, 0x3000, [1, 2]),
        (0x5010, 0x2000, []),
        (0x3000, 0x1FF0, []),
    ],
)
def test_which_blocks_overlap_bytes(pa: int, size: int, found: list[int]) -> None:
    lab = listing("nop")
    one, two = block(0x14FF0, 0x4FF0, 0x10), block(0x15000, 0x5000, 0x10)
    lab.cache.add(one)
    lab.cache.add(two)
    names = {one: 1, two: 2}
    assert [names[each] for each in lab.cache.overlapping(pa, size)] == found


def test_a_block_over_two_frames_is_in_both() -> None:
    lab = listing("nop")
    long = block(0x14FFE, 0x4FFE, 5)
    lab.cache.add(long)
    assert lab.cache.overlapping(0x4FFE, 1) == lab.cache.overlapping(0x5002, 1) == [long]
    assert lab.cache.overlapping(0x5003, 1) == []
    lab.cache.drop(long)
    assert lab.cache.overlapping(0x4000, 0x2000) == []
    assert not long.live
    assert all(long not in blocks for blocks in lab.cache.by_frame.values())


@pytest.mark.parametrize(
    ("eip", "length", "pages"),
    [(0x5000, 1, [5]), (0x5FFF, 1, [5]), (0x5FFF, 2, [5, 6]), (0x5000, 0x1000, [5])],
)
def test_the_pages_of_a_block(eip: int, length: int, pages: list[int]) -> None:
    assert list(block(eip, eip, length).pages()) == pages


def test_a_dropped_block_leaves_its_successor_alone() -> None:
    """The same address was translated again before the old one went."""
    lab = listing("nop")
    old, new = block(0x5000, 0x5000, 4), block(0x5000, 0x6000, 4)
    lab.cache.add(old)
    lab.cache.add(new)
    lab.cache.drop(old)
    assert lab.cache.find(0x5000, 0) is new
    assert lab.cache.find(0x5000, 1) is None
    lab.cache.drop(new)
    assert lab.cache.find(0x5000, 0) is None


def test_live_blocks_are_listed_by_context() -> None:
    lab = listing("nop", translated=False)
    two, one, other = block(2, 2, 1), block(1, 1, 1), block(3, 3, 1, context=2)
    for each in (other, two, one):
        lab.cache.add(each)
    assert lab.cache.live_blocks() == [two, one, other]


# --- jumps and exits ------------------------------------------------------------------------------


@pytest.mark.parametrize("room", range(12))
def test_a_slot_lies_in_one_page(room: int) -> None:
    """Chaining writes five bytes; the engine decodes an instruction across two pages each time."""
    lab = listing("nop", translated=False)
    lab.cache.used = PAGE - room
    out = Output(lab.cache, ORIGIN)
    out.slot(Exit(CHAIN, ORIGIN + 0x40), counts=True)
    at = next(iter(reversed(lab.cache.exits)))
    assert (at & PAGE - 1) + 5 <= PAGE
    assert out.code[at - out.start] == INT3


@pytest.mark.parametrize("source", [
    "call 0x10080", "jz 0x10080", "loop 0x10080", "ret", "ret 8", "call eax", "jmp [ecx]",
    "pushfd", "popfd", "cli", "sti", "add dword ptr [0x12345678], 0x1234567",
])  # fmt: skip
@pytest.mark.parametrize("context", [0, 1])
def test_no_instruction_of_the_cache_crosses_a_page(source: str, context: int) -> None:
    lab = listing(source, context, translated=False)
    for room in range(1, 48):
        lab.cache.forget()
        lab.cache.used = 2 * PAGE - room
        lab.cache.eip_map[: 4 * PAGE] = memoryview(bytes(16 * PAGE)).cast("I")
        made = lab.translate_from(0)
        for at, code in instructions(lab, made):
            assert (at & PAGE - 1) + len(code) <= PAGE, f"{source}, {room}: {at:#x} {code.hex()}"
            eip, _ = lab.cache.guest_place(at)
            assert eip in (ORIGIN, ORIGIN + made.length, 0x10080), f"{source}, {room}: {eip:#x}"


def instructions(lab: Listing, made: TranslatedBlock) -> list[tuple[int, bytes]]:
    """The TC instructions of a block; a slot is five bytes, as the jump that it becomes."""
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    code = lab.cache.code(made.start, made.end)
    found, at = [], made.start
    while at < made.end:
        exit_ = lab.cache.exits.get(at)
        if exit_ is not None and exit_.kind == CHAIN:
            size = 5
        else:
            size = next(decoder.disasm_lite(code[at - made.start :], at, 1))[1]
        found.append((at, code[at - made.start : at - made.start + size]))
        at += size
    return found


@pytest.mark.parametrize("verb", ["jmp", "jz", "jnc"])
def test_a_stub_jumps_to_its_slow_part(verb: str) -> None:
    """By a jump of either kind, from wherever in the template it is."""
    lab = listing("nop", translated=False)
    out = Output(lab.cache, ORIGIN)
    template = f"nop\n{verb} slow\ninc eax | done\nslow:\ndec eax\nexit\n"
    out.stub(assembled_stub(template, "gs"), Exit(EMULATE, ORIGIN))
    out.place_cold()
    code = bytes(out.code)
    size = {"jmp": 5}.get(verb, 6)
    target = 1 + size + int.from_bytes(code[1 + size - 4 : 1 + size], "little", signed=True)
    assert code[target] == 0x48 and code[target + 1] == INT3
    assert lab.cache.exits[out.start + target + 1] == Exit(EMULATE, ORIGIN)


def test_jumps_are_encoded_from_their_end() -> None:
    assert jmp(0x1000, 0x1005) == b"\xe9\0\0\0\0"
    assert jmp(0x1000, 0x1000) == b"\xe9\xfb\xff\xff\xff"


@pytest.mark.parametrize("branch", ["jmp", "jz"])
def test_chaining_and_unchaining_a_branch(branch: str) -> None:
    lab = listing(f"{branch} there \n nop \n there: inc eax \n ret")
    target = lab.translate_from(len(assembled(f"{branch} there \n nop \n there:", ORIGIN).image))
    at, exit_ = next((at, e) for at, e in lab.cache.exits.items()
                     if e.kind == CHAIN and e.target == target.eip)  # fmt: skip
    changed = lab.cache.chain_to(at, exit_, target)
    assert goes_to(lab, branch, changed[0]) == target.start
    assert lab.cache.unchain(target) == changed
    if branch == "jz":
        assert goes_to(lab, branch, changed[0]) == at
    else:
        assert lab.cache.code(changed[0], changed[0] + 1)[0] == INT3
    assert target.incoming == []
    assert lab.cache.unchain(target) == []


def goes_to(lab: Listing, branch: str, at: int) -> int:
    """Where a jump in the cache leads."""
    size = {"jmp": 5, "jz": 6}[branch]
    code = lab.cache.code(at, at + size)
    return at + size + int.from_bytes(code[-4:], "little", signed=True)


def test_forgetting_leaves_nothing() -> None:
    lab = listing("sti \n nop \n ret")
    lab.translator.land(lab.block)
    assert lab.cache.exits and lab.cache.after_sti and lab.cache.by_frame
    lab.cache.forget()
    assert (lab.cache.used, lab.cache.room) == (0, lab.cache.size)
    assert not (lab.cache.exits or lab.cache.after_sti or lab.cache.by_frame)
    assert lab.cache.live_blocks() == []


# --- which guest instruction ----------------------------------------------------------------------


def test_every_byte_that_begins_an_instruction_knows_its_guest() -> None:
    lab = listing("inc eax \n pushfd \n call 0x10100")
    for at, _code in instructions(lab, lab.block):
        eip, undo = lab.cache.guest_place(at)
        assert ORIGIN <= eip <= ORIGIN + 0x100
        assert undo & BEGINS == 0


def test_where_instructions_begin() -> None:
    lab = listing("inc eax \n sti \n inc ebx \n inc ecx \n ret")
    begins = [at for at in range(lab.block.start, lab.block.end) if lab.cache.begins(at)]
    eips = [lab.cache.guest_place(at)[0] for at in begins]
    assert eips == [ORIGIN, ORIGIN + 1, ORIGIN + 2, ORIGIN + 3, ORIGIN + 4]
    entries = [lab.cache.entry_of(lab.block, eip) for eip in range(ORIGIN, ORIGIN + 6)]
    assert entries == [begins[0], begins[1], 0, begins[3], begins[4], 0]

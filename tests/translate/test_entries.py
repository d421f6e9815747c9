"""Where translated code is entered: in the middle of a block, through links made at once, and by
landings that happen to lie at the end of a page."""

from __future__ import annotations

import capstone
import pytest
from listing import BASE, ORIGIN, Listing

from bt.cache import EMULATE, TranslatedBlock
from bt.output import NOP
from bt.policy import CONTEXTS

KERNEL = CONTEXTS[0]
CODE = bytes.fromhex("4043fb41427502")  # inc eax; inc ebx; sti; inc ecx; inc edx; jnz +2


def disassembled(listing: Listing, at: int) -> tuple[str, str]:
    """The instruction at a TC address, padding passed over."""
    code = bytes(listing.hidden[at - BASE : at - BASE + 48])
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    for _, size, mnemonic, operands in disassembler.disasm_lite(code, at):
        if code[:size] != NOP:
            return mnemonic, operands
        code = code[size:]
    raise AssertionError("nothing but padding")


@pytest.fixture
def listing() -> Listing:
    return Listing(KERNEL, CODE)


def enter(listing: Listing, offset: int) -> TranslatedBlock | None:
    return listing.translator.enter_inside(listing.block, ORIGIN + offset)


@pytest.mark.parametrize(("offset", "instruction"), [(1, ("inc", "ebx")), (4, ("inc", "edx"))])
def test_a_block_is_entered_at_an_instruction(
    listing: Listing, offset: int, instruction: tuple[str, str]
) -> None:
    inner = enter(listing, offset)
    assert inner is not None
    assert disassembled(listing, inner.start) == instruction
    assert (inner.pa, inner.length) == (ORIGIN + offset, len(CODE) - offset)
    assert listing.cache.find(ORIGIN + offset, KERNEL.number) is inner


def test_not_in_the_middle_of_an_instruction(listing: Listing) -> None:
    assert enter(listing, 6) is None


def test_not_behind_sti(listing: Listing) -> None:
    """Its interrupt shadow belongs to those who come through it."""
    assert enter(listing, 3) is None
    assert enter(listing, 2) is not None


def test_an_inner_block_dies_by_its_own_bytes_alone(listing: Listing) -> None:
    inner = enter(listing, 4)
    assert inner is not None
    assert listing.cache.overlapping(ORIGIN, 1) == [listing.block]
    assert listing.cache.overlapping(ORIGIN + 5, 1) == [listing.block, inner]


def test_a_block_ends_where_another_begins() -> None:
    """The second time the first two instructions are new, and the rest is jumped to."""
    code = bytes.fromhex("4041424344454647c3")  # inc eax ... inc edi; ret
    listing = Listing(KERNEL, code, translated=False)
    first = listing.translate_from(2)
    again = listing.translate_from(0)
    assert again.length == 2
    assert disassembled(listing, again.start + 2) == ("jmp", hex(first.start))
    assert [link.at for link in first.incoming] == [again.start + 2]
    listing.cache.unchain(first)
    assert disassembled(listing, again.start + 2)[0] == "int3"


@pytest.mark.parametrize(("prefix", "leaves"), [("", False), ("3e", False), ("2e", True)])
def test_an_indirect_branch_through_cs_is_emulated(prefix: str, leaves: bool) -> None:
    """In the engine CS is flat: the whole hidden region could be read through it."""
    listing = Listing(KERNEL, bytes.fromhex(prefix + "ff2500001000"))  # jmp [0x100000]
    exit_ = listing.cache.exits.get(listing.block.start)
    assert (exit_ is not None and exit_.kind == EMULATE) is leaves


@pytest.mark.parametrize(("left", "length"), [(3, 6), (4, 2)])
def test_a_few_instructions_are_rather_translated_twice(left: int, length: int) -> None:
    """Than jumped to, where another block has them already."""
    code = bytes.fromhex("4041") + bytes.fromhex("424344c3")[4 - left :]  # inc eax ...; ret
    listing = Listing(KERNEL, code, translated=False)
    listing.translate_from(2)
    assert listing.translate_from(0).length == min(length, len(code))


@pytest.mark.parametrize("room", range(1, 64))
def test_a_landing_near_the_end_of_a_page_leads_to_its_block(room: int) -> None:
    listing = Listing(KERNEL, b"\x40\xc3")
    listing.cache.used += -listing.cache.used % 0x1000 - room
    listing.translator.land(listing.block)
    at = listing.block.landings[False]
    code = bytes(listing.hidden[at - BASE : at - BASE + 96])
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    jumps = [o for _, _, name, o in disassembler.disasm_lite(code, at) if name == "jmp"]
    assert jumps[0] == hex(listing.block.start)

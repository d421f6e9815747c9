"""Golden output of the translator: expect/<name>.txt, to be read as a diff when it changes.

VP_REGENERATE=1 pytest tests/translate/test_expected.py      writes the files anew
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from listing import Listing, render

from bt.policy import Context
from bt.rewrite import FS, GS

EXPECT = Path(__file__).parent / "expect"
KERNEL, USER = Context(), Context(user=True)
KERNEL_IOPL, USER_IOPL = Context(stubs=False), Context(user=True, stubs=False)

# The context, the guest's code, and the reserved segment register where it is not the usual one
CASES: dict[str, tuple[Any, ...]] = {
    "plain": (KERNEL, "mov eax, [ebx] \n add eax, 5 \n inc dword ptr fs:[0x10] \n ret"),
    "cli_sti": (KERNEL, "cli \n sti \n nop \n ret"),
    "pushf_popf": (KERNEL, "pushfd \n cli \n popfd \n jmp 0x10100"),
    "pushf_popf_16": (KERNEL, ".byte 0x66, 0x9c \n .byte 0x66, 0x9d \n ret"),
    "flags_with_iopl": (KERNEL_IOPL, "pushfd \n cli \n popfd \n sti \n ret"),
    "selectors": (KERNEL, "mov eax, cs \n push ds \n mov ecx, fs \n push gs \n"
                  ".byte 0x66, 0x8c, 0xd0 \n mov word ptr [ebx], ss"),
    "system_registers": (KERNEL, "smsw eax \n str ecx \n sldt edx \n mov ebx, cr0 \n mov esi, cr3"
                         "\n sgdt [0x1234]"),
    "emulated": (KERNEL, "mov eax, 1 \n mov cr3, eax"),
    "far_and_back": (KERNEL, "push eax \n iretd"),
    "int_n": (KERNEL, "mov eax, 4 \n int 0x80"),
    "conditional": (KERNEL, "dec ecx \n jnz 0x10100 \n js 0x10000 \n inc eax"),
    "loop_and_jecxz": (KERNEL, "jecxz over \n inc eax \n over: loop over \n ret"),
    "call": (KERNEL, "push 1 \n call 0x10200"),
    "call_indirect": (KERNEL, "call [eax * 4 + 0x12345]"),
    "call_register": (KERNEL, "call ecx"),
    "jmp_indirect": (KERNEL, "jmp [esp + 4]"),
    "ret": (KERNEL, "inc eax \n ret"),
    "ret_imm": (KERNEL, "ret 8"),
    "reserved_segment": (KERNEL, "mov eax, gs:[0x14] \n inc ecx"),
    "reserved_segment_late": (KERNEL, ".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x65,0xa1 \n .long 0"),
    "cs_override": (KERNEL, "mov eax, cs:[ebx] \n ret"),
    "cs_override_nop": (KERNEL, ".byte 0x2e,0x0f,0x1f,0x84,0,0,0,0,0 \n ret"),
    "ports": (KERNEL, "in al, 0x40 \n out dx, al \n in eax, dx \n ret"),
    "x87_environment": (KERNEL, "fld1 \n fnstenv [eax] \n ret"),
    "lock_prefix": (KERNEL, ".byte 0xf0, 0xfa \n ret"),
    "undefined": (KERNEL, "inc eax \n .byte 0x0f, 0xff \n ret"),
    "user_flags": (USER, "pushfd \n popfd \n cli \n ret"),
    "user_flags_with_iopl": (USER_IOPL, "pushfd \n popfd \n cli \n ret"),
    "user_critical": (USER, "smsw eax"),
    "user_selectors": (USER, "mov eax, cs \n push ds \n mov ecx, gs:[0x14] \n mov ecx, fs:[0]"),
    "user_call": (USER, "call eax"),
    "segment_constant": (KERNEL, "mov eax, gs:[0x14] \n mov gs:[0x18], ecx \n"
                         "cmp eax, gs:[0x1c] \n lock inc dword ptr gs:[0x20] \n"
                         ".byte 0x67,0x65,0x66,0xa1,0x34,0x12 \n ret"),
    "segment_by_registers": (KERNEL, "mov eax, gs:[ebx + 8] \n add gs:[esp + ecx * 4], edx \n"
                             "mov byte ptr gs:[ebp * 8 - 4], 5 \n"
                             "movzx ecx, word ptr gs:[ecx] \n ret"),
    "segment_registers": (KERNEL, "shl dword ptr gs:[ebx], cl \n cmpxchg gs:[esi], ecx \n"
                          "cmpxchg8b qword ptr gs:[edi] \n mul dword ptr gs:[edi] \n ret"),
    "segment_stack": (KERNEL, "push dword ptr gs:[esp + 4] \n pop dword ptr gs:[8] \n"
                      "pop dword ptr gs:[esp]"),
    "segment_call": (KERNEL, "call dword ptr gs:[eax * 4 + 0x100]"),
    "segment_jmp": (KERNEL, "jmp dword ptr gs:[0x10]"),
    "segment_no_access": (KERNEL, "lea eax, gs:[ebx + 4] \n .byte 0x65,0x0f,0x1f,0x40,0x00 \n"
                          ".byte 0x65,0x40 \n .byte 0x65,0x89,0xc3 \n .byte 0x65,0xab \n ret"),
    "segment_bit_string": (KERNEL, "bt dword ptr gs:[8], 3 \n bts dword ptr gs:[8], 3 \n"
                           "bt dword ptr gs:[8], eax"),
    "segment_string": (KERNEL, ".byte 0x65,0xa4"),
    "segment_xlat": (KERNEL, ".byte 0x65,0xd7"),
    "segment_x87": (KERNEL, "fld dword ptr gs:[8]"),
    "segment_16_bit_address": (KERNEL, ".byte 0x67,0x65,0x8b,0x07"),
    "reserved_fs": (KERNEL, "mov eax, gs:[8] \n cli \n push ds \n mov fs:[ebx], eax \n ret", FS),
    "user_segments": (USER, "mov eax, gs:[8] \n mov fs:[0], eax \n mov fs:[eax], esp \n ret"),
    "user_reserved_gs": (USER, "mov eax, fs:[0x18] \n mov ecx, gs:[ecx] \n ret", GS),
    "a_long_block": (KERNEL, "inc eax \n" * 60),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_translation(name: str, regenerate: bool) -> None:
    file = EXPECT / f"{name}.txt"
    context, source, *reserved = CASES[name]
    text = render(source, context, *reserved)
    if regenerate:
        file.write_text(text)
    assert text == file.read_text(), "VP_REGENERATE=1 writes what it is now"


def test_no_expectation_is_left_over() -> None:
    assert {file.stem for file in EXPECT.glob("*.txt")} == set(CASES) | {"common"}


def test_what_every_cache_begins_with(regenerate: bool) -> None:
    """The ends of the lookups of indirect branches, and a landing."""
    listing = Listing(KERNEL, b"\xc3")
    begin = listing.block.start
    lines = [
        "the ends of lookups, context after context",
        *listing.lines(listing.cache.base, begin),
    ]
    at = listing.cache.base + listing.cache.used
    listing.translator.land(listing.block)
    end = listing.cache.base + listing.cache.used
    lines += ["a landing", *listing.lines(at, end), ""]
    file, text = EXPECT / "common.txt", "\n".join(lines)
    if regenerate:
        file.write_text(text)
    assert text == file.read_text()


def test_a_block_fits_into_the_room_it_was_promised() -> None:
    from bt.translate import MAX_BLOCK_BYTES

    for code in (b"\x9d", b"\x9c", b"\xfb", b"\x74\x00", b"\xe2\x00", b"\xe4\x40", b"\x8c\xc8",
                 b"\x65\x00\x1b", b"\x65\x81\x84\x18" + bytes(8)):  # fmt: skip
        for context in (KERNEL, USER, KERNEL_IOPL, USER_IOPL):
            listing = Listing(context, code * 48)
            assert listing.block.end - listing.block.start <= MAX_BLOCK_BYTES


def test_the_guest_cannot_tell_where_it_runs() -> None:
    """No instruction of the cache pushes an address of the cache."""
    listing = Listing(KERNEL, b"\xe8\x00\x01\x00\x00")
    pushes = [line for line in listing.translation() if "push" in line]
    assert pushes and all("guest+5" in line for line in pushes)

"""The embedded guest assembles into what it claims to be; running it is tested elsewhere."""

from __future__ import annotations

import re
import zlib

import capstone
import pytest

from monitor.guests import EmbeddedGuest, embedded_image
from monitor.guests.assembler import AssemblyError, assemble

MULTIBOOT_MAGIC = 0x1BADB002
PAGE = 4096


@pytest.fixture(scope="module")
def guest() -> EmbeddedGuest:
    return embedded_image()


def decode(code: bytes, address: int) -> list[tuple[int, str, str]]:
    """Every instruction, data included as it happens to decode."""
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    decoder.skipdata = True
    lines = decoder.disasm_lite(code, address)
    return [(at, mnemonic, operands) for at, _size, mnemonic, operands in lines]


def between(guest: EmbeddedGuest, first: str, last: str) -> list[str]:
    """The instructions from one label to another, as text."""
    start, end = guest.symbols[first], guest.symbols[last]
    code = guest.text_at(first)[: end - start]
    return [f"{mnemonic} {operands}".strip() for _, mnemonic, operands in decode(code, start)]


def small(source: str, origin: int = 0x1000) -> tuple[bytes, dict[str, int]]:
    """Assemble one text."""
    assembly = assemble(lambda _name: source, "small.asm", origin)
    return assembly.image, assembly.symbols


# ------------------------------------------------------------------------------------- the image


def test_the_image_starts_at_its_entry_and_ends_at_its_last_symbol(guest: EmbeddedGuest) -> None:
    assert guest.load_address == 0x100000
    assert guest.entry == guest.symbols["image_start"] == guest.load_address
    assert guest.symbols["image_end"] == guest.load_address + len(guest.image)
    assert len(guest.image) < 64 * 1024


def test_it_is_assembled_once(guest: EmbeddedGuest) -> None:
    assert embedded_image() is guest


def test_the_multiboot_header_describes_the_image(guest: EmbeddedGuest) -> None:
    header = guest.text_at("multiboot_header")[:32]
    words = [int.from_bytes(header[at : at + 4], "little") for at in range(0, 32, 4)]
    assert guest.symbols["multiboot_header"] % 4 == 0
    assert words[:2] == [MULTIBOOT_MAGIC, 1 << 16]
    assert sum(words[:3]) & 0xFFFFFFFF == 0
    assert words[3:] == [
        guest.symbols[name]
        for name in ("multiboot_header", "image_start", "image_end", "image_end", "start")
    ]


def test_symbols_are_the_addresses_that_the_code_uses(guest: EmbeddedGuest) -> None:
    assert between(guest, "checks_flags", "checks_selectors")[:2] == ["sti", "pushfd"]
    assert f"lgdt [{guest.symbols['gdt_register']:#x}]" in between(
        guest, "descriptors_start", "descriptors_start__reload"
    )
    limit = int.from_bytes(guest.text_at("gdt_register")[:2], "little")
    base = int.from_bytes(guest.text_at("gdt_register")[2:6], "little")
    assert (limit, base) == (0x5F, guest.symbols["gdt"])


@pytest.mark.parametrize("page", ["user_library", "user_probe", "user_primes", "user_checksum"])
def test_what_ring_3_may_reach_is_one_page_each(guest: EmbeddedGuest, page: str) -> None:
    assert guest.symbols[page] % PAGE == 0
    assert guest.symbols[page + "_end"] - guest.symbols[page] <= PAGE


KERNEL_INSTRUCTIONS = """
    pushfd|popfd|pushf|popf|cli|sti|hlt|iretd
    mov ax, cs|mov eax, cs|mov word ptr \\[.*\\], cs|push cs|push ss|push ds|mov e?[de]s, eax
    pop es|pop ss|pop ds|pop fs|push fs|lss .*|lgs .*
    smsw ax|smsw eax|smsw word ptr .*|lmsw ax|clts|mov cr0, eax|mov eax, cr0|mov cr3, eax
    sgdt .*|sidt .*|sldt eax|str eax|lgdt .*|lidt .*|lldt ax|ltr ax
    lar eax, ecx|lsl eax, ecx|verr cx|verw cx
    ljmp 8:.*|ljmp 4:.*|lcall 8, .*|lcall 0x40, 0|call ptr \\[.*\\]|retf|int 0x41|int3
    invlpg .*|rep movsb .*|cpuid|ud2|bound .*
"""
USER_INSTRUCTIONS = """
    mov eax, cs|push cs|pop es|smsw ax|sgdt .*|sidt .*|sldt eax|str eax|pushfd|popfd|iretd
    lar eax, ecx|lsl eax, ecx|verr cx|verw cx|lcall 0x43, 0
    cli|sti|hlt|clts|lmsw ax|mov eax, cr0|lgdt .*|invlpg .*|in al, 0x21|out 0xf4, al|int 0x41
"""


def forms(text: str) -> list[str]:
    return [form for line in text.split("\n") for form in line.strip().split("|") if form]


@pytest.mark.parametrize("form", forms(KERNEL_INSTRUCTIONS))
def test_the_kernel_contains(guest: EmbeddedGuest, form: str) -> None:
    instructions = between(guest, "start", "user_library")
    assert any(re.fullmatch(form, instruction) for instruction in instructions), form


@pytest.mark.parametrize("form", forms(USER_INSTRUCTIONS))
def test_the_probe_contains(guest: EmbeddedGuest, form: str) -> None:
    instructions = between(guest, "user_probe", "user_probe_end")
    assert any(re.fullmatch(form, instruction) for instruction in instructions), form


# ------------------------------------------------------------------------------- what it prints


def test_every_check_of_the_source_is_expected_once(guest: EmbeddedGuest) -> None:
    lines = [line for line in guest.expected_console if line.startswith("check ")]
    names = [re.fullmatch(r"check ([\w-]+) ok", line) for line in lines]
    assert all(names)
    assert len(set(lines)) == len(lines)
    for name in names:
        assert name and name[1].encode() + b"\0" in guest.image
    total = f"embedded guest: {len(lines)} checks, 0 wrong"
    assert guest.expected_console[-1] == total


def test_the_expected_primes_are_the_primes(guest: EmbeddedGuest) -> None:
    for limit in (750, 1500, 2250, 3000):
        count = sum(all(n % d for d in range(2, n)) for n in range(2, limit))
        assert f"primes: {count} below {limit}" in guest.expected_console


def test_the_expected_checksums_are_zlibs(guest: EmbeddedGuest) -> None:
    data = bytes((i * i + 3 * i) & 0xFF for i in range(1024))
    checksum = 0
    for _ in range(4):
        checksum = zlib.crc32(data, checksum)
        assert f"checksum: crc32 {checksum:08x}" in guest.expected_console


# ----------------------------------------------------------------------------- the assembler layer


def test_constants_local_labels_and_literals() -> None:
    image, symbols = small(
        'A = 3\nB = A << 4 | 1\nfirst: mov eax, B ; "not a string"\n.x: jmp .x\n'
        'second: mov esi, "a;b"\n.x: jmp .x\n.pool\n'
    )
    assert symbols == {
        "first": 0x1000,
        "first__x": 0x1005,
        "second": 0x1007,
        "second__x": 0x100C,
        "literal_0": 0x100E,
    }
    assert image == bytes.fromhex("b831000000 ebfe be0e100000 ebfe") + b"a;b\0"


def test_one_literal_is_stored_once() -> None:
    image, _ = small('a: mov esi, "same"\nmov edi, "same"\n')
    assert image.count(b"same\0") == 1


@pytest.mark.parametrize(
    ("statement", "encoding"),
    [
        ("push cs", "0e"),
        ("push ds", "1e"),
        ("pop es", "07"),
        ("pop ss", "17"),
        ("push fs", "0fa0"),
        ("sgdt [here]", "0f010500100000"),
        ("lidt [here + 4]", "0f011d04100000"),
        ("jmp far 8:here", "ea001000000800"),
        ("call far 0x43:0", "9a000000004300"),
        ("call far [here]", "ff1d00100000"),
        ("rep movsd", "f3a5"),
        ("push here", "6800100000"),
        ("push eax", "50"),
        ("mov eax, 10", "b80a000000"),
        ("int 0x41", "cd41"),
    ],
)
def test_encodings_that_the_layer_answers_for(statement: str, encoding: str) -> None:
    image, _ = small(f"here: {statement}\n")
    assert image == bytes.fromhex(encoding)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nop\nfrobnicate eax\n", "small.asm:2: Invalid mnemonic"),
        ("nop\n\njmp nowhere\n", "small.asm:3: Cannot find a symbol"),
        ("a: nop\na: nop\n", "small.asm:2: a is defined twice"),
        ("a: nop\n.byte: nop\n", "small.asm:2: .byte is a directive"),
        ("N = later + 1\n", "small.asm:1: a constant is made of numbers and earlier constants"),
        ("N = 1 +\n", "small.asm:1: not a constant expression"),
        ("sgdt [eax]\n", "small.asm:1: SGDT, SIDT, LGDT and LIDT take an absolute address"),
        ('.include "small.asm"\n', "small.asm: small.asm includes itself"),
    ],
)
def test_errors_name_the_file_and_the_line(source: str, message: str) -> None:
    with pytest.raises(AssemblyError, match=re.escape(message)):
        small(source)


def test_a_missing_include_says_who_wanted_it() -> None:
    def read(name: str) -> str:
        if name == "main.asm":
            return '.include "gone.asm"\n'
        raise FileNotFoundError(name)

    with pytest.raises(AssemblyError, match=r"no source file gone\.asm, included by main\.asm"):
        assemble(read, "main.asm", 0)

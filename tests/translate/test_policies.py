"""How each instruction is translated, by ring, and what is left out on demand (bt/translate.py).

policies.txt has a line for each body of the instruction table that is not simply copied.
VP_REGENERATE=1 pytest tests/translate/test_policies.py      writes it anew
"""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_lab import assembled
from listing import ORIGIN, Listing

from bt.cache import EMULATE
from bt.instruction import Class
from bt.policy import CONTEXTS, X87_ENVIRONMENT, Context, plain_entries, policies, policy_of
from bt.table import TABLE
from bt.translate import Translator

EXPECTED = Path(__file__).parent / "policies.txt"
EXITS = 0xCC


def policy_lines() -> list[str]:
    found = set()
    for row in TABLE:
        kernel, user = policy_of(row, False), policy_of(row, True)
        if (kernel, user) != ("copy", "copy"):
            found.add(f"{row.mnemonic:10} {row.body:14} kernel {kernel:12} user {user}")
    return sorted(found)


def test_policies(regenerate: bool) -> None:
    if regenerate:
        EXPECTED.write_text("\n".join(policy_lines()) + "\n")
    assert policy_lines() == EXPECTED.read_text().splitlines()


def test_the_kernel_runs_nothing_sensitive_as_it_is() -> None:
    for row in TABLE:
        if row.sensitivity is not Class.INNOCUOUS:
            assert policy_of(row, False) != "copy", row.mnemonic


@pytest.mark.parametrize("user", [False, True])
def test_policies_are_found_by_opcode_and_by_reg(user: bool) -> None:
    table = policies(user)
    named = {entry: row.mnemonic for entry, (_, row) in table.items()}
    assert named[0xFA * 8] == "CLI"
    assert [named[0x53 * 8 + reg] for reg in (0, 7)] == ["PUSH"] * 2, "whatever reg is"
    assert named[(0x100 + 0xCF) * 8 + 3] == "BSWAP", "the register is in the opcode"
    assert (named[0xFF * 8 + 2], named[0xFF * 8 + 4]) == ("CALL", "JMP")
    assert named[(0x100 + 0xA2) * 8] == "CPUID"
    assert 0xFF * 8 + 7 not in named
    group = [named.get(0x101 * 8 + reg) for reg in range(8)]
    assert group == ["SGDT", "SIDT", "LGDT", "LIDT", "SMSW", None, "LMSW", "INVLPG"]
    assert all(policy_of(row, user) == policy for policy, row in table.values())


@pytest.mark.parametrize("user", [False, True])
def test_what_is_copied_without_another_look(user: bool) -> None:
    table = policies(user)
    plain = plain_entries(table)
    assert plain <= {entry for entry, (policy, _) in table.items() if policy == "copy"}
    assert 0x90 * 8 in plain and 0x01 * 8 + 3 in plain
    assert not plain & set(X87_ENVIRONMENT)
    assert not plain & {0x9C * 8, 0x9D * 8}, "PUSHF and POPF depend on the context"
    rest = {entry for entry, (policy, _) in table.items() if policy == "copy"} - plain
    flags = {opcode * 8 + reg for opcode in (0x9C, 0x9D) for reg in range(8)}
    assert rest == set(X87_ENVIRONMENT) | (flags if user else set())


# --- techniques that are left out -----------------------------------------------------------------

ONE_OF_EACH = {
    "cli": "stubs", "sti": "stubs window", "pushfd": "stubs", "popfd": "stubs window",
    "in al, dx": "stubs", "out 0x80, al": "stubs", "push ds": "stubs", "mov eax, ds": "stubs",
    "smsw eax": "stubs", "mov eax, cr0": "stubs", "ret": "", "call eax": "", "jmp eax": "",
    "jz 0x10040": "", "inc eax": "", "loop 0x10040": "", "fnstenv [ebx]": "always",
    "mov cr3, eax": "always", "fld dword ptr [ebx]": "",
}  # fmt: skip


@pytest.mark.parametrize("without", ["stubs", "window", "chaining", "lookup"])
@pytest.mark.parametrize("source", ONE_OF_EACH)
def test_what_becomes_an_exit(source: str, without: str) -> None:
    lab = Listing(CONTEXTS[0], assembled(source + "\n", ORIGIN).image, translated=False)
    lab.translator = Translator(lab.cache, lab._mark, (without,))
    made = lab.translate_from(0)
    exits = lab.cache.code(made.start, made.start + 1)[0] == EXITS
    assert exits == (without in ONE_OF_EACH[source].split() or ONE_OF_EACH[source] == "always")


@pytest.mark.parametrize("context", range(4))
@pytest.mark.parametrize("source", ["pushfd", "popfd"])
def test_flags_of_user_code_with_unusual_flags(source: str, context: int) -> None:
    """User code may see its flags as they are, unless the engine has others."""
    lab = Listing(CONTEXTS[context], assembled(source + "\n", ORIGIN).image)
    code = lab.cache.code(lab.block.start, lab.block.end)
    copied = code[0] == assembled(source + "\n", ORIGIN).image[0] and len(code) < 10
    assert (copied, code[0] == EXITS) == [(False, False), (True, False), (False, True),
                                          (False, True)][context]  # fmt: skip


SHORT = (
    *("66e80010", "66e90010", "66eb10", "667410", "660f840010", "66e210", "66e310", "66c3"),
    *("66c20400", "66ffd0", "66ffe0", "66ff13", "66ff23", "660e", "669c", "669d"),
)


@pytest.mark.parametrize("code", SHORT)
def test_16_bit_forms_are_left_to_the_monitor(code: str) -> None:
    """They cut EIP or push two bytes."""
    lab = Listing(CONTEXTS[0], bytes.fromhex(code) + b"\xf4")
    made = lab.cache.code(lab.block.start, lab.block.end)
    assert made[0] == EXITS
    assert lab.cache.exits[lab.block.start].kind == EMULATE
    assert lab.cache.exits[lab.block.start].target == ORIGIN


def override(context: Context) -> int:
    """The prefix that names the register which the monitor uses, before the guest uses any."""
    return 0x64 if context.user else 0x65


@pytest.mark.parametrize("context", range(4))
@pytest.mark.parametrize(
    ("code", "becomes"),
    [
        ("RR 8b03", "stub"),
        ("OO 8b03", "copy"),
        ("2e 8b03", "exit"),  # CS is flat, and reaches the monitor's region
        ("RR 3e 8b03", "copy"),  # of two overrides the last counts
        ("3e RR 8b03", "stub"),
        ("2e 3e 8b03", "copy"),
        ("b8 RR000000", "copy"),  # no prefix, but a byte of an immediate
        ("b8 2e000000", "copy"),
        ("2e 8d03", "copy"),  # LEA does not go there
        ("RR 8d03", "copy"),
    ],
)
def test_segments_that_are_not_the_guests_there(code: str, becomes: str, context: int) -> None:
    """RR: an override that names the register which the monitor uses; OO: the other of FS, GS."""
    reserved = override(CONTEXTS[context])
    text = code.replace("RR", f"{reserved:02x}").replace("OO", f"{0x64 + 0x65 - reserved:02x}")
    data = bytes.fromhex(text)
    lab = Listing(CONTEXTS[context], data + b"\xf4")
    made = lab.cache.code(lab.block.start, lab.block.start + len(data))
    assert (made == data) == (becomes == "copy")
    assert (made[0] == EXITS) == (becomes == "exit")


@pytest.mark.parametrize("number", range(8))
def test_control_registers_that_are_none_are_the_monitors(number: int) -> None:
    lab = Listing(CONTEXTS[0], bytes([0x0F, 0x20, 0xC1 | number << 3, 0x90, 0xF4]))
    first = lab.cache.code(lab.block.start, lab.block.start + 1)[0]
    assert first == (0x65 if number in (0, 2, 3, 4) else EXITS)


@pytest.mark.parametrize(
    ("code", "exits"),
    [
        ("ff13", False),
        ("RR ff13", False),
        ("RR 3e ff13", False),
        ("RR ffd3", False),
        ("2e ff23", True),
        ("2e 3e ff23", False),
    ],
)
@pytest.mark.parametrize("context", range(4))
def test_indirect_branches_through_such_segments(code: str, exits: bool, context: int) -> None:
    data = bytes.fromhex(code.replace("RR", f"{override(CONTEXTS[context]):02x}"))
    lab = Listing(CONTEXTS[context], data + b"\x90\xf4")
    assert (lab.cache.code(lab.block.start, lab.block.start + 1)[0] == EXITS) == exits


def test_user_code_may_copy_what_opens_no_window() -> None:
    lab = Listing(CONTEXTS[1], b"\x9d\xf4", translated=False)
    lab.translator = Translator(lab.cache, lab._mark, ("window",))
    made = lab.translate_from(0)
    assert lab.cache.code(made.start, made.start + 1) == b"\x9d"


def test_landings_and_lookups_are_left_out() -> None:
    lab = Listing(CONTEXTS[0], assembled("call there \n there: ret \n", ORIGIN).image)
    lab.translator = Translator(lab.cache, lab._mark, ("lookup",))
    made = lab.translate_from(0)
    lab.translator.land(made)
    assert not made.landings
    lab.translator.returns.add(ORIGIN + 5)
    assert not lab.translate_from(5).landings


def test_a_return_address_is_landed_on_at_once() -> None:
    """Translated because it was returned to: RET finds it without an exit the next time."""
    lab = Listing(CONTEXTS[0], assembled("call there \n there: ret \n", ORIGIN).image)
    assert lab.translator.returns == {ORIGIN + 5}
    assert not lab.block.landings
    back = lab.translate_from(5)
    assert set(back.landings) == {False}
    assert not lab.cache.near_is_free(back)


def test_patches_and_instructions_are_counted() -> None:
    lab = Listing(CONTEXTS[0], assembled("cli \n inc eax \n pushfd \n hlt \n", ORIGIN).image)
    assert lab.translator.patches == {"CLI": 1, "PUSHF": 1, "HLT": 1}
    assert lab.translator.instructions == 4

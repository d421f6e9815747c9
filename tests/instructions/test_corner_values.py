"""Values where an instruction's answer turns: what few random operands hit (SDM vol. 2)."""

from __future__ import annotations

import pytest
from user_cpu import CODE, UserCpu

from bt.interp.state import AC, AF, CF, CR0_AM, EXIT_IO

FLAGS = 0x202


def run(code: str, flags: int = 0, **registers: int) -> UserCpu:
    user = UserCpu()
    user.set_regs(**registers)
    user.cpu.set_flags(FLAGS | flags)
    length = user.code(code)
    assert user.run(100) is not None  # the INT3 behind it
    assert user.cpu.eip == CODE + length
    return user


@pytest.mark.parametrize("flags", [0, AF])
@pytest.mark.parametrize("al", [0, 8, 9, 10, 15, 0x19, 0x1A, 0xF0])
@pytest.mark.parametrize(("code", "step"), [("37", 0x106), ("3f", -0x106)])
def test_ascii_adjust(code: str, step: int, al: int, flags: int) -> None:
    """AAA and AAS: more than nine, or AF."""
    user = run(code, flags, eax=0x0500 | al)
    adjusts = al & 0xF > 9 or flags == AF
    expected = 0x0500 + al + (step if adjusts else 0)
    assert user.reg("eax") == expected & 0xFF0F
    assert user.cpu.flags() & (AF | CF) == (AF | CF if adjusts else 0)


@pytest.mark.parametrize(
    ("code", "carry_in", "a", "b", "carry"),
    [
        ("01d8", 0, 0, 5, 0),  # ADD
        ("01d8", 0, 0, 0xFFFFFFFF, 0),
        ("01d8", 0, 1, 0xFFFFFFFF, 1),
        ("01d8", 0, 0xFFFFFFFF, 0xFFFFFFFF, 1),
        ("01d8", 1, 0, 5, 0),
        ("11d8", 0, 0, 5, 0),  # ADC
        ("11d8", 1, 0, 0xFFFFFFFF, 1),
        ("11d8", 1, 0xFFFFFFFF, 0xFFFFFFFF, 1),
        ("11d8", 1, 0xFFFFFFFE, 0, 0),
        ("29d8", 0, 5, 5, 0),  # SUB
        ("29d8", 0, 4, 5, 1),
        ("29d8", 0, 0, 0, 0),
        ("19d8", 1, 5, 5, 1),  # SBB
        ("19d8", 1, 6, 5, 0),
        ("19d8", 1, 0, 0xFFFFFFFF, 1),
        ("19d8", 0, 0, 0xFFFFFFFF, 1),
    ],
)
def test_carry(code: str, carry_in: int, a: int, b: int, carry: int) -> None:
    """SETC and a conditional jump ask for it in ways of their own."""
    user = run(code + "0f92c1 7202 b201 90", carry_in, eax=a, ebx=b, ecx=0, edx=0)
    assert (user.reg("ecx"), user.reg("edx"), user.cpu.flags() & CF) == (carry, 1 - carry, carry)
    assert user.cpu.flags() & AF == (a ^ b ^ user.reg("eax")) & AF


@pytest.mark.parametrize("flags", [2, 2 | AC])
def test_a_repetition_that_overwrites_itself_through_an_alias(flags: int) -> None:
    """The first byte makes REP STOSB a NOP and a STOSB, which go on; with alignment checks too."""
    user = UserCpu()
    user.map(0x60000, 0, 2)
    user.cpu.cr0 |= CR0_AM
    user.cpu.set_flags(flags)
    user.set_regs(eax=0x90, ecx=3, edi=0x60000)
    user.code("f3aa")
    while user.run(2) == EXIT_IO:
        pass
    assert (user.reg("ecx"), user.reg("edi")) == (2, 0x60002)
    assert bytes(user.memory[:3]) == b"\x90\x90\xcc"

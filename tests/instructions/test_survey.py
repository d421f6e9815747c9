"""Interp.survey(): guest code decoded for the translator; and the operand of one instruction."""

from __future__ import annotations

import pytest
from user_cpu import CODE, DATA, PHYSICAL, UserCpu


def survey(user: UserCpu, code: str, available: int = 64, most: int = 16) -> list[tuple[int, ...]]:
    user.code(code)
    return user.cpu.survey(PHYSICAL[CODE], CODE, available, most)


@pytest.mark.parametrize(
    "last",
    [
        *("c3", "c20400", "cb", "cf", "eb10", "e900000000", "ffe0", "ff20", "ea000000002300"),
        *("e800000000", "ffd0", "ff10", "9a000000002300"),  # a call comes back, if at all, later
    ],
)
def test_it_ends_with_what_never_falls_through(last: str) -> None:
    found = survey(UserCpu(), "40 7400 8b03 e2fe" + last + "9090")
    assert [item[8] for item in found] == [0, 0, 0, 0, 1]
    assert [item[0] - CODE for item in found] == [0, 1, 3, 5, 7]
    assert [item[1] for item in found] == [1, 2, 2, 2, len(bytes.fromhex(last))]


def test_it_ends_with_what_is_no_instruction() -> None:
    found = survey(UserCpu(), "40 0f04 40")
    assert [(item[0] - CODE, item[8]) for item in found] == [(0, 0), (1, 1)]
    assert found[1][2] == 0xFFFF


def test_it_ends_where_it_was_told_to() -> None:
    assert len(survey(UserCpu(), "40404040", most=3)) == 3
    assert len(survey(UserCpu(), "4040 b811111111", available=6)) == 2


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("8b4304", DATA + 4),  # mov eax, [ebx + 4]
        ("0f20c0", None),  # mov eax, cr0
        ("40", None),
        ("50", None),
        ("b800000200", None),  # mov eax, DATA: an immediate
        ("8bc3", None),
        ("0f0113", DATA),  # lgdt [ebx]
        ("8e1c8b", DATA + 40),  # mov ds, [ebx + 4 * ecx]
    ],
)
def test_where_an_operand_is(code: str, place: int | None) -> None:
    user = UserCpu()
    user.set_regs(ebx=DATA, ecx=10)
    user.code(code)
    assert user.cpu.operand_linear(PHYSICAL[CODE]) == (-1 if place is None else place)


@pytest.mark.parametrize(
    ("code", "entry", "modrm", "size"),
    [
        ("40", 0x40 * 8, 0, 4),
        ("83c805", 0x83 * 8 + 1, 0xC8, 4),  # or eax, 5
        ("66d1e0", 0xD1 * 8 + 4, 0xE0, 2),  # shl ax, 1
    ],
)
def test_which_row_of_the_table_it_is(code: str, entry: int, modrm: int, size: int) -> None:
    first = survey(UserCpu(), code + "90")[0]
    assert (first[2], first[5]) == (entry, size)
    assert first[3] == modrm or not modrm

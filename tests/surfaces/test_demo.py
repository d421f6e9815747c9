"""`vp demo`: the comparison, the verdict, and what it says about consoles that were cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fake_machine import WRONG_ANSWERS
from rich.console import Console
from vp_command import Result

from monitor.cli import demo_life, demo_tables
from monitor.cli.demo_life import Life, checks_in, judge
from monitor.vmm.outcome import Outcome

EXPECTED = ("kernel checks", "check popf ok", "check cs ok", "check str ok", "3 checks, 0 wrong")
TRAPPED = ("kernel checks", "check popf WRONG got 00000200 want 00000000", "check cs WRO")
FIGURES = {"instructions": 1000, "seconds": 2.0}


def life(mode: str, lines: Sequence[str] = EXPECTED, end: str = "exit", **figures: Any) -> Life:
    console = "\r\n".join(lines) + ("\r\n" if end == "exit" else "")
    statistics = {**FIGURES, **figures}
    return Life(mode, Outcome(end), console.encode(), EXPECTED, statistics)


def all_three(**translate: Any) -> list[Life]:
    return [
        life("bare"),
        life("trap", TRAPPED, "timeout", wrong_answers=WRONG_ANSWERS),
        life("translate", patches={"POPF": 5}, exits={"page fault": 8}, **translate),
    ]


def text_of(lives: Sequence[Life]) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(demo_tables.comparison(lives))
    return capture.get()


# --- one life -------------------------------------------------------------------------------------


def test_a_console_that_was_cut_off_in_the_middle_of_a_line() -> None:
    trapped = life("trap", TRAPPED, "timeout")
    assert trapped.checks == {"popf": "got 00000200 want 00000000"}
    assert trapped.wrong == trapped.checks
    assert trapped.not_reached == ["cs", "str"]
    assert not trapped.right


@pytest.mark.parametrize("console", [b"", b"\r\n", b"\xff\xfe\x00", b"check "])
def test_a_console_of_rubbish(console: bytes) -> None:
    rubbish = Life("trap", Outcome("shutdown"), console, EXPECTED, FIGURES)
    assert rubbish.checks == {}
    assert len(rubbish.not_reached) == 3
    assert judge([rubbish]).right
    assert text_of([rubbish])


def test_the_embedded_guest_s_lines_are_understood() -> None:
    guest = pytest.importorskip("monitor.guests").embedded_image()
    checks = checks_in(guest.expected_console)
    assert len(checks) == 150
    assert set(checks.values()) == {"ok"}


# --- the verdict ----------------------------------------------------------------------------------


def test_bare_and_translate_right_and_trap_wrong_is_right() -> None:
    verdict = judge(all_three())
    assert verdict.right
    assert verdict.text == (
        "bare: all 3 checks right. "
        "trap: 1 checks wrong, 2 never reached, as it must be on x86. "
        "translate: all 3 checks right."
    )


def test_translate_must_be_right() -> None:
    lives = [life("bare"), life("translate", [*EXPECTED[:3], "check str WRONG got 1 want 2"])]
    verdict = judge(lives)
    assert not verdict.right
    assert verdict.text == (
        "Not as it should be: translate differs from what the guest should print "
        "(line 4 is 'check str WRONG got 1 want 2', not 'check str ok')."
    )


def test_bare_must_be_right_to_its_end() -> None:
    assert not judge([life("bare", EXPECTED[:-1])]).right
    assert not judge([life("bare", [*EXPECTED, "more"])]).right
    assert not judge([life("bare", EXPECTED, "timeout")]).right  # no line end after the last line


def test_trap_must_be_wrong() -> None:
    verdict = judge([life("trap")])
    assert not verdict.right
    assert "trap gave no wrong answer" in verdict.text


# --- the tables -----------------------------------------------------------------------------------


def test_wrong_checks_stand_side_by_side() -> None:
    rows = [line.split("│")[1:-1] for line in text_of(all_three()).splitlines() if "popf" in line]
    assert [cell.strip() for cell in rows[0]] == [
        "popf", "ok", "got 00000200 want 00000000", "ok",
    ]


def test_overhead_is_a_ratio_to_bare() -> None:
    text = text_of(all_three(instructions=1500, seconds=3.0))
    ratios = [line.split("│")[4].strip() for line in text.splitlines() if "against bare" in line]
    assert ratios == ["1.500 x", "1.500 x"]


def test_hits_of_the_translation_cache_are_shares() -> None:
    tc = {"bytes": 4096, "dispatches": 8, "dispatch_hits": 2, "lookups": 1000, "lookup_hits": 951}
    lines = [line for line in text_of(all_three(tc=tc)).splitlines() if "TC" in line]
    rows = [line.split("│")[1:-1] for line in lines]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["TC bytes", "", "", "4,096"],
        ["TC dispatches, hits", "", "", "25.0%"],
        ["TC lookups, hits", "", "", "95.1%"],
    ]


def test_a_life_that_was_cut_off_has_no_ratio() -> None:
    text = text_of(all_three())
    ratios = [line.split("│")[3].strip() for line in text.splitlines() if "against bare" in line]
    assert ratios == ["", ""]


def test_patches_exits_wrong_answers_and_reasons_are_shown() -> None:
    text = " ".join(text_of(all_three()).split())
    for part in ("Patched instructions, translate", "Exits, translate", "page fault", "POPF",
                 "00100123", "POPF changes IF and IOPL in ring 0 only.",
                 "The low two bits of CS and SS are the ring"):
        assert part in text, part


@pytest.mark.parametrize(
    ("mnemonic", "word"),
    [("POPF", "POPF"), ("popfd", "POPF"), ("PUSHFD", "PUSHF"), ("SMSW", "SMSW"), ("VERW", "VERR"),
     ("MOV", "low two bits"), ("POP DS", "segment register"), ("CALL far", "far call"),
     ("retf", "far call"), ("IRETD", "INT and IRET"), ("STR", "SGDT")],
)
def test_every_critical_instruction_has_its_reason(mnemonic: str, word: str) -> None:
    assert word in demo_tables.reason(mnemonic)


def test_other_instructions_have_none() -> None:
    assert demo_tables.reason("ADD") == ""


# --- the command ----------------------------------------------------------------------------------


def test_the_command_runs_the_modes_in_order_and_judges(
    vp: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = {each.mode: each for each in all_three()}
    asked: list[tuple[str, float]] = []

    def live(mode: str, seconds: float) -> Life:
        asked.append((mode, seconds))
        return lives[mode]

    monkeypatch.setattr(demo_life, "live", live)
    monkeypatch.setenv("NO_COLOR", "1")
    result = vp("demo", "--seconds", "7")
    assert asked == [("bare", 7.0), ("trap", 7.0), ("translate", 7.0)]
    assert result.status == 0
    assert "\x1b" not in result.out
    lives["trap"] = life("trap")
    assert vp("demo").status == 1
    assert vp("demo", "--mode", "bare").status == 0

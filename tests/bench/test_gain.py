"""What a stub of one's own gains, measured."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from monitor.bench.gain import gain
from monitor.bench.rows import BARE, TRANSLATE
from monitor.bench.runner import extended, make
from monitor.extensions import Extensions
from monitor.extensions.problem import Problem
from monitor.vmm.errors import UserError

ROUNDS = 20
POST = {"in": "in al, POST_PORT"}


def smsw(problem: Problem) -> str:
    return f"mov {problem.register}, dword ptr gs:[CR0] | done"


def test_what_an_exit_costs_and_a_stub_saves() -> None:
    """SMSW has a stub already; without, it is an exit; the engine executes one instruction."""
    found = gain({"smsw": "smsw eax"}, {"smsw": smsw}, rounds=ROUNDS)["smsw"]
    assert [share.exits for share in (found.bare, found.exit, found.usual, found.own)] == [
        0, 1, 0, 0]  # fmt: skip
    assert found.exit.cycles - found.own.cycles > 100
    assert found.usual.cycles == found.own.cycles
    assert found.own.engine == Fraction(1) and found.own.in_stubs == 1
    head, *lines = str(found).splitlines()
    assert head.split() == ["cycles", "exits", "engine"]
    assert [line.split()[0] for line in lines] == ["bare", "exit", "usual", "own"]
    assert lines[1].split()[2] == "1.00"


def test_the_engine_s_work_is_that_of_the_stub() -> None:
    long = "nop\n" * 9 + "in al, 0x80 | done"
    found = gain(POST, {"in": long}, rounds=ROUNDS)["in"]
    assert found.own.engine == 10 and found.usual.engine == 1


@pytest.mark.parametrize(("stub", "told"), [
    ("mov eax, 5 | done", "another one behind .* in al, 0x80 .*eax: bare 0+, yours 0+5"),
    (lambda problem: 7, "returned 7 for in"),
    ("hlt | done", "hlt is no way out"),
])  # fmt: skip
def test_a_stub_that_is_wrong_is_told_before_anything_is_measured(stub: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        gain(POST, {"in": stub}, rounds=ROUNDS)


def test_one_that_is_meant_to_differ_is_measured() -> None:
    found = gain(POST, {"in": "mov eax, 5 | done"}, rounds=ROUNDS, compare=False)["in"]
    assert found.own.exits == 0 and found.own.cycles < found.usual.cycles


def test_one_that_leads_the_guest_elsewhere_is_told() -> None:
    operation = {"in": "in al, POST_PORT; test ah, ah; jz .on; nop; .on:"}
    with pytest.raises(UserError, match="lead the guest astray"):
        gain(operation, {"in": "mov eax, 0x500 | done"}, rounds=ROUNDS, compare=False)


def test_extensions_are_those_of_machines_made_inside() -> None:
    own = Extensions(stubs={"smsw": smsw})
    with extended(own):
        assert make(TRANSLATE, 4).extensions is own
        assert make(BARE, 4).extensions is not own
    assert make(TRANSLATE, 4).extensions is not own

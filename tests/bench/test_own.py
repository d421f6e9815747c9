"""Operations of one's own, measured as the nanobenchmarks are."""

from __future__ import annotations

import pytest

from monitor.bench import nano
from monitor.bench.own import USER, costs, setup
from monitor.errors import MonitorBug, UserError

ROUNDS = 40


def test_it_is_measured_as_ours_are() -> None:
    [ours] = nano.choose(["callret"])
    theirs = nano.Operation("callret", "", code="call nothing")
    assert theirs.measured(12).image == ours.measured(12).image


def test_the_loop_around_it_is_not_counted() -> None:
    found = costs({"two": "add ebx, ecx; xor edx, ebx"}, rounds=ROUNDS)
    assert set(found) == {("two", "bare"), ("two", "translate")}
    assert found["two", "bare"].instructions == 2
    assert found["two", "bare"].cycles == 2
    assert found["two", "translate"].exits == 0


def test_techniques_can_be_left_out() -> None:
    names = ("translate", "translate -stubs")
    found = costs({"cli": "cli"}, setups=names, rounds=ROUNDS)
    assert [round(found["cli", name].exits) for name in names] == [0, 1]


def test_it_may_run_in_ring_3() -> None:
    found = costs({"add": "add eax, eax"}, loop=USER, rounds=ROUNDS)
    assert found["add", "translate"].exits == 0
    assert found["add", "translate"].stubs == 0


def test_rounds_have_to_be_alike() -> None:
    with pytest.raises(MonitorBug, match=r"its (rounds differ|profile has)"):
        costs({"odd": "test ecx, 2; jz .even; nop; nop; nop; .even:"}, rounds=ROUNDS)


@pytest.mark.parametrize(
    ("text", "told"),
    [("fast", "setup 'fast'"), ("translate stubs", "setup"), ("translate -magic", "'magic'")],
)
def test_a_setup_that_is_none_is_told(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        setup(text)

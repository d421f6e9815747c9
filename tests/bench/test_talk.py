"""The talk's table with stand-ins: what they are, and that their figures repeat."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from monitor.bench import model, suites, talk
from monitor.bench.results import Options
from monitor.bench.talk import Slowdown
from monitor.vmm.errors import UserError

ROUNDS = 4


@functools.cache
def found() -> Mapping[str, Slowdown]:
    suite = suites.make("talk", Options(model.load(model.DEFAULT), rounds=ROUNDS))
    rows = list(suite.plan.measure())
    return {one.program.name: one for one in talk.slowdowns(rows, talk.PROGRAMS)}


def test_the_talks_figures_stand_beside_ours() -> None:
    assert [program.theirs for program in talk.PROGRAMS] == ["8%", "30%", "under 10%", "under 10%"]
    [line] = talk.lines([found()["direct"]], host_clock=False)
    assert dict(zip(talk.head(host_clock=False), line, strict=True))["talk"] == "8%"


def test_all_direct_is_all_direct_and_all_patched_all_patched() -> None:
    direct, patched = found()["direct"].virtual.counts, found()["patched"].virtual.counts
    assert direct.by_kind["direct"] == pytest.approx(ROUNDS * 18003, abs=100)
    assert "direct" not in patched.by_kind
    assert patched.by_kind["stubs"] >= 3 * 100 * ROUNDS
    assert patched.lookups >= 1000 * ROUNDS


@pytest.mark.parametrize("name", ["integer", "float"])
def test_the_suites_need_the_monitor_twice_a_round(name: str) -> None:
    exits = found()[name].virtual.counts.exits
    assert exits["INT 0x80"] == ROUNDS
    assert exits["#PF"] == ROUNDS


@pytest.mark.parametrize("name", [program.name for program in talk.PROGRAMS])
def test_both_machines_do_the_same_and_the_monitor_costs(name: str) -> None:
    one = found()[name]
    assert one.bare.ended == one.virtual.ended == "exit"
    assert one.bare.counts.instructions == one.virtual.counts.instructions
    assert one.cycles > 0


def test_a_host_whose_clock_saw_no_time_pass() -> None:
    """Where a clock ticks, or the host was busy with others, a short run may take none."""
    one = found()["direct"]
    rows = [replace(one.bare, seconds=0.0), replace(one.virtual, seconds=0.1)]
    [slowdown] = talk.slowdowns(rows, talk.choose(["direct"]))
    [line] = talk.lines([slowdown], host_clock=True)
    here = dict(zip(talk.head(host_clock=True), line, strict=True))["here"]
    assert slowdown.times is None and here == "-"
    rows[0] = replace(one.bare, seconds=0.05)
    [line] = talk.lines(talk.slowdowns(rows, talk.choose(["direct"])), host_clock=True)
    assert dict(zip(talk.head(host_clock=True), line, strict=True))["here"] == "100%"


def test_unknown_programs() -> None:
    with pytest.raises(UserError, match="choose from direct, patched"):
        talk.choose(["media"])

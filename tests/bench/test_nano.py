"""The nanobenchmarks: what an operation does in each setup, and what each technique saves."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from fractions import Fraction

import pytest

from monitor.bench import model, nano, suites, tables
from monitor.bench.figures import Figure
from monitor.bench.profile import profile
from monitor.bench.results import Options
from monitor.bench.rows import BARE, TRANSLATE, TRAP, Setup
from monitor.bench.runner import execute
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError

ROUNDS = 60
NAMES = [operation.name for operation in nano.OPERATIONS]


@functools.cache
def found() -> dict[tuple[str, Setup], Figure]:
    suite = suites.make("nano", Options(model.load(model.DEFAULT), rounds=ROUNDS))
    results = suite.results(list(suite.plan.measure()))
    return {(figure.operation, figure.setup): figure for figure in results.figures}


def whole(value: Fraction) -> int:
    """Start-up costs of the longer code are spread over the rounds: less than one half each."""
    return round(value)


def test_the_seven_of_the_paper_are_there() -> None:
    theirs = [operation.theirs for operation in nano.OPERATIONS if operation.theirs]
    assert theirs == ["syscall", "in", "cr8wr", "callret", "pgfault", "divzero", "ptemod"]


@pytest.mark.parametrize("name", NAMES)
def test_the_guest_does_the_same_in_every_setup(name: str) -> None:
    counts = {figure.instructions for (operation, _), figure in found().items()
              if operation == name}  # fmt: skip
    assert len(counts) == 1
    for setup in (BARE, TRANSLATE, *(Setup("translate", (word,)) for word in ABLATIONS)):
        assert not found()[name, setup].wrong


def test_trap_mode_gets_the_flags_wrong_and_says_so() -> None:
    assert {name for name in NAMES if found()[name, TRAP].wrong} == {"flags"}


@pytest.mark.parametrize(
    ("name", "exits", "emulated", "stubs", "fills"),
    [
        ("syscall", 2, 2, 0, 0),
        ("in", 0, 0, 1, 0),
        ("cr3wr", 1, 1, 1, 0),
        ("callret", 0, 0, 0, 0),
        ("pgfault", 2, 3, 0, 0),
        ("ptemod", 0, 0, 0, 0),
        ("remap", 2, 1, 0, 1),
        ("flags", 0, 0, 3, 0),
        ("window", 0, 0, 2, 0),
        ("mixed", 0, 0, 0, 0),
        ("usercall", 0, 0, 0, 0),
    ],
)
def test_what_an_operation_takes_translated(
    name: str, exits: int, emulated: int, stubs: int, fills: int
) -> None:
    figure = found()[name, TRANSLATE]
    seen = (figure.exits, figure.emulated, figure.stubs, figure.fills)
    assert tuple(map(whole, seen)) == (exits, emulated, stubs, fills)


# Which operations must get dearer without a technique; all others must cost the same.
DEARER = {
    "chaining": {"callret", "mixed"},
    "lookup": {"callret"},
    "stubs": {"in", "cr3wr", "flags", "window"},
    "window": {"flags", "window"},
    "direct": {"usercall"},
    "bytes": {"mixed"},
}
START_UP = Fraction(60)  # cycles in a round of so few: the first pass through the longer code


@pytest.mark.parametrize("technique", ABLATIONS)
def test_a_technique_left_out_costs_where_it_should(technique: str) -> None:
    for name in NAMES:
        with_it = found()[name, TRANSLATE].cycles
        without = found()[name, Setup("translate", (technique,))].cycles
        if name in DEARER[technique]:
            assert without > with_it + 5, name
        else:
            assert abs(without - with_it) < START_UP, name


def test_direct_execution_left_out_means_translated() -> None:
    rows = {setup: execute(nano.choose(["usercall"])[0].measured(ROUNDS), setup)[0].by_kind
            for setup in (TRANSLATE, Setup("translate", ("direct",)))}  # fmt: skip
    assert rows[TRANSLATE]["direct"] >= 4 * ROUNDS
    assert "direct" not in rows[Setup("translate", ("direct",))]


def test_trapping_costs_more_than_translating() -> None:
    """Where a stub replaces a trap."""
    for name in ("in", "flags", "window", "cr3wr"):
        assert found()[name, TRAP].cycles > found()[name, TRANSLATE].cycles


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_what_the_bare_machine_runs(name: str) -> None:
    operation = nano.choose([name])[0]
    known = profile(operation.measured, ROUNDS)
    counts, _, ended = execute(operation.measured(ROUNDS), BARE)
    assert ended == "exit" and known.instructions == counts.instructions
    faults = {"pgfault", "divzero"}
    assert known.exceptions == (ROUNDS if name in faults else 0)


def test_a_profile_of_few_rounds_is_stepped_whole() -> None:
    operation = nano.choose(["syscall"])[0]
    few, many = profile(operation.measured, 7), profile(operation.measured, 27)
    for kind in ("software_interrupt", "interrupt_return"):
        assert many.classes[kind] - few.classes[kind] == 20


def test_unknown_operations() -> None:
    with pytest.raises(UserError, match="choose from syscall"):
        nano.choose(["sysenter"])


def test_the_reasons_name_the_exits() -> None:
    reasons = found()["pgfault", TRANSLATE].reasons
    assert tables.reasons(reasons) == "#PF 1.00, emulate 1.00"


# --- the same to the last digit -------------------------------------------------------------------

PRINT = """
from monitor.bench import model, suites, store
from monitor.bench.results import Options
suite = suites.make("nano", Options(model.load(model.DEFAULT), rounds=12))
results = suite.results(list(suite.plan.measure()))
print(results.head, *results.lines, sep="\\n")
print(*(store.line(row, False) for row in results.rows), sep="\\n")
"""


def printed(**environment: str) -> str:
    done = subprocess.run([sys.executable, "-c", PRINT], env=os.environ | environment, check=True,
                          capture_output=True, text=True)  # fmt: skip
    return done.stdout


def test_tables_are_the_same_twice_and_in_both_builds() -> None:
    first = printed(VP_PURE="0")
    assert len(first.splitlines()) > 200
    assert printed(VP_PURE="0") == first
    assert printed(VP_PURE="1") == first

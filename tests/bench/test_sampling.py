"""Sampled profiles, against those that were taken instruction by instruction."""

from __future__ import annotations

import pytest

from monitor.bench import nano
from monitor.bench.profile import profile
from monitor.bench.rows import BARE
from monitor.bench.runner import counts_of, loaded
from monitor.bench.sampling import Sampler, extrapolate

ROUNDS = 300


@pytest.mark.parametrize("name", ["pgfault", "divzero", "syscall", "in", "flags"])
def test_a_sample_is_like_the_whole(name: str) -> None:
    """What can be counted is exact; shares of classes are near."""
    operation = nano.choose([name])[0]
    whole = profile(operation.measured, ROUNDS)
    machine, sampler = loaded(operation.measured(ROUNDS), BARE), Sampler(apart=3)
    assert sampler.run(machine, None).kind == "exit"
    sampled = sampler.profile(counts_of(machine.statistics()))
    assert sampled.instructions == whole.instructions
    assert sampled.exceptions == whole.exceptions
    # What a profile calls simple includes the start-up, which a sample tells apart.
    for kind in {"port", "software_interrupt"} & set(whole.classes):
        assert sampled.classes[kind] == pytest.approx(whole.classes[kind], abs=3)
    for kind in {"interrupt_return", "read_flags", "write_flags"} & set(whole.classes):
        assert sampled.classes[kind] == pytest.approx(whole.classes[kind], rel=0.25)


def test_a_sample_stops_where_it_is_told_to() -> None:
    machine = loaded(nano.choose(["flags"])[0].measured(ROUNDS), BARE)
    Sampler(apart=5).run(machine, None, last=1000)
    assert machine.instructions == 1000 and not machine.debug.breakpoints


@pytest.mark.parametrize("instructions", [10, 11, 12, 1000, 1001])
def test_shares_add_up(instructions: int) -> None:
    classes = extrapolate({"simple": 3, "branch": 2, "divide": 2}, {"port": 10}, instructions)
    assert sum(classes.values()) == instructions
    assert all(n > 0 for n in classes.values())

"""Stops before an address, and audits: stops before instructions that ring 3 would get wrong."""

from __future__ import annotations

import pytest
from engine_lab import CODE, PF, Lab
from stopped import stopped

from bt.contract import (
    EXIT_BUDGET,
    EXIT_SOFTINT,
    MAX_STOPS,
)

NOPS = b"\x90" * 8
PLACE = 0x500000


def test_a_stop_is_before_the_instruction(lab: Lab) -> None:
    lab.program("inc eax; inc eax; mov eax, [0x24000]")
    lab.engine.set_stops([CODE + 2])
    lab.set(eax=5)
    stopped(lab, CODE + 2, 2)
    assert lab.reg("eax") == 7
    exit_ = lab.run()
    assert (exit_.vector, exit_.count) == (PF, 2), "it is passed, and has its fault"


def test_running_on_passes_the_stop_once(lab: Lab) -> None:
    lab.program("top: inc eax; dec ecx; jnz top")
    lab.engine.set_stops([CODE + 1])
    lab.set(ecx=3)
    for turn in range(3):
        stopped(lab, CODE + 1, 3 * turn + 1)
    assert lab.run().reason == EXIT_SOFTINT


def test_a_stop_at_the_first_instruction(lab: Lab) -> None:
    lab.program(NOPS)
    lab.engine.set_stops([CODE])
    stopped(lab, CODE, 0)
    assert lab.run(0).reason == EXIT_BUDGET


def test_stops_next_to_each_other(lab: Lab) -> None:
    lab.program(NOPS)
    stops = [CODE + 1, CODE + 2, CODE + 3, CODE + 7]
    lab.engine.set_stops(stops)
    for stop in stops:
        stopped(lab, stop, stop - CODE)
    assert lab.run().count == 8


def test_only_the_stop_that_was_told_is_passed(lab: Lab) -> None:
    """Not whatever instruction comes first in the next run."""
    lab.program(NOPS)
    lab.engine.set_stops([CODE + 1, CODE + 5])
    stopped(lab, CODE + 1, 1)
    lab.set(eip=CODE + 5)
    stopped(lab, CODE + 5, 1)


@pytest.mark.engine("exact_counts")
def test_a_budget_that_ends_at_a_stop(lab: Lab) -> None:
    lab.program(NOPS)
    lab.engine.set_stops([CODE + 3])
    assert lab.run(3).reason == EXIT_BUDGET
    stopped(lab, CODE + 3, 3)


def test_stops_are_replaced_and_hold_for_code_that_has_run(lab: Lab) -> None:
    lab.finish(NOPS)
    for stops in ([CODE + 4], [CODE + 2], [CODE + 2, CODE + 4]):
        lab.engine.set_stops(stops)
        lab.set(eip=CODE)
        stopped(lab, stops[0], lab.count + stops[0] - CODE)
    lab.engine.set_stops([])
    lab.finish(NOPS)


def test_stops_are_linear_addresses(lab: Lab) -> None:
    lab.program(NOPS)
    lab.segment("cs", CODE, 0xFFF, 0x40FB)
    lab.engine.set_stops([CODE + 6])
    lab.set(eip=0)
    stopped(lab, 6, 6)


def test_a_stop_behind_an_instructions_first_byte_is_none(lab: Lab) -> None:
    lab.engine.set_stops([CODE + 1])
    lab.finish("mov eax, 1")


def test_as_many_stops_as_promised(lab: Lab) -> None:
    lab.program(b"\x90" * (2 * MAX_STOPS + 8))
    stops = [CODE + 2 * i + 1 for i in range(MAX_STOPS)]
    lab.engine.set_stops(stops)
    for stop in stops:
        stopped(lab, stop, stop - CODE)
    with pytest.raises(ValueError, match="256"):
        lab.engine.set_stops([*stops, 5])


# --- audits -------------------------------------------------------------------------------------

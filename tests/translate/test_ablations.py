"""Techniques left out: the guest behaves the same, and takes the exits that they save."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from patience import PATIENCE

from monitor import Machine
from monitor.guests import embedded_image
from monitor.lockstep import Lockstep, Stage
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError


def embedded_guest(mode: str, without: tuple[str, ...] = ()) -> Machine:
    guest = embedded_image()
    machine = Machine(memory_mb=4, mode=mode, without=without if mode == "translate" else ())
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    return machine


@functools.cache
def life(*without: str) -> tuple[bytes, dict[str, Any]]:
    """The embedded guest's console and statistics."""
    machine = embedded_guest("translate", without)
    outcome = machine.run(timeout=PATIENCE)
    assert outcome.kind == "exit", outcome
    return machine.console, machine.statistics()


def exits(*without: str) -> int:
    return sum(life(*without)[1]["exits"].values())


every = pytest.mark.parametrize("name", ABLATIONS)


@every
def test_the_guest_does_the_same(name: str) -> None:
    console, statistics = life(name)
    whole, all_statistics = life()
    assert console == whole
    assert statistics["instructions"] == all_statistics["instructions"]
    assert statistics["without"] == [name]


@every
@pytest.mark.slow
def test_lockstep_is_clean(name: str) -> None:
    def make(mode: str) -> Machine:
        return embedded_guest(mode, (name,))

    report = Lockstep(make).run(Stage(step=7, memory_every=700))
    assert report.difference is None, str(report.difference)
    assert report.guest_ended


def test_all_at_once_too() -> None:
    assert life(*ABLATIONS)[0] == life()[0]


@pytest.mark.parametrize("name", sorted(set(ABLATIONS) - {"direct"}))
def test_it_costs_exits(name: str) -> None:
    """Translated user code need not exit more than direct execution does."""
    assert exits(name) > exits()


def test_each_costs_the_exits_that_it_saves() -> None:
    """By reason, against the whole monitor."""
    whole = life()[1]
    for name, reason in {"chaining": "chain", "lookup": "indirect branch", "stubs": "emulate",
                         "window": "emulate", "bytes": "traced write"}.items():  # fmt: skip
        assert life(name)[1]["exits"].get(reason, 0) > whole["exits"].get(reason, 0), name


def test_without_stubs_there_are_none() -> None:
    assert life()[1]["by_kind"]["stubs"] > 0
    assert life("stubs")[1]["by_kind"]["stubs"] == 0


def test_without_direct_execution_user_code_is_translated() -> None:
    whole, ablated = life()[1]["by_kind"], life("direct")[1]["by_kind"]
    assert whole["direct"] > 0 and ablated.get("direct", 0) == 0
    assert ablated["translated"] > whole["translated"]


@pytest.mark.parametrize(
    ("mode", "names", "message"),
    [
        ("translate", ("speed",), "choose from chaining"),
        ("bare", ("stubs",), "goes with mode translate"),
    ],
)
def test_wrong_names(mode: str, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Machine(memory_mb=1, mode=mode, without=names)

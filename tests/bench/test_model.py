"""The cost model: the file is complete and explained, and what is wrong with one is said."""

from __future__ import annotations

import pytest

from bt.table import TABLE
from monitor.bench import classes, model
from monitor.bench.profile import Profile
from monitor.bench.rows import Counts
from monitor.vmm.errors import UserError


def text_of_default() -> str:
    return model.files("monitor.bench.models").joinpath(f"{model.DEFAULT}.toml").read_text()


def test_the_default_is_complete_and_explained() -> None:
    found = model.load(model.DEFAULT)
    assert found.name == model.DEFAULT and found.clock_mhz == 450
    for section, names in model.SECTIONS.items():
        assert tuple(found.prices[section]) == names
        for price in found.prices[section].values():
            assert price.cycles >= 0 and price.basis in model.BASES and len(price.source) > 20


def test_every_instruction_has_a_class() -> None:
    assert {classes.class_of(row) for row in TABLE} == set(classes.CLASSES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[monitor.fill]", "[monitor.filling]", "monitor: unknown: filling"),
        ("[instruction.port]\ncycles = 300", "[instruction.port]\ncycle = 300",
         "instruction.port: unknown: cycle"),
        ("[hardware.exception]\ncycles = 120\n", "[hardware.exception]\n",
         "hardware.exception: missing: cycles"),
        ("cycles = 39", "cycles = 39.5", "divide: cycles: must be a whole number"),
        ("cycles = 39", "cycles = -1", "divide: cycles: must be a whole number"),
        ("cycles = 39", "cycles = true", "divide: cycles: must be a whole number"),
        ('basis = "published"', 'basis = "guessed"', "basis: choose one of published"),
        ("clock_mhz = 450", 'clock_mhz = "450"', "clock_mhz: must be a whole number"),
        ("clock_mhz = 450", "clock_mhz = 450\nvoltage = 2", "unknown: voltage"),
        ("clock_mhz = 450", "clock_mhz = ", "no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(old: str, new: str, message: str) -> None:
    text = text_of_default()
    assert old in text
    with pytest.raises(UserError, match=f"m.toml.*{message}"):
        model.parse(text.replace(old, new, 1), "m.toml")


def test_a_source_must_say_something() -> None:
    text = text_of_default()
    line = next(line for line in text.splitlines() if line.startswith("source"))
    with pytest.raises(UserError, match="say where the figure comes from"):
        model.parse(text.replace(line, 'source = " "', 1), "m.toml")


def test_unknown_models() -> None:
    with pytest.raises(UserError, match="choose pentium2-450, or name"):
        model.load("pentium9")
    with pytest.raises(UserError, match="cannot read the model"):
        model.load("/nonexistent/m.toml")


def test_bare_cycles_are_the_classes_and_the_exceptions() -> None:
    prices = model.load(model.DEFAULT)
    profile = Profile({"simple": 10, "divide": 2}, exceptions=1)
    counts = Counts(instructions=12, by_kind={"bare": 12})
    assert prices.cycles(counts, profile) == 10 * 1 + 2 * 39 + 120


def test_virtual_cycles_are_the_parts() -> None:
    prices = model.load(model.DEFAULT)
    counts = Counts(
        instructions=20,
        by_kind={"direct": 8, "translated": 4, "stubs": 5, "emulated": 3},
        exits={"chain": 2, "#GP": 3, "critical, silent": 100},
        fills=1, translated=7, lookups=6, world_switches=1, port_accesses=2, interrupts=2,
    )  # fmt: skip
    parts = prices.parts(counts, Profile({"simple": 10, "divide": 2, "port": 8}))
    assert parts == {
        "native": 12 + 2 * 38, "exit": 5 * 300, "emulate": 3 * 200, "port": 2 * 72,
        "stub": 5 * 6, "lookup": 6 * 8, "link": 2 * 200, "fill": 400, "translate": 7 * 400,
        "interrupt": 2 * 500, "world_switch": 3300,
    }  # fmt: skip
    assert prices.cycles(counts, Profile({"simple": 10, "divide": 2})) == sum(parts.values())

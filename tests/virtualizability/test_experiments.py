"""The bench: forms encode as the table says, and no experiment leaves anything behind."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest

from bt.lengths import locate
from bt.virtualizability.benches import benches
from bt.virtualizability.classify import Verdict
from bt.virtualizability.experiments import WINDOW_SIZE, Experiment, experiments
from bt.virtualizability.forms import Form, Operands, all_forms, encode
from bt.virtualizability.outcome import PRIVILEGED
from bt.virtualizability.survey import Survey
from bt.virtualizability.worlds import GUEST, MONITOR, PROTECTED, SETTINGS, VARIANTS, Setting

FORMS = all_forms()
TOGETHER = {"CR2 to CR4": {"cr2", "cr3", "cr4"}}  # variants of more than one field
ADDRESSES = (3, 4, 5, 6, 7)  # EBX, ESP, EBP, ESI, EDI: where the operands are


@pytest.mark.parametrize("bits", [16, 32])
def test_every_form_encodes_as_its_row(bits: int) -> None:
    for form in FORMS:
        code = encode(form, bits, Operands())
        found = locate(code, 0, bits)
        assert found is not None
        assert (found.row, found.length) == (form.row, len(code)), form


def test_a_variant_changes_one_thing() -> None:
    for world in VARIANTS:
        names = {field.name for field in fields(world)}
        differ = {name for name in names if getattr(world, name) != getattr(GUEST, name)}
        expected = TOGETHER.get(world.name)
        assert differ - {"name"} == expected if expected else len(differ - {"name"}) == 1


def test_the_worlds_differ_in_everything_that_they_can() -> None:
    same = {f.name for f in fields(GUEST) if getattr(GUEST, f.name) == getattr(MONITOR, f.name)}
    assert same == {"interrupts", "iopl", "shift", "v86", "ports_open"}


#: What a world of VARIANTS does to the privileged state, as the bench reports it. The tables'
#: contents and the device are not in the report: the next test has them.
BASES = {f"{name} base" for name in ("ES", "CS", "SS", "DS", "FS", "GS")}
DIFFERS = {
    "CPL": {"CPL", "CS RPL", "SS RPL", "CS rights", "SS rights"},
    "interrupt flag": {"IF"},
    "IOPL": {"IOPL"},
    "GDTR": {"GDTR base"},
    "IDTR": {"IDTR base"},
    "LDTR": {"LDTR"},
    "TR": {"TR"},
    "CR0": {"CR0"},
    "CR2 to CR4": {"CR2", "CR3", "CR4"},
    "descriptors": set(),
    "time": {"TSC"},
    "ports and MSRs": {"MSR"},
    "relocation": BASES,
}


def test_the_bench_is_in_the_world_that_it_entered() -> None:
    bench = benches()[32]
    [nothing] = [form for form in FORMS if form.name == "CMC"]
    [experiment, _] = experiments(nothing, 32)
    states = {}
    for world in (GUEST, *VARIANTS):
        bench.enter(world)
        outcome = bench.run(experiment)
        assert outcome.trap is None
        assert outcome.changes() == []
        states[world.name] = dict(zip(PRIVILEGED, outcome.before, strict=True))
    guest = states.pop(GUEST.name)
    differ = {
        world: {name for name, value in state.items() if value != guest[name]}
        for world, state in states.items()
    }
    assert differ == DIFFERS


@pytest.mark.parametrize(
    ("name", "world"), [("LAR Gv,Ew", "descriptors"), ("IN", "ports and MSRs")]
)
def test_what_the_report_does_not_show(result: Survey, name: str, world: str) -> None:
    [finding, *_] = [each for each in result.protected if each.form.name == name]
    assert world in finding.behaviour


@pytest.mark.parametrize("setting", [PROTECTED, SETTINGS[1]], ids=["32", "16"])
def test_the_order_of_experiments_does_not_matter(setting: Setting, result: Survey) -> None:
    """In another order, and in a world that was left and entered again: the same outcomes."""
    trials = [trial for finding in result.findings[setting.name] for trial in finding.trials]
    chooser = random.Random(4)
    chosen = chooser.sample(trials, 400)
    bench = benches()[setting.bits]
    for world in (setting.guests[0], setting.monitor, setting.guests[0]):
        bench.enter(world)
        chooser.shuffle(chosen)
        for trial in chosen:
            again = bench.run(trial.experiment)
            assert again == trial.outcomes[world.name], trial.experiment.form


def at_random(experiment: Experiment, chooser: random.Random) -> Experiment:
    """Other values in the registers that hold no address, in the flags and in the operands."""
    regs = list(experiment.regs)
    for number in range(8):
        if number not in ADDRESSES:
            regs[number] = chooser.getrandbits(32)
    regs[2] &= 0x3FF  # a bit number of BT and its like: it has to stay in the window
    window = chooser.randbytes(WINDOW_SIZE)
    flags = chooser.getrandbits(12) & 0x8D5
    return replace(experiment, regs=tuple(regs), window=window, flags=flags)


def integer_and_innocuous(result: Survey) -> list[Form]:
    return [
        each.form
        for each in result.protected
        if each.verdict is Verdict.INNOCUOUS and not each.form.x87
    ]


def test_innocuous_instructions_stay_so_with_random_operands(result: Survey) -> None:
    """Ring 0 in the guest's world, ring 3 in the monitor's: the same result, or the same fault."""
    chooser = random.Random(1974)
    bench = benches()[32]
    cases = [
        at_random(experiment, chooser)
        for form in integer_and_innocuous(result)
        for experiment in experiments(form, 32)
    ]
    outcomes = []
    for world in (GUEST, MONITOR):
        bench.enter(world)
        outcomes.append([bench.run(case) for case in cases])
    for case, guest, monitor in zip(cases, *outcomes, strict=True):
        assert guest.trap == monitor.trap, case
        if guest.trap is None:
            assert guest.visible == monitor.visible, case
            assert guest.changes() == monitor.changes() == [], case

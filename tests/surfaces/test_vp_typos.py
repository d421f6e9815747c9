"""What is not quite an option, a verb or a choice: what was meant, and whose help explains it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vp_command import Result, last_machine

from monitor.cli.parser import VERBS, build_parser
from monitor.cli.typos import below, unknown_options
from monitor.settings import did_you_mean
from monitor.vmm.ablations import ABLATIONS

Vp = Callable[..., Result]

MEANT = [
    ("rnu", "vp has no verb 'rnu': did you mean run? (`vp --help` explains)"),
    ("virt", "vp has no verb 'virt': did you mean virtualizability? (`vp --help` explains)"),
    ("lab strt", "vp lab has no action 'strt': did you mean start? (`vp lab --help` explains)"),
    ("--verson", "vp has no option --verson: did you mean --version? (`vp --help` explains)"),
    ("run --timout 3",
     "vp run has no option --timout: did you mean --timeout? (`vp run --help` explains)"),
    ("run --timout=3",
     "vp run has no option --timout: did you mean --timeout? (`vp run --help` explains)"),
    ("scan --sumary",  # before what is missing
     "vp scan has no option --sumary: did you mean --summary? (`vp scan --help` explains)"),
    ("lab check 1 --jsn",
     "vp lab check has no option --jsn: did you mean --json? (`vp lab check --help` explains)"),
    ("run -kernel a",
     "vp run has no option -kernel: did you mean --kernel? (`vp run --help` explains)"),
    ("run -memory 64",  # not -m emory
     "vp run has no option -memory: did you mean --memory? (`vp run --help` explains)"),
    ("run --vmware",
     "vp run has no option --vmware: did you mean --vmware-backdoor, --vmware-hypercall or "
     "--vmware-clipboard? (`vp run --help` explains)"),
    ("run --zzz", "vp run has no option --zzz (`vp run --help` explains)"),
    ("tc --gdb 1",
     "vp tc has no option --gdb, but vp run, vp web, vp resume have (`vp tc --help` explains)"),
    ("--gdb 1 run",
     "vp has no option --gdb, but vp run, vp web, vp resume have (`vp --help` explains)"),
    ("demo --clock host",
     "vp demo has no option --clock, but vp run, vp web, vp resume, vp tc, vp mmu, vp trace, "
     "vp bench have (`vp demo --help` explains)"),
    ("run a.vmx b.vmx", "unrecognized arguments: b.vmx (`vp run --help` explains)"),
    ("run --type -a",
     "argument --type: expected one argument; one that begins with a dash is written --type=VALUE "
     "(`vp run --help` explains)"),
    ("run --mode trnslate",
     "argument --mode: 'trnslate': choose from translate, trap, bare; did you mean translate? "
     "(`vp run --help` explains)"),
    ("run --elf a --without chainig",
     f"without 'chainig': choose from {', '.join(ABLATIONS)}; did you mean chaining?"),
    ("help rnu", "vp has no verb 'rnu': did you mean run? (`vp --help` explains)"),
    ("help lab strt",
     "vp lab has no action 'strt': did you mean start? (`vp lab --help` explains)"),
    ("help run fast", "vp run has no actions: leave 'fast' out"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MEANT, ids=lambda text: text.split(":")[0])
def test_what_was_meant(vp: Vp, arguments: str, message: str) -> None:
    assert vp(*arguments.split()) == Result(2, "", f"vp: error: {message}\n")


@pytest.mark.parametrize("words", [
    ["--", "--nothing"], ["--type", "--nothing"], ["--type", "-5"], ["-5"], ["-"], ["-m64M"],
    ["a -b"], ["--type=--nothing"], ["--no-vmware-backdoor"], ["-m", "64"], ["-m=64"],
])  # fmt: skip
def test_what_is_no_option_or_is_known(words: list[str]) -> None:
    assert list(unknown_options(below(build_parser())["run"], words)) == []


def test_every_unknown_option_is_found() -> None:
    words = ["--quiet", "--one", "x", "-q", "--until", "--not-this", "--two=3", "--until=x", "--4",
             "-m64M", "--five", "--", "--nor-this"]  # fmt: skip
    assert list(unknown_options(below(build_parser())["run"], words)) == [
        "--one", "-q", "--two", "--4", "--five",
    ]  # fmt: skip


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for inner in below(parser).values():
        yield from parsers(inner)


def test_every_option_of_every_verb_is_known_to_its_verb() -> None:
    found = list(parsers(build_parser()))
    assert len(found) > len(VERBS)
    for parser in found:
        assert list(unknown_options(parser, list(parser._option_string_actions))) == []


def test_an_option_of_the_verb_is_not_looked_for_before_it(vp: Vp) -> None:
    assert vp("run", "--no-such").err.startswith("vp: error: vp run has no option --no-such")


@pytest.mark.parametrize(("word", "found"), [
    ("stub", ["stubs"]), ("chaning", ["chaining"]), ("CHAINING", ["chaining"]),
    ("--loookup", ["lookup"]), ("xyz", []), ("", []), ("s", []),
])  # fmt: skip
def test_the_nearest_words(word: str, found: list[str]) -> None:
    assert did_you_mean.nearest(word, ("chaining", "lookup", "stubs", "window")) == found


def test_no_more_than_three_are_named() -> None:
    assert did_you_mean.question("aa", ["aab", "aac", "aad", "aae"]) == (
        "did you mean aab, aac or aad?"
    )


# --- help and version -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], *([verb] for verb in VERBS), ["lab", "grade"]])
def test_help_is_the_help_of_the_verb(vp: Vp, words: list[str]) -> None:
    asked, told = vp("help", *words), vp(*words, "--help")
    assert asked == told and asked.status == 0
    assert asked.out.startswith(f"usage: {' '.join(['vp', *words])} ")


def test_the_version_is_told_by_the_short_option_too(vp: Vp) -> None:
    assert vp("-V") == vp("--version")
    assert vp("-V").out.startswith("vp ")


# --- quantities arrive at the machine -------------------------------------------------------------


def test_sizes_times_and_counts_reach_the_machine(play: Vp) -> None:
    play("end reset", "-m", "1.5G", "--timeout", "1m30s", "--max-instructions", "2M")
    machine = last_machine()
    assert machine.settings["memory_mb"] == 1536
    assert (machine.limits["timeout"], machine.limits["max_instructions"]) == (90.0, 2_000_000)
    play("end reset", "-m64M")
    assert last_machine().settings["memory_mb"] == 64


QUANTITIES = [
    ("scan FILE --limit 1e3", "limit", 1000), ("demo --seconds 2m", "seconds", 120.0),
    ("tc --demo --top 1k", "top", 1000), ("tc --demo --memory 64M", "memory", 64),
    ("mmu --demo --ranges 0x10", "ranges", 16), ("mmu --demo --timeout 1m", "timeout", 60.0),
    ("trace --demo --limit 1e6", "limit", 1_000_000),
    ("trace --demo --max-instructions 1M", "max_instructions", 1_000_000),
    ("bench nano --rounds 2k", "rounds", 2000),
    ("bench nano --repetitions 1e1", "repetitions", 10), ("sweep SPEC --jobs 1e0", "jobs", 1),
    ("lab grade DIR --cpu 1m", "cpu", 60), ("lab grade DIR --wall 2m", "wall", 120),
    ("lab grade DIR --memory 1G", "memory", 1024), ("lab grade DIR --jobs 2", "jobs", 2),
]  # fmt: skip


@pytest.mark.parametrize(("line", "name", "value"), QUANTITIES)
def test_every_verb_takes_quantities_alike(line: str, name: str, value: float) -> None:
    found = getattr(build_parser().parse_args(line.split()), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("line", "message"), [
    ("tc --demo --top 0", "argument --top: 0: give 1 or more (`vp tc --help` explains)"),
    ("lab grade DIR --cpu 1.5",
     "argument --cpu: 1.5: not a whole number of seconds (`vp lab grade --help` explains)"),
    ("demo --seconds soon", "argument --seconds: soon: give seconds, or a time such as 90s, 1m30s "
     "or 2h (`vp demo --help` explains)"),
])  # fmt: skip
def test_wrong_quantities_are_told_with_their_option(vp: Vp, line: str, message: str) -> None:
    assert vp(*line.split()) == Result(2, "", f"vp: error: {message}\n")


# --- what is always refused is not offered --------------------------------------------------------


def test_no_choice_of_vp_run_is_refused(vp: Vp, tmp_path: Path) -> None:
    guest = tmp_path / "guest"
    guest.write_text("end reset")
    offered = 0
    for action in below(build_parser())["run"]._actions:
        for choice in action.choices or ():
            option = action.option_strings[-1]
            words = ("run", "--flat", f"{guest}@0", "--serial", "null", f"{option}={choice}")
            result = vp(*words)
            assert result.status == 0, (option, choice, result.err)
            offered += 1
    assert offered > 8

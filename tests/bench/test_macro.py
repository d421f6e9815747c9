"""Macro rows: the guest's script, the way from marker to marker, and one real row."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bt.assembler import assemble
from monitor.bench import macro, model, suites
from monitor.bench.figures import loads
from monitor.bench.results import Options
from monitor.bench.rows import BARE, ENDED_WELL, TRANSLATE, Setup
from monitor.bench.sampling import Sampler
from monitor.bench.stretches import BOOT, Journey, Stretch
from monitor.cli import main
from monitor.guests import linux
from monitor.machine import Machine
from monitor.vmm.errors import MonitorBug, UserError


def test_the_script_has_the_chosen_loads_and_no_others() -> None:
    text = macro.script(macro.choose(["process", "faults"]), 7)
    assert text.startswith("#!/bin/sh\n") and "\nROUNDS=7\n" in text
    calls = [line for line in text.splitlines() if line.startswith("measured ")]
    assert calls == ["measured process", "measured faults"]
    assert text.index(f'echo ">{BOOT}"') < text.index("measured process")
    assert "context()" not in text and text.endswith("reboot -f\n")


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh here")
def test_the_script_is_a_script() -> None:
    text = macro.script(macro.choose([]), macro.ROUNDS)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_unknown_loads() -> None:
    with pytest.raises(UserError, match="choose from boot, process, context, faults, compile"):
        macro.choose(["office"])


def test_without_the_guests_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(linux, "KERNEL", Path("/nonexistent/vmlinuz"))
    assert main(["bench", "macro"]) == 2
    error = capsys.readouterr().err
    assert "guests/ has no vmlinuz: `make guests` fetches" in error
    assert len(error.splitlines()) == 1
    assert "make guests" in suites.left_out("macro", Options(model.load(model.DEFAULT)))


# --- from marker to marker, on a guest that prints what Linux's script would --------------------

AT = 0x10000
LOOPS = 1000
PRINT = """
    mov dx, 0x3f8
    mov esi, {address}
    mov ecx, {length}
{label}:
    lodsb
    out dx, al
    dec ecx
    jnz {label}
"""
BEFORE, AFTER = b"\n>boot\r\n=boot\r\n<load\r\n", b"\n>load\r\nresult\r\n=load\r\n"
TEXTS = AT + 0x1000
CODE = (
    PRINT.format(address=TEXTS, length=len(BEFORE), label="first")
    + f"mov ecx, {LOOPS}\nwork: dec ecx\njnz work\n"
    + PRINT.format(address=TEXTS + len(BEFORE), length=len(AFTER), label="second")
    + "cli\nhlt\n"
)
# The rest of the loop that prints "<load", the work, three MOV, and the output of a newline; the
# OUT of ">" is where the machine stops, and has been done.
EXPECTED = 2 + 1 + 2 * LOOPS + 3 + 4 + 2


def start(machine: Machine, _program: str) -> None:
    code = assemble(CODE, AT, 32)
    machine.load_flat(code.ljust(TEXTS - AT, b"\0") + BEFORE + AFTER, AT, esp=0x8000)


@pytest.fixture
def printing_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "start", start)
    monkeypatch.setattr(linux, "MEMORY_MB", 2)


@pytest.mark.usefixtures("printing_guest")
@pytest.mark.parametrize("setup", [BARE, TRANSLATE])
def test_a_stretch_is_what_is_between_the_markers(setup: Setup) -> None:
    journey = Journey(setup, "")
    boot, load = journey.through(BOOT), journey.through("load")
    assert boot.console.endswith(b"=boot\r\n") and load.console.endswith(b"result\r\n=load\r\n")
    assert load.counts.instructions == EXPECTED
    assert load.counts.port_accesses == 2
    assert 0 < boot.counts.instructions < 100


@pytest.mark.usefixtures("printing_guest")
def test_sampling_changes_nothing_and_adds_up() -> None:
    def sampled() -> tuple[Stretch, Sampler]:
        journey, sampler = Journey(BARE, ""), Sampler(apart=7)
        journey.through(BOOT)
        return journey.through("load", sampler.run), sampler

    stretch, sampler = sampled()
    assert stretch.counts.instructions == EXPECTED
    profile = sampler.profile(stretch.counts)
    assert profile.instructions == EXPECTED
    assert profile.classes["port"] == 2
    assert profile.classes["branch"] == pytest.approx(LOOPS, rel=0.2)
    again, other = sampled()
    assert other.profile(again.counts) == profile


@pytest.mark.usefixtures("printing_guest")
def test_a_guest_that_ends_too_early_is_told_with_its_last_words() -> None:
    journey = Journey(BARE, "")
    journey.through(BOOT)
    with pytest.raises(MonitorBug, match="stuck before '<other") as caught:
        journey.through("other")
    assert "result" in str(caught.value)


# --- Linux ----------------------------------------------------------------------------------------


@pytest.mark.guest
@pytest.mark.slow
def test_a_real_row() -> None:
    """A boot and a few processes, without the boot that only counts the engine's instructions."""
    if linux.missing():
        pytest.skip(linux.missing())
    chosen = macro.choose(["process"])
    plan = macro.MacroPlan(chosen, 2, 1, model.load(model.DEFAULT), count_engine=False)
    rows = list(plan.measure())
    assert [str(row.setup) for row in rows] == ["bare", "translate"]
    bare, translated = rows
    assert bare.ended == translated.ended == ENDED_WELL
    assert bare.counts.instructions == translated.counts.instructions
    assert 500_000 < bare.counts.instructions < 5_000_000  # no boot is in it
    exits = translated.counts.exits
    assert exits["INT 0x80"] >= 2 * 10 and exits["shadow fill"] > 100
    figure = loads(rows, ["process"])[1]
    assert figure.ratio is not None and figure.ratio > 1
    assert figure.engine is None and not figure.wrong

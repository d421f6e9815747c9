"""The crossings' benchmark: its guest on the host, its arithmetic on guests that are made up."""

from __future__ import annotations

import doctest
import gzip
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from patience import PATIENCE

from benchmarks import images
from benchmarks.crossings import machine, operations, program, tables
from benchmarks.crossings.machine import OurGuest, QemuGuest, Spent
from benchmarks.crossings.operations import CROSSINGS, INTERRUPT, NOTHING, USER, Operation
from benchmarks.crossings.race import Cost, Race
from benchmarks.peers import qemu
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row
from benchmarks.timing import BenchmarkError
from monitor.bench.rows import Counts
from monitor.guests import linux

ALL = (NOTHING, *CROSSINGS, *USER)


@pytest.mark.parametrize("module", [operations, tables])
def test_the_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


# --- the guest's program --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("gcc") is None or shutil.which("ld") is None:
        pytest.skip("there is no gcc here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "OUT", tmp_path_factory.mktemp("built"))
        yield program.build()


def told(built: Path, *commands: str) -> list[str]:
    """What the program answers to these, on the host's own kernel."""
    text = "".join(f"{command}\n" for command in commands)
    try:
        done = subprocess.run([built], input=text, capture_output=True, text=True, check=True,
                              timeout=PATIENCE)  # fmt: skip
    except OSError:
        pytest.skip("this host runs no 32-bit programs")
    return done.stdout.split(program.PROMPT)[1:-1]


@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.command)
def test_the_program_does_every_operation(built: Path, operation: Operation) -> None:
    assert told(built, f"{operation.command} 3", f"{operation.command} 0") == ["done\n"] * 2


def test_the_program_does_as_many_as_it_is_told(built: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here")
    trace = ["strace", "-f", "-c", built]
    done = subprocess.run(trace, input="interrupt 137\nfork 11\n", capture_output=True, text=True,
                          check=False, timeout=PATIENCE)  # fmt: skip
    if program.PROMPT not in done.stdout:
        pytest.skip("strace may not trace here")
    calls = {line.split()[-1]: int(line.split()[3]) for line in done.stderr.splitlines()
             if line.strip()[:1].isdigit() and not line.rstrip().endswith("total")}  # fmt: skip
    assert (calls["getpid"], calls["fork"], calls["waitpid"]) == (137, 11, 11)


def test_the_program_knows_no_other_words(built: Path) -> None:
    assert told(built, "pip 3", "pipes 3", "pipe", "pipe 2") == ["unknown\n"] * 3 + ["done\n"]


def test_the_program_is_all_that_its_kernel_gets(built: Path) -> None:
    initrd = program.initrd(built.read_bytes())
    archive = gzip.decompress(initrd)
    assert built.read_bytes() in archive
    assert b"dev/console\0" in archive and archive.count(b"070701") == 4  # with the trailer
    assert program.initrd(built.read_bytes()) == initrd


# --- the race -------------------------------------------------------------------------------------

PER_INTERRUPT = {"emulate": 7, "#PF": 1}


class MadeUp:
    """A guest whose every operation takes a microsecond and two exits, and a command a second."""

    def __init__(self, name: str, one: float = 1e-6, more: int = 0) -> None:
        self.name = name
        self.boot = Spent(2.0, Counts(1_000))
        self._one, self._more = one, more
        self.done: list[tuple[str, int]] = []

    def do(self, command: str, rounds: int) -> Spent:
        self.done.append((command, rounds))
        late = len(self.done) % 3  # another program was in the way
        ticks = 3 + rounds // 1_000
        exits, flushes = {kind: number * ticks for kind, number in PER_INTERRUPT.items()}, ticks
        if command != NOTHING.command:
            exits["emulate"] += 2 * rounds
            flushes += 4 * rounds
        exits["INT 0x80"] = 5
        counts = Counts(rounds * 10 + self._more, exits=exits, interrupts=ticks)
        return Spent(1.0 + late + rounds * self._one, counts, flushes)

    def close(self) -> None:
        raise AssertionError("the race does not end machines")


def raced(*guests: MadeUp, turns: int = 3) -> Race:
    found = Race([INTERRUPT])
    found.enter(guests, turns)
    return found


def test_what_is_paid_once_or_is_the_timers_is_no_operations() -> None:
    cost = raced(MadeUp("translate")).cost("translate", INTERRUPT)
    assert cost.seconds == pytest.approx(1e-6)
    assert cost.exits == pytest.approx({"emulate": 2, "#PF": 0, "INT 0x80": 0})
    assert cost.flushes == pytest.approx(4)


def test_machines_take_turns_run_by_run() -> None:
    one, other = MadeUp("bare"), MadeUp("translate", 3e-6)
    found = raced(one, other, turns=2)
    turn = [(operation.command, rounds) for operation in (NOTHING, INTERRUPT)
            for rounds in (operation.few, operation.rounds)]  # fmt: skip
    assert one.done == other.done == turn * 2
    assert found.boot("bare") == 2.0


def test_modes_that_differ_are_an_error() -> None:
    with pytest.raises(BenchmarkError, match="nothing: the modes ran different numbers"):
        raced(MadeUp("bare"), MadeUp("translate", more=1))


def test_a_machine_that_does_not_count_differs_from_nobody() -> None:
    class Uncounted(MadeUp):
        def do(self, command: str, rounds: int) -> Spent:
            return Spent(super().do(command, rounds).seconds)

    peer = Uncounted(qemu.NAME, 2e-6)
    peer.boot = Spent(1.0)
    found = raced(MadeUp("bare"), peer)
    assert found.cost(qemu.NAME, INTERRUPT).seconds == pytest.approx(2e-6)
    assert found.of_interrupt(qemu.NAME) == {}  # it has no interrupts that we could count


def test_time_that_does_not_grow_is_no_figure() -> None:
    found = raced(MadeUp("bare", one=0.0))
    with pytest.raises(BenchmarkError, match="too short to be measured"):
        found.cost("bare", INTERRUPT)


# --- the rows -------------------------------------------------------------------------------------


def rows(bare: float, translated: Cost, peer: float | None = None) -> dict[str, Row]:
    other = None if peer is None else Cost(peer)
    found = tables.of_operation(INTERRUPT, Cost(bare), translated, other)
    return {row.name.strip(): row for row in found}


def test_a_row_holds_when_it_is_within_its_limit() -> None:
    assert rows(1e-6, Cost(2.9e-6))[INTERRUPT.name].holds
    row = rows(1e-6, Cost(3.1e-6))[INTERRUPT.name]
    assert not row.holds and (row.figure, row.baseline) == ("3.1 us", "1 us")
    row = rows(1e-6, Cost(3e-6), 0.5e-6)[f"interrupt: translate / {qemu.NAME}"]
    assert row.ratio == pytest.approx(6) and row.limit == 3


def test_no_exit_is_none_and_one_in_five_is_not() -> None:
    assert rows(1e-6, Cost(1e-6, {"emulate": 0.04}))["interrupt: exits"].holds
    row = rows(1e-6, Cost(1e-6, {"emulate": 0.2, "#PF": 0.01}))["interrupt: exits"]
    assert not row.holds and row.figure == "0.2 emulate"


def test_fills_and_flushes_have_a_row() -> None:
    context = CROSSINGS[-1]
    cost = Cost(1e-6, {"shadow fill": 206.0, "emulate": 36.0}, 2.0)
    found = list(tables.of_operation(context, Cost(1e-6), cost, None))
    assert found[-1].figure == "2 flushes" and found[-1].ratio == 206 and not found[-1].holds
    assert found[-2].ratio == 242


def test_user_code_has_no_rows_of_exits() -> None:
    assert len(list(tables.of_operation(USER[0], Cost(1.0), Cost(1.0), None))) == 1


def test_user_code_is_also_told_apart_from_the_timer() -> None:
    class Ticking(MadeUp):
        def do(self, command: str, rounds: int) -> Spent:
            spent = super().do(command, rounds)
            return replace(spent, seconds=spent.seconds + 5e-4 * spent.counts.interrupts)

    found = Race([USER[0]])
    found.enter([MadeUp("bare"), Ticking("translate")], 3)
    translated, apart = list(tables.crossings(found))[:2]
    [few, rounds] = [3 + number // 1_000 for number in (USER[0].few, USER[0].rounds)]
    ticks = (rounds - few) / (USER[0].rounds - USER[0].few)
    assert ticks > 0 and translated.ratio == pytest.approx(1 + ticks * 5e-4 / 1e-6)
    assert apart.ratio == pytest.approx(1.0)
    assert "without the timer" in apart.name and apart.limit is None


def test_without_the_guests_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "KERNEL", Path("/nonexistent/vmlinuz"))
    [section] = tables.sections(BenchmarkPlan())
    assert not section.rows and "make guests" in section.note


# --- QEMU -----------------------------------------------------------------------------------------

SCRIPT = """#!/bin/sh
printf 'SeaBIOS\\n{prompt}'
while read line; do {work}; printf '{answer}\\n{prompt}'; done
"""


def fake_qemu(folder: Path, monkeypatch: pytest.MonkeyPatch, **words: str) -> None:
    """A program by that name, which answers as the guest in it would."""
    path = folder / qemu.PROGRAM
    defaults = {"prompt": program.PROMPT, "work": ":", "answer": "done"}
    path.write_text(SCRIPT.format(**defaults | words))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


BUSY = "n=0; while [ $n -lt 20000 ]; do n=$((n + 1)); done"


def test_the_peers_time_is_that_of_its_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(tmp_path, monkeypatch, work=BUSY)
    guest = QemuGuest(tmp_path / "initrd")
    try:
        assert guest.boot.seconds > 0
        assert guest.do("pipe", 10).seconds > 0.001 and guest.do("pipe", 10).counts == Counts()
    finally:
        guest.close()


def test_a_peer_that_answers_otherwise_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(tmp_path, monkeypatch, answer="failed\\ndone")
    guest = QemuGuest(tmp_path / "initrd")
    try:
        with pytest.raises(BenchmarkError, match="pipe 10\nfailed"):
            guest.do("pipe", 10)
    finally:
        guest.close()


def test_a_peer_that_ends_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, monkeypatch, work="exit 1")
    guest = QemuGuest(tmp_path / "initrd")
    try:
        with pytest.raises(BenchmarkError, match="QEMU TCG ended"):
            guest.do("pipe", 10)
    finally:
        guest.close()


def test_without_the_peer_a_note_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match="apt install qemu-system-x86"):
        QemuGuest(tmp_path / "initrd")
    plan = replace(BenchmarkPlan(), peers_only=True, quick=True)
    excuse = tables.run(Race([INTERRUPT]), plan, "pentiumpro", tmp_path, with_qemu=True)
    assert "apt install" in excuse


# --- Linux ----------------------------------------------------------------------------------------


@pytest.mark.guest
@pytest.mark.slow
def test_the_guest_does_every_operation_alike_in_both_modes(built: Path) -> None:
    if linux.missing():
        pytest.skip(linux.missing())
    initrd = program.write_initrd()
    guests = [OurGuest(mode, "pentium2", initrd) for mode in tables.MODES]
    found = Race(())
    found.operations = tuple(replace(operation, rounds=40) for operation in ALL)
    found.enter(guests, 1)  # an error where they differ
    with pytest.raises(BenchmarkError, match="unknown"):
        guests[0].do("nonsense", 1)
    assert machine.answered("done\r\ncrossings> ")

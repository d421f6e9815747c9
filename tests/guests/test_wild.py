"""Random worlds: no mode raises, hangs or crashes; bare and translate agree to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import wild
from patience import PATIENCE

from bt.interp.state import ATTR_UNUSABLE, EXIT_NONE
from monitor.vmm.virtual import VirtualProcessor

SCRIPT = Path(__file__).with_name("wild.py")
BATCH = 40
FIRST = 1000
RING3_SHARE = 0.3


def run(*arguments: object) -> str:
    """What wild.py prints. A process of its own, which must survive all its worlds."""
    line = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    reached = done.stdout.splitlines()[-1:] or ["nothing"]
    assert not done.stderr, f"after {reached[0]}:\n{done.stderr}"
    return done.stdout


def compare(first: int, count: int, *more: str) -> Counter[str]:
    """Compare worlds; guest instructions by how they ran in mode translate."""
    text = run(first, count, "--json", *more)
    summary = json.loads(text.splitlines()[-1])
    assert summary["worlds"] == count
    assert not summary["differing"], f"{text}\n`python {SCRIPT.name} SEED 1 --locate` tells where"
    return Counter(summary["by_kind"])


def direct_share(kinds: Counter[str]) -> float:
    return kinds["direct"] / sum(kinds.values())


def test_some_worlds_are_the_same_in_both_modes() -> None:
    """And of the instructions of this fixed set of worlds, 30 % and more ran directly in ring 3."""
    assert direct_share(compare(1, BATCH // 2)) >= RING3_SHARE


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FIRST, FIRST + 8 * BATCH, BATCH))
def test_worlds_are_the_same_in_both_modes(first: int) -> None:
    kinds = compare(first, BATCH)
    assert direct_share(kinds) >= RING3_SHARE - 0.1  # a batch is a small sample


@pytest.mark.parametrize("kind", ["devices", "moving"])
def test_some_worlds_with_devices_in_memory(kind: str) -> None:
    """What the devices saw, and when, is the same, too."""
    compare(1, BATCH // 2, "--kind", kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["devices", "moving"])
@pytest.mark.parametrize("first", range(FIRST, FIRST + 4 * BATCH, BATCH))
def test_worlds_with_devices_in_memory(kind: str, first: int) -> None:
    compare(first, BATCH, "--kind", kind)


def test_some_worlds_with_pae() -> None:
    """Three levels of tables, pages of 2 MiB, addresses beyond memory, reserved bits."""
    compare(1, BATCH // 2, "--kind", "pae")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FIRST, FIRST + 4 * BATCH, BATCH))
def test_worlds_with_pae(first: int) -> None:
    compare(first, BATCH, "--kind", "pae")


def shadows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The physical map changes, and the shadows do not hear of it."""
    monkeypatch.setattr(VirtualProcessor, "map_changed", lambda self: self.ideal.flush())
    monkeypatch.setattr(VirtualProcessor, "_follow", lambda self, news: None)


def time_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """An access takes its time bare only."""
    monkeypatch.setattr(VirtualProcessor, "wait", lambda self, ticks: None)


@pytest.mark.parametrize("wrong", [shadows_stay, time_stands])
def test_a_monitor_that_is_wrong_about_devices_is_found_out(
    wrong: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch)
    assert any(wild.compare(seed, "moving").differs for seed in range(1, 16))


def test_trap_mode_survives() -> None:
    """It gives wrong answers, which is its nature, but it gives them in order."""
    assert len(run(1, BATCH // 2, "--alone", "trap").splitlines()) == BATCH // 2


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 1 + BATCH])
def test_worlds_are_the_same_on_an_engine_that_leaves_more_often(first: int) -> None:
    """And that loads segment registers by itself (tests/engine/inexact.py)."""
    compare(first, BATCH, "--engine", "free")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["trap", "translate"])
def test_worlds_get_to_their_ends_on_an_engine_without_exact_counts(mode: str) -> None:
    more = ("--engine", "inexact", "--clock", "host")
    assert len(run(1, BATCH, "--alone", mode, *more).splitlines()) == BATCH


def test_a_monitor_that_is_wrong_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """In something that no instruction shows until the guest is back in real mode."""
    right = VirtualProcessor.run_direct

    def wrong(self: VirtualProcessor, budget: int) -> int:
        reason = right(self, budget)
        for number in (0, 3, 4, 5):
            selector, _, _, rights = self.ideal.segment(number)
            if rights & ATTR_UNUSABLE:
                self.ideal.set_segment(number, selector, 0, 0, rights)
        return reason

    monkeypatch.setattr(VirtualProcessor, "run_direct", wrong)
    found = next(seed for seed in range(1, 8) if wild.compare(seed).differs)
    assert wild.forget(found), "that is not a matter of the TLB"


LINGERS = 5_129_343  # an exception that is its own handler, until its frames meet something else


def test_how_long_a_guest_lingers_is_no_difference() -> None:
    """How many turns that takes depends on where a budget ends."""
    verdict = wild.compare(LINGERS, "devices")
    assert (verdict.kind, verdict.differs) == ("stopped", [])


def test_a_mode_that_stays_for_ever_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = VirtualProcessor._turn

    def wrong(self: VirtualProcessor, budget: int) -> int:
        if self.total == 20:
            self._noticed = True
            return EXIT_NONE
        return right(self, min(budget, 20 - self.total) if self.total < 20 else budget)

    monkeypatch.setattr(VirtualProcessor, "_turn", wrong)
    found = wild.compare(1)
    assert found.differs == ["stays behind instruction 20 in mode translate only"]


STALE = 1_050_966  # changes a page-table entry that the TLB holds, and reads the page


def test_a_translation_that_was_not_invalidated_is_told_from_an_error() -> None:
    assert wild.forget(STALE) == []


def test_what_was_done_is_kept_and_continued(tmp_path: Path) -> None:
    state = tmp_path / "worlds.json"
    wild.run_worlds(1, 2, state)
    assert wild.load_summary(state, 1).worlds == 2
    summary = wild.run_worlds(1, 3, state)
    assert (summary.worlds, summary.differing) == (3, [])
    assert summary.by_kind == Counter(json.loads(state.read_text())["by_kind"])
    with pytest.raises(SystemExit, match="from 1 on, not 7"):
        wild.run_worlds(7, 1, state)

"""Random accesses to a machine with everything plugged in: a short run of whole_board.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import whole_board

from devices.bus import Bus
from monitor import Machine

COUNT = 20_000
KINDS = {"memory reads", "memory writes", "port reads", "port writes", "register reads",
         "register writes"}  # fmt: skip


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_nothing_is_raised_and_all_goes_on_from_a_snapshot(seed: int) -> None:
    summary = whole_board.run(seed, COUNT, say=False)
    assert summary.accesses >= COUNT and summary.restored == 1
    assert set(summary.kinds) == KINDS and min(summary.kinds.values()) > COUNT // 50
    assert summary.interrupts and summary.instructions


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_board, "CHUNK", 1000)
    monkeypatch.setattr(whole_board, "COMPARED", 100)


@pytest.mark.usefixtures("short_chunks")
def test_a_run_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    first = whole_board.run(3, 1500, tmp_path / "state.json", say=False)
    both = whole_board.run(3, 3500, tmp_path / "state.json", say=False)
    assert first.chunks == 2 < both.chunks
    assert whole_board.run(3, 3500, tmp_path / "state.json", say=False).chunks == both.chunks
    with pytest.raises(SystemExit, match="of seed 3, not 4"):
        whole_board.run(4, 3500, tmp_path / "state.json", say=False)


@pytest.mark.usefixtures("short_chunks")
def test_what_a_snapshot_forgets_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Machine.restore

    def forgetful(*args: object, **options: object) -> Machine:
        machine = restore(*args, **options)  # type: ignore[arg-type]
        machine.devices["rtc"].cmos[0x77] ^= 1
        return machine

    monkeypatch.setattr(Machine, "restore", staticmethod(forgetful))
    with pytest.raises(AssertionError, match="5:0:both: board differ after a snapshot"):
        whole_board.run(5, 1000, say=False)


@pytest.mark.usefixtures("short_chunks")
def test_a_port_that_reads_too_much_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Bus.read_port
    monkeypatch.setattr(Bus, "read_port", lambda self, port, size: read(self, port, size) - 1)
    with pytest.raises(AssertionError, match="reads -0x1 in"):
        whole_board.run(6, 1000, say=False)

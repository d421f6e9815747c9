"""The journal: every row whole and safe, whatever ends the process that writes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.sweep.journal import Journal, replace_file
from monitor.vmm.errors import UserError

SWEEP = {"grid.mode": '["bare"]', "the program": "1", "contents of a": "2"}
ROWS = {n: {"ended": "exit", "ok": 1, "instructions": 10**n} for n in range(5)}


def filled(folder: Path) -> Path:
    with Journal(folder / "t.csv", SWEEP) as journal:
        for number, row in ROWS.items():
            journal.add(number, row)
    return folder / "t.csv.journal"


def rows(folder: Path) -> dict[int, dict[str, object]]:
    with Journal(folder / "t.csv", SWEEP) as journal:
        return dict(journal.rows)


def test_rows_come_back(tmp_path: Path) -> None:
    filled(tmp_path)
    assert rows(tmp_path) == ROWS


def test_cut_off_anywhere_it_has_the_rows_that_were_whole(tmp_path: Path) -> None:
    path = filled(tmp_path)
    text = path.read_bytes()
    ends = [at for at, byte in enumerate(text, 1) if byte == ord("\n")]
    around = {end + by for end in ends for by in (-1, 0, 1)}
    for size in sorted(around | set(range(0, len(text), 23))):
        path.write_bytes(text[:size])
        whole = max(0, sum(end <= size for end in ends) - 1)  # the first is no row
        assert list(rows(tmp_path)) == list(range(whole))
        with Journal(tmp_path / "t.csv", SWEEP) as journal:  # and can be gone on with
            journal.add(whole, ROWS[0])
        assert list(rows(tmp_path)) == list(range(whole + 1))


def test_what_follows_damage_is_run_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"ok": 1', b'"ok": 7')
    path.write_bytes(b"".join(lines))
    assert list(rows(tmp_path)) == [0, 1]


def test_zeros_where_the_disk_had_no_time_to_write(tmp_path: Path) -> None:
    path = filled(tmp_path)
    text = path.read_bytes()
    path.write_bytes(text[:-20] + bytes(20))
    assert list(rows(tmp_path)) == [0, 1, 2, 3]


def test_the_last_row_of_a_point_counts(tmp_path: Path) -> None:
    filled(tmp_path)
    with Journal(tmp_path / "t.csv", SWEEP) as journal:
        journal.add(2, {"ended": "reset"})
    assert rows(tmp_path)[2] == {"ended": "reset"}


def test_another_sweep_is_refused_and_its_differences_are_named(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = path.read_bytes()
    other = {"grid.mode": '["trap"]', "the program": "2", "contents of a": "3", "time": "true"}
    with pytest.raises(UserError) as error:
        Journal(tmp_path / "t.csv", other)
    said = str(error.value)
    assert said == (f"{path} is another sweep's: contents of a changed; grid.mode was [\"bare\"], "
                    "and is [\"trap\"]; the program changed; and 1 more. Give another --out, or "
                    "--fresh starts afresh")  # fmt: skip
    assert path.read_bytes() == before
    with Journal(tmp_path / "t.csv", other, fresh=True) as journal:
        assert journal.rows == {}


def test_only_one_has_it(tmp_path: Path) -> None:
    filled(tmp_path)
    with Journal(tmp_path / "t.csv", SWEEP):
        for fresh in (False, True):
            with pytest.raises(UserError, match="another vp sweep is writing there"):
                Journal(tmp_path / "t.csv", SWEEP, fresh)
    assert rows(tmp_path) == ROWS


@pytest.mark.parametrize("text", [b"my notes\n", b"00000000 {}\n", json.dumps(SWEEP).encode()
                                  + b"\n"])  # fmt: skip
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "t.csv.journal"
    path.write_bytes(text)
    with pytest.raises(UserError, match="not the journal of a sweep"):
        Journal(tmp_path / "t.csv", SWEEP)
    assert path.read_bytes() == text


def test_a_table_that_no_sweep_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(UserError, match=r"t\.csv: is there, and t\.csv\.journal is not"):
        Journal(tmp_path / "t.csv", SWEEP)
    assert not (tmp_path / "t.csv.journal").exists()
    with Journal(tmp_path / "t.csv", SWEEP, fresh=True) as journal:
        assert journal.rows == {}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv.journal").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*t\.csv\.journal: Is a directory"):
        Journal(tmp_path / "t.csv", SWEEP)


def test_a_table_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*t\.csv"):
        replace_file(tmp_path / "t.csv", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]

"""A sweep on a local Dask cluster, with processes of its own, gives the same table."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE
from sweeping import ROOT, SMALL, spec, start

from monitor.cli import main
from monitor.sweep.sweep import run

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
                      host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with two workers, in processes that end when its input does."""
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    folder = tmp_path_factory.mktemp("cluster")
    program = folder / "cluster.py"
    program.write_text(CLUSTER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("w") as log, subprocess.Popen(
        [sys.executable, program], env=environment, cwd=folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
    ) as cluster:  # fmt: skip
        assert cluster.stdout is not None and cluster.stdin is not None
        found = cluster.stdout.readline().strip()
        assert found, (folder / "log").read_text()
        yield found
        cluster.stdin.close()


@pytest.mark.slow
def test_the_cluster_makes_the_same_table(tmp_path: Path, address: str) -> None:
    run(spec(tmp_path), tmp_path / "local.csv")
    process = start(spec(tmp_path), "--out", tmp_path / "there.csv", "--dask", address)
    out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert "Compared with mode bare" in out


@pytest.mark.slow
def test_begun_here_and_finished_there(tmp_path: Path, address: str) -> None:
    run(spec(tmp_path), tmp_path / "t.csv")
    table, journal = (tmp_path / "t.csv").read_bytes(), tmp_path / "t.csv.journal"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))
    path = spec(tmp_path, f'dask = "{address}"\n' + SMALL)  # where it runs changes no row
    process = start(path, "--out", tmp_path / "t.csv")
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "18 rows, 14 of them now" in said
    assert (tmp_path / "t.csv").read_bytes() == table


def test_without_dask_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", str(spec(tmp_path)), "--dask", "tcp://127.0.0.1:1",
                 "--out", str(tmp_path / "t.csv")]) == 2  # fmt: skip
    assert "pip install 'virtual-platform[cluster]'" in capsys.readouterr().err

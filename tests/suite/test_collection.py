"""Every process collects the same tests: no id and no parameter is by chance.

Workers that run the suite together must agree on it, and a test that failed must be found again by
its name. So the whole suite is collected twice, in processes in which nothing is the same that does
not have to be: the seed of hashes, all clocks, addresses, the order of folders, the working
directory, the temporary one (collected.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def start(folder: Path, tests: Path, **other: str) -> subprocess.Popen[str]:
    """Collect these tests, with the working directory `folder`."""
    folder.mkdir()
    environment = {**os.environ, "COLLECTED": str(folder / "collected.json"), **other,
                   "TMPDIR": str(folder), "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}"}  # fmt: skip
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:xdist", "-p",
         "no:cacheprovider", "-p", "collected", f"--rootdir={tests.parent}", tests],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def collected_twice(folder: Path, tests: Path) -> tuple[list[Any], list[Any]]:
    """Both at once."""
    folders = [folder / name for name in ("one", "other")]
    with (
        start(folders[0], tests, PYTHONHASHSEED="1") as first,
        start(folders[1], tests, PYTHONHASHSEED="2", OTHER_WORLD="1") as second,
    ):
        said = [process.communicate(timeout=PATIENCE)[0] for process in (first, second)]
    for process, text in zip((first, second), said, strict=True):
        assert process.returncode == 0, text[-2000:]
    one, other = (json.loads((each / "collected.json").read_text()) for each in folders)
    return one, other


def differences(one: list[Any], other: list[Any]) -> list[str]:
    """What of the first is not the same in the other."""
    if len(one) != len(other):
        return [f"{len(one)} tests, and {len(other)}"]
    return [f"{mine}\n  is in the other process {theirs}"
            for mine, theirs in zip(one, other, strict=True) if mine != theirs]  # fmt: skip


def test_the_suite_is_the_same_in_every_process(tmp_path: Path) -> None:
    one, other = collected_twice(tmp_path, ROOT / "tests")
    found = differences(one, other)
    assert not found, "\n".join([f"{len(found)} differ:", *found[:5]])
    names = [name for name, _ in one]
    assert len(set(names)) == len(names) > 1000


CHANCES = {
    "time": "[gzip.compress(b'')]",
    "time-in-a-value": "[pytest.param(time.time(), id='x')]",
    "time-in-a-dataclass": "[pytest.param(Data(time.monotonic_ns()), id='x')]",
    "order-of-a-set": "sorted({'a', 'b', 'c', 'd', 'e', 'f', 'g'}, key=lambda name: 0)",
    "order-of-a-set-in-a-value": "[pytest.param(list({*'abcdefghij'}), id='x')]",
    "hash": "[hash('a')]",
    "address": "[str(object())]",
    "address-of-a-function": "[repr(lambda: 0)]",
    "order-of-a-folder": "os.listdir(pathlib.Path(__file__).parent)",
    "order-of-a-glob": "[path.name for path in pathlib.Path(__file__).parent.glob('*')]",
    "working-directory": "[os.getcwd()]",
    "temporary-directory": "[pytest.param(tempfile.mkdtemp(), id='x')]",
    "chance": "[pytest.param(random.random(), id='x')]",
    "number-of-tests": "range(1 + hash('a') % 1000)",
}
SAME = "constant"
HEAD = """
import gzip, os, pathlib, random, tempfile, time
from dataclasses import dataclass
import pytest

@dataclass
class Data:
    value: object
"""
TEST = """
@pytest.mark.parametrize("value", {values})
def test_{name}(value):
    pass
"""


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any]]:
    """A suite with a test for each chance, and one without, collected twice."""
    folder = tmp_path_factory.mktemp("chances")
    tests = {SAME: "[b'abc', {'a', 'b'}, ('a', object())]", **CHANCES}
    text = [TEST.format(name=name.replace("-", "_"), values=values)
            for name, values in tests.items()]  # fmt: skip
    (folder / "tests").mkdir()
    (folder / "tests" / "test_chances.py").write_text("".join([HEAD, *text]))
    (folder / "tests" / "another.txt").touch()
    return collected_twice(folder, folder / "tests")


def of(name: str, lines: list[Any]) -> list[Any]:
    return [line for line in lines if f"::test_{name.replace('-', '_')}[" in line[0]]


@pytest.mark.parametrize("chance", CHANCES)
def test_a_chance_is_seen(by_chance: tuple[list[Any], list[Any]], chance: str) -> None:
    one, other = (of(chance, lines) for lines in by_chance)
    assert one and other and differences(one, other)


def test_what_is_the_same_is_seen_as_the_same(by_chance: tuple[list[Any], list[Any]]) -> None:
    one, other = (of(SAME, lines) for lines in by_chance)
    assert len(one) == 3 and not differences(one, other)

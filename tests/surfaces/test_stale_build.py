"""A compiled interpreter that was made from other sources is refused, with advice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from patience import PATIENCE

import monitor
from bt.engine import BUILD
from bt.interp import sources
from bt.interp.sources import StaleBuildError, check, digest

ROOT = Path(monitor.__file__).parent.parent
LOAD = "from bt.engine import BUILD; print(BUILD)"


def module(**contents: object) -> ModuleType:
    made = ModuleType("_compiled")
    vars(made).update(contents)
    return made


def test_the_same_sources_pass() -> None:
    check(module(SOURCES_DIGEST=digest()))


@pytest.mark.parametrize("contents", [{}, {"SOURCES_DIGEST": "0" * 32}], ids=["none", "other"])
def test_other_sources_are_refused(contents: dict[str, object]) -> None:
    with pytest.raises(StaleBuildError, match="run `make build`, or set VP_PURE=1"):
        check(module(**contents))


@pytest.mark.parametrize(
    "name",
    ["table.py", "instruction.py", "interp/interp.py", "interp/handlers.py", "interp/dialect.pxi"],
)
def test_the_digest_follows_the_sources(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(tmp_path, "bt")
    monkeypatch.setattr(sources, "HERE", copy / "bt" / "interp")
    table = tuple(copy / "bt" / file.name for file in sources.TABLE)
    monkeypatch.setattr(sources, "TABLE", table)
    before = digest()
    assert before == digest()
    with (copy / "bt" / name).open("a") as file:
        file.write("\n")
    assert digest() != before


@pytest.mark.skipif(BUILD != "compiled", reason="there is no compiled interpreter to go stale")
def test_vp_says_what_to_do(tmp_path: Path) -> None:
    copy = copied(tmp_path, "bt", "monitor", "devices")
    assert python(copy, "-c", LOAD).stdout == "compiled\n"
    with (copy / "bt" / "table.py").open("a") as file:
        file.write("# changed\n")
    done = python(copy, "-m", "monitor", "demo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"vp: error: {sources.ADVICE}\n"
    assert python(copy, "-c", LOAD, VP_PURE="1").stdout == "pure\n"


def test_without_a_compiled_module_the_sources_run(tmp_path: Path) -> None:
    copy = copied(tmp_path, "bt")
    for module_file in (copy / "bt" / "interp").glob("_compiled*"):
        module_file.unlink()
    done = python(copy, "-c", LOAD)
    assert (done.stdout, done.stderr) == ("pure\n", "")


def copied(where: Path, *packages: str) -> Path:
    for package in packages:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, where / package, ignore=ignore)
    return where


def python(where: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python on that copy of the packages alone."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=where, capture_output=True, text=True, timeout=PATIENCE,
        env={**os.environ, "VP_PURE": "0", "PYTHONPATH": str(where), **variables},
    )  # fmt: skip

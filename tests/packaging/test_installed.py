"""What is installed: a wheel, and a link to the sources, each in an environment away from here.

Both are built uncompiled from a copy of the sources, by the same hook that pip calls, so that no
network is needed; the libraries are those of the environment of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor.labs import all_labs

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bt", "devices", "monitor")
COPIED = (*PACKAGES, "notebooks/labs", "setup.py", "setup.cfg", "pyproject.toml", "README.md",
          "LICENSE")  # fmt: skip
MADE = ("__pycache__", "_compiled*")
BUILD = """
import sys
from setuptools import build_meta
sys.stdout.write(getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2]))
"""


@dataclass(frozen=True)
class Installed:
    """An environment that has the project and its libraries, and nothing of this tree."""

    wheel: Path
    python: Path
    cwd: Path

    def run(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items()
                if name not in ("PYTHONPATH", "PYTHONHOME")}  # fmt: skip
        return subprocess.run(
            [str(self.python), *map(str, arguments)], cwd=self.cwd, capture_output=True, text=True,
            env={**kept, "VP_PURE": "1", **variables}, timeout=PATIENCE,
        )  # fmt: skip

    def vp(self, *arguments: object, **variables: str) -> str:
        """Its output; it has to end with status 0."""
        done = self.run("-m", "virtual_platform", *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(folder: Path, kind: str) -> Installed:
    """A wheel, or an "editable" one, in an environment of its own."""
    sources = folder / "sources"
    for name in COPIED:
        source, goal = ROOT / name, sources / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, goal, ignore=shutil.ignore_patterns(*MADE))
        else:
            shutil.copy(source, goal)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, kind, str(folder)], cwd=sources,
        env={**os.environ, "VP_PURE": "1"}, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    site = folder / "venv" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # A path entry whose own .pth files are not read: no link to this tree is followed.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if kind == "wheel":
        shutil.rmtree(sources)
    cwd = folder / "elsewhere"
    cwd.mkdir()
    return Installed(wheel, folder / "venv" / "bin" / "python", cwd)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="session")
def link(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("link"), "editable")


@pytest.fixture(params=["wheel", "link"])
def installed(request: pytest.FixtureRequest) -> Installed:
    found: Installed = request.getfixturevalue(request.param)
    return found


def test_the_wheel_has_every_file_of_the_packages(wheel: Installed) -> None:
    with zipfile.ZipFile(wheel.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    entry = "monitor/entry/"
    ours = {path.relative_to(ROOT).as_posix().removeprefix(entry)
            for package in PACKAGES for path in (ROOT / package).rglob("*")
            if path.is_file() and not any(path.match(made) for made in MADE)
            and "__pycache__" not in path.parts}  # fmt: skip
    handouts = {f"monitor/labs/handouts/lab{lab.number}/{name}"
                for lab in all_labs() for name in ("handout.md", lab.file_name)}  # fmt: skip
    assert held == ours | handouts


def test_labs_start_and_are_checked_away_from_the_sources(wheel: Installed) -> None:
    assert [line[0] for line in wheel.vp("lab", "list").splitlines()] == list("12345")
    for lab in all_labs():
        folder = wheel.cwd / f"work{lab.number}"
        wheel.vp("lab", "start", lab.number, folder)
        handout = f"lab{lab.number}.md"
        assert (folder / handout).read_bytes() == (lab.folder / "handout.md").read_bytes()
        skeleton = (lab.folder / lab.file_name).read_text().replace("handout.md", handout)
        assert (folder / lab.file_name).read_text() == skeleton
    broken = wheel.cwd / "broken.py"
    broken.write_text("1 / 0")  # a whole check takes half a minute here
    done = wheel.run("-m", "virtual_platform", "lab", "check", 1, broken)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stdout + done.stderr, done


def test_the_name_of_the_project_is_the_command(installed: Installed) -> None:
    assert installed.vp("--version").startswith("vp 0.")
    assert installed.vp("help", "run") == installed.run("-m", "monitor", "help", "run").stdout
    done = installed.run("-m", "virtual_platform", "rnu")
    assert done.returncode == 2 and "did you mean run?" in done.stderr


def test_guests_run(installed: Installed) -> None:
    guest = installed.cwd / "guest.bin"
    guest.write_bytes(bytes.fromhex("b000e6f4"))  # mov al, 0; out 0xf4, al
    installed.vp("run", "--flat", f"{guest}@0x100000", "--quiet")


def test_nothing_is_imported_for_a_link_when_python_starts(link: Installed) -> None:
    paths = link.run("-c", "import sys; print(*sys.path, *sys.modules, sep='\\n')").stdout.split()
    sources = link.python.parents[2] / "sources"
    assert {str(sources), str(sources / "monitor" / "entry")} <= set(paths)
    assert not [name for name in paths if "__editable__" in name]


def test_a_script_of_the_same_name_here_does_not_matter(installed: Installed) -> None:
    script = installed.cwd / "monitor.py"
    script.write_text("raise SystemExit('mine')")
    try:
        assert installed.vp("-V").startswith("vp ")
    finally:
        script.unlink()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_of_the_same_name_is_told(
    wheel: Installed, tmp_path: Path, name: str
) -> None:
    other = tmp_path / name / "__init__.py"
    other.parent.mkdir()
    other.write_text("")
    done = wheel.run("-m", "virtual_platform", "-V", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", f"vp: error: the package {name} of Virtual Platform is hidden by another one, "
        f"{other}: install each into an environment of its own\n"
    )  # fmt: skip

"""Completion scripts: what a shell does with them, and what they need."""

from __future__ import annotations

import builtins
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE
from vp_command import Result

from monitor.cli.completion import SHELLS, script
from monitor.cli.parser import VERBS
from monitor.settings.machine import MODES
from monitor.vmm.ablations import ABLATIONS

Vp = Callable[..., Result]

BASH = shutil.which("bash")
#: The words that bash would offer for a command line, the last of them being completed.
PROGRAM = """
source ./vp.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
function=$(complete -p vp | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function vp "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(tmp_path: Path) -> Callable[[str], set[str]]:
    if BASH is None:
        pytest.skip("there is no bash here")
    (tmp_path / "vp.bash").write_text(script("bash"))
    (tmp_path / "kernel.elf").touch()
    (tmp_path / "folder").mkdir()

    def offered(line: str) -> set[str]:
        done = subprocess.run([BASH, "-c", PROGRAM, "bash", *line.split(" ")], cwd=tmp_path,
                              capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return {word.strip() for word in done.stdout.splitlines()} - {""}

    return offered


def test_verbs(complete: Callable[[str], set[str]]) -> None:
    assert complete("vp ") == set(VERBS)
    assert complete("vp s") == {"scan", "sweep"}
    assert complete("vp help t") == {"tc", "trace"}
    assert complete("vp lab ") >= {"list", "start", "check", "grade"}


def test_options_and_their_values(complete: Callable[[str], set[str]]) -> None:
    assert complete("vp run --mo") == {"--mode", "--module", "--monitor", "--mouse"}
    assert complete("vp run --mode ") == set(MODES)
    assert complete("vp run --engine ") == {"interp", "auto"}
    assert complete("vp lab grade --c") == {"--cpu", "--check-host"}


def test_files_and_folders(complete: Callable[[str], set[str]]) -> None:
    assert complete("vp run --elf ke") == {"kernel.elf"}
    assert complete("vp scan ke") == {"kernel.elf"}
    assert complete("vp bench --out fo") == {"folder"}
    assert complete("vp bench --out ke") == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_every_verb(vp: Vp, shell: str) -> None:
    result = vp("completion", shell)
    assert (result.status, result.err) == (0, "")
    assert all(verb in result.out for verb in VERBS)


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_the_other_shells_can_read_theirs(tmp_path: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "vp").write_text(script(shell))
    done = subprocess.run([program, "-n", "vp"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=PATIENCE)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_library_it_says_what_to_install(
    vp: Vp, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name == "shtab":
            raise ModuleNotFoundError("No module named 'shtab'", name=name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    assert vp("completion", "bash") == Result(
        2, "", "vp: error: vp completion needs the package shtab: "
        "pip install 'virtual-platform[completion]'\n"
    )  # fmt: skip


def test_a_shell_that_it_does_not_know(vp: Vp) -> None:
    assert vp("completion", "fish").err == (
        "vp: error: argument SHELL: 'fish': choose from bash, zsh, tcsh "
        "(`vp completion --help` explains)\n"
    )


def test_the_techniques_are_in_the_help_that_zsh_shows() -> None:
    assert all(name in script("zsh") for name in ABLATIONS)

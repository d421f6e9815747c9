"""Compilers, tracebacks and gdb speak of a source's file and line, in a small set of sources."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from join_sample import HEAD, Sample, sample_in

import bt.interp
from bt.interp.build import COMPILE_ARGS, ROOT

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

TEXT = HEAD + '''

@func
def nothing(c: Cpu, op: Op) -> i32:
    return 0


@inline
def at_address(
    c: Cpu,
    address: u64,  # of the host
) -> u32:
    """What lies there."""
    return ld8(c, address)  # a crash


@state
class Sample(Cpu):
    """What Python sees."""

    calls: u32

    def fail(self) -> None:
        self.calls += 1
        raise KeyError(self.calls)  # a traceback

    def crash(self) -> int:
        step: i32 = 8
        if self.calls < step:  # a warning
            return at_address(self, 8)
        return 0
'''
RUN = "from sample_module import Sample; Sample()"


def place(mark: str) -> str:
    """Where the sample has that comment."""
    (line,) = (n for n, text in enumerate(TEXT.split("\n"), 1) if text.endswith(f"# {mark}"))
    return f"bt/interp/sample.py:{line}"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, str]:
    """The sample as a module, and what the compilers said."""
    sample = sample_in(tmp_path_factory.mktemp("sample"))
    sample.write(TEXT)
    made = sample.make_c()
    assert made.returncode == 0, made.stderr
    done = sample.compile()
    assert done.returncode == 0, done.stderr
    return sample, made.stderr + done.stderr


def test_an_error_of_cython(tmp_path: Path) -> None:
    sample = sample_in(tmp_path)
    sample.write(TEXT.replace("return ld8", "return ld9"))
    done = sample.make_c()
    assert done.returncode == 1
    pattern = rf"^{place('a crash')}:\d+: undeclared name not builtin: ld9$"
    assert re.search(pattern, done.stderr, re.M), done.stderr
    assert done.stderr.endswith("Cython cannot compile the interpreter; it says above why\n")
    assert ".pxi" not in done.stderr and "Traceback" not in done.stderr


def test_a_refused_source(tmp_path: Path) -> None:
    sample = sample_in(tmp_path)
    sample.write(TEXT + "\nNAME = 'text'\n")
    done = sample.make_c()
    assert done.returncode == 1
    assert re.fullmatch(r"bt/interp/sample\.py:\d+: `NAME = 'text'` is .*\n", done.stderr)


def test_what_the_c_compiler_says(compiled: tuple[Sample, str]) -> None:
    said = [line for line in compiled[1].split("\n") if "-Wsign-compare" in line]
    assert len(said) == 1 and said[0].startswith(f"{place('a warning')}:"), said


def test_a_traceback(compiled: tuple[Sample, str]) -> None:
    done = compiled[0].run(sys.executable, "-c", f"{RUN}.fail()")
    file, line = place("a traceback").split(":")
    assert f'  File "{file}", line {line}, in sample_module.Sample.fail\n' in done.stderr
    assert "    raise KeyError(self.calls)  # a traceback\n" in done.stderr


@pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb")
def test_a_crash_in_gdb(compiled: tuple[Sample, str]) -> None:
    sample, _ = compiled
    done = sample.run(
        "gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "run", "-ex", "bt 3",
        "--args", sys.executable, "-c", f"{RUN}.crash()",
    )  # fmt: skip
    assert re.search(r"^#0 .*ld8 \(.*\) at bt/interp/dialect\.pxi:\d+$", done.stdout, re.M), done
    assert re.search(rf"^#1 .*at_address \(.*\) at {place('a crash')}$", done.stdout, re.M), done


# --- the interpreter itself -----------------------------------------------------------------------


def test_flags_stand_in_one_place() -> None:
    assert not re.findall(r'"-[a-zA-Z]\w*', (ROOT / "setup.py").read_text())
    assert {"-g1", "-Wall", "-Wextra"} <= set(COMPILE_ARGS)
    assert not {flag for flag in COMPILE_ARGS if flag.startswith(("-w", "-Wno-"))}


def test_the_build_is_clean() -> None:
    """Of what `make build` said when it compiled last, nothing was of our files."""
    log = ROOT / "out" / "build.log"
    if not log.exists() or not list(Path(bt.interp.__file__).parent.glob("_compiled*.so")):
        pytest.skip("nothing was compiled here")
    said = [line for line in log.read_text().split("\n") if "warning:" in line]
    assert not [line for line in said if "bt/" in line]

"""A small set of sources in a folder of its own, joined and compiled as the interpreter is.

state.py and what the compiled build has beside the joined files are the interpreter's own.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from patience import PATIENCE

import bt.interp
from bt.interp.build import COMPILE_ARGS

INTERPRETER = Path(bt.interp.__file__).parent
ROOT = INTERPRETER.parents[1]
OWN = ("state.py", "dialect.py", "dialect.pxi", "pure.py")

HEAD = '''\
"""A sample."""

from __future__ import annotations

from bt.interp.dialect import M32, func, i32, inline, ld8, state, u32, u64
from bt.interp.state import Cpu, Op
'''

JOIN = """
import sys
from pathlib import Path
from setuptools import Extension
sys.path.insert(0, sys.argv[1])
from bt.interp.build import BuildError, Refused, amalgamate, make_c
from bt.interp.handlers import Handler, Tables
from bt.interp.join import Sources
output = Path("build/interpreter")
tables = Tables(handlers=[Handler("nothing", ())])
try:
    module = amalgamate(Sources(Path("bt/interp").resolve()), output.resolve(), tables)
    make_c(Extension("sample_module", [str(output / "_compiled.pyx")]), Path.cwd())
except (BuildError, Refused) as error:
    sys.exit(str(error))
"""


@dataclass(frozen=True)
class Sample:
    """The folder in which bt/interp has sample.py."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "bt" / "interp"

    def write(self, text: str, **others: str) -> None:
        """sample.py, and others beside it by their names."""
        for name, content in {"sample": text, **others}.items():
            (self.folder / f"{name}.py").write_text(content)

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)), cwd=self.root, capture_output=True, text=True, timeout=PATIENCE
        )

    def make_c(self) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-c", JOIN, ROOT)

    def compile(self) -> subprocess.CompletedProcess[str]:
        """With the interpreter's flags, but not optimized: into sample_module, beside bt/."""
        include = sysconfig.get_paths()["include"]
        return self.run(
            "cc", *COMPILE_ARGS, "-O0", "-fPIC", "-shared", f"-I{include}",
            "build/interpreter/_compiled.c", "-o", "sample_module.so",
        )  # fmt: skip


def sample_in(root: Path) -> Sample:
    folder = root / "bt" / "interp"
    folder.mkdir(parents=True)
    for name in OWN:
        (folder / name).write_text((INTERPRETER / name).read_text())
    return Sample(root)

"""Build the compiled interpreter, or say in plain words why there is none.

The processor's sources under `bt/` are ordinary Python that Cython can compile. `bt.interp.build`
makes one amalgamated module of them and C of that, and this file the one extension module
`bt.interp._compiled`. Without a C compiler, or with VP_PURE=1 in the environment, nothing is
compiled and the same sources run as they are, only much slower.

Two packages lie elsewhere than their names say (package_dir in setup.cfg): the name of the project
as a package of its own, and the handouts of the labs. A link to the sources has the former on its
path, and takes the latter from where they are.

Everything else about the package stands in setup.cfg.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command import editable_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, PlatformError

ROOT = Path(__file__).resolve().parent
EXTENSION = "bt.interp._compiled"
PACKAGES = ("bt", "devices", "monitor")
ENTRY = "virtual_platform"
ENTRY_FOLDER = ROOT / "monitor" / "entry"
HANDOUTS = "monitor.labs.handouts"


def pure_wanted() -> bool:
    """True when the user asks for the uncompiled sources."""
    return os.environ.get("VP_PURE", "0") not in ("", "0")


def say(message: str) -> None:
    """Tell the user something that is not an error: on the descriptor that VP_SAY names, while
    what compilers print goes elsewhere, or on standard error."""
    os.write(int(os.environ.get("VP_SAY", 2)), f"virtual-platform: {message}\n".encode())


class BuildInterpreter(build_ext):
    """`build_ext` that amalgamates and cythonizes first, and does without a compiler if it must."""

    def run(self) -> None:
        lacking = self.missing() if self.extensions else None
        if lacking is not None:
            say(
                f"{lacking}, so the interpreter stays uncompiled: everything works, only far "
                "slower. Install that, then `make build`, for the fast one."
            )
            self.extensions = []
        begun = time.monotonic()
        if self.extensions:
            say("compiling the interpreter; this takes about half a minute")
        for extension in self.extensions:
            self.translate_to_c(extension)
        super().run()
        if self.extensions:
            say(f"compiled in {time.monotonic() - begun:.0f} s")

    def missing(self) -> str | None:
        """What compiling an extension lacks here, in words; None when nothing does."""
        if not self.compiles("int probe;\n"):
            return "no working C compiler was found (Debian: apt install gcc libc6-dev)"
        if not self.compiles("#include <stdlib.h>\n"):
            return "the C library's headers were not found (Debian: apt install libc6-dev)"
        if not self.compiles("#include <Python.h>\n"):
            return "Python's headers were not found (Debian: apt install python3-dev)"
        return None

    def compiles(self, text: str) -> bool:
        """Does the compiler take this source?"""
        from distutils.ccompiler import new_compiler
        from distutils.sysconfig import customize_compiler

        compiler = new_compiler(compiler=self.compiler)
        customize_compiler(compiler)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(text)
            try:
                compiler.compile(
                    [str(source)], output_dir=folder, include_dirs=self.probe_include_dirs()
                )
            except (CCompilerError, CompileError, ExecError, PlatformError):
                return False
        return True

    @staticmethod
    def probe_include_dirs() -> list[str]:
        """Where Python.h should be."""
        import sysconfig

        paths = sysconfig.get_paths()
        return [paths["include"], paths["platinclude"]]

    @staticmethod
    def translate_to_c(extension: Extension) -> None:
        """Write the amalgamation and let Cython make C of it, unless the C is newer."""
        from bt.interp.build import BuildError, Refused, amalgamate, make_c

        try:
            amalgamate()
            make_c(extension)
        except (BuildError, Refused) as error:
            raise SystemExit(str(error)) from None


def extensions() -> list[Extension]:
    """The one extension of this package, or none for a pure build."""
    if pure_wanted():
        say("VP_PURE is set: the interpreter stays uncompiled.")
        return []
    if not (ROOT / "bt" / "interp" / "build.py").exists():
        return []
    sys.path.insert(0, str(ROOT))
    from bt.interp import build

    return [
        Extension(
            EXTENSION,
            [str((build.OUTPUT / "_compiled.pyx").relative_to(ROOT))],
            extra_compile_args=build.COMPILE_ARGS,
        )
    ]


class LinkToSources(editable_wheel.editable_wheel):
    """An editable install as two plain path entries: nothing to import when Python starts.

    setuptools would install a finder of modules, because of the packages that lie elsewhere; where
    it does not know path entries under this name, it still does.
    """

    def _select_strategy(self, name: str, tag: str, build_lib: object) -> object:
        entries = getattr(editable_wheel, "_StaticPth", None)
        if entries is None:
            return super()._select_strategy(name, tag, build_lib)
        return entries(self.distribution, name, [ROOT, ENTRY_FOLDER])


def packages() -> list[str]:
    """Those in their own folders, and the two that are not."""
    include = [pattern for name in PACKAGES for pattern in (name, f"{name}.*")]
    return [*find_packages(str(ROOT), include=include), ENTRY, HANDOUTS]


setup(
    packages=packages(),
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildInterpreter, "editable_wheel": LinkToSources},
)

"""Joins the interpreter's sources into one Cython module, the amalgamation, and makes C of it.

    python -m bt.interp.build        writes build/interpreter/_compiled.pyx (never committed)

Why one module: bodies of one line must inline into their handlers, and Cython calls between modules
cannot be inlined. The sources stay ordinary Python (dialect.py); join.py makes a piece for Cython
of each, and `_compiled.pyx` includes the pieces, in order, between

* dialect.pxi, the compiled twin of dialect.py and pure.py;
* the constants, as C constants, and the decoding tables, as C arrays;
* for every stamped handler of handlers.py one C function. Each ends in a call of the next one,
  which GCC turns into a jump: threaded code without an interpreter loop.

A piece has every statement on its source's line, and `as_written` gives the pieces their sources'
names in what Cython says and in the C it writes: so compilers, gdb and tracebacks speak of
bt/interp/alu.py:123.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bt.interp.join import Refused, Sources
from bt.interp.sources import digest

if TYPE_CHECKING:
    from bt.interp.handlers import Tables

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build" / "interpreter"

# The one list of flags, after those that this Python was built with. What is warned of has to be
# right: a comparison of signed and unsigned, say, differs from Python's. (-Wconversion says too
# much: `value = load(...)`, tested for less than 0, then used as a u32.)
COMPILE_ARGS = [
    "-O2",
    "-fwrapv",  # arithmetic is modulo 2**32 and may overflow
    "-fno-strict-aliasing",  # guest memory is read at every width through the same pointer
    "-foptimize-sibling-calls",  # a handler ends by jumping to the next
    "-fno-tree-slp-vectorize",
    "-falign-functions=64",  # or a changed line costs 4 % elsewhere: handlers lie in lines anew
    "-g1",  # functions and lines, for gdb and perf; the code stays the same
    "-Wall",
    "-Wextra",
]

# Cython's `inline` is advice; our functions have to inline, while some of Cython's own cannot.
CYTHON_INLINE = re.compile(r"^static CYTHON_INLINE (?=.*\b__pyx_f_)", re.MULTILINE)
ALWAYS_INLINE = "static VP_INLINE "  # dialect.pxi

HEADER = '''\
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, infer_types=True, nonecheck=False
# cython: allow_none_for_extension_args=True, binding=False, optimize.use_switch=True
# cython: emit_code_comments=False
"""Written by bt/interp/build.py. Do not edit: edit the sources it was made from."""
'''

ERROR = "\nError compiling Cython file:\n"
ERRORS_SHOWN = 10


class BuildError(Exception):
    """Cython refused the sources; what it said was printed."""


def tables_of(sources: Sources) -> Tables:
    """The decoding tables and stamped handlers, each of which its body can take."""
    from bt.interp import features
    from bt.interp.handlers import build_tables  # these read some of the sources
    from bt.table import TABLE

    parameters = sources.parameters()
    for row in TABLE:
        if row.body not in parameters:
            raise Refused(
                f"bt/table.py: {row.opcode} {row.mnemonic}: there is no function {row.body}() in "
                "bt/interp; a row names the function that does its work"
            )
        if not hasattr(features, f"FEAT_{(row.feature or 'none').upper()}"):
            raise Refused(
                f"bt/table.py: {row.opcode} {row.mnemonic}: bt/interp/features.py does not know "
                f"the feature {row.feature!r}; give it a number there"
            )
    tables = build_tables(parameters)
    for handler in tables.handlers:
        if len(handler.args) != len(parameters[handler.body]):
            raise Refused(
                f"bt/table.py: {handler.body}{parameters[handler.body]} is given {handler.args}; "
                "a row gives its body all parameters after (c, op) but `size` and `mem`"
            )
    return tables


def arrays_text(tables: Tables) -> str:
    """The decoding tables as C arrays, and the array of handlers."""
    arrays = (
        ("SHAPE", "u32", "unsigned int", tables.shape),
        ("IMM", "u8", "unsigned char", tables.imm),
        ("SELECT", "u16", "unsigned short", tables.select),
        ("FEATURE", "u8", "unsigned char", tables.feature),
    )
    lines = ["cdef extern from *:", '    """']
    for name, _, kind, values in arrays:
        lines.append(f"    static const {kind} VP_{name}[] = {{{','.join(map(str, values))}}};")
    lines.append('    """')
    lines += [f'    const {kind} {name} "VP_{name}"[]' for name, kind, _, _ in arrays]
    lines.append(f"cdef handler_t HANDLERS[{len(tables.handlers)}]")
    return "\n".join(lines) + "\n"


def handlers_text(tables: Tables) -> str:
    """The stamped handlers."""
    lines = []
    for number, handler in enumerate(tables.handlers):
        arguments = "".join(f", {a}" for a in handler.args)
        lines.append(f"cdef int h{number}_{handler.body}(Cpu c, Op op) noexcept nogil:")
        lines.append(f"    return {handler.body}(c, op{arguments})")
    lines += [f"HANDLERS[{n}] = h{n}_{h.body}" for n, h in enumerate(tables.handlers)]
    return "\n".join(lines) + "\n"


def _pieces(name: str) -> Iterator[str]:
    """A joined file, and behind state.py what is made of the marks in it."""
    from bt.interp.architecture import compiled_text  # reads some of the sources

    yield f'include "{name}.pxi"'
    if name == "state":
        yield compiled_text()


def amalgamate(
    sources: Sources | None = None, output: Path = OUTPUT, tables: Tables | None = None
) -> Path:
    """Write the module and its pieces; returns the module's path.

    What has not changed keeps its time stamp.
    """
    sources = sources or Sources()
    sources.check_names()
    tables = tables or tables_of(sources)
    order = sources.order()
    parts = [
        HEADER,
        f'SOURCES_DIGEST = "{digest()}"  # sources.py\n',
        *(f"cdef struct {name}S\nctypedef {name}S* {name}" for name in sources.structs),
        f'\ninclude "{sources.shown(sources.folder / "dialect.pxi")}"\n',
        "cdef extern from *:",
        *(f"    {line}" for line in sources.constants()),
        arrays_text(tables),
        *chain.from_iterable(_pieces(name) for name in order),
        "",
        handlers_text(tables),
    ]
    output.mkdir(parents=True, exist_ok=True)
    for name in order:
        write(output / f"{name}.pxi", sources.piece(name))
    for old in output.glob("*.pxi"):
        if old.stem not in order:
            old.unlink()
    return write(output / "_compiled.pyx", "\n".join(parts))


def write(path: Path, text: str) -> Path:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def as_written(text: str, output: Path = OUTPUT, folder: str = "bt/interp") -> str:
    """What a compiler says, with the pieces called by their sources' names."""
    names = {str(output), os.path.relpath(output)}
    return re.sub(
        rf"(?:{'|'.join(map(re.escape, sorted(names)))})/(\w+)\.pxi\b", rf"{folder}/\1.py", text
    )


def make_c(extension: Any, root: Path = ROOT) -> None:
    """Let Cython make C of an extension's amalgamation, unless the C is newer.

    The C becomes the extension's source. Call it in `root`, to which file names are relative.
    """
    from Cython.Build import cythonize
    from Cython.Compiler.Errors import CompileError

    translate: Any = cythonize
    (module,) = extension.sources
    output = Path(module).parent
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            (made,) = translate(
                [extension], language_level=3, include_path=[str(root)], emit_linenums=True
            )
    except CompileError:
        raise BuildError("Cython cannot compile the interpreter; it says above why") from None
    finally:
        sys.stderr.write(shortened(as_written(said.getvalue(), output)))
    extension.sources = made.sources
    c = Path(made.sources[0])
    text = CYTHON_INLINE.sub(ALWAYS_INLINE, as_written(c.read_text(encoding="utf-8"), output))
    if ALWAYS_INLINE not in text:
        raise BuildError("this Cython writes inline functions in a way that build.py does not know")
    write(c, text)


def shortened(text: str) -> str:
    """What Cython said, without all but the first errors: the others follow from these."""
    before, *errors = text.split(ERROR)
    rest = len(errors) - ERRORS_SHOWN
    more = f"\n... and {rest} more\n" if rest > 0 else ""
    return ERROR.join([before, *errors[:ERRORS_SHOWN]]) + more


def main() -> int:
    try:
        print(os.path.relpath(amalgamate()))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

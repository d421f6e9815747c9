"""Makes Cython of the interpreter's sources: the pieces that build.py joins into one module.

    Sources().piece("alu")      alu.py for Cython

What is done to a file is small and mechanical, and **every statement keeps its line**, so that a
line which Cython, a C compiler, gdb or a traceback speaks of is that line of the source:

* imports go, and constants, which become C constants (`constants`);
* `@state` classes become `cdef class`, `@struct` classes C structs handled by pointer;
* the head of an `@inline` or `@func` function becomes that of a C function: from annotations
  Cython would check that no argument is None;
* integers that need the 32nd bit get a `U` (else Cython makes them Python objects).

Whatever else stands at the top of a file is refused, and so is a name that is defined twice: the
uncompiled build would run either, and the compiled one would do something else.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from bt.interp.dialect import M32

HERE = Path(__file__).resolve().parent

# Not joined: ordinary Python, or what the compiled build has dialect.pxi for, or
# architecture.compiled_text().
TWINS = {"architecture", "dialect", "marks", "pure"}
APART = TWINS | {
    *("__init__", "bind", "build", "handlers", "join", "sources", "transcendental"),
}

C_TYPES = {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"}
POINTERS = {"U8Ptr", "U32Ptr", "U64Ptr"}

# Names of ours that are words of Cython or C.
RENAMED = {"IF": "EFLAGS_IF", "signed": "is_signed"}

# What to do, by what was refused.
ELSEWHERE = "anything else goes into a file that is not joined (APART in join.py)"
TOP = (
    "at the top of a file stand its docstring, imports, NAME = <integer>, @func and @inline "
    f"functions, @state and @struct classes; {ELSEWHERE}"
)
CONSTANT = f"a constant is NAME = <integer>, of integers and constants before it; {ELSEWHERE}"
UNIQUE = "names are unique over all joined files: import that one, or rename this one"
CIRCLE = "move what both need into a file that imports neither"
IMPORT = "import it inside the method that uses it"
NAME = "import each by its own name"
FUNCTION = "make it one of these, or a method of a @state class if Python calls it"
PARAMETERS = "give each parameter and the result a C type, and no defaults"
CLASS = f"make it one of these; {ELSEWHERE}"
CLASS_BODY = "in a class stand its docstring, fields (`name: u32`) and, if it is @state, methods"
FIELD = "all fields begin as 0 or None: set it in __init__()"


class Refused(Exception):
    """A source that cannot be joined: file, line, why, and what to do."""


class Sources:
    """The files of a folder that are joined, by name without `.py`."""

    def __init__(self, folder: Path = HERE) -> None:
        self.folder = folder
        self.texts: dict[str, str] = {}
        self.trees: dict[str, ast.Module] = {}
        for file in sorted(folder.glob("*.py")):
            if file.stem not in APART:
                self.texts[file.stem] = text = file.read_text(encoding="utf-8")
                try:
                    self.trees[file.stem] = ast.parse(text)
                except SyntaxError as error:
                    self.refuse(file.stem, error, error.msg)
        self.structs = [
            node.name for name in self.trees for node in self.trees[name].body
            if isinstance(node, ast.ClassDef) and decorators(node) == ["struct"]
        ]  # fmt: skip

    def refuse(self, name: str, at: ast.AST | SyntaxError | int, why: str) -> NoReturn:
        line = at if isinstance(at, int) else getattr(at, "lineno", 1)
        raise Refused(f"{self.shown(self.folder / f'{name}.py')}:{line}: {why}")

    def shown(self, file: Path) -> str:
        """A file's name for people: bt/interp/alu.py."""
        return file.relative_to(self.folder.parents[1]).as_posix()

    # --- which, and in which order ----------------------------------------------------------------

    def imports(self, name: str) -> Iterator[tuple[str, ast.stmt]]:
        """The joined files that a file imports, and where."""
        for node in self.trees[name].body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bt.interp."):
                module = (node.module or "").removeprefix("bt.interp.")
                if module not in APART:
                    if module not in self.trees:
                        self.refuse(name, node, f"there is no {module}.py beside it")
                    yield module, node

    def order(self) -> list[str]:
        """All of them, each after those that it imports: C wants to see a function first."""
        ordered: list[str] = []

        def visit(name: str, path: tuple[str, ...]) -> None:
            for other, node in self.imports(name):
                if other in path:
                    circle = " -> ".join((*path[path.index(other) :], other))
                    self.refuse(name, node, f"the imports go in a circle, {circle}; {CIRCLE}")
                if other not in ordered:
                    visit(other, (*path, other))
            ordered.append(name)

        for name in self.trees:
            if name not in ordered:
                visit(name, (name,))
        return ordered

    def parameters(self) -> dict[str, tuple[str, ...]]:
        """Parameter names after (c, op) of every function: for handlers.build_tables()."""
        return {
            node.name: tuple(a.arg for a in node.args.args[2:])
            for tree in self.trees.values() for node in tree.body
            if isinstance(node, ast.FunctionDef)
        }  # fmt: skip

    # --- what they define -------------------------------------------------------------------------

    def check_names(self) -> None:
        """Refuse a name that two definitions give: in one C file there is one of each."""
        found: dict[str, str] = {}
        for twin in sorted(TWINS):
            file = self.folder / f"{twin}.py"
            if file.exists():
                for node in ast.parse(file.read_text(encoding="utf-8")).body:
                    for defined in defined_names(node):
                        found.setdefault(defined, f"{twin}.py:{node.lineno}")
        for name in self.order():
            for node in self.trees[name].body:
                for defined in defined_names(node):
                    if defined in found:
                        first = f"(first in {found[defined]})"
                        self.refuse(name, node, f"{defined} is defined twice {first}; {UNIQUE}")
                    found[defined] = f"{name}.py:{node.lineno}"

    def constants(self) -> list[str]:
        """C declarations of all constants, in order."""
        known: dict[str, int] = {"M8": 0xFF, "M16": 0xFFFF, "M32": M32, "M64": (1 << 64) - 1}
        lines = []
        for name in self.order():
            for node in self.trees[name].body:
                if isinstance(node, ast.Assign):
                    value = self.value(name, node, known)
                    (target,) = defined_names(node)
                    known[target] = value
                    lines.append(c_constant(RENAMED.get(target, target), value))
        return lines

    def value(self, name: str, node: ast.Assign, known: dict[str, int]) -> int:
        """What `NAME = <integer>` gives; `known` holds the constants before it."""
        if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            self.refuse(name, node, f"{said(node)} has no one name; {CONSTANT}")
        try:
            code = compile(ast.Expression(node.value), name, "eval")
            value = eval(code, {"__builtins__": {}, **known})
        except Exception as error:
            self.refuse(name, node, f"{said(node)}: {error}; {CONSTANT}")
        if type(value) is not int:
            self.refuse(name, node, f"{said(node)} is of type {type(value).__name__}; {CONSTANT}")
        if not -(1 << 31) <= value < 1 << 64:
            self.refuse(name, node, f"{value:#x} fits no C type of the dialect")
        return value

    # --- one file ---------------------------------------------------------------------------------

    def piece(self, name: str) -> str:
        """A file for Cython, line for line."""
        lines = for_cython(self.texts[name]).split("\n")
        for position, node in enumerate(self.trees[name].body):
            if isinstance(node, ast.FunctionDef):
                self.function(name, node, lines)
            elif isinstance(node, ast.ClassDef):
                self.class_or_struct(name, node, lines)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self.check_import(name, node)
                blank(lines, first_line(node), last_line(node))
            elif isinstance(node, ast.Assign) or (position == 0 and is_docstring(node)):
                blank(lines, first_line(node), last_line(node))
            else:
                self.refuse(name, node, f"{said(node)} cannot be joined; {TOP}")
        return "\n".join(lines)

    def check_import(self, name: str, node: ast.Import | ast.ImportFrom) -> None:
        """Imports go. The names have to be there all the same: joined, or in dialect.pxi."""
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if module in ("__future__", "typing"):
            return
        stem = module.removeprefix("bt.interp.")
        if not module.startswith("bt.interp.") or (stem in APART and stem not in TWINS):
            self.refuse(name, node, f"{said(node)}: the compiled module will not have it; {IMPORT}")
        for alias in node.names:
            if alias.asname is not None or alias.name == "*":
                self.refuse(name, node, f"{said(node)}: all joined files share their names; {NAME}")

    def function(self, name: str, node: ast.FunctionDef, lines: list[str]) -> None:
        kinds = decorators(node)
        if kinds not in (["inline"], ["func"]):
            self.refuse(name, node, f"{node.name}() is not just @func or @inline; {FUNCTION}")
        given = node.args
        others = (given.vararg, given.kwarg, *given.posonlyargs, *given.kwonlyargs, *given.defaults)
        plain = all(other is None for other in others)
        typed = [f"{ast.unparse(a.annotation)} {a.arg}" for a in given.args if a.annotation]
        if not plain or len(typed) != len(given.args) or node.returns is None:
            self.refuse(name, node, f"{node.name}() cannot be a C function; {PARAMETERS}")
        kind = "cdef inline" if kinds == ["inline"] else "cdef"
        head = f"{kind} {ast.unparse(node.returns)} {node.name}({', '.join(typed)}) noexcept nogil:"
        self.put_head(name, node, lines, head)

    def put_head(
        self, name: str, node: ast.FunctionDef | ast.ClassDef, lines: list[str], head: str
    ) -> None:
        """Replace decorators and head; the body stays."""
        body = node.body[0]
        if lines[first_line(body) - 1][: body.col_offset].strip():
            self.refuse(name, body, f"the body of {node.name} has to begin on a line of its own")
        blank(lines, first_line(node), first_line(body) - 1)
        lines[node.lineno - 1] = for_cython(head)

    def class_or_struct(self, name: str, node: ast.ClassDef, lines: list[str]) -> None:
        """A `cdef class`, its methods as they stand; or a C struct."""
        kinds = decorators(node)
        if kinds not in (["state"], ["struct"]) or node.keywords:
            self.refuse(name, node, f"class {node.name} is not just @state or @struct; {CLASS}")
        if kinds == ["struct"]:
            head = f"cdef struct {node.name}S:"
        else:
            bases = ", ".join(ast.unparse(b) for b in node.bases)
            head = f"cdef class {node.name}({bases}):" if bases else f"cdef class {node.name}:"
        self.put_head(name, node, lines, head)
        for position, item in enumerate(node.body):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                if item.value is not None:
                    self.refuse(name, item, f"field {item.target.id} has a value; {FIELD}")
                field = self.field(name, item, item.target.id, public=kinds == ["state"])
                blank(lines, first_line(item), last_line(item))
                if field is not None:
                    declared = f"cdef {field}" if kinds == ["state"] else field
                    lines[item.lineno - 1] = f"    {for_cython(declared)}"
            elif position == 0 and is_docstring(item):
                if kinds == ["struct"]:
                    blank(lines, first_line(item), last_line(item))
            elif not isinstance(item, ast.FunctionDef) or kinds == ["struct"]:
                self.refuse(name, item, f"{said(item)} cannot be joined; {CLASS_BODY}")

    def field(self, name: str, item: ast.AnnAssign, field: str, public: bool) -> str | None:
        """A field's C declaration, or None when it only exists uncompiled."""
        text = ast.unparse(item.annotation)
        visible = "public " if public else ""
        match = re.fullmatch(r"Annotated\[list\[(\w+)\], (\d+).*\]", text)
        if match and match[1] in C_TYPES:
            return f"{match[1]} {field}[{match[2]}]"
        text = re.sub(r"Annotated\[(\w+), .*\]", r"\1", text)  # a mark of architecture.py's
        if text == "PureOnly":
            return None
        if text == "Handler":
            return f"handler_t {field}"
        if text == "Any":
            return f"{visible}object {field}"
        if text in self.structs or text in POINTERS:
            return f"{text} {field}"
        if text.endswith("Array") and text.removesuffix("Array") in self.structs:
            return f"{text.removesuffix('Array')} {field}"
        if text in C_TYPES:
            return f"{visible}{text} {field}"
        self.refuse(name, item, f"field {field}: {text} has no C type (dialect.py lists them)")


# --- trees ----------------------------------------------------------------------------------------


def decorators(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    return [ast.unparse(each) for each in node.decorator_list]


def first_line(node: ast.stmt) -> int:
    """The number of its first line, decorators included."""
    lines = [node.lineno]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        lines += [each.lineno for each in node.decorator_list]
    return min(lines)


def last_line(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


def is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def said(node: ast.stmt) -> str:
    """A statement as a message names it: its first line."""
    return f"`{ast.unparse(node).splitlines()[0]}`"


def defined_names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


# --- text -----------------------------------------------------------------------------------------


def blank(lines: list[str], first: int, last: int) -> None:
    """Empty those lines, which are numbered from 1."""
    for number in range(first, last + 1):
        lines[number - 1] = ""


def c_constant(name: str, value: int) -> str:
    if value < 0:
        return f'const i32 {name} "({value})"'
    if value <= M32 >> 1:  # plain int, so that a signed value compares as Python compares it
        kind, suffix = "i32", ""
    else:
        kind, suffix = ("u32", "U") if value <= M32 else ("u64", "ULL")
    return f'const {kind} {name} "{value:#x}{suffix}"'


def for_cython(text: str) -> str:
    """Give integer literals above 2^31 the suffix that makes them C integers; rename keywords."""
    edits: list[tuple[int, int, int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in RENAMED:
            edits.append((token.start[0], token.start[1], token.end[1], RENAMED[token.string]))
        if token.type == tokenize.NUMBER and token.string[-1] not in "Uj":
            try:
                value = int(token.string, 0)
            except ValueError:
                continue
            if value > 0x7FFFFFFF:
                suffix = "U" if value <= M32 else "ULL"
                edits.append((token.start[0], token.start[1], token.end[1], token.string + suffix))
    lines = text.split("\n")
    for row, begin, end, new in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:begin] + new + line[end:]
    return "\n".join(lines)

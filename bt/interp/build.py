"""Joins the interpreter's sources into one Cython module: the amalgamation.

    python -m bt.interp.build        writes bt/interp/_compiled.pyx (never committed)

Why one file: bodies of one line must inline into their handlers, and Cython calls between modules
cannot be inlined. The sources stay ordinary Python (dialect.py); what this script does to them is
small and mechanical:

* imports go, docstrings of functions go, module constants become C constants;
* `@state` classes become `cdef class`, `@struct` classes C structs handled by pointer;
* `@inline` and `@func` become the matching Cython decorators;
* hexadecimal literals that need the 32nd bit get a `U` (else Cython makes them Python objects);
* for every stamped handler of handlers.py one C function is appended, and the decoding tables as
  C arrays. Each handler ends in a call of the next one, which GCC turns into a jump: threaded
  code without an interpreter loop.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from bt.interp.architecture import compiled_text
from bt.interp.dialect import M32
from bt.interp.sources import digest

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "_compiled.pyx"

# Not part of the amalgamation: ordinary Python, or the uncompiled twin of the prologue below.
APART = {
    *("__init__", "architecture", "bind", "build", "dialect", "handlers", "marks", "pure"),
    *("sources", "transcendental"),
}

COMPILE_ARGS = ["-O2", "-fno-strict-aliasing", "-fwrapv", "-foptimize-sibling-calls",
                "-fno-tree-slp-vectorize", "-g0", "-w"]
MACROS = [("CYTHON_INLINE", "inline __attribute__((always_inline))")]

STRUCTS = ("Op", "Space", "Memory", "Block", "Jump", "Blocks")
ARRAYS = {"OpArray": "Op", "BlockArray": "Block", "JumpArray": "Jump"}
C_TYPES = {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "U8Ptr", "U32Ptr", "U64Ptr"}

PROLOGUE = '''# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, infer_types=True, nonecheck=False
# cython: allow_none_for_extension_args=True, binding=False, optimize.use_switch=True
"""Written by bt/interp/build.py. Do not edit: edit the sources it was made from."""
cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, memmove
from typing import Any

ctypedef unsigned char u8
ctypedef unsigned short u16
ctypedef unsigned int u32
ctypedef unsigned long long u64
ctypedef signed char i8
ctypedef short i16
ctypedef int i32
ctypedef long long i64
ctypedef u8* U8Ptr
ctypedef u32* U32Ptr
ctypedef u64* U64Ptr

cdef extern from *:
    """
    #define VP_M8 0xFFU
    #define VP_M16 0xFFFFU
    #define VP_M32 0xFFFFFFFFU
    #define VP_M64 0xFFFFFFFFFFFFFFFFULL
    #define vp_mulhi64(a, b) ((unsigned long long)(((unsigned __int128)(a) * (b)) >> 64))
    #define vp_clz64(a) ((a) ? (unsigned)__builtin_clzll(a) : 64U)
    #define vp_ctz32(a) ((unsigned)__builtin_ctz(a))
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    /* Big tables stay apart from the heap, also after one was freed: memory by mmap is zero
       already, and costs nothing until it is touched. */
    #define vp_big_tables_apart() mallopt(M_MMAP_THRESHOLD, 1 << 16)
    #else
    #define vp_big_tables_apart() 0
    #endif
    """
    int vp_big_tables_apart()
    const u32 M8 "VP_M8"
    const u32 M16 "VP_M16"
    const u32 M32 "VP_M32"
    const u64 M64 "VP_M64"
    u64 mulhi64 "vp_mulhi64"(u64 a, u64 b) nogil
    u32 clz64 "vp_clz64"(u64 a) nogil
    u32 ctz32 "vp_ctz32"(u32 a) nogil
'''

PRIMITIVES = '''
cdef inline u32 ld8(Cpu c, u64 host) noexcept nogil:
    return (<u8*>host)[0]
cdef inline u32 ld16(Cpu c, u64 host) noexcept nogil:
    return (<u16*>host)[0]
cdef inline u32 ld32(Cpu c, u64 host) noexcept nogil:
    return (<u32*>host)[0]
cdef inline void st8(Cpu c, u64 host, u32 value) noexcept nogil:
    (<u8*>host)[0] = <u8>value
cdef inline void st16(Cpu c, u64 host, u32 value) noexcept nogil:
    (<u16*>host)[0] = <u16>value
cdef inline void st32(Cpu c, u64 host, u32 value) noexcept nogil:
    (<u32*>host)[0] = value
cdef inline void host_copy(Cpu c, u64 dst, u64 src, u32 n) noexcept nogil:
    memmove(<void*>dst, <void*>src, n)
cdef inline void host_fill(Cpu c, u64 dst, u32 value, u32 size, u32 count) noexcept nogil:
    cdef u32 i
    if size == 1:
        memset(<void*>dst, value & 0xFF, count)
    elif size == 2:
        for i in range(count):
            (<u16*>dst)[i] = <u16>value
    else:
        for i in range(count):
            (<u32*>dst)[i] = value
cdef inline u32 get8(Cpu c, u32 i) noexcept nogil:
    return (<u8*>c.regs)[i]
cdef inline void set8(Cpu c, u32 i, u32 value) noexcept nogil:
    (<u8*>c.regs)[i] = <u8>value
cdef inline u32 get16(Cpu c, u32 i) noexcept nogil:
    return (<u16*>c.regs)[2 * i]
cdef inline void set16(Cpu c, u32 i, u32 value) noexcept nogil:
    (<u16*>c.regs)[2 * i] = <u16>value
cdef inline i64 sx8(u64 value) noexcept nogil:
    return <i8>value
cdef inline i64 sx16(u64 value) noexcept nogil:
    return <i16>value
cdef inline i64 sx32(u64 value) noexcept nogil:
    return <i32>value
cdef inline i64 sx64(u64 value) noexcept nogil:
    return <i64>value
cdef inline u64 zx64(i64 value) noexcept nogil:
    return <u64>value
cdef inline u64 udiv64(u64 a, u64 b) noexcept nogil:
    return a // b
cdef inline u64 urem64(u64 a, u64 b) noexcept nogil:
    return a % b
cdef inline i64 sdiv64(i64 a, i64 b) noexcept nogil:
    return a // b
cdef inline i64 srem64(i64 a, i64 b) noexcept nogil:
    return a % b
cdef inline int go(Cpu c, Op op) noexcept nogil:
    return op.fn(c, op)
cdef inline Op op_next(Op op) noexcept nogil:
    return op + 1
cdef inline Op op_shift(Op op, u32 n) noexcept nogil:
    return op + n
cdef inline int NEXT(Cpu c, Op op) noexcept nogil:
    return (op + 1).fn(c, op + 1)
cdef inline bint is_null(void* pointer) noexcept nogil:
    return pointer == NULL
cdef inline Op op_null() noexcept nogil:
    return NULL
cdef inline Op op_at(Op ops, u32 i) noexcept nogil:
    return ops + i
cdef inline Block block_at(Block blocks, u32 i) noexcept nogil:
    return blocks + i
cdef inline Jump jump_at(Jump jumps, u32 i) noexcept nogil:
    return jumps + i
cdef inline void link_ops(Op op, Op succ) noexcept nogil:
    pass
cdef int start(Cpu c, Op op) noexcept nogil:
    return op.fn(c, op)
cdef inline u32 shape_table(u32 i) noexcept nogil:
    return SHAPE[i]
cdef inline u32 imm_table(u32 i) noexcept nogil:
    return IMM[i]
cdef inline u32 select_table(u32 i) noexcept nogil:
    return SELECT[i]
cdef inline void set_handler(Op op, u32 number) noexcept nogil:
    op.handler = number
    op.fn = HANDLERS[number]
cdef inline void wrap_handler(Op op, u32 number) noexcept nogil:
    op.fn = HANDLERS[number]
cdef inline int own_handler(Cpu c, Op op) noexcept nogil:
    return HANDLERS[op.handler](c, op)

cdef u8* alloc8(size_t count) except NULL:
    return <u8*>_calloc(count, 1)
cdef u32* alloc32(size_t count) except NULL:
    return <u32*>_calloc(count, 4)
cdef u64* alloc64(size_t count) except NULL:
    return <u64*>_calloc(count, 8)
cdef void* _calloc(size_t count, size_t size) except NULL:
    cdef void* got = calloc(count, size)
    if got == NULL:
        raise MemoryError()
    return got
cdef enum:
    ARENA_SIZE = 1024
cdef class Arena:
    cdef void* kept[ARENA_SIZE]
    cdef u32 count
    def __cinit__(self):
        vp_big_tables_apart()
    def __dealloc__(self):
        cdef u32 i
        for i in range(self.count):
            free(self.kept[i])
cdef object new_arena():
    return Arena()
cdef int keep(object arena, void* pointer) except -1:
    cdef Arena owner = arena
    if owner.count == ARENA_SIZE:
        raise MemoryError("too many address spaces")
    owner.kept[owner.count] = pointer
    owner.count += 1
    return 0
cdef Op alloc_ops(size_t count) except NULL:
    return <Op>_calloc(count, sizeof(OpS))
cdef Block alloc_blocks(size_t count) except NULL:
    return <Block>_calloc(count, sizeof(BlockS))
cdef Jump alloc_jumps(size_t count) except NULL:
    return <Jump>_calloc(count, sizeof(JumpS))
cdef Memory new_memory() except NULL:
    return <Memory>_calloc(1, sizeof(MemoryS))
cdef Blocks new_blocks() except NULL:
    return <Blocks>_calloc(1, sizeof(BlocksS))
cdef Space new_space() except NULL:
    return <Space>_calloc(1, sizeof(SpaceS))
cdef u64 host_base(object buffer) except 0:
    cdef u8[::1] view = buffer
    return <u64>&view[0]

cdef i64 _failed(Cpu c, object error) noexcept:
    c.host_error = error
    c.recheck = 1
    return 0xFFFFFFFFU
cdef i64 call_read_memory(Cpu c, u32 pa, u32 size) noexcept with gil:
    try:
        return c.bus.read_memory(pa, size)
    except BaseException as error:
        return _failed(c, error)
cdef void call_write_memory(Cpu c, u32 pa, u32 size, u32 value) noexcept with gil:
    try:
        c.bus.write_memory(pa, size, value)
    except BaseException as error:
        _failed(c, error)
cdef i64 call_read_port(Cpu c, u32 port, u32 size) noexcept with gil:
    try:
        return c.bus.read_port(port, size)
    except BaseException as error:
        return _failed(c, error)
cdef i64 call_backdoor(Cpu c, u32 port, u32 size, u32 out, u32 value) noexcept with gil:
    try:
        return c.bus.backdoor(c, port, size, out, value)
    except BaseException as error:
        return _failed(c, error)
cdef i64 call_counter(Cpu c, u32 index) noexcept with gil:
    try:
        return c.bus.read_counter(index)
    except BaseException as error:
        return _failed(c, error)
cdef i32 call_transcendental(Cpu c, u32 which) noexcept with gil:
    try:
        from bt.interp.transcendental import evaluate
        x, y = evaluate(which, c.a_se, c.a_sig, c.b_se, c.b_sig)
        c.z_sign, c.z_exp, c.z_sig, c.z_low = x
        c.y_sign, c.y_exp, c.y_sig, c.y_low = y
    except BaseException as error:
        _failed(c, error)
    return 0
cdef void call_write_port(Cpu c, u32 port, u32 size, u32 value) noexcept with gil:
    try:
        c.bus.write_port(port, size, value)
    except BaseException as error:
        _failed(c, error)
'''


def imports_of(name: str) -> list[str]:
    """Amalgamated modules that a source imports."""
    found = []
    for node in ast.parse((HERE / f"{name}.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bt.interp."):
            module = (node.module or "").rsplit(".", 1)[1]
            if module not in APART:
                found.append(module)
    return found


def modules() -> list[str]:
    """The amalgamated sources, each after those it imports (C wants to see a function first)."""
    ordered: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError("circular import: " + " -> ".join((*path, name)))
        if name not in ordered:
            for other in imports_of(name):
                visit(other, (*path, name))
            ordered.append(name)

    for file in sorted(HERE.glob("*.py")):
        if file.stem not in APART:
            visit(file.stem, ())
    return ordered


def body_parameters() -> dict[str, tuple[str, ...]]:
    """Parameter names after (c, op) of every function in the amalgamated sources."""
    found: dict[str, tuple[str, ...]] = {}
    for name in modules():
        for node in ast.parse((HERE / f"{name}.py").read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = tuple(a.arg for a in node.args.args[2:])
    return found


def c_field(name: str, annotation: ast.expr, public: bool) -> str | None:
    """A field's C declaration, or None when it only exists uncompiled."""
    text = ast.unparse(annotation)
    visible = "public " if public else ""
    match = re.fullmatch(r"Annotated\[list\[(\w+)\], (\d+).*\]", text)
    if match:
        return f"{match[1]} {name}[{match[2]}]"
    text = re.sub(r"Annotated\[(\w+), .*\]", r"\1", text)
    if text == "PureOnly":
        return None
    if text == "Handler":
        return f"handler_t {name}"
    if text == "Any":
        return f"{visible}object {name}"
    if text in STRUCTS or text.endswith("Ptr"):
        return f"{text} {name}"
    if text in ARRAYS:
        return f"{ARRAYS[text]} {name}"
    if text in C_TYPES:
        return f"{visible}{text} {name}"
    raise ValueError(f"field {name}: {text} has no C type")


def fields_of(node: ast.ClassDef, public: bool) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            line = c_field(item.target.id, item.annotation, public)
            if line:
                yield line


def struct_text(node: ast.ClassDef) -> str:
    lines = [f"cdef struct {node.name}S:"]
    lines += [f"    {line}" for line in fields_of(node, public=False)]
    return "\n".join(lines) + "\n"


def class_text(node: ast.ClassDef, source: str) -> str:
    """A `cdef class`: its fields, then its methods as they stand."""
    bases = ", ".join(ast.unparse(b) for b in node.bases)
    lines = [f"cdef class {node.name}({bases}):" if bases else f"cdef class {node.name}:"]
    doc = ast.get_docstring(node, clean=False)
    if doc is not None:
        lines.append(f'    """{doc}"""')
    lines += [f"    cdef {line}" for line in fields_of(node, public=True)]
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            text = ast.get_source_segment(source, item, padded=True)
            decorators = [f"    @{ast.unparse(d)}" for d in item.decorator_list]
            lines += ["", *decorators, text or ""]
    return "\n".join(lines) + "\n"


def function_text(node: ast.FunctionDef, source: str) -> str:
    """A dialect function as a C function; others as they stand.

    The signature becomes `cdef`: from annotations Cython would check that no argument is None.
    """
    kinds = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
    text = ast.get_source_segment(source, node) or ""
    if "inline" not in kinds and "func" not in kinds:
        return text + "\n"
    assert node.returns is not None
    typed = [(a.annotation, a.arg) for a in node.args.args]
    arguments = ", ".join(f"{ast.unparse(kind)} {name}" for kind, name in typed if kind)
    keyword = "cdef inline" if "inline" in kinds else "cdef"
    head = f"{keyword} {ast.unparse(node.returns)} {node.name}({arguments}) noexcept nogil:"
    lines = source.split("\n")[node.body[0].lineno - 1 : node.end_lineno]
    return "\n".join([head, *lines]) + "\n"


def constant_text(node: ast.Assign, known: dict[str, int]) -> str | None:
    """`NAME = <integer>` as a C constant; `known` holds those before it, and gets this one."""
    target = node.targets[0]
    if not isinstance(target, ast.Name):
        return None
    try:
        value = eval(compile(ast.Expression(node.value), "constant", "eval"), dict(known))
    except NameError:
        value = None
    if isinstance(value, int):
        known[target.id] = value
    if not isinstance(value, int):
        raise ValueError(f"constant {target.id}: only plain integers can be amalgamated")
    if value < 0:
        return f'    const i32 {target.id} "({value})"\n'
    if value <= M32 >> 1:  # plain int, so that a signed value compares as Python compares it
        kind, suffix = "i32", ""
    else:
        kind, suffix = ("u32", "U") if value <= M32 else ("u64", "ULL")
    name = RENAMED.get(target.id, target.id)
    return f'    const {kind} {name} "{value:#x}{suffix}"\n'


# Names of ours that are words of Cython or C.
RENAMED = {"IF": "EFLAGS_IF", "signed": "is_signed"}


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


def handlers_text() -> tuple[str, str]:
    """The decoding tables as C arrays (to stand first), and the stamped handlers."""
    from bt.interp.handlers import build_tables

    tables = build_tables(body_parameters())
    arrays = []
    for name, kind, values in (
        ("SHAPE", "u32", tables.shape),
        ("IMM", "u8", tables.imm),
        ("SELECT", "u16", tables.select),
    ):
        numbers = ",".join(map(str, values))
        arrays.append(f"    static const {C_NAMES[kind]} VP_{name}[] = {{{numbers}}};")
    count = len(tables.handlers)
    head = ['cdef extern from *:', '    """', *arrays, '    """']
    kinds = {"SHAPE": "u32", "IMM": "u8", "SELECT": "u16"}
    head += [f'    const {kind} {name} "VP_{name}"[]' for name, kind in kinds.items()]
    head.append(f"cdef handler_t HANDLERS[{count}]")
    lines = []
    for number, handler in enumerate(tables.handlers):
        arguments = "".join(f", {a}" for a in handler.args)
        lines.append(f"cdef int h{number}(Cpu c, Op op) noexcept nogil:")
        lines.append(f"    return {handler.body}(c, op{arguments})")
    lines += [f"HANDLERS[{n}] = h{n}" for n in range(count)]
    return "\n".join(head) + "\n", "\n".join(lines) + "\n"


C_NAMES = {"u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int"}


def amalgamate() -> Path:
    """Write the Cython source; returns its path. Unchanged content keeps its time stamp."""
    structs: list[str] = []
    known: dict[str, int] = {"M8": 0xFF, "M16": 0xFFFF, "M32": M32, "M64": 0xFFFFFFFFFFFFFFFF}
    constants: list[str] = []
    classes: list[str] = []
    code: list[str] = []
    for name in modules():
        source = (HERE / f"{name}.py").read_text()
        code.append(f"\n# ---- {name}.py ----\n")
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                kinds = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
                if "struct" in kinds:
                    structs.append(struct_text(node))
                else:
                    text = class_text(node, source)
                    (classes if name == "state" else code).append(for_cython(text))
            elif isinstance(node, ast.FunctionDef):
                code.append(for_cython(function_text(node, source)))
            elif isinstance(node, ast.Assign):
                line = constant_text(node, known)
                if line:
                    constants.append(line)
    forward = [f"ctypedef {s}S* {s}" for s in STRUCTS]
    forward = [f"cdef struct {s}S" for s in STRUCTS] + forward
    head, handlers = handlers_text()
    parts = [
        PROLOGUE,
        f'SOURCES_DIGEST = "{digest()}"  # sources.py\n',
        "cdef extern from *:\n" + "".join(constants),
        "cdef class Cpu\n" + "\n".join(forward) + "\n",
        "ctypedef int (*handler_t)(Cpu c, Op op) noexcept nogil\n",
        *structs,
        *classes,
        head,
        PRIMITIVES,
        compiled_text(),
        *code,
        "\n# ---- handlers ----\n",
        handlers,
    ]
    text = "\n".join(parts)
    if not OUTPUT.exists() or OUTPUT.read_text() != text:
        OUTPUT.write_text(text)
    return OUTPUT


if __name__ == "__main__":
    print(amalgamate())

"""The dialect the interpreter is written in: one source, compiled or not.

The files of `bt/interp` are ordinary Python. `bt/interp/build.py` joins the hot ones into one
Cython module (an *amalgamation*: one C translation unit, so that small bodies inline into each
other). What differs between the two worlds is kept here, and only here: the names of the C
types, two decorators and a dozen primitives that touch raw memory. The compiled twin of this
file is `dialect.pxi`.

Rules of the dialect (the traps that cost a day each):

* Compiled arithmetic wraps, Python's does not: mask results explicitly (`& M32`).
* A function decorated `@inline` or `@func` is a C function that runs without the GIL and cannot
  raise: it may only touch C-typed values. Faults of the guest are return values, never
  exceptions. Locals get their C type from the first assignment (all assignments must agree);
  annotate where that is not what you want: `total: u64 = a`.
* `//` and `%` are only used on non-negative numbers (C truncates, Python floors).
* Do not compare an i64 that may be negative with a u64 (C converts to unsigned).
* Right shifts of negative numbers are arithmetic in both worlds; left shifts are masked.
* Constants are module-level `NAME = <integer>`; strings, lists, tuples and dicts do not exist in
  `@func` code. Names are unique over all amalgamated files; the files import each other without
  cycles, and in a file a function stands before its callers.
"""

from __future__ import annotations

import contextlib
import mmap
import struct as _struct
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

# C integer types. To Python they are all int; the names are for the compiler and the reader.
u8 = int
u16 = int
u32 = int
u64 = int
i8 = int
i16 = int
i32 = int
i64 = int
Handler = Any  # int (*)(Cpu, Op): what executes an op
OpArray = Any  # arrays of structs, see op_at()
BlockArray = Any
JumpArray = Any
PureOnly = Any  # a field that only exists uncompiled
U8Ptr = Any  # memory the interpreter allocates for itself: a memoryview here, `u8*` compiled
U32Ptr = Any
U64Ptr = Any

struct_pack, struct_unpack = _struct.pack, _struct.unpack  # `struct` is a decorator here

M8 = 0xFF
M16 = 0xFFFF
M32 = 0xFFFFFFFF
M64 = 0xFFFFFFFFFFFFFFFF

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


def inline(function: F) -> F:
    """A C function that is always inlined: instruction bodies and their small helpers."""
    return function


def func(function: F) -> F:
    """A C function of its own: slow paths, long bodies."""
    return function


def _zero_of(hint: Any) -> Any:
    if get_origin(hint) is not Annotated:
        return 0 if hint is int else None
    kind, first, *_ = get_args(hint)
    return 0 if kind is int else [0] * int(first)


def state(cls: C) -> C:
    """A class whose annotated fields are C fields: `name: u32` or `Annotated[list[u32], 8]`.

    More may stand in the brackets of Annotated (marks.py).
    Compiled it is a `cdef class` with zeroed fields; here `__new__` zeroes them.
    """
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        fields.update(getattr(base, "__annotations__", {}))
    zero: dict[str, Any] = {}

    def __new__(kind: type, *args: Any, **kwargs: Any) -> Any:
        self: Any = object.__new__(kind)
        if not zero:  # resolved late: annotations may name classes defined further down
            hints = get_type_hints(cls, include_extras=True)
            zero.update((name, _zero_of(hints[name])) for name in fields)
        for name, value in zero.items():
            setattr(self, name, value.copy() if isinstance(value, list) else value)
        return self

    setattr(cls, "__new__", __new__)  # noqa: B010 (mypy: a class attribute, not a method)
    return cls


def struct(cls: C) -> C:
    """A class that compiled is a C struct handled by pointer: `op.imm` means `op->imm`.

    A field of struct type may be None (NULL): test it with `is_null()`.
    """
    return state(cls)


def is_null(pointer: Any) -> bool:
    return pointer is None


# --- memory the interpreter owns -------------------------------------------------------


def _zeroed(size: int) -> memoryview:
    """An anonymous map: untouched pages cost nothing, as with calloc."""
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def alloc8(count: int) -> U8Ptr:
    """`count` zeroed bytes."""
    return _zeroed(count)


def alloc32(count: int) -> U32Ptr:
    return _zeroed(4 * count).cast("I")


def alloc64(count: int) -> U64Ptr:
    return _zeroed(8 * count).cast("Q")


def over8(buffer: Any) -> U8Ptr:
    """The bytes of a buffer that somebody else keeps."""
    return memoryview(buffer)


def over32(buffer: Any) -> U32Ptr:
    return memoryview(buffer).cast("I")


def over64(buffer: Any) -> U64Ptr:
    return memoryview(buffer).cast("Q")


def new_arena() -> Any:
    """An owner of allocated memory; compiled: frees what it keeps when it dies."""
    return None


def keep(arena: Any, pointer: Any) -> None:
    """Let an arena own what alloc8, new_space and the like gave. Nothing to do in Python."""


# --- guest RAM -------------------------------------------------------------------------
# A *host address* is where a byte of guest RAM lives in this process. Uncompiled it is an index
# into c.ram plus HOST_BIAS, so that 0 can mean "no address" in both worlds.

HOST_BIAS = 1 << 40


def host_base(ram: memoryview) -> int:
    """Host address of the first byte of guest RAM."""
    return HOST_BIAS


def ld8(c: Any, host: int) -> int:
    return c.ram[host - HOST_BIAS]


def ld16(c: Any, host: int) -> int:
    i = host - HOST_BIAS
    return int.from_bytes(c.ram[i : i + 2], "little")


def ld32(c: Any, host: int) -> int:
    i = host - HOST_BIAS
    return int.from_bytes(c.ram[i : i + 4], "little")


def st8(c: Any, host: int, value: int) -> None:
    c.ram[host - HOST_BIAS] = value & 0xFF


def st16(c: Any, host: int, value: int) -> None:
    i = host - HOST_BIAS
    c.ram[i : i + 2] = (value & 0xFFFF).to_bytes(2, "little")


def st32(c: Any, host: int, value: int) -> None:
    i = host - HOST_BIAS
    c.ram[i : i + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")


def host_copy(c: Any, dst: int, src: int, n: int) -> None:
    """Copy n bytes of guest RAM; the areas may overlap (compiled: memmove)."""
    i = dst - HOST_BIAS
    j = src - HOST_BIAS
    c.ram[i : i + n] = bytes(c.ram[j : j + n])


def host_fill(c: Any, dst: int, value: int, size: int, count: int) -> None:
    """Store the low size bytes of value count times, upwards from dst."""
    i = dst - HOST_BIAS
    item = (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")
    c.ram[i : i + size * count] = item * count


def check_signals() -> None:
    """Let Python call the handlers of signals that have come. Uncompiled it does so by itself."""


# --- calls out to the embedder ---------------------------------------------------------
# Compiled these take the GIL. An exception of the embedder must not travel through C frames: it
# is kept in c.host_error, run() leaves at the next chance and raises it again.


def _guard(c: Any, call: Callable[..., Any], *args: Any) -> int:
    try:
        value = call(*args)
    except BaseException as error:
        c.host_error = error
        c.recheck = 1
        return M32
    return 0 if value is None else value


def call_read_memory(c: Any, pa: int, size: int) -> int:
    return _guard(c, c.bus.read_memory, pa, size)


def call_write_memory(c: Any, pa: int, size: int, value: int) -> None:
    _guard(c, c.bus.write_memory, pa, size, value)


def call_read_port(c: Any, port: int, size: int) -> int:
    return _guard(c, c.bus.read_port, port, size)


def call_write_port(c: Any, port: int, size: int, value: int) -> None:
    _guard(c, c.bus.write_port, port, size, value)


def call_read_ports(c: Any, port: int, size: int, count: int, dst: int) -> int:
    """Elements of a port into RAM, at most `count`: as many as its device has ready."""
    data = b""

    def read() -> None:
        nonlocal data
        data = c.bus.read_ports(port, size, count)

    _guard(c, read)
    i = dst - HOST_BIAS
    c.ram[i : i + len(data)] = data
    return len(data) // size


def call_write_ports(c: Any, port: int, size: int, count: int, src: int) -> int:
    """Elements of RAM to a port, at most `count`: as many as its device takes now."""
    j = src - HOST_BIAS
    taken = _guard(c, c.bus.write_ports, port, size, bytes(c.ram[j : j + count * size]))
    return 0 if taken == M32 else taken


def call_backdoor(c: Any, port: int, size: int, out: int, value: int) -> int:
    """An access to VMware's backdoor; 1: the host application shall serve it (low bandwidth)."""
    return _guard(c, c.bus.backdoor, c, port, size, out, value)


def call_counter(c: Any, index: int) -> int:
    """A pseudo performance counter."""
    return _guard(c, c.bus.read_counter, index)


def call_apic_base(c: Any, value: int) -> None:
    """IA32_APIC_BASE was written, of a processor that has a local APIC."""
    _guard(c, c.bus.set_apic_base, value)


def call_transcendental(c: Any, which: int) -> int:
    """The x87 functions that are done in big integers; see transcendental.evaluate()."""
    from bt.interp.transcendental import evaluate  # not compiled, loaded when first needed

    try:
        (
            (c.z_sign, c.z_exp, c.z_sig, c.z_low),
            (c.y_sign, c.y_exp, c.y_sig, c.y_low),
        ) = evaluate(which, c.a_se, c.a_sig, c.b_se, c.b_sig)
    except BaseException as error:
        c.host_error = error
        c.recheck = 1
    return 0


# --- registers as bytes and words ------------------------------------------------------


def get8(c: Any, i: int) -> int:
    """Byte register by its place in the register file: AL=0 AH=1 CL=4 CH=5 ... BH=13."""
    return (c.regs[i >> 2] >> ((i & 3) * 8)) & 0xFF


def set8(c: Any, i: int, value: int) -> None:
    shift = (i & 3) * 8
    c.regs[i >> 2] = (c.regs[i >> 2] & ~(0xFF << shift)) | ((value & 0xFF) << shift)


def get16(c: Any, i: int) -> int:
    return c.regs[i] & 0xFFFF


def set16(c: Any, i: int, value: int) -> None:
    c.regs[i] = (c.regs[i] & 0xFFFF0000) | (value & 0xFFFF)


# --- conversions -----------------------------------------------------------------------


def sx8(value: int) -> int:
    """The low 8 bits as a signed number (i64 compiled)."""
    return ((value & 0xFF) ^ 0x80) - 0x80


def sx16(value: int) -> int:
    return ((value & 0xFFFF) ^ 0x8000) - 0x8000


def sx32(value: int) -> int:
    return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def sx64(value: int) -> int:
    """A u64 pattern as a signed i64."""
    return ((value & M64) ^ (1 << 63)) - (1 << 63)


def zx64(value: int) -> int:
    """An i64 as its u64 pattern."""
    return value & M64


def udiv64(a: int, b: int) -> int:
    """Unsigned 64-bit division, b != 0."""
    return a // b


def urem64(a: int, b: int) -> int:
    return a % b


def sdiv64(a: int, b: int) -> int:
    """Signed division truncating toward zero, b != 0 (C's, and IDIV's)."""
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def srem64(a: int, b: int) -> int:
    return a - b * sdiv64(a, b)


def mulhi64(a: int, b: int) -> int:
    """High 64 bits of the unsigned 128-bit product."""
    return (a * b) >> 64


# --- the host's floating point ---------------------------------------------------------
# Numbers come and go as their bits. Nothing is said of exceptions, and results that are no normal
# numbers may differ between hosts (here they may come out as 0): sse_fast() takes neither.


def host_double(kind: int, a: int, b: int) -> int:
    """a + b, a * b, a - b or a / b of doubles, rounded to nearest; kind: 58, 59, 5C, 5E."""
    x, y = struct_unpack("<dd", struct_pack("<QQ", a, b))
    return int(struct_unpack("<Q", struct_pack("<d", _host_result(kind, x, y)))[0])


def host_single(kind: int, a: int, b: int) -> int:
    """The same of singles: through a double, which has bits enough to be rounded twice."""
    x, y = struct_unpack("<ff", struct_pack("<II", a, b))
    try:
        return int(struct_unpack("<I", struct_pack("<f", _host_result(kind, x, y)))[0])
    except OverflowError:
        return 0


def _host_result(kind: int, x: float, y: float) -> float:
    if kind == 0x58:
        return x + y
    if kind == 0x59:
        return x * y
    return x - y if kind == 0x5C else x / y


def clz64(a: int) -> int:
    """Leading zeros of a u64; 64 for zero."""
    return 64 - a.bit_length()


def ctz32(a: int) -> int:
    """Trailing zeros of a non-zero u32."""
    return (a & -a).bit_length() - 1


# --- the decoded instruction stream ----------------------------------------------------


def go(c: Any, op: Any) -> int:
    """Continue at `op`. Compiled this is a tail call into its handler; here the loop does it."""
    c.cur = op
    return 0


def op_next(op: Any) -> Any:
    """The op decoded after this one."""
    return op.succ


def NEXT(c: Any, op: Any) -> int:
    """Continue with the next op: how every ordinary instruction body ends."""
    c.cur = op.succ
    return 0


# --- arrays of structs -----------------------------------------------------------------


def op_at(ops: Any, i: int) -> Any:
    return ops[i]


def block_at(blocks: Any, i: int) -> Any:
    return op_at(blocks, i)


def jump_at(jumps: Any, i: int) -> Any:
    return op_at(jumps, i)


def link_ops(op: Any, succ: Any) -> None:
    """Make `succ` what op_next(op) finds; compiled they are neighbours in memory anyway."""
    op.succ = succ


def op_shift(op: Any, n: int) -> Any:
    """The op n places after this one in its block."""
    for _ in range(n):
        op = op.succ
    return op


HANDLERS: list[Any] = []  # filled by handlers.py: what set_handler() picks from


def set_handler(op: Any, number: int) -> None:
    op.handler = number
    op.fn = HANDLERS[number]


def shape_table(i: int) -> int:
    """SHAPE, IMM and SELECT of decode.py: made from bt/table.py by handlers.py."""
    return TABLES[0][i]


def imm_table(i: int) -> int:
    return TABLES[1][i]


def select_table(i: int) -> int:
    return TABLES[2][i]


def feature_table(number: int) -> int:
    """FEAT_* of the handler of that number."""
    return TABLES[3][number]


TABLES: list[Any] = []

nogil = contextlib.nullcontext()  # compiled: the GIL is released inside


def wrap_handler(op: Any, number: int) -> None:
    """Let another handler run first; op.handler still says whose op it is."""
    op.fn = HANDLERS[number]


def own_handler(c: Any, op: Any) -> int:
    """What a wrapping handler ends with."""
    return int(HANDLERS[op.handler](c, op))

"""What allocates structs and starts a block when the interpreter runs uncompiled.

Its compiled twin is in build.py's prologue, as for dialect.py; it stands apart from there because
it needs the struct classes of state.py.
"""

from __future__ import annotations

from typing import Any

from bt.interp.state import ST_NEXT, Block, Blocks, Cpu, Jump, Memory, Op, Space


class _Lazy(list[Any]):
    """An array of structs whose items come into being when first touched (dialect.op_at)."""

    def __init__(self, kind: type, count: int) -> None:
        super().__init__([None] * count)
        self.kind = kind


def alloc_ops(count: int) -> Any:
    return _Lazy(Op, count)


def alloc_blocks(count: int) -> Any:
    return _Lazy(Block, count)


def alloc_jumps(count: int) -> Any:
    return _Lazy(Jump, count)


def new_memory() -> Memory:
    return Memory()


def new_blocks() -> Blocks:
    return Blocks()


def new_space() -> Space:
    return Space()


def op_null() -> Any:
    """The null Op pointer."""
    return None


def start(c: Cpu, op: Op) -> int:
    """Run from op until a handler returns something other than "the next op"."""
    c.cur = op
    status = ST_NEXT
    while status == ST_NEXT:
        at = c.cur
        status = at.fn(c, at)
    return status

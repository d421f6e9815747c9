"""What allocates structs and starts a block when the interpreter runs uncompiled.

Its compiled twin is in dialect.pxi, as for dialect.py; it stands apart from there because it needs
the struct classes of state.py.
"""

from __future__ import annotations

from typing import Any

from bt.interp.state import ST_NEXT, Block, Blocks, Cpu, Jump, Memory, Op, Space


class _Lazy(dict[int, Any]):
    """An array of structs whose items come into being when first touched."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def __missing__(self, i: int) -> Any:
        item = self[i] = self.kind()
        return item


def alloc_ops(count: int) -> Any:
    return _Lazy(Op)


def alloc_blocks(count: int) -> Any:
    return _Lazy(Block)


def alloc_jumps(count: int) -> Any:
    return _Lazy(Jump)


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

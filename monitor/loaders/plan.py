"""A load plan: what goes where, checked as a whole before a byte of guest memory changes.

    plan = LoadPlan(memory.size)
    plan.put("kernel", 0x100000, data, "give a smaller one")    # at a fixed address
    info = plan.room(4096, align=16, top=0xA0000)                # anywhere that is free
    plan.put("boot information", info, table)
    plan.commit(memory)

RAM is 0 to 0xA0000 and 0x100000 to the top; between them a PC has video memory and ROMs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.settings.machine import MAX_MEMORY_MB
from monitor.vmm.errors import UserError
from monitor.vmm.physical_map import HOLE

HOLE_START, HOLE_END = HOLE.start, HOLE.stop
PAGE = 0x1000

Reserved = tuple[str, int, int]
"""Memory that is somebody else's: what it is, its start, its size."""


class Memory(Protocol):
    """Physical memory as the loaders see it."""

    @property
    def size(self) -> int: ...

    def read(self, address: int, size: int, /) -> bytes: ...

    def write(self, address: int, data: bytes, /) -> None: ...


@dataclass(frozen=True)
class Piece:
    """`size` bytes from `start`: `data`, then zeros if `clear`, else what was there."""

    name: str
    start: int
    size: int
    data: bytes
    clear: bool

    @property
    def end(self) -> int:
        return self.start + self.size


def align_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def mib(size: int) -> str:
    """A size for people, rounded up: "17 MiB"."""
    return f"{align_up(size, 1 << 20) >> 20} MiB"


def more_memory(end: int) -> str:
    """What to do about a guest that needs RAM up to `end`."""
    if end > MAX_MEMORY_MB << 20:
        return f"no size will do, {MAX_MEMORY_MB} MiB is the most (--memory)"
    return f"give it at least {mib(end)} (--memory)"


class LoadPlan:
    """Pieces that must lie in RAM and must not overlap."""

    def __init__(self, memory_size: int, reserved: Sequence[Reserved] = ()) -> None:
        if memory_size < HOLE_END:
            raise UserError(f"{memory_size} bytes of memory are no PC; give it 1 MiB (--memory 1)")
        self.memory_size = memory_size
        self.pieces: list[Piece] = []
        for area in reserved:
            self.reserve(*area)

    def put(self, name: str, start: int, data: bytes, size: int | None = None) -> None:
        """Bytes at an address, followed by zeros up to `size`."""
        self._add(Piece(name, start, len(data) if size is None else size, data, True))

    def reserve(self, name: str, start: int, size: int) -> None:
        """Memory that the guest will use and that nothing else may be put into."""
        self._add(Piece(name, start, size, b"", False))

    def _add(self, piece: Piece) -> None:
        if piece.end > self.memory_size:
            raise UserError(
                f"{piece.name}: needs memory up to {piece.end:#x} and the machine has "
                f"{mib(self.memory_size)}; {more_memory(piece.end)}"
            )
        if piece.start < 0 or (piece.start < HOLE_END and piece.end > HOLE_START and piece.size):
            raise UserError(
                f"{piece.name}: {piece.start:#x} to {piece.end:#x} is not all RAM; load it below "
                f"{HOLE_START:#x} or from {HOLE_END:#x}"
            )
        for other in self.pieces:
            if piece.start < other.end and other.start < piece.end and piece.size and other.size:
                raise UserError(
                    f"{piece.name}: {piece.start:#x} to {piece.end:#x} overlaps {other.name} at "
                    f"{other.start:#x} to {other.end:#x}; move or shrink one of them"
                )
        self.pieces.append(piece)

    def highest_room(self, size: int, top: int) -> int | None:
        """The highest page-aligned address with `size` free bytes of RAM below `top`."""
        top = min(top, self.memory_size)
        walls = sorted([piece for piece in self.pieces if piece.size], key=lambda p: -p.end)
        for wall in walls:
            start = (top - size) & -PAGE
            if start >= wall.end:
                break
            top = min(top, wall.start)
        start = (top - size) & -PAGE
        return start if start >= HOLE_END else None

    def room(self, name: str, size: int, align: int = 16, above: int = PAGE) -> int:
        """The lowest free address from `above` with `size` bytes of RAM; UserError if none."""
        start = align_up(above, align)
        while start + size <= self.memory_size:
            wall = self._in_the_way(start, start + size)
            if wall is None:
                return start
            start = align_up(wall, align)
        raise UserError(
            f"{name}: no room for {size} bytes in the machine's {mib(self.memory_size)} of memory; "
            f"{more_memory(start + size)}"
        )

    def _in_the_way(self, start: int, end: int) -> int | None:
        """The end of something that overlaps start..end, or None."""
        if start < HOLE_END and end > HOLE_START:
            return HOLE_END
        for piece in self.pieces:
            if piece.size and start < piece.end and piece.start < end:
                return piece.end
        return None

    def commit(self, memory: Memory) -> None:
        """Write it all."""
        for piece in self.pieces:
            if piece.clear:
                memory.write(piece.start, piece.data + bytes(piece.size - len(piece.data)))

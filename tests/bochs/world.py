"""One world: the arena's bytes and the processor's state to begin with."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.bochs import layout as at


@dataclass
class World:
    """`state` has the fields of layout.STATE but the sizes; `story` says what it is about."""

    arena: bytearray
    state: dict[str, int]
    story: list[str] = field(default_factory=list)

    def pack(self, template: bytes) -> bytes:
        """As the kernel reads it."""
        count = at.ARENA_SIZE // 4
        old = struct.unpack(f"<{count}I", template)
        new = struct.unpack(f"<{count}I", self.arena)
        patches = b"".join(
            struct.pack("<II", 4 * i, new[i]) for i in range(count) if new[i] != old[i]
        )
        values = dict(self.state)
        values["size"] = at.STATE_SIZE + len(patches)
        values["patches"] = len(patches) // 8
        state = b"".join(values[name].to_bytes(size, "little") for name, size in at.STATE)
        return state + patches

    def put(self, address: int, data: bytes) -> None:
        """Write into the arena."""
        self.arena[address : address + len(data)] = data


def batch(worlds: list[bytes]) -> bytes:
    """Packed worlds as they stand at layout.WORLDS."""
    raw = struct.pack("<II", len(worlds), 0) + b"".join(worlds)
    if at.WORLDS + len(raw) > at.OUTPUT:
        raise ValueError(f"{len(worlds)} worlds do not fit into one batch")
    return raw

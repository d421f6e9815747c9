"""What a world came to, as the kernel wrote it down."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bochs import layout as at


@dataclass(frozen=True)
class Record:
    """Registers at the end by name, and the doublewords of the arena that changed, by address."""

    registers: dict[str, int | bytes]
    memory: dict[int, int]

    @property
    def vector(self) -> int:
        """Which vector ended the world; layout.SHUTDOWN if none did."""
        value = self.registers["vector"]
        assert isinstance(value, int)
        return value


def parse(records: bytes) -> Iterator[Record]:
    """The records of a batch, in order."""
    position = 0
    while size := struct.unpack_from("<I", records, position)[0]:
        if size < 4 + at.RECORD_SIZE or position + size + 4 > len(records) or size % 8:
            raise ValueError(f"no record at {position:#x}")
        yield _record(records[position + 4 : position + size])
        position += size


def _record(raw: bytes) -> Record:
    registers: dict[str, int | bytes] = {}
    position = 0
    for name, size in at.RECORD:
        piece = raw[position : position + size]
        registers[name] = int.from_bytes(piece, "little") if size <= 8 else piece
        position += size
    first = registers["vector"]
    assert isinstance(first, int)
    registers["vector"], registers["ds"] = first >> 16, first & 0xFFFF
    words = struct.unpack(f"<{(len(raw) - position) // 4}I", raw[position:])
    return Record(registers, dict(zip(words[::2], words[1::2], strict=True)))


def difference(one: Record, other: Record) -> dict[str, tuple[object, object]]:
    """Everything in which two records differ: register names, and "[address]" for memory.

    None stands for a doubleword that is as it was before.
    """
    found: dict[str, tuple[object, object]] = {}
    for name, value in one.registers.items():
        if value != other.registers[name]:
            found[name] = (value, other.registers[name])
    for address in sorted(one.memory.keys() | other.memory.keys()):
        values = one.memory.get(address), other.memory.get(address)
        if values[0] != values[1]:
            found[f"[{address:04x}]"] = values
    return found

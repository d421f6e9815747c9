"""Checkpoints as somebody with bad intentions would write them.

    broken(data, chance)   bytes that were changed after the file was written: checksums are wrong
    forged(data, chance)   a file whose checksums are right and whose contents are not
"""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zlib
from typing import Any

from monitor.checkpoint import format as file_format

Section = tuple[bytes, bytes]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 255, 256, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64,
    1 << 200, 1.5, "", "x", "\ud800", "ff" * 40, [], [0], [1 << 40] * 3, {},
    "a" * 5000, [[[[[]]]]], {"device": "pit"},
)  # fmt: skip
KINDS = (b"HEAD", b"STAT", b"DATA", b"PAGE", b"END ", b"EVIL", b"\0\0\0\0")


def broken(data: bytes, chance: random.Random) -> bytes:
    """A file that was damaged."""
    how = chance.randrange(7)
    at = chance.randrange(len(data))
    some = chance.randrange(1, 64)
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
    if how == 2:
        return data[:at] + chance.randbytes(some) + data[at + some :]
    if how == 3:
        return data[:at] + chance.randbytes(some) + data[at:]
    if how == 4:
        return data[:at] + data[at + some :]
    if how == 5:
        return data + chance.randbytes(some)
    early = chance.randrange(min(64, len(data)))
    return data[:early] + struct.pack("<I", chance.choice(LENGTHS)) + data[early + 4 :]


LENGTHS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 20, 1 << 24)


def sections(data: bytes) -> list[Section]:
    """What is in a file that is right."""
    return list(file_format.Reader(io.BytesIO(data)).sections())


def sealed(parts: list[Section], end: bool = True) -> bytes:
    """A file with these sections, and checksums that are right."""
    out = bytearray(file_format.MAGIC)
    for kind, payload in parts:
        out += _section(kind, payload)
    if end:
        out += _section(b"END ", struct.pack("<QI", len(parts), zlib.crc32(out)))
    return bytes(out)


def _section(kind: bytes, payload: bytes) -> bytes:
    body = struct.pack("<4sI", kind, len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def forged(data: bytes, chance: random.Random) -> bytes:
    """A file that says it is right."""
    parts = sections(data)
    how = chance.randrange(10)
    if how < 7:
        number = 0 if chance.random() < 0.15 else 1
        kind, payload = parts[number]
        parts[number] = kind, forged_document(payload, chance)
    elif how == 7:
        number = chance.randrange(len(parts))
        kind, payload = parts[number]
        parts[number] = kind, broken(payload or b"\0", chance)
    elif how == 8:
        one, two = chance.randrange(len(parts)), chance.randrange(len(parts))
        parts[one], parts[two] = parts[two], parts[one]
        if chance.random() < 0.5:
            parts.insert(one, parts[two])
    else:
        number = chance.randrange(len(parts))
        parts[number] = chance.choice(KINDS), parts[number][1]
    return sealed(parts)


def forged_document(payload: bytes, chance: random.Random) -> bytes:
    """JSON with one value, or one name, that is another."""
    document = json.loads(payload)
    paths = list(_paths(document))
    for _ in range(chance.choice((1, 1, 1, 3))):
        _forge(document, chance.choice(paths), chance)
    text = json.dumps(document)
    if chance.random() < 0.02:
        text = chance.choice((text[:-5], "[" * 100_000, "1" * 10_000, "NaN", '{"a":1,"a":2}', "\0"))
    return text.encode("utf-8", "surrogatepass")


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict):
        for name, each in value.items():
            yield (*before, name)
            yield from _paths(each, (*before, name))
    elif isinstance(value, list):
        for number, each in enumerate(value[:40]):
            yield (*before, number)
            yield from _paths(each, (*before, number))


def _forge(document: Any, path: tuple[Any, ...], chance: random.Random) -> None:
    place = document
    for name in path[:-1]:
        try:
            place = place[name]
        except (KeyError, IndexError, TypeError):  # it was forged before
            return
    name = path[-1]
    try:
        old = place[name]
    except (KeyError, IndexError, TypeError):
        return
    how = chance.randrange(6)
    if how == 0:
        del place[name]
    elif how == 1 and isinstance(place, dict):
        place[chance.choice(("evil", "device", "version", "__class__"))] = chance.choice(VALUES)
    elif how == 2 and type(old) is int:
        place[name] = old ^ 1 << chance.randrange(40)
    elif how == 3 and type(old) is int:
        place[name] = chance.randrange(-5, 300)
    elif how == 4 and isinstance(old, list) and old:
        place[name] = old * chance.choice((0, 2, 100))
    else:
        place[name] = copy.deepcopy(chance.choice(VALUES))

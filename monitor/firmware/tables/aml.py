"""ACPI Machine Language, as far as this board's tables need it.

Manual: Advanced Configuration and Power Interface 1.0b, 16.2 "AML grammar", 6.4 "Resource data
types"; names have four letters, filled up by underscores.

>>> name("_S5", package(0, 0)).hex(" ")
'08 5f 53 35 5f 12 04 02 00 00'
>>> scope("\\\\_SB", device("PCI0", name("_HID", eisa_id("PNP0A03")))).hex(" ")
'10 17 5c 5f 53 42 5f 5b 82 0f 50 43 49 30 08 5f 48 49 44 0c 41 d0 0a 03'
"""

from __future__ import annotations

import struct

ZERO, ONE, BYTE, WORD, DWORD = 0x00, 0x01, 0x0A, 0x0B, 0x0C
NAME, SCOPE, BUFFER, PACKAGE, EXTENDED, DEVICE = 0x08, 0x10, 0x11, 0x12, 0x5B, 0x82
SEGMENT = 4
END_TAG = b"\x79\x00"
FIXED_ENDS = 0x0C  # of a range: neither end may move
ENTIRE_RANGE, READ_WRITE, CACHEABLE = 0x03, 0x01, 0x02
MEMORY, IO, BUS = 0, 1, 2


def integer(value: int) -> bytes:
    """A constant in the shortest way."""
    if value in (0, 1):
        return bytes((ZERO if value == 0 else ONE,))
    for prefix, size in ((BYTE, 1), (WORD, 2), (DWORD, 4)):
        if value < 1 << 8 * size:
            return bytes((prefix,)) + value.to_bytes(size, "little")
    raise ValueError(f"{value:#x} has more than 32 bits")


def eisa_id(text: str) -> bytes:
    """ "PNP0A03": three letters of five bits each and four digits, the high byte first."""
    letters = 0
    for letter in text[:3]:
        letters = letters << 5 | ord(letter) - ord("A") + 1
    return bytes((DWORD,)) + letters.to_bytes(2, "big") + bytes.fromhex(text[3:])


def name(path: str, value: bytes) -> bytes:
    """An object with this name."""
    return bytes((NAME,)) + _path(path) + value


def package(*items: int | bytes) -> bytes:
    """Numbers, or what is encoded already."""
    inner = b"".join(integer(each) if isinstance(each, int) else each for each in items)
    return bytes((PACKAGE,)) + _measured(bytes((len(items),)) + inner)


def buffer(data: bytes) -> bytes:
    """Bytes."""
    return bytes((BUFFER,)) + _measured(integer(len(data)) + data)


def scope(path: str, *terms: bytes) -> bytes:
    """Objects within another one."""
    return bytes((SCOPE,)) + _measured(_path(path) + b"".join(terms))


def device(path: str, *terms: bytes) -> bytes:
    """A device and its objects."""
    return bytes((EXTENDED, DEVICE)) + _measured(_path(path) + b"".join(terms))


def _path(path: str) -> bytes:
    root, _, last = path.rpartition("\\")
    prefix = b"\\" if path.startswith("\\") else b""
    assert not root and "." not in last, "one name, perhaps from the root"
    return prefix + last.ljust(SEGMENT, "_").encode("ascii")


def _measured(data: bytes) -> bytes:
    """With the length in front, which counts itself: in one to four bytes."""
    if len(data) + 1 < 1 << 6:
        return bytes((len(data) + 1,)) + data
    for more in (1, 2, 3):
        length = len(data) + 1 + more
        if length < 1 << 4 + 8 * more:
            return bytes((more << 6 | length & 15,)) + (length >> 4).to_bytes(more, "little") + data
    raise ValueError("an object of more than 256 MiB")


# --- resources ---------------------------------------------------------------------------


def ports(first: int, size: int) -> bytes:
    """I/O ports that the device itself answers."""
    return struct.pack("<BBHHBB", 0x47, 1, first, first, 1, size)


def word_range(kind: int, first: int, last: int) -> bytes:
    """I/O ports or buses that lie behind a bridge."""
    flags = ENTIRE_RANGE if kind == IO else 0
    head = struct.pack("<BHBBB", 0x88, 13, kind, FIXED_ENDS, flags)
    return head + struct.pack("<5H", 0, first, last, 0, last - first + 1)


def memory_range(first: int, last: int, flags: int) -> bytes:
    """Memory that lies behind a bridge."""
    head = struct.pack("<BHBBB", 0x87, 23, MEMORY, FIXED_ENDS, flags)
    return head + struct.pack("<5I", 0, first, last, 0, last - first + 1)

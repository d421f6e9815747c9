"""The file: sections, each with its kind, its length and a checksum.

    magic      8 bytes
    section    kind (4 letters), length (32 bits), payload, CRC-32 of these three
    ...
    END        how many sections came before, CRC-32 of everything before it

    HEAD   JSON: the file's version, who wrote it, the machine's settings
    STAT   JSON: the state of processor, board and all else, by names
    DATA   a name and compressed bytes of it: what is long and no RAM (the console's tail)
    DISK   what the guest wrote to a drive (media.py)
    PAGE   256 frames of RAM: which of them are not zero, and these, compressed (ram.py)

Numbers are little-endian. A file may come from anybody. Nothing in it is executed, no length in it
is believed: a section is read in pieces, of a kind's most bytes at most, and inflated into a bound
that the reader knows beforehand. Whatever is wrong with it is a BadCheckpoint, one sentence.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from monitor.vmm.errors import UserError

MAGIC = b"VPcheck\x1a"
VERSION = 2
READABLE = (2,)  # versions that this program reads

HEAD, STAT, DATA, DISK, PAGE, END = b"HEAD", b"STAT", b"DATA", b"DISK", b"PAGE", b"END "
MOST = {  # bytes of payload
    HEAD: 1 << 16, STAT: 16 << 20, DATA: 2 << 20, DISK: 2 << 20, PAGE: 2 << 20, END: 12
}  # fmt: skip
PIECE = 1 << 16  # what is read at once: a length alone allocates nothing
MOST_INFLATED = 1 << 20  # bytes of one DATA section
MOST_DATA = 8 << 20  # of all of one name
MOST_DEPTH = 16  # of JSON
LEVEL = 1  # of zlib: 1 takes half the time of 6, and a few percent more room

_SECTION = struct.Struct("<4sI")
_CRC = struct.Struct("<I")
_END = struct.Struct("<QI")


class BadCheckpoint(UserError):
    """A file that is no checkpoint, or a broken one."""


class Writer:
    """Puts sections one after the other. OSError from where they go."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sections = 0
        self._crc = 0
        self.size = 0
        self._put(MAGIC)

    def section(self, kind: bytes, *parts: bytes) -> None:
        """One section; its payload may come in parts."""
        length = sum(map(len, parts))
        if length > MOST[kind]:
            raise UserError(
                f"this machine's {kind.decode().strip()} section of {length} bytes is too long "
                "for a checkpoint"
            )
        head = _SECTION.pack(kind, length)
        crc = zlib.crc32(head)
        self._put(head)
        for part in parts:
            crc = zlib.crc32(part, crc)
            self._put(part)
        self._put(_CRC.pack(crc))
        self._sections += 1

    def document(self, kind: bytes, value: Any) -> None:
        """A section of JSON."""
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        self.section(kind, text.encode())

    def data(self, name: str, value: bytes) -> None:
        """Bytes under a name, in as many sections as they need."""
        label = name.encode()
        for at in range(0, len(value), MOST_INFLATED):
            packed = zlib.compress(value[at : at + MOST_INFLATED], LEVEL)
            self.section(DATA, bytes((len(label),)), label, packed)

    def end(self) -> None:
        """The last section."""
        self.section(END, _END.pack(self._sections, self._crc))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self.size += len(data)


class Reader:
    """Takes sections back, in order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._crc = 0
        self._sections = 0
        if self._take(len(MAGIC), "its first bytes", short_is_foreign=True) != MAGIC:
            raise BadCheckpoint("this is no checkpoint of Virtual Platform")

    def sections(self) -> Iterator[tuple[bytes, bytes]]:
        """Kind and payload of each, but for the end, which is checked."""
        while True:
            before = self._crc
            head = self._take(_SECTION.size, "the head of a section")
            kind, length = _SECTION.unpack(head)
            if kind not in MOST:
                raise BadCheckpoint(f"it has a section {_shown(kind)} that this version knows not")
            if length > MOST[kind]:
                raise BadCheckpoint(f"its {_shown(kind)} section claims {length} bytes")
            payload = self._take(length, f"a {_shown(kind)} section")
            crc = zlib.crc32(payload, zlib.crc32(head))
            if self._take(_CRC.size, f"the checksum of a {_shown(kind)} section") != _CRC.pack(crc):
                raise BadCheckpoint(f"the checksum of a {_shown(kind)} section is wrong")
            if kind == END:
                self._check_end(payload, before)
                return
            self._sections += 1
            yield kind, payload

    def _check_end(self, payload: bytes, crc: int) -> None:
        if payload != _END.pack(self._sections, crc):
            raise BadCheckpoint("its end does not fit what comes before it")
        if self._file.read(1):
            raise BadCheckpoint("something follows its end")

    def _take(self, size: int, what: str, short_is_foreign: bool = False) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._file.read(min(PIECE, size - len(data)))
            if not piece:
                if short_is_foreign:
                    raise BadCheckpoint("this is no checkpoint of Virtual Platform")
                raise BadCheckpoint(f"it ends amid {what}")
            data += piece
        self._crc = zlib.crc32(data, self._crc)
        return bytes(data)


def parse(payload: bytes, what: str) -> dict[str, Any]:
    """A JSON object; no numbers but integers, no depth beyond MOST_DEPTH."""
    try:
        value = json.loads(
            payload.decode(),
            parse_float=_no_float,
            parse_constant=_no_float,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"its {what} cannot be read: {_one_line(error)}") from None
    if not isinstance(value, dict):
        raise BadCheckpoint(f"its {what} is no object with names")
    _check_depth(value, what, MOST_DEPTH)
    return value


def split_data(payload: bytes) -> tuple[str, bytes]:
    """Name and bytes of a DATA section."""
    if not payload or len(payload) < 1 + payload[0]:
        raise BadCheckpoint("a DATA section has no name")
    name = payload[1 : 1 + payload[0]].decode("ascii", "replace")
    return name, inflate(payload[1 + payload[0] :], MOST_INFLATED, None)


def inflate(packed: bytes, most: int, exactly: int | None) -> bytes:
    """Decompressed bytes, `most` of them at most, `exactly` so many where that is known."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, most + 1)
    except zlib.error as error:
        raise BadCheckpoint(f"compressed bytes in it are broken: {_one_line(error)}") from None
    if len(data) > most or (exactly is not None and len(data) != exactly):
        raise BadCheckpoint("compressed bytes in it are more or fewer than they should be")
    if not stream.eof or stream.unused_data or stream.unconsumed_tail:
        raise BadCheckpoint("compressed bytes in it do not end where they should")
    return data


def _no_float(text: str) -> Any:
    raise ValueError(f"{text[:20]} is no integer")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _check_depth(value: Any, what: str, left: int) -> None:
    if left == 0:
        raise BadCheckpoint(f"its {what} is nested too deep")
    if isinstance(value, dict):
        for each in value.values():
            _check_depth(each, what, left - 1)
    elif isinstance(value, list):
        for each in value:
            _check_depth(each, what, left - 1)


def _shown(kind: bytes) -> str:
    return ascii(kind.decode("latin-1").strip())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__

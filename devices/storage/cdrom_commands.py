"""What a CD-ROM drive answers to packets: the commands of SCSI and MMC, each a small function.

Manual: SCSI Primary Commands 3, SCSI Multimedia Commands 3 (MMC-3), 5 "Multimedia commands".

A function gets the drive and the packet, and returns data for the host, or what is to be read of
the disc (`Reading`), or raises `Failed` with a sense: key, additional code and its qualifier in one
number. A disc is one data track from block 0 to its end, in one session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from devices.storage.medium import Medium

BLOCK = 2048
LEAD_OUT = 0xAA
DATA_TRACK = 0x14  # ADR 1, data
FRAMES = 75
PREGAP = 150  # frames before block 0
NO_CURRENT, CD_ROM_PROFILE = 0x0000, 0x0008

NO_SENSE = 0x000000
NO_DISC, TRAY_OPEN = 0x023A01, 0x023A02
READ_ERROR = 0x031100
INVALID_COMMAND, OUT_OF_RANGE, INVALID_FIELD = 0x052000, 0x052100, 0x052400
REMOVAL_PREVENTED = 0x055302
WAS_CHANGED, WAS_RESET = 0x062800, 0x062900

EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_GONE = range(4)
EVENT_CLASS_MEDIA = 4
TEST_UNIT_READY, REQUEST_SENSE, INQUIRY = 0x00, 0x03, 0x12
GET_CONFIGURATION, GET_EVENT = 0x46, 0x4A
HARMLESS = {REQUEST_SENSE, INQUIRY, GET_CONFIGURATION, GET_EVENT}  # also while a change is untold


class Failed(Exception):
    """The command ends with CHECK CONDITION."""

    def __init__(self, sense: int) -> None:
        super().__init__(f"{sense:06x}")
        self.sense = sense


@dataclass(frozen=True)
class Reading:
    """Blocks of the disc that the host shall get."""

    first: int
    count: int


class Drive(Protocol):
    """What the commands ask of the drive."""

    medium: Medium | None
    sense: int
    event: int
    locked: bool
    is_open: bool


def blocks(drive: Drive) -> int:
    """Of the disc."""
    return drive.medium.size // BLOCK if drive.medium is not None else 0


def _number(packet: bytes, first: int, size: int) -> int:
    return int.from_bytes(packet[first : first + size], "big")


def _word(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _long(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def minute_second_frame(block: int) -> bytes:
    """A block's address as a clock shows it, in four bytes.

    >>> minute_second_frame(0).hex()
    '00000200'
    """
    seconds, frame = divmod(block + PREGAP, FRAMES)
    return bytes((0, min(seconds // 60, 0xFF), seconds % 60, frame))


# --- about the drive ------------------------------------------------------------------------------


def inquiry(drive: Drive, packet: bytes) -> bytes:
    """A removable CD-ROM of MMC-3's time; vital product data there is none."""
    if packet[1] & 1 or packet[2]:
        raise Failed(INVALID_FIELD)
    names = b"VIRTUAL ", b"PLATFORM CD-ROM ", b"1.0 "
    return (bytes((0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0)) + b"".join(names))[: packet[4]]


def request_sense(drive: Drive, packet: bytes) -> bytes:
    """Why the last command failed; then it is forgotten."""
    key, code, qualifier = drive.sense.to_bytes(3, "big")
    drive.sense = NO_SENSE
    data = bytes((0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0))
    return data[: packet[4]]


def nothing(drive: Drive, packet: bytes) -> bytes:
    """A command that has done its work by being accepted."""
    return b""


def start_stop(drive: Drive, packet: bytes) -> bytes:
    """Spin up and down; with LoEj the tray goes out and in."""
    loej, start = packet[4] & 2, packet[4] & 1
    if loej and not start:
        if drive.locked:
            raise Failed(REMOVAL_PREVENTED)
        drive.is_open, drive.medium = True, None
        drive.event = EVENT_GONE
    elif loej:
        drive.is_open = False
    return b""


def prevent_removal(drive: Drive, packet: bytes) -> bytes:
    """Lock the tray, or unlock it."""
    drive.locked = bool(packet[4] & 1)
    return b""


def get_event_status(drive: Drive, packet: bytes) -> bytes:
    """Polled media events; an event is told once."""
    if not packet[1] & 1:
        raise Failed(INVALID_FIELD)  # only the polled form
    media = 1 << EVENT_CLASS_MEDIA
    if not packet[4] & media:
        return (_word(2) + bytes((0x80, media)))[: _number(packet, 7, 2)]
    status = drive.is_open | (drive.medium is not None) << 1
    data = _word(6) + bytes((EVENT_CLASS_MEDIA, media, drive.event, status, 0, 0))
    drive.event = EVENT_NONE
    return data[: _number(packet, 7, 2)]


def get_configuration(drive: Drive, packet: bytes) -> bytes:
    """The profiles that there are, and the core, medium and reading features."""
    first, kind = _number(packet, 2, 2), packet[1] & 3
    current = drive.medium is not None
    features = {
        0x0000: bytes((0x03, 4)) + _word(CD_ROM_PROFILE) + bytes((current, 0)),
        0x0001: bytes((0x07, 4)) + _long(2),  # core: ATAPI
        0x0003: bytes((0x03, 4, 0x29, 0, 0, 0)),  # removable: a tray that locks and ejects
        0x0010: bytes((current, 8)) + _long(BLOCK) + _word(1) + bytes(2),
        0x001E: bytes((current, 4, 0, 0, 0, 0)),  # CD read
    }
    wanted = {
        code: data
        for code, data in features.items()
        if (code == first if kind == 2 else code >= first) and (kind != 1 or data[0] & 1)
    }
    body = b"".join(_word(code) + data for code, data in wanted.items())
    profile = CD_ROM_PROFILE if current else NO_CURRENT
    whole = _long(len(body) + 4) + bytes(2) + _word(profile) + body
    return whole[: _number(packet, 7, 2)]


def mechanism_status(drive: Drive, packet: bytes) -> bytes:
    """No changer."""
    return bytes((0, drive.is_open << 4, 0, 0, 0, 0, 0, 0))[: _number(packet, 8, 2)]


# --- mode pages -----------------------------------------------------------------------------------


def _page(drive: Drive, page: int, control: int) -> bytes:
    """The pages that were asked for; of changeable values (control 1) there are none."""
    pages = {
        0x01: bytes((0x01, 6, 0, 3, 0, 0, 0, 0)),  # error recovery: 3 tries
        0x0E: bytes((0x0E, 14, 4, 0, 0, 0, 0, FRAMES, 1, 0xFF, 2, 0xFF, 0, 0, 0, 0)),  # audio
        0x2A: bytes((0x2A, 18, 0, 0, 0, 0, 0x29 | drive.locked << 1, 0)) + _word(4234)
        + _word(256) + _word(512) + _word(4234) + bytes(4),  # capabilities: 24x
    }  # fmt: skip
    if page != 0x3F and page not in pages:
        raise Failed(INVALID_FIELD)
    wanted = pages.values() if page == 0x3F else (pages[page],)
    return b"".join(each[:2] + bytes(len(each) - 2) if control == 1 else each for each in wanted)


def _medium_type(drive: Drive) -> int:
    if drive.medium is None:
        return 0x71 if drive.is_open else 0x70
    return 0x01  # a data CD of 120 mm


def mode_sense_6(drive: Drive, packet: bytes) -> bytes:
    """Header of 4 bytes, no block descriptor."""
    body = _page(drive, packet[2] & 0x3F, packet[2] >> 6)
    return (bytes((len(body) + 3, _medium_type(drive), 0, 0)) + body)[: packet[4]]


def mode_sense_10(drive: Drive, packet: bytes) -> bytes:
    """Header of 8 bytes, no block descriptor."""
    body = _page(drive, packet[2] & 0x3F, packet[2] >> 6)
    head = _word(len(body) + 6) + bytes((_medium_type(drive), 0, 0, 0, 0, 0))
    return (head + body)[: _number(packet, 7, 2)]


# --- about the disc -------------------------------------------------------------------------------


def read_capacity(drive: Drive, packet: bytes) -> bytes:
    """The last block, and the size of one."""
    return _long(blocks(drive) - 1) + _long(BLOCK)


def _reading(drive: Drive, first: int, count: int) -> Reading:
    if first + count > blocks(drive):
        raise Failed(OUT_OF_RANGE)
    return Reading(first, count)


def read_10(drive: Drive, packet: bytes) -> Reading:
    """Up to 65535 blocks."""
    return _reading(drive, _number(packet, 2, 4), _number(packet, 7, 2))


def read_12(drive: Drive, packet: bytes) -> Reading:
    """The same with a longer count."""
    return _reading(drive, _number(packet, 2, 4), _number(packet, 6, 4))


def read_cd(drive: Drive, packet: bytes) -> Reading:
    """Only the user data of data sectors: there is nothing else in an image."""
    if packet[1] >> 2 & 7 not in (0, 2) or packet[9] not in (0x10, 0x00) or packet[10] & 7:
        raise Failed(INVALID_FIELD)
    count = _number(packet, 6, 3) if packet[9] else 0
    return _reading(drive, _number(packet, 2, 4), count)


def seek(drive: Drive, packet: bytes) -> bytes:
    """The block has to be there."""
    _reading(drive, _number(packet, 2, 4), 1)
    return b""


def read_toc(drive: Drive, packet: bytes) -> bytes:
    """Formats 0 (tracks), 1 (sessions) and 2 (the raw table)."""
    form = packet[2] & 0x0F or packet[9] >> 6
    as_time, start = bool(packet[1] & 2), packet[6]

    def place(block: int) -> bytes:
        return minute_second_frame(block) if as_time else _long(block)

    end = blocks(drive)
    track = bytes((0, DATA_TRACK, 1, 0)) + place(0)
    if form == 0:
        if start > 1 and start != LEAD_OUT:
            raise Failed(INVALID_FIELD)
        body = (track if start <= 1 else b"") + bytes((0, DATA_TRACK, LEAD_OUT, 0)) + place(end)
    elif form == 1:
        body = track
    elif form == 2:
        points = (0xA0, bytes((0, 1, 0, 0))), (0xA1, bytes((0, 1, 0, 0)))
        places = (0xA2, minute_second_frame(end)), (1, minute_second_frame(0))
        body = b"".join(
            bytes((1, DATA_TRACK, 0, point, 0, 0, 0)) + value for point, value in (*points, *places)
        )
    else:
        raise Failed(INVALID_FIELD)
    return (_word(len(body) + 2) + bytes((1, 1)) + body)[: _number(packet, 7, 2)]


def read_disc_information(drive: Drive, packet: bytes) -> bytes:
    """A finished disc of one session."""
    data = _word(32) + bytes((0x0E, 1, 1, 1, 1, 0x20)) + bytes(8) + b"\xff" * 8 + bytes(10)
    return data[: _number(packet, 7, 2)]


Serve = Callable[[Drive, bytes], bytes | Reading]
COMMANDS: dict[int, Serve] = {
    TEST_UNIT_READY: nothing,
    REQUEST_SENSE: request_sense,
    INQUIRY: inquiry,
    0x1A: mode_sense_6,
    0x1B: start_stop,
    0x1E: prevent_removal,
    0x25: read_capacity,
    0x28: read_10,
    0x2B: seek,
    0x43: read_toc,
    GET_CONFIGURATION: get_configuration,
    GET_EVENT: get_event_status,
    0x51: read_disc_information,
    0x5A: mode_sense_10,
    0xA8: read_12,
    0xBB: nothing,  # SET CD SPEED
    0xBD: mechanism_status,
    0xBE: read_cd,
}
NEEDS_DISC = {TEST_UNIT_READY, 0x25, 0x28, 0x2B, 0x43, 0x51, 0xA8, 0xBE}

"""The figures behind `vmware-toolbox-cmd stat`: the reply to guestlib.info.get.

Version 3 of the structure: a header, then the statistics in the order of their numbers, in XDR,
each with a flag whether this host has it (open-vm-tools: libguestlib/guestlibV3.x and
vmGuestLibInt.h). Here the whole memory is the guest's and nothing limits its processor; what
belongs to the host is left out, for the guest shall see the same on every host.
"""

from __future__ import annotations

import struct

from monitor.vmware.host import Host

VERSION = 3
LAST = 38  # GUESTLIB_MEM_SHARES_64
UNLIMITED = 0xFFFFFFFF
CPU_SHARES = 1000  # "normal", for one processor
MEMORY_SHARES = 10  # "normal", for one MB

# Numbers of statistics that are not 32-bit numbers.
WIDE = frozenset((4, 17, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 38))
TEXTS = frozenset((18, 37))
RESOURCE_POOL = b"/"


def reply(host: Host) -> bytes:
    """The header in the guest's byte order, the statistics in XDR's."""
    known = _figures(host)
    data = struct.pack(">I", LAST)
    for number in range(1, LAST + 1):
        data += _statistic(number, known.get(number))
    return struct.pack("<IQI", VERSION, session(host), len(data)) + data


def session(host: Host) -> int:
    """Other than 0, and another one for another machine."""
    return int.from_bytes(host.uuid[:8], "big") | 1


def _figures(host: Host) -> dict[int, int]:
    memory = host.memory_bytes >> 20
    elapsed = host.now() // 10**6
    return {
        1: 0,  # CPU_RESERVATION_MHZ
        2: UNLIMITED,  # CPU_LIMIT_MHZ
        3: CPU_SHARES,
        4: elapsed,  # CPU_USED_MS
        5: host.tsc_hz // 10**6,  # HOST_MHZ
        6: 0,  # MEM_RESERVATION_MB
        7: UNLIMITED,  # MEM_LIMIT_MB
        8: memory * MEMORY_SHARES,
        9: memory,  # MEM_MAPPED_MB
        10: memory,  # MEM_ACTIVE_MB
        11: 0,  # MEM_OVERHEAD_MB
        12: 0,  # MEM_BALLOONED_MB
        13: 0,  # MEM_SWAPPED_MB
        14: 0,  # MEM_SHARED_MB
        15: 0,  # MEM_SHARED_SAVED_MB
        16: memory,  # MEM_USED_MB
        17: elapsed,  # ELAPSED_MS
        19: 0,  # CPU_STOLEN_MS
        20: memory,  # MEM_TARGET_SIZE_MB
        38: memory * MEMORY_SHARES,
    }


def _statistic(number: int, value: int | None) -> bytes:
    head = struct.pack(">II", number, int(value is not None or number in TEXTS))
    if number in TEXTS:
        return head + _string(RESOURCE_POOL)
    return head + struct.pack(">Q" if number in WIDE else ">I", value or 0)


def _string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text + bytes(-len(text) % 4)

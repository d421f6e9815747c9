"""The flat GDT that a protected-mode start runs on (SDM vol. 3, 3.4.5).

A descriptor of base 0 and limit 4 GiB has the bytes FF FF 00 00 00 type CF 00; type 9B is code
(readable, accessed), 93 data (writable, accessed).
"""

from __future__ import annotations

from monitor.loaders.plan import Plan

CODE_SELECTOR = 0x10
DATA_SELECTOR = 0x18
PREFERRED = 0x9F000  # just below where a BIOS keeps its extended data area


def _flat(kind: int) -> bytes:
    return bytes((0xFF, 0xFF, 0, 0, 0, kind, 0xCF, 0))


FLAT_GDT = bytes(16) + _flat(0x9B) + _flat(0x93)
GDT_LIMIT = len(FLAT_GDT) - 1


def put(plan: Plan) -> tuple[int, int]:
    """Plan the table at the top of low memory, out of the guest's way: its base and limit."""
    base = plan.room("boot GDT", len(FLAT_GDT), above=PREFERRED)
    plan.put("boot GDT", base, FLAT_GDT)
    return base, GDT_LIMIT

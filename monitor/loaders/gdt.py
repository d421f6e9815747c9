"""The flat GDT that a protected-mode start runs on (SDM vol. 3, 3.4.5).

A descriptor of base 0 and limit 4 GiB has the bytes FF FF 00 00 00 type CF 00; type 9B is code
(readable, accessed), 93 data (writable, accessed).
"""

from __future__ import annotations

from typing import Any

from monitor.loaders.plan import LoadPlan
from monitor.vmm.errors import UserError

CODE_SELECTOR = 0x10
DATA_SELECTOR = 0x18
LAST_SELECTOR = 0xFFF8
PREFERRED = 0x9F000  # just below where a BIOS keeps its extended data area


def _flat(kind: int) -> bytes:
    return bytes((0xFF, 0xFF, 0, 0, 0, kind, 0xCF, 0))


def flat_table(code: int = CODE_SELECTOR, data: int = DATA_SELECTOR) -> bytes:
    """A GDT with flat code and data at these selectors, and null descriptors elsewhere."""
    table = bytearray(max(code, data) + 8)
    table[code : code + 8] = _flat(0x9B)
    table[data : data + 8] = _flat(0x93)
    return bytes(table)


def put(plan: LoadPlan, selectors: tuple[int, int] | None = None) -> tuple[int, int]:
    """Plan the table at the top of low memory, out of the guest's way: its base and limit."""
    table = flat_table(*checked(selectors))
    base = plan.room("boot GDT", len(table), above=PREFERRED)
    plan.put("boot GDT", base, table)
    return base, len(table) - 1


def checked(selectors: tuple[int, int] | None) -> tuple[int, int]:
    """Selectors of code and data in a flat GDT. UserError for such as cannot be."""
    if selectors is None:
        return CODE_SELECTOR, DATA_SELECTOR
    code, data = selectors
    for selector in selectors:
        if not 8 <= selector <= LAST_SELECTOR or selector % 8:
            raise UserError(
                f"selector {selector:#x}: in the loader's flat GDT choose multiples of 8 from 0x8 "
                f"to {LAST_SELECTOR:#x}; other ones need a table of your own (gdt=)"
            )
    if code == data:
        raise UserError(f"selector {code:#x} is given twice; code and data need one each")
    return code, data


def enter(
    plan: LoadPlan, selectors: tuple[int, int] | None, own: tuple[int, int] | None
) -> dict[str, Any]:
    """The fields of StartState about segments: a flat GDT is planned unless there is `own`."""
    code, data = checked(selectors) if own is None else selectors or checked(None)
    return {
        "code_selector": code,
        "data_selector": data,
        "gdt": put(plan, selectors) if own is None else own,
        "own_table": own is not None,
    }

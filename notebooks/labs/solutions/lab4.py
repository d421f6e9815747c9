"""Lab 4, solved: walk, judge, set A and D, map; trace what was read."""

from __future__ import annotations

from monitor.extensions.fill import Fault, GuestTables, Shadow

P, RW, US, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
FRAME = 0xFFFFF000

# What was mapped by means of the entry at a physical address: linear pages.
made_from: dict[int, set[int]] = {}


def fill(fault: Fault, guest: GuestTables, shadow: Shadow) -> bool:
    """The shadow did not allow an access. Is it the shadow's fault, or the guest's?"""
    linear = fault.linear
    entries = walk(linear, guest)
    for address in entries:
        shadow.trace(address)
        made_from.setdefault(address, set()).add(linear & FRAME)
    values = [guest.read(address) for address in entries]
    large = len(values) == 1 and bool(values[0] & PS) and guest.large_pages
    if not all(value & P for value in values) or not allowed(fault, guest, values):
        return False
    values = [value | A for value in values]
    if fault.write:
        values[-1] |= D
    for address, value in zip(entries, values, strict=True):
        if guest.read(address) != value:
            guest.write(address, value)
    last = values[-1]
    frame = last & 0xFFC00000 | linear & 0x3FF000 if large else last & FRAME
    shadow.map(
        frame,
        writable=bool(last & D) and may_write(fault.user, guest, values),
        is_global=bool(last & G) and guest.global_pages,
        large=large,
    )
    return True


def walk(linear: int, guest: GuestTables) -> list[int]:
    """Addresses of the entries that lead to a page, up to the first that is not present."""
    directory = (guest.cr3 & FRAME) + (linear >> 20 & 0xFFC)
    entry = guest.read(directory)
    if not entry & P or (entry & PS and guest.large_pages):
        return [directory]
    return [directory, (entry & FRAME) + (linear >> 10 & 0xFFC)]


def allowed(fault: Fault, guest: GuestTables, values: list[int]) -> bool:
    if fault.user and not all(value & US for value in values):
        return False
    return not fault.write or may_write(fault.user, guest, values)


def may_write(user: bool, guest: GuestTables, values: list[int]) -> bool:
    return all(value & RW for value in values) or (not user and not guest.write_protect)


def table_written(address: int, guest: GuestTables, shadow: Shadow) -> None:
    """The guest wrote the entry at this physical address, which fill() has traced."""
    for linear in made_from.pop(address, ()):
        shadow.unmap(linear)

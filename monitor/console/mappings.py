"""`info mem`, `info tlb`, `info mtree`: what lies at which address, linear and physical."""

from __future__ import annotations

from monitor.console.command import Context, no_more
from monitor.watch.mmu_model import GuestRange

MOST = 5000  # lines
PAGE = 0x1000
NO_PAGING = "PG disabled: linear addresses are physical ones"


def info_mem(context: Context, rest: str) -> str:
    """The ranges that the guest's page tables map: from, to, size, rights."""
    no_more(rest, "info mem")
    view = context.machine.watch.mmu()
    if not view.paging:
        return NO_PAGING
    lines = []
    for first, end, rights in _joined(view.guest):
        lines.append(f"{first:08x}-{end:08x} {end - first:08x} {rights}")
    return _bounded(lines) or "nothing is mapped"


def _joined(ranges: tuple[GuestRange, ...]) -> list[tuple[int, int, str]]:
    """Neighbours of the same rights are one, wherever their frames are."""
    found: list[tuple[int, int, str]] = []
    for each in ranges:
        end = each.linear + each.pages * PAGE
        rights = f"{'u' if each.user else '-'}r{'w' if each.writable else '-'}"
        if found and found[-1][1:] == (each.linear, rights):
            found[-1] = (found[-1][0], end, rights)
        else:
            found.append((each.linear, end, rights))
    return found


def info_tlb(context: Context, rest: str) -> str:
    """Every mapping of the guest's page tables: linear, physical, bits."""
    no_more(rest, "info tlb")
    view = context.machine.watch.mmu()
    if not view.paging:
        return NO_PAGING
    lines = []
    for each in view.guest:
        bits = "".join(
            letter if on else "-"
            for letter, on in (("G", each.global_), ("P", each.large),
                               ("U", each.user), ("W", each.writable))
        )  # fmt: skip
        step = 0x400000 if each.large else PAGE
        for at in range(0, each.pages * PAGE, step):
            lines.append(f"{each.linear + at:08x}: {each.physical + at:08x} {bits}")
            if len(lines) > MOST:
                return _bounded(lines)
    return _bounded(lines) or "nothing is mapped"


def info_mtree(context: Context, rest: str) -> str:
    """The physical map: what answers from where to where."""
    no_more(rest, "info mtree")
    return "\n".join(
        f"{each.first:08x}-{each.end - 1:08x} {each.kind.value}"
        f"{'' if each.name in ('', each.kind.value) else f' ({each.name})'}"
        for each in context.machine.physical_map.regions()
    )


def _bounded(lines: list[str]) -> str:
    if len(lines) > MOST:
        lines = [*lines[:MOST], "and more"]
    return "\n".join(lines)

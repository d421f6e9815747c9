"""From a machine to a `MmuView`. Looks, and changes nothing: no accessed bit, no fill."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bt.contract import PERM_EXEC, PERM_GLOBAL, PERM_PINNED, PERM_WRITE
from bt.interp.walk import PTE_A, PTE_D, PTE_G, PTE_PS, PTE_U, PTE_W
from bt.policy import CONTEXTS
from bt.vcpu_page import FAR_LANDINGS, NEAR_LANDINGS, VCPU_BYTES, VSYS
from monitor.vmm.memory import PAGE
from monitor.vmm.shadow import HIDDEN_BASE, OPEN_BUS, TC_BYTES, VCPU_LINEAR, vcpu_linear
from monitor.watch import words
from monitor.watch.guest_tables import GuestTables, guest_tables, write_protects
from monitor.watch.mmu_model import GuestRange, HiddenPart, MmuView, ShadowRange, ShadowSpace
from monitor.watch.mmu_segments import segment_views

if TYPE_CHECKING:
    from monitor.vmm.physical_map import PhysicalMap
    from monitor.vmm.virtual import VirtualProcessor
    from monitor.watch.subject import Subject

TOP = 1 << 32
Codes = npt.NDArray[np.int64]


def mmu_view(machine: Subject) -> MmuView:
    """The guest's tables and segments, and, if there is a monitor, its side of them."""
    from monitor.vmm.translating import TranslatingProcessor
    from monitor.vmm.virtual import VirtualProcessor

    processor = machine.processor
    processor.sync()
    cpu = processor.ideal
    tables = guest_tables(cpu)
    virtual = processor if isinstance(processor, VirtualProcessor) else None
    used = processor.cache.used if isinstance(processor, TranslatingProcessor) else 0
    figures = virtual.shadow.statistics() if virtual else {}
    return MmuView(
        count=processor.count(),
        mode=machine.mode,
        paging=tables.paging,
        cr0=int(cpu.cr0),
        cr3=int(cpu.cr3),
        cr4=int(cpu.cr4),
        cpl=int(cpu.cpl),
        guest=tuple(guest_ranges(tables)),
        shadows=tuple(_shadows(virtual, tables, machine.physical_map)) if virtual else (),
        segments=segment_views(cpu, virtual.engine if virtual else None),
        hidden_base=HIDDEN_BASE if virtual else None,
        hidden=tuple(hidden_parts(used)) if virtual else (),
        clean=figures.get("pages_clean", 0),
        audited=figures.get("pages_audited", 0),
        fills=figures.get("fills", 0),
        flushes=figures.get("flushes", 0),
    )


# --- runs of pages -----------------------------------------------------------------------


def _runs(pages: Codes, codes: Codes, frames: Codes) -> list[tuple[int, int]]:
    """[from, to) of rows that are alike, whose pages and frames follow each other; code 0 is left
    out."""
    apart = (frames[1:] != frames[:-1] + 1) | (pages[1:] != pages[:-1] + 1)
    breaks = (codes[1:] != codes[:-1]) | (codes[1:] != 0) & apart
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(codes)]
    return [(a, b) for a, b in pairwise(edges) if b > a and codes[a]]


def guest_ranges(tables: GuestTables) -> list[GuestRange]:
    """What the guest's tables map."""
    pages = np.flatnonzero(tables.bits)
    mapped = tables.at(pages)
    kept = mapped.bits & np.uint32(1 | PTE_W | PTE_U | PTE_G | PTE_PS)
    found = []
    for a, b in _runs(pages, kept.astype(np.int64), mapped.frames.astype(np.int64)):
        bits, part = int(kept[a]), mapped.bits[a:b]
        found.append(
            GuestRange(
                int(pages[a]) * PAGE, b - a, int(mapped.frames[a]) * PAGE, bool(bits & PTE_W),
                bool(bits & PTE_U), bool(bits & PTE_G), bool(bits & PTE_PS),
                int(np.count_nonzero(part & PTE_A)), int(np.count_nonzero(part & PTE_D)),
            )
        )
    return found


# --- the shadows -------------------------------------------------------------------------


def _shadows(
    processor: VirtualProcessor, tables: GuestTables, board: PhysicalMap
) -> list[ShadowSpace]:
    protects = write_protects(processor.ideal)
    open_bus = processor.shadow.physical(OPEN_BUS) // PAGE
    spaces = []
    for name, mappings in processor.shadow.mappings().items():
        known = _Known(tables, mappings)
        states = _states(known, name == "user", protects, open_bus, board)
        spaces.append(ShadowSpace(name, tuple(_shadow_ranges(known, states))))
    return spaces


class _Known:
    """The pages that the guest's tables or a shadow have, in order, and both sides of them."""

    def __init__(self, tables: GuestTables, mappings: list[tuple[int, int, int]]) -> None:
        rows = np.array(mappings, np.int64).reshape(-1, 3)
        held = rows[:, 0] // PAGE
        known = tables.bits != 0
        known[held] = True
        self.pages = np.flatnonzero(known)
        self.guest = tables.at(self.pages)
        self.frames, self.perms = np.zeros((2, len(self.pages)), np.int64)
        places = np.searchsorted(self.pages, held)
        self.frames[places] = rows[:, 1] // PAGE
        self.perms[places] = rows[:, 2]


def _states(
    known: _Known, user: bool, protects: bool, open_bus: int, board: PhysicalMap
) -> Codes:
    """For each page 1 + the index of its state in STATES; 0: the shadow cannot have it."""
    tables = known.guest
    have = known.perms != 0
    reachable = (tables.bits & PTE_U) != 0 if user else tables.mapped
    writable = tables.writable(user, protects) & reachable
    places = board.places_of(tables.frames)  # shadows hold those
    agree = reachable & (known.frames == places)
    holds_write = (known.perms & PERM_WRITE) != 0
    ram = places >= 0
    states = np.zeros(len(known.pages), np.int64)

    def put(name: str, where: npt.NDArray[np.bool_]) -> None:
        states[where] = 1 + words.STATES.index(name)

    below = known.pages < HIDDEN_BASE // PAGE
    put(words.ABSENT, reachable & ram & below & ~have)
    put(words.STALE, have)
    put(words.SAME, have & agree & (writable == holds_write))
    put(words.NARROWER, have & agree & writable & ~holds_write)
    put(words.OPEN_BUS, have & reachable & ~ram & (known.frames == open_bus))
    put(words.MONITOR, (known.perms & PERM_PINNED) != 0)
    return states


def _shadow_ranges(known: _Known, states: Codes) -> list[ShadowRange]:
    absent = states == 1 + words.STATES.index(words.ABSENT)
    frames = np.where(absent, known.guest.frames.astype(np.int64), known.frames)
    shown = known.perms & (PERM_WRITE | PERM_EXEC | PERM_GLOBAL)
    codes = np.where(states != 0, states << 8 | shown, 0)
    found = []
    for a, b in _runs(known.pages, codes, frames):
        perm = int(shown[a])
        found.append(
            ShadowRange(
                int(known.pages[a]) * PAGE, b - a, int(frames[a]) * PAGE,
                words.STATES[int(states[a]) - 1],
                bool(perm & PERM_WRITE), bool(perm & PERM_EXEC), bool(perm & PERM_GLOBAL),
            )
        )
    return found


# --- the hidden region -------------------------------------------------------------------


def hidden_parts(used: int) -> list[HiddenPart]:
    """The monitor's region, from its base to the top of the linear address space."""
    parts = [HiddenPart(HIDDEN_BASE, HIDDEN_BASE + TC_BYTES, "translation cache", used)]
    assert VCPU_LINEAR == HIDDEN_BASE + TC_BYTES
    for context in CONTEXTS:
        at = vcpu_linear(context)
        ring = "user" if context.user else "kernel"
        name = ring if context.stubs else f"{ring}, flags odd"
        parts += [
            HiddenPart(at, at + VSYS, f"vCPU page ({name})"),
            HiddenPart(at + VSYS, at + NEAR_LANDINGS, f"virtual IF ({name})"),
            HiddenPart(at + NEAR_LANDINGS, at + FAR_LANDINGS, f"near landings ({name})"),
            HiddenPart(at + FAR_LANDINGS, at + VCPU_BYTES, f"far landings ({name})"),
        ]
    return [*parts, HiddenPart(parts[-1].end, TOP, "not mapped")]

"""Segments on both sides: the guest's descriptor caches, and the engine's truncated ones.

Bugnion et al. 2012, section 4.2; what truncates them is `truncated_limit` in
bt/interp/transfer.py. The engine's side is what it ran with last: out of the translation cache CS
is flat, and one register leads to the vCPU pages.
"""

from __future__ import annotations

from typing import Any

from bt.contract import Engine
from bt.engine import Interp
from bt.interp.state import (
    ATTR_CODE,
    ATTR_DB,
    ATTR_DC,
    ATTR_DPL,
    ATTR_P,
    ATTR_RW,
    ATTR_UNUSABLE,
    CS,
    DS,
    ES,
    FS,
    GS,
    SS,
)
from monitor.vmm.shadow import HIDDEN_BASE, VCPU_LINEAR
from monitor.watch.mmu_model import SegmentSide, SegmentView

NAMES = {CS: "cs", SS: "ss", DS: "ds", ES: "es", FS: "fs", GS: "gs"}


def segment_views(cpu: Interp, engine: Engine[Any] | None) -> tuple[SegmentView, ...]:
    """All six."""
    return tuple(_view(cpu, engine, number, name) for number, name in NAMES.items())


def _view(cpu: Interp, engine: Engine[Any] | None, number: int, name: str) -> SegmentView:
    guest = _side(*cpu.segment(number))
    if engine is None:
        return SegmentView(name, guest, None, "")
    its = _side(*engine.segment(number))
    return SegmentView(name, guest, its, _note(number, guest, its))


def _side(selector: int, base: int, limit: int, attr: int) -> SegmentSide:
    usable = not attr & ATTR_UNUSABLE and bool(attr & ATTR_P)
    down = bool(attr & ATTR_DC) and not attr & ATTR_CODE
    return SegmentSide(selector, base, limit, _rights(attr), usable, down)


def _rights(attr: int) -> str:
    if attr & ATTR_UNUSABLE:
        return "null"
    if attr & ATTR_CODE:
        kind = "code r-x" if attr & ATTR_RW else "code --x"
    else:
        kind = "data rw-" if attr & ATTR_RW else "data r--"
    down = " down" if attr & ATTR_DC and not attr & ATTR_CODE else ""
    return f"{kind} DPL {(attr & ATTR_DPL) >> 5} {32 if attr & ATTR_DB else 16}-bit{down}"


def _note(number: int, guest: SegmentSide, its: SegmentSide) -> str:
    """What the engine's side is, against the guest's."""
    if its.usable and its.base >= VCPU_LINEAR:
        return "leads to the vCPU page, for translated code"
    if number == CS and its.limit == 0xFFFFFFFF and its.base == 0:
        return "flat, for translated code: reaches the cache"
    if (its.selector, its.base) != (guest.selector, guest.base):
        return "loaded since the engine ran"
    if not guest.usable:
        return "null in both"
    if its.expand_down:
        return "expand-down: left without a valid offset"
    if not its.usable:
        return "begins in the hidden region: as good as null"
    if its.limit < guest.limit:
        return f"truncated below {HIDDEN_BASE:08x}"
    return "as the guest's"

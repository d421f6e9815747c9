"""The processor's state as one list, made of the marks in state.py.

    NAMES       of every value: "eax", "cs_base", "cr0", "msr_2ff", "interrupt_shadow", ...
    check()     is this a state?
    DERIVED     the fields that are not marked, by reason; a test wants every field here or there

The functions below `check` are for registers.py and transfer.py, uncompiled twins of what
compiled_text() writes for the compiled interpreter, out of the same marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

from bt.interp.marks import Guest, Ring3
from bt.interp.state import Cpu

CONFIGURED = "by whoever made the processor, not by what runs on it"
DEBUGGED = "what the embedder looks for, and found"
RECOMPUTED = "of marked fields, by load_state()"
CACHED = "of what stands in memory; filled again when it is needed, empty after load_state()"
SCRATCH = "has no meaning between two instructions"
LAST_RUN = "how the last run() ended, or what the next one has to look at first"
STATISTICS = "told to the embedder; no guest sees it"

DERIVED: dict[str, tuple[str, ...]] = {
    CONFIGURED: (
        *("ram", "bus", "many_ports", "mem", "user_space", "sup_space", "external"),
        *("ring_compression",),
        *("count_base", "count_size", "count_marks", "counts_entries", "entry_counts"),
        *("owner", "user", "sup", "audit_all"),
        *("pde_reserved", "msr_groups", "apic_base"),
        *("signature", "absent", "cr4_valid", "cpuid_last", "cpuid_last_extended", "cpuid_leaves"),
    ),
    DEBUGGED: (
        *("stops", "stop_count", "wp_first", "wp_last", "wp_kinds", "wp_total"),
        *("wp_hit", "wp_pass", "wp_fault"),
    ),
    RECOMPUTED: (
        *("seg_rend", "seg_wend", "sp_mask", "align_check", "mode", "dr_armed"),
        *("tlb_r", "tlb_w", "tlb_x"),
    ),
    CACHED: ("link_op", "cur"),
    SCRATCH: (
        *("fx", "z_se", "z_sig", "y_se", "y_sig", "a_se", "a_sig", "b_se", "b_sig"),
        *("v_low", "v_high", "v_place", "v_place_2", "v_head", "v_flags"),
        *("z_sign", "z_exp", "z_low", "y_sign", "y_exp", "y_low"),
        *("dr_hits", "singlestep", "rmw_host", "rmw_linear", "call_answered"),
        *("fetch_host", "fetch_avail", "fetch_short", "fetch_buf"),
        *("run_length", "run_eip", "straddles", "ext", "desc_lo", "desc_hi"),
        *("frame_sel", "frame_lo", "frame_hi", "frame_base", "frame_limit", "frame_attr"),
        *("frame_esp", "frame_user", "frame_error", "tss_image", "pdpte_read"),
        *("io_icount", "io_left", "io_begun", "kept", "spare"),
        *("running", "meets_device", "for_itself", "scratched", "fetch_outside"),
        *("ports_open", "guest_cpl", "guest_root"),  # of an engine, while it runs
    ),
    LAST_RUN: (
        *("budget", "later", "slices", "stop_asked"),
        *("recheck", "callbacks", "deliveries", "passing", "exit_reason", "exit_arg"),
        *("fault_vector", "fault_error", "fault_has_error", "traced", "host_error"),
        *("flushes_all", "flushes_local", "flushes_page", "pages_told", "flushed_pages"),
    ),
    STATISTICS: ("stubs_done", "lookups"),
}

MOST_INSTRUCTIONS = (1 << 62) - 1
# Values that no field has as it is: registers.py makes them of fields marked `within` them.
BETWEEN_INSTRUCTIONS = {
    "icount": MOST_INSTRUCTIONS,  # instructions completed
    "interrupt_shadow": 1,  # of STI, MOV SS or POP SS: no interrupt now
    "debug_shadow": 1,  # of MOV SS or POP SS: no debug exception either
    "rep_under_way": 1,  # the instruction at EIP is a REP that has begun
    "a20": 1,  # the A20 gate is open
}


class StateError(ValueError):
    """This is no state of a processor. Says what is wrong with it."""


@dataclass(frozen=True)
class Field:
    """A marked field of Cpu."""

    name: str
    kind: str  # its C type, or that of its elements
    length: int  # of an array, else 0
    mark: Guest

    @property
    def values(self) -> Iterator[tuple[str, int]]:
        """Names of its values in the state, and their places in an array (else -1)."""
        if not self.length:
            if not self.mark.within:
                yield self.name, -1
            return
        yield from ((name, i) for i, name in enumerate(self.mark.names) if name)

    @property
    def bits(self) -> int:
        """The bits that its values can have."""
        return self.mark.bits & (1 << int(self.kind[1:])) - 1


def _marked() -> Iterator[Field]:
    for name, hint in get_type_hints(Cpu, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Guest):
                found = re.search(r"\b[iu](8|16|32|64)\b", Cpu.__annotations__[name])
                assert found is not None
                length = hint.__metadata__[0]
                array = isinstance(length, int)
                assert array == bool(mark.names), f"{name}: names are for arrays"
                assert len(mark.names) <= (length if array else 0)
                yield Field(name, found[0], length if array else 0, mark)


FIELDS = tuple(_marked())
BITS = {name: field.bits for field in FIELDS for name, _ in field.values} | BETWEEN_INSTRUCTIONS
NAMES = tuple(BITS)
SET_UP = tuple(name for field in FIELDS if field.mark.set_up for name, _ in field.values)


def check(state: Any, own: dict[str, int]) -> None:
    """StateError unless this is a state for a processor that has `own` now."""
    if not isinstance(state, dict):
        raise StateError(f"a processor's state is a dictionary, not {type(state).__name__}")
    missing = [name for name in NAMES if name not in state]
    if missing:
        raise StateError(f"a processor's state without {_some(missing)}")
    unknown = [name for name in state if name not in BITS]
    if unknown:
        raise StateError(f"{_some(unknown)}: a processor's state has no such value")
    for name, value in state.items():
        if type(value) is not int:
            raise StateError(f"{name} is {type(value).__name__}, not int")
        if value < 0 or value & ~BITS[name]:
            raise StateError(f"{name} = {value:#x}: can only have the bits {BITS[name]:#x}")
    for name in SET_UP:
        if state[name] != own[name]:
            raise StateError(f"{name} = {state[name]:#x}: here it was set up to be {own[name]:#x}")


def _some(names: list[Any]) -> str:
    """The first of them, in words."""
    shown = ", ".join(str(name)[:40] for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


# --- the fields of a processor that is not compiled ------------------------------------


def state_values(c: Cpu) -> dict[str, int]:
    """All values that fields have as they are."""
    return {
        name: getattr(c, field.name)[i] if i >= 0 else getattr(c, field.name)
        for field in FIELDS
        for name, i in field.values
    }


def set_state_values(c: Cpu, state: dict[str, int]) -> None:
    """Give the fields these values, and nothing else; `state` has passed check()."""
    for field in FIELDS:
        for name, i in field.values:
            if i >= 0:
                getattr(c, field.name)[i] = state[name]
            else:
                setattr(c, field.name, state[name])


def copy_registers(c: Cpu, src: Cpu) -> int:
    """What goes to ring 3 and back as it is, lazy flags and all."""
    for field in FIELDS:
        if isinstance(field.mark, Ring3):
            if field.length:
                getattr(c, field.name)[:] = getattr(src, field.name)
            else:
                setattr(c, field.name, getattr(src, field.name))
    return 0


# --- and of one that is ----------------------------------------------------------------


def compiled_text() -> str:
    """The same three functions in Cython."""
    get, put, copy = [], [], []
    for field in FIELDS:
        for name, i in field.values:
            place = f"{field.name}[{i}]" if i >= 0 else field.name
            get.append(f'        "{name}": c.{place},')
            put.append(f'    c.{place} = state["{name}"]')
        if isinstance(field.mark, Ring3):
            if field.length:
                copy.append(f"    memcpy(c.{field.name}, src.{field.name}, sizeof(c.{field.name}))")
            else:
                copy.append(f"    c.{field.name} = src.{field.name}")
    lines = [
        *("cdef dict state_values(Cpu c):", "    return {", *get, "    }"),
        *("cdef int set_state_values(Cpu c, dict state) except -1:", *put, "    return 0"),
        *("cdef i32 copy_registers(Cpu c, Cpu src) noexcept nogil:", *copy, "    return 0"),
    ]
    return "\n".join(lines) + "\n"

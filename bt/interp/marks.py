"""The mark of a processor's fields (state.py) that are its *state*, and names of their parts.

    gdtr_limit: Annotated[u32, Guest(0xFFFF)]
    seg_sel: Annotated[list[u32], 8, Guest(0xFFFF, names=of_segments("selector"))]

State is what the guest, or the board around the processor, can find out between two instructions.
What a field without the mark is instead, stands in architecture.py with the reason; that file makes
of the marks all that has to know the whole of the state.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL_BITS = (1 << 64) - 1


@dataclass(frozen=True)
class Guest:
    """A field that is state.

    `bits` are those that it can have. Of an array, `names` are its elements'; "": always 0.
    `within`: no value of its own, the state has what it says in that one. `set_up`: the embedder
    decides what it is, and a state with another value is one of another machine's.
    """

    bits: int = ALL_BITS
    names: tuple[str, ...] = ()
    within: str = ""
    set_up: bool = False


@dataclass(frozen=True)
class Ring3(Guest):
    """The same, and it goes from the ideal processor into an engine and back as it is."""


GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
DEBUG = ("dr0", "dr1", "dr2", "dr3", "", "", "dr6", "dr7")  # "": not a register


XMM_HALVES = tuple(f"xmm{i}_{half}" for i in range(8) for half in ("low", "high"))


def of_segments(part: str) -> tuple[str, ...]:
    """Names of a part of the eight segment registers."""
    return tuple(f"{segment}_{part}" for segment in SEGMENTS)


def numbered(start: str, end: str = "") -> tuple[str, ...]:
    """Names of eight things in a row."""
    return tuple(f"{start}{i}{end}" for i in range(8))


POINTERS = ("pdpte0", "pdpte1", "pdpte2", "pdpte3")


def of_msrs(*addresses: int) -> tuple[str, ...]:
    """Names of model-specific registers; -1: none is in this place (msr.py)."""
    return tuple(f"msr_{address:03x}" if address >= 0 else "" for address in addresses)


MISC_MSRS = of_msrs(
    0xC1, 0xC2, 0x186, 0x187, 0x8B, 0x1D9, 0x2A, 0x1E0, 0x17A, 0x17B,
    0x00E, 0x011, 0x012, 0x013, 0x119, 0x1A0,
)  # fmt: skip
MTRR_MSRS = of_msrs(
    *range(0x200, 0x210), 0x250, 0x258, 0x259, *range(0x268, 0x270), 0x2FF,
    0x277, -1, -1, -1, *range(0x400, 0x414),
)  # fmt: skip

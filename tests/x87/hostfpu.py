"""The host's own x87 unit as the oracle: run one instruction on thousands of states.

An x87 instruction means the same in 64-bit code, so no child process is needed: a loop in an
executable page restores a state, executes the instruction and saves the state again.

    cases = new_cases(2)
    set_st(cases, 0, [0x3FFF, 0x4000], [1 << 63, 1 << 63])      # 1.0 and 2.0
    run(bytes.fromhex("d9fa"), cases)                            # FSQRT
    get_st(cases, 0)                                             # (se, sig) arrays

The state is left by FNSAVE, which does not wait, so unmasked exceptions never trap here as long
as the case starts without a pending one. `run(code)` may use memory at [rdi+0x80]: `mem_form`
builds the ModRM byte and displacement for it.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

AVAILABLE = platform.machine() in ("x86_64", "AMD64") and platform.system() == "Linux"


def _is_amd() -> bool:
    try:
        with open("/proc/cpuinfo") as info:
            return AVAILABLE and any("AuthenticAMD" in line for line in info)
    except OSError:
        return False


AMD = _is_amd()

#: One case: FSAVE image in, memory operand (in and out), FSAVE image out, EFLAGS and EAX in and
#: out. Name, format, offset; `pointers` and the like are named so that a copy copies them too.
FIELDS = [
    ("cw", "<u4", 0),
    ("sw", "<u4", 4),
    ("tw", "<u4", 8),
    ("pointers", "16u1", 12),
    ("regs", "80u1", 28),
    ("mem", "128u1", 128),
    ("cw2", "<u4", 256),
    ("sw2", "<u4", 260),
    ("tw2", "<u4", 264),
    ("env2", "28u1", 256),
    ("regs2", "80u1", 284),
    ("flags", "<u8", 384),
    ("flags2", "<u8", 392),
    ("eax", "<u8", 400),
]
CASE = np.dtype(
    {
        "names": [name for name, _, _ in FIELDS],
        "formats": [kind for _, kind, _ in FIELDS],
        "offsets": [offset for _, _, offset in FIELDS],
        "itemsize": 512,
    }
)

MEM = 128  # offset of the memory operand


def mem_form(opcode: int, reg: int, prefix: bytes = b"") -> bytes:
    """`opcode /reg` with the case's memory as its operand."""
    return prefix + bytes((opcode, 0x87 | reg << 3)) + MEM.to_bytes(4, "little")


def _loop(code: bytes) -> bytes:
    """The loop around the instruction; rdi walks the cases, rsi counts them."""
    body = (
        bytes.fromhex("ffb780010000 9d dd27 8b8790010000")  # push flags; popfq; frstor; mov eax
        + code
        + bytes.fromhex("ddb700010000 9c 8f8788010000 898790010000")  # fnsave; pushfq; eax
        + bytes.fromhex("4881c700020000 48ffce")  # add rdi, 512; dec rsi
    )
    back = -(len(body) + 6)
    # pushfq/popfq around it all keep the caller's flags (DF above all) as they were
    return (
        b"\x9c" + body + b"\x0f\x85" + back.to_bytes(4, "little", signed=True) + b"\x9d\xdb\xe3\xc3"
    )


@cache
def _compiled(code: bytes) -> tuple[mmap.mmap, Any]:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_loop(code))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)
    return page, kind(address)


def new_cases(count: int, cw: int = 0x37F) -> Array:
    """Cases with a control word, TOP = 0 and all registers empty."""
    cases = np.zeros(count, CASE)
    cases["cw"] = cw
    cases["tw"] = 0xFFFF
    cases["flags"] = 0x202
    return cases


def set_st(cases: Array, i: int, se: Any, sig: Any) -> None:
    """Give ST(i) values; it is tagged as in use (TOP is taken to be 0)."""
    regs = cases["regs"]
    regs[:, 10 * i : 10 * i + 8] = np.asarray(sig, "<u8").reshape(-1, 1).view(np.uint8)
    regs[:, 10 * i + 8 : 10 * i + 10] = np.asarray(se, "<u2").reshape(-1, 1).view(np.uint8)
    cases["tw"] &= ~np.uint32(3 << (2 * i))


def get_st(cases: Array, i: int) -> tuple[Array, Array]:
    """ST(i) after the run, by the TOP of that time: the image is in stack order."""
    regs = cases["regs2"]
    sig = np.ascontiguousarray(regs[:, 10 * i : 10 * i + 8]).view("<u8")[:, 0]
    se = np.ascontiguousarray(regs[:, 10 * i + 8 : 10 * i + 10]).view("<u2")[:, 0]
    return se, sig


def run(code: bytes, cases: Array) -> None:
    """Execute the instruction on every case, in place."""
    if len(cases):
        _compiled(code)[1](cases.ctypes.data, len(cases))

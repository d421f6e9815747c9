"""What the manual leaves undefined, in one table: what a comparison with the host must not see.

`blank(form, cases, results)` returns the results with every undefined part zeroed; two processors
agree when their blanked results are equal. Sources: "Flags Affected" and "FPU Flags Affected" of
each instruction in SDM volume 2; volume 1, 8.1.8 for the x87 pointers.

Host facts that are not in the manual, with the reason each is ignored:

* #PF on an instruction fetch sets error code bit 4 (I/D) on hosts with execute-disable; a
  Pentium Pro has no such bit.
* FCS and FDS: newer processors store zero, and the host kernel drops them in a context switch.
* FIP, FDP, FOP: AMD loads and stores them in FXSAVE images only with an exception pending, newer
  Intel processors update FDP and FOP only on an unmasked one. They are compared where the case
  ended without a fault on the way through the kernel, FDP and FOP never.
* A null selector 1 to 3 in DS, ES, FS or GS becomes 0 when an interrupt of the host returns to
  ring 3 (IRET clears it): selectors below 4 compare equal.
* The contents of an empty x87 register are not architectural.
* A POPA that faults half way: AMD keeps the registers that were popped, which its restart pops
  again.
* An ENTER that faults half way, whose display lies where its frame goes: AMD keeps what it wrote,
  and its restart reads that. Ours asks for every access first.
* A MASKMOVQ that faults has begun to be an MMX instruction: AMD has set TOP and tags.
* RCPPS and RSQRTPS are estimates (tests/instructions/agreement.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt.hostcpu import layout as at
from bt.hostcpu.host import NO_FAULT, SELECTORS
from bt.interp.state import VEC_AC
from tests.oracle.forms import EBP, ECX, ESP, Form
from tests.oracle.forms_x87 import TRANSCENDENTAL
from tests.oracle.values import AF, CF, OF, PF, SF, ZF

Array = NDArray[Any]
FlagRule = int | Callable[[Form, Array], Array]

FETCH_ERROR_BIT = 0x10
MEMORY_FAULTS = (12, 13, 14)


def shift_count(form: Form, cases: Array) -> Array:
    """The count operand modulo 32: an immediate, one, or CL."""
    encoding = form.row.encoding.split()
    if encoding[-1] == "ib":
        rows = np.arange(len(cases))
        count = cases["code"][rows, cases["length"] - 1]
    elif encoding[0] in ("d0", "d1"):
        count = np.ones(len(cases), np.uint32)
    else:
        count = cases["regs"][:, ECX] & 0xFF
    return np.asarray(count & 31, np.int64)


def _width(form: Form) -> int:
    return 8 if form.row.size == 1 else form.opsize


def _shift(form: Form, cases: Array) -> Array:
    """AF, OF unless the count is 1, CF beyond the operand's width (SHL, SHR); none for 0."""
    count = shift_count(form, cases)
    flags = np.where(count == 0, 0, AF)
    flags |= np.where(count > 1, OF, 0)
    if form.mnemonic != "SAR":
        flags |= np.where(count >= _width(form), CF, 0)
    return flags


def _rotate(form: Form, cases: Array) -> Array:
    return np.where(shift_count(form, cases) > 1, OF, 0)


def _double_shift(form: Form, cases: Array) -> Array:
    count = shift_count(form, cases)
    flags = np.where(count == 0, 0, AF) | np.where(count > 1, OF, 0)
    return np.where(count > form.opsize, CF | PF | AF | ZF | SF | OF, flags)


#: Undefined EFLAGS per mnemonic: a mask, or a rule on the operands.
FLAGS: dict[str, FlagRule] = {
    "AND": AF, "OR": AF, "XOR": AF, "TEST": AF,
    "MUL": SF | ZF | AF | PF,
    "IMUL": SF | ZF | AF | PF,
    "DIV": CF | OF | SF | ZF | AF | PF,
    "IDIV": CF | OF | SF | ZF | AF | PF,
    "SHL": _shift, "SAL": _shift, "SHR": _shift, "SAR": _shift,
    "ROL": _rotate, "ROR": _rotate, "RCL": _rotate, "RCR": _rotate,
    "SHLD": _double_shift, "SHRD": _double_shift,
    "BSF": CF | OF | SF | AF | PF,
    "BSR": CF | OF | SF | AF | PF,
    "BT": OF | SF | AF | PF, "BTS": OF | SF | AF | PF,
    "BTR": OF | SF | AF | PF, "BTC": OF | SF | AF | PF,
    "DAA": OF, "DAS": OF,
    "AAA": OF | SF | ZF | PF, "AAS": OF | SF | ZF | PF,
    "AAM": OF | AF | CF, "AAD": OF | AF | CF,
}  # fmt: skip

#: Mnemonics whose *result* is undefined in some cases, and when (never compared there).
RESULTS: dict[str, Callable[[Form, Array], Array]] = {
    "SHLD": lambda form, cases: shift_count(form, cases) > form.opsize,
    "SHRD": lambda form, cases: shift_count(form, cases) > form.opsize,
}

C0, C1, C2, C3 = 0x100, 0x200, 0x400, 0x4000
_COMPARES = ("FCOM", "FCOMP", "FCOMPP", "FUCOM", "FUCOMP", "FUCOMPP", "FTST", "FICOM", "FICOMP")
_ENVIRONMENT = ("FLDENV", "FRSTOR", "FNSAVE", "FNINIT")

#: Undefined condition codes per x87 mnemonic; every other one leaves C0, C2 and C3 undefined and
#: defines C1 (stack fault direction, or rounded up). AMD keeps the undefined ones unchanged.
CONDITION_CODES: dict[str, int] = {
    **dict.fromkeys(_COMPARES, 0),
    **dict.fromkeys(_ENVIRONMENT, 0),
    **dict.fromkeys(("FXAM", "FPREM", "FPREM1"), 0),
    **dict.fromkeys(("FSIN", "FCOS", "FSINCOS", "FPTAN"), C0 | C1 | C3),
    **dict.fromkeys(("F2XM1", "FYL2X", "FYL2XP1", "FPATAN"), C0 | C1 | C2 | C3),
    **dict.fromkeys(("FCOMI", "FCOMIP", "FUCOMI", "FUCOMIP"), C1),  # manual: 0; AMD: unchanged
    **dict.fromkeys(("FFREE", "FNOP", "FNCLEX", "FLDCW", "FNSTCW", "FNSTENV"), C0 | C1 | C2 | C3),
    "FNSTSW": 0,
    "(reserved)": 0,
}
_OTHER_CODES = C0 | C2 | C3


def is_x87(form: Form) -> bool:
    """Whether the form belongs to the x87 unit."""
    return 0xD8 <= int(form.row.encoding.split()[0], 16) <= 0xDF


def undefined_flags(form: Form, cases: Array) -> Array:
    """Undefined EFLAGS of every case."""
    rule = FLAGS.get(form.mnemonic, 0)
    value = rule if isinstance(rule, int) else rule(form, cases)
    return np.broadcast_to(np.asarray(value, np.uint32), len(cases))


def blank(form: Form, cases: Array, results: Array) -> Array:
    """A copy of `results` without what is undefined."""
    out: Array = results.copy()
    ran = (results["vector"] == NO_FAULT) | (results["vector"] == 1) | (results["vector"] == 0)
    out["eflags"] &= np.where(ran, ~undefined_flags(form, cases), 0xFFFF_FFFF).astype(np.uint32)
    for name in ("signal", "si_code", "spare"):
        out[name] = 0
    for name in SELECTORS:
        out[name] &= 0xFFFF
        out[name][out[name] < 4] = 0
    out["error"] &= np.where(results["vector"] == 14, ~np.uint32(FETCH_ERROR_BIT), ~np.uint32(0))
    _blank_results(form, cases, out)
    _blank_unit(form, out)
    for name in ("xmm", "mxcsr"):
        out[name][cases["vectors"] == 0] = 0
    if form.mnemonic in ("FNSTENV", "FNSAVE"):
        _blank_image(form, cases, out)
    return out


def _blank_results(form: Form, cases: Array, out: Array) -> None:
    if form.mnemonic == "POPA":
        out["regs"][np.isin(out["vector"], MEMORY_FAULTS)] = 0
    if form.mnemonic == "MASKMOVQ":
        out["fpu"][np.isin(out["vector"], (*MEMORY_FAULTS, VEC_AC))] = 0
    if form.mnemonic == "ENTER":
        faulted = np.isin(out["vector"], (*MEMORY_FAULTS, VEC_AC))
        out["mem"][faulted & _display_in_frame(form, cases)] = 0
    rule = RESULTS.get(form.mnemonic)
    if rule is None:
        return
    rows = rule(form, cases) & ((out["vector"] == NO_FAULT) | (out["vector"] == 1))
    out["regs"][rows] = 0
    out["mem"][rows] = 0
    out["eflags"][rows] = 0


def _display_in_frame(form: Form, cases: Array) -> Array:
    """Cases of ENTER whose display, the entries below EBP, overlaps the frame below ESP."""
    size = form.opsize // 8
    level = cases["code"][np.arange(len(cases)), cases["length"] - 1].astype(np.int64) & 31
    mask = np.where(cases["ss"] == at.SEG_STACK16.selector, 0xFFFF, 0xFFFF_FFFF)
    distance = cases["regs"][:, EBP].astype(np.int64) - cases["regs"][:, ESP]
    above = distance + (level + 1) * size & mask  # from the frame's lowest byte to EBP
    return (level > 1) & (above > 0) & (above < 2 * level * size)


def _blank_unit(form: Form, out: Array) -> None:
    """Pointers, condition codes and empty registers of the FNSAVE image."""
    unit = out["fpu"]
    unit[:, 2:4] = unit[:, 6:8] = unit[:, 10:12] = 0  # reserved halves
    unit[:, 16:28] = 0  # FCS, FOP, FDP, FDS
    unit[out["vector"] != NO_FAULT, 12:16] = 0  # FIP
    if is_x87(form):
        codes = CONDITION_CODES.get(form.mnemonic, _OTHER_CODES)
        unit[:, 5] &= np.uint8(~(codes >> 8) & 0xFF)
    if form.mnemonic in ("FPREM", "FPREM1"):
        _blank_partial(unit)
    _blank_empty(unit)


def _blank_partial(unit: Array) -> None:
    """An incomplete reduction (C2 set) subtracts an implementation's choice of 32 to 63 bits."""
    partial = (unit[:, 5] & (C2 >> 8)) != 0
    unit[partial, 28:38] = 0
    unit[partial, 5] &= np.uint8(~((C0 | C1 | C3) >> 8) & 0xFF)


def _blank_empty(unit: Array) -> None:
    """Registers are stored in stack order, tags in physical order: ST(i) is R((TOP + i) mod 8)."""
    tags = unit[:, 8].astype(np.int64) | unit[:, 9].astype(np.int64) << 8
    top = unit[:, 5] >> 3 & 7
    for number in range(8):
        empty = (tags >> (2 * ((top + number) & 7)) & 3) == 3
        unit[empty, 28 + 10 * number : 38 + 10 * number] = 0


def _blank_image(form: Form, cases: Array, out: Array) -> None:
    """The same in the image that FNSTENV or FNSAVE left in memory (16 or 32-bit format)."""
    start = cases["target"].astype(np.int64) - at.MAIN_WINDOW
    first, last = (12, 28) if form.opsize == 32 else (6, 14)
    reserved = (2, 3, 6, 7, 10, 11) if form.opsize == 32 else ()
    for byte in (*range(first, last), *reserved):
        out["mem"][np.arange(len(out)), start + byte] = 0
    codes = CONDITION_CODES[form.mnemonic]
    status = start + (5 if form.opsize == 32 else 3)
    rows = np.arange(len(out))
    out["mem"][rows, status] &= np.uint8(~(codes >> 8) & 0xFF)


def is_estimate(form: Form) -> bool:
    """Results that may differ by what the manual allows."""
    return form.mnemonic[:-2] in ("RCP", "RSQRT")


def within_one_ulp(form: Form) -> bool:
    """Transcendental functions: results and C1 may differ by the last place."""
    return form.mnemonic in TRANSCENDENTAL


__all__ = ["CONDITION_CODES", "FLAGS", "RESULTS", "blank", "undefined_flags", "within_one_ulp"]

"""Every x87 instruction form, by name, and how two runs of a form are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.x87 import guestfpu, hostfpu
from tests.x87.hostfpu import Array, get_st, mem_form
from tests.x87.operands import memory_operands, random_cases

EIGHT = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"]
C1 = 0x200

#: Register forms: the bytes.
REGISTER: dict[str, str] = {
    **{f"{name} st,st1": f"d8 {0xC1 + 8 * k:02x}" for k, name in enumerate(EIGHT)},
    **{f"{name} st1 (dc)": f"dc {0xC1 + 8 * k:02x}" for k, name in enumerate(EIGHT)},
    **{f"{name}p st1": f"de {0xC1 + 8 * k:02x}" for k, name in enumerate(EIGHT) if k != 3},
    "fcompp": "de d9",
    "fld st1": "d9 c1",
    "fld st7": "d9 c7",
    "fxch": "d9 c9",
    "fxch4": "dd c9",
    "fxch7": "df c9",
    "fnop": "d9 d0",
    "fstp1": "d9 d9",
    "fst": "dd d1",
    "fstp": "dd d9",
    "fstp st0": "dd d8",
    "fstp8": "df d1",
    "fstp9": "df d9",
    "fchs": "d9 e0",
    "fabs": "d9 e1",
    "ftst": "d9 e4",
    "fxam": "d9 e5",
    **{
        name: f"d9 {0xE8 + k:02x}"
        for k, name in enumerate(["fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz"])
    },
    "fsqrt": "d9 fa",
    "frndint": "d9 fc",
    "fscale": "d9 fd",
    "fprem": "d9 f8",
    "fprem1": "d9 f5",
    "fxtract": "d9 f4",
    "fdecstp": "d9 f6",
    "fincstp": "d9 f7",
    **{f"fcmov {k}": f"da {0xC1 + 8 * k:02x}" for k in range(4)},
    **{f"fcmovn {k}": f"db {0xC1 + 8 * k:02x}" for k in range(4)},
    "fucom": "dd e1",
    "fucomp": "dd e9",
    "fucompp": "da e9",
    "fucomi": "db e9",
    "fcomi": "db f1",
    "fucomip": "df e9",
    "fcomip": "df f1",
    "fclex": "db e2",
    "finit": "db e3",
    "feni": "db e0",
    "fdisi": "db e1",
    "fsetpm": "db e4",
    "ffree": "dd c1",
    "ffreep": "df c1",
    "fnstsw ax": "df e0",
}

#: Memory forms: opcode, ModRM.reg.
MEMORY: dict[str, tuple[int, int]] = {
    **{f"{name} m32": (0xD8, k) for k, name in enumerate(EIGHT)},
    **{f"{name} i32": (0xDA, k) for k, name in enumerate(EIGHT)},
    **{f"{name} m64": (0xDC, k) for k, name in enumerate(EIGHT)},
    **{f"{name} i16": (0xDE, k) for k, name in enumerate(EIGHT)},
    "fld m32": (0xD9, 0),
    "fst m32": (0xD9, 2),
    "fstp m32": (0xD9, 3),
    "fldcw": (0xD9, 5),
    "fnstcw": (0xD9, 7),
    "fild i32": (0xDB, 0),
    "fist i32": (0xDB, 2),
    "fistp i32": (0xDB, 3),
    "fld m80": (0xDB, 5),
    "fstp m80": (0xDB, 7),
    "fld m64": (0xDD, 0),
    "fst m64": (0xDD, 2),
    "fstp m64": (0xDD, 3),
    "fnstsw": (0xDD, 7),
    "fild i16": (0xDF, 0),
    "fist i16": (0xDF, 2),
    "fistp i16": (0xDF, 3),
    "fbld": (0xDF, 4),
    "fild i64": (0xDF, 5),
    "fbstp": (0xDF, 6),
    "fistp i64": (0xDF, 7),
}

TRANSCENDENTAL: dict[str, str] = {
    "f2xm1": "d9 f0",
    "fyl2x": "d9 f1",
    "fptan": "d9 f2",
    "fpatan": "d9 f3",
    "fyl2xp1": "d9 f9",
    "fsincos": "d9 fb",
    "fsin": "d9 fe",
    "fcos": "d9 ff",
}


def code_of(name: str) -> bytes:
    if name in MEMORY:
        return mem_form(*MEMORY[name])
    return bytes.fromhex(REGISTER.get(name) or TRANSCENDENTAL[name])


def cases_for(name: str, rng: np.random.Generator, count: int) -> Array:
    cases = random_cases(rng, count)
    if name in MEMORY:
        cases["mem"][:, :10] = memory_operands(rng, count, name.split()[1:])
    return cases


@dataclass
class Runs:
    """The same cases after the host and after the interpreter."""

    before: Array
    host: Array
    guest: Array

    def describe(self, i: int) -> str:
        lines = [f"case {i}: {_state(self.before[i], '')}"]
        lines += [
            f"  {who}: {_state(r[i], '2')}"
            for who, r in (("host", self.host), ("mine", self.guest))
        ]
        return "\n".join(lines)


def _state(case: Array, after: str) -> str:
    regs = case["regs" + after].tobytes()
    st = " ".join(
        f"{regs[k + 9]:02x}{regs[k + 8]:02x}:{regs[k : k + 8][::-1].hex()}" for k in (0, 10)
    )
    words = " ".join(
        f"{name} {int(case[name + after]) & 0xFFFF:04x}" for name in ("cw", "sw", "tw")
    )
    flags = int(case["flags" + after]) & 0xFFF
    return f"{words} flags {flags:03x} st {st} mem {case['mem'][:16].tobytes().hex()}"


def both(code: bytes, cases: Array) -> Runs:
    host, guest = cases.copy(), cases.copy()
    hostfpu.run(code, host)
    guestfpu.run(code, guest)
    return Runs(cases, host, guest)


def visible_differs(runs: Runs, status_mask: int = 0xFFFF) -> Array:
    """Cases that differ in anything but the registers' contents."""
    h, g = runs.host, runs.guest
    bad = ((h["sw2"] ^ g["sw2"]) & status_mask) != 0
    for field in ("cw2", "tw2"):
        bad |= h[field] != g[field]
    for field in ("flags2", "eax"):
        bad |= ((h[field] ^ g[field]) & 0xFFFFFFFF) != 0
    return bad | (h["mem"] != g["mem"]).any(axis=1)


def registers_differ(runs: Runs) -> Array:
    return (runs.host["regs2"] != runs.guest["regs2"]).any(axis=1)


def ulps_apart(runs: Runs, i: int) -> Array:
    """Distance of the two ST(i) in units in the last place; huge if not both ordinary and alike."""
    (a_se, a_sig), (b_se, b_sig) = get_st(runs.host, i), get_st(runs.guest, i)
    exp_gap = (a_se & 0x7FFF).astype(np.int64) - (b_se & 0x7FFF)
    top = np.where(exp_gap > 0, a_sig, b_sig)
    near = np.abs((a_sig - b_sig).astype(np.int64))  # wraps: right for small distances
    carry = (np.abs(exp_gap) == 1) & (top == np.uint64(1 << 63))
    apart = np.where((exp_gap == 0) & (near >= 0), near, 1 << 40)
    apart = np.where(carry & (a_sig ^ b_sig == np.uint64((1 << 63) - 1)), 1, apart)
    return np.where((a_se ^ b_se) & 0x8000, 1 << 40, apart)

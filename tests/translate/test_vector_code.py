"""MMX and SSE in a kernel and in user code: bare, directly on the engine, and translated.

They are innocuous: copied, and run by the engine, which has the guest's CR0.TS, CR0.EM and CR4 for
them. FXSAVE and FXRSTOR know where the last x87 instruction was; in the cache they are emulated.
"""

from __future__ import annotations

import random
import struct

import pytest
from kernel_lab import DATA, Kernel, agree, raw

from bt.instruction import Instruction
from bt.table_simd import SIMD

OSFXSR, OSXMMEXCPT = 0x200, 0x400
SSE = OSFXSR | OSXMMEXCPT
TS, EM, NE = 8, 4, 0x20
OPERANDS, AREA = DATA, DATA + 0x400
ENVIRONMENT = ("fxsave", "fxrstor")


def letters(row: Instruction) -> set[str]:
    return {operand[:1] for operand in row.operands.split(",")}


def encodings(row: Instruction, dice: random.Random) -> list[bytes]:
    """With [ESI + 16 n] and with registers; general registers are EAX to EDX."""
    code = row.lead + bytes([row.byte])
    tail = bytes([dice.randrange(256)]) if "Ib" in row.operands else b""
    if not row.operands:
        return [code]
    kinds = letters(row)
    found = []
    reg = dice.randrange(4) if row.extension is None else row.extension
    if kinds & set("EMQW") and not kinds & set("UN"):
        found.append(code + bytes([0x46 | reg << 3, 16 * dice.randrange(7)]) + tail)
    if "M" not in kinds:
        found.append(code + bytes([0xC0 | reg << 3 | dice.randrange(4)]) + tail)
    return found


def everything(seed: int, count: int) -> str:
    """Rows in any order, on random numbers; what came of it is in memory at the end."""
    dice = random.Random(seed)
    load = "".join(raw((b"\x0f\x10" + bytes([0x46 | n << 3, 16 * (n % 7)])).hex()) + "\n"
                   for n in range(8))  # fmt: skip
    rows = [dice.choice(SIMD) for _ in range(count)] + list(SIMD)
    dice.shuffle(rows)
    body = [raw(dice.choice(encodings(row, dice)).hex()) for row in rows if row.body != "fxrstor"
            and row.body != "fxsave" and row.body != "ldmxcsr"]  # fmt: skip
    return f"""
        mov  esi, {OPERANDS}
        mov  edi, {OPERANDS + 0x40}
        fninit
        {load}
        {chr(10).join(body)}
        mov  edi, {AREA}
        {raw("0fae07")}
        int  0x31
    """


def operands(seed: int) -> bytes:
    dice = random.Random(seed)
    numbers = (0.0, 1.0, -1.5, 3e38, 1e-40, float("inf"), float("nan"), 2.5e-5)
    singles = [struct.pack("<f", dice.choice(numbers)) for _ in range(16)]
    doubles = [struct.pack("<d", dice.choice(numbers)) for _ in range(4)]
    return b"".join(singles + doubles) + dice.randbytes(128)


@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("seed", range(3))
def test_all_rows_come_out_the_same(seed: int, ring: int, paging: bool) -> None:
    kernel = Kernel(everything(seed, 200), ring=ring, paging=paging, cr4=SSE, cpu="pentium4")
    kernel.memory[OPERANDS] = operands(seed)
    done = agree(kernel)
    assert not done.bare.vectors
    own = ("direct", "translated")
    assert sum(done.translate.kinds.get(kind, 0) for kind in own) > 400
    assert done.translate.kinds.get("emulated", 0) < 60


FAULTS = (
    # an instruction, CR0's bits, CR4, the vectors
    ("0f58c1", TS, SSE, [7]), ("0f58c1", EM, SSE, [6]), ("0f58c1", 0, 0, [6]),
    ("0ffcc1", TS, SSE, [7]), ("0ffcc1", EM, SSE, [6]), ("0ffcc1", 0, 0, []), ("0f77", TS, 0, [7]),
    ("660ffcc1", 0, 0, [6]), ("0f2846" "01", 0, SSE, [13]), ("0f1046" "01", 0, SSE, []),
    ("0fae16", 0, SSE, [13]), ("0fae16", TS, SSE, [7]), ("0fae06", TS, SSE, [7]),
    ("0fae4601", 0, SSE, [13]), ("0fae4e01", 0, SSE, [13]), ("0fc306", TS | EM, 0, []),
)  # fmt: skip


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize(("code", "cr0", "cr4", "vectors"), FAULTS)
def test_faults(code: str, cr0: int, cr4: int, vectors: list[int], ring: int) -> None:
    """Twice each, before and after the same code has run to its end where it may."""
    source = f"""
        mov  dword ptr [RESUME], next
        mov  esi, {OPERANDS}
        {raw(code)}
    next:
        mov  dword ptr [RESUME], end
        {raw(code)}
    end:
        int  0x31
    """
    kernel = Kernel(source, ring=ring, cr4=cr4, cr0=cr0, cpu="pentium4")
    kernel.memory[OPERANDS] = b"\xff" * 64
    assert agree(kernel).bare.vectors == vectors * 2


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize(("cr4", "vector"), [(SSE, 19), (OSFXSR, 6)])
def test_unmasked_exceptions(cr4: int, vector: int, ring: int) -> None:
    """DIVPS by zero; the flag stands in MXCSR, the register keeps what it had."""
    source = f"""
        mov  dword ptr [RESUME], end
        mov  esi, {OPERANDS}
        {raw("0fae16")}
        {raw("0f104610")}
        {raw("0f5e4620")}
        mov  eax, 1
    end:
        {raw("0fae5e04")}
        {raw("0f114630")}
        int  0x31
    """
    kernel = Kernel(source, ring=ring, cr4=cr4, cpu="pentium4")
    ones = struct.pack("<4f", *[1.0] * 4)
    kernel.memory[OPERANDS] = struct.pack("<4I", 0x1F80 & ~0x200, 0, 0, 0) + ones + bytes(32)
    done = agree(kernel)
    assert done.bare.vectors == [vector]
    assert done.bare.dword(OPERANDS + 4) == 0x1F80 & ~0x200 | 4
    assert done.translate.machine.memory.read(OPERANDS + 0x30, 16) == ones


@pytest.mark.parametrize("ring", [0, 3])
def test_a_pending_exception_comes_at_an_mmx_instruction(ring: int) -> None:
    source = f"""
        mov  dword ptr [RESUME], end
        fninit
        mov  word ptr [DATA], 0x300
        fldcw [DATA]
        fld1
        fldz
        {raw("def9")}
        {raw("0f58c1")}
        {raw("0ffcc1")}
        inc  eax
    end:
        int  0x31
    """
    assert agree(Kernel(source, ring=ring, cr4=SSE, cr0=NE, cpu="pentium4")).bare.vectors == [16]


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("prefix", ["", "64", "65", "2e", "26"])
def test_operands_in_other_segments(ring: int, prefix: str) -> None:
    """Also in the one that translated code keeps for itself, and those that no ModRM names."""
    codes = ("0f6f06", "0f104608", "0f114620", "f30f5806", "660f7e4640", "0ff7c1", "660ff7d3")
    lines = "\n".join(raw(prefix + code) for code in codes)
    source = f"""
        mov  esi, {OPERANDS}
        mov  edi, {OPERANDS + 0x50}
        mov  ax, ds
        mov  fs, ax
        mov  gs, ax
        {lines}
        {raw("0f117e60")}
        mov  edi, {AREA}
        {raw("0fae07")}
        int  0x31
    """
    kernel = Kernel(source, ring=ring, cr4=SSE, cpu="pentium4", paging=True)
    kernel.memory[OPERANDS] = operands(5)
    done = agree(kernel, ends=None)
    assert (done.bare.outcome.kind == "exit") == (prefix != "2e") or done.bare.vectors


@pytest.mark.parametrize("ring", [0, 3])
def test_fxsave_shows_the_guest_its_own_pointers(ring: int) -> None:
    source = f"""
        mov  esi, {OPERANDS}
        mov  edi, {AREA}
        mov  ecx, 3
    again:
        fninit
    here:
        fld  dword ptr [esi]
        {raw("0fae07")}
        mov  eax, [edi + 8]
        sub  eax, here
        {raw("0fae0f")}
        {raw("0fae8700020000")}
        {raw("0fae07")}
        dec  ecx
        jnz  again
        int  0x31
    """
    done = agree(Kernel(source, ring=ring, cr4=SSE, cpu="pentium4"))
    assert done.bare.registers["eax"] == 0


def test_a_pentium_pro_has_none_of_it() -> None:
    for code in ("0f77", "0f58c1", "660ffcc1", "0fae07", "0fc307"):
        source = f"""
            mov  dword ptr [RESUME], end
            mov  edi, {AREA}
            {raw(code)}
        end:
            int  0x31
        """
        assert agree(Kernel(source, cr4=0)).bare.vectors == [6]

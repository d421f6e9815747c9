"""What the guest does through the reserved segment register, done through DS.

While translated code runs, the reserved register leads to the vCPU page. The guest's own segment
of that name may still be within reach: DS covers all of memory on any system that is worth the
trouble. So the stub works out the operand's offset, holds it against the guest's limit, adds the
distance between the two bases, and does the guest's own instruction with [ecx] for an operand.

Worked example: `add gs:[ebx + 8], edx` with GS reserved becomes

    mov   gs:[SAVE_ECX], ecx
    lea   ecx, [ebx + 0x80000008]       the offset, its top bit turned over
    bound ecx, gs:[WRITE_BOUNDS + 16]   #BR unless it is at most limit - 3
    mov   gs:[SAVE_EAX], eax
    mov   eax, gs:[SEGMENT_SHIFT]       base of GS - base of DS, and the top bit once more
    lea   ecx, [ecx + eax]
    mov   eax, gs:[SAVE_EAX]
    add   [ecx], edx
    mov   ecx, gs:[SAVE_ECX]

BOUND compares as signed numbers, hence the turned top bit; it is the one instruction that compares
without changing the flags. The processor fills in bounds and SEGMENT_SHIFT when it enters the cache
(bt/interp/transfer.py): bounds that nothing satisfies where the segment is null, expand-down or of
the wrong kind. Every fault on the way (BOUND's, or the access's, beyond DS, into the monitor's
region or to a missing page) is rolled back, and the ideal processor does the instruction.

What is not worth a stub is left to the monitor at once (`take_apart` gives None): string
instructions, XLAT, 16-bit addressing with registers, BT and its like with a register (they reach
beyond their operand), the x87 unit (it remembers the address of its operand), MMX and SSE, POP to
an address that depends on ESP.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from bt.instruction import Instruction
from bt.lengths import ADDRESS_SIZE, OPERAND_SIZE, PREFIXES
from bt.output import Surveyed
from bt.stub_code import Stub, assembled
from bt.vcpu_page import READ_BOUNDS, WRITE_BOUNDS

EAX, ECX, EDX, EBX, ESP, EBP, ESI = range(7)
NAMES = {ECX: "ecx", EAX: "eax", ESI: "esi"}  # the registers that have a place to be spilled to
KEPT_PREFIXES = (OPERAND_SIZE, 0xF0, 0xF2, 0xF3)
CS = 1
TOP = 0x80000000
# Bodies with an operand that no ModRM names
IMPLICIT = ("movs", "cmps", "lods", "outs", "xlat", "mmx_masked_store", "xmm_masked_store")
NO_ACCESS = ("lea_g", "nop")  # bodies that have a memory operand and leave it alone

READ = ("alu_ge", "mov_ge", "movx_ge", "cmov_ge", "imul_ge", "imul_gei", "test_eg", "test_ei",
        "bsf", "bsr", "push_e", "mul_e", "imul_e", "div_e", "idiv_e")  # fmt: skip
WRITTEN = ("alu_eg", "alu_ei", "mov_eg", "mov_ei", "xchg_eg", "xadd", "cmpxchg", "cmpxchg8b",
           "incdec_e", "not_e", "neg_e", "shift_e", "shld", "shrd", "set_e", "bt_ei", "pop_e",
           "arpl")  # fmt: skip
COMPARE = 7  # the first argument of the alu bodies that stands for CMP
BY_CL = ("shift_e", "shld", "shrd")  # bodies whose last argument says whether CL is their count
USES = {
    "mul_e": {EAX, EDX},
    "imul_e": {EAX, EDX},
    "div_e": {EAX, EDX},
    "idiv_e": {EAX, EDX},
    "cmpxchg": {EAX},
    "cmpxchg8b": {EAX, ECX, EDX, EBX},
}
# MOV between EAX and an offset, and the MOV that has a ModRM byte
OFFSET_FORMS = {0xA0: b"\x8a", 0xA1: b"\x8b", 0xA2: b"\x88", 0xA3: b"\x89"}
ONLY_DISPLACEMENT_16 = 6
BYTES = {"b": 1, "w": 2, "": 8}  # a memory operand's size by its letter; none: CMPXCHG8B's

# {address} is a register that the guest's instruction does not use, {other} another one.
BY_REGISTERS = """
    mov dword ptr gs:[SAVE_{ADDRESS}], {address}
    ADDRESS
    bound {address}, qword ptr gs:[{bounds}]       | {address}
    mov dword ptr gs:[SAVE_{OTHER}], {other}       | {address}
    mov {other}, dword ptr gs:[SEGMENT_SHIFT]              | {address}
    lea {address}, [{address} + {other}]           | {address}, {other}
    mov {other}, dword ptr gs:[SAVE_{OTHER}]       | {address}, {other}
    GUEST                                          | {address}
    mov {address}, dword ptr gs:[SAVE_{ADDRESS}]   | {address}, done
"""
CONSTANT = """
    mov dword ptr gs:[SAVE_{ADDRESS}], {address}
    ADDRESS
    bound {address}, qword ptr gs:[{bounds}]       | {address}
    mov {address}, dword ptr gs:[SEGMENT_SHIFT]            | {address}
    GUEST                                          | {address}
    mov {address}, dword ptr gs:[SAVE_{ADDRESS}]   | {address}, done
"""


@dataclass(frozen=True)
class Operand:
    """Where a memory operand is, by its encoding: bytes behind the opcode."""

    reg: int  # ModRM.reg
    head: bytes  # ModRM and SIB, for a displacement of 32 bits; empty: there are no registers
    displacement: int
    size: int  # bytes of the encoding
    by_esp: bool = False


@dataclass(frozen=True)
class Access:
    """The stub that stands for an instruction, and what fills it."""

    stub: Stub
    address_code: bytes
    guest_code: bytes


def touches_memory(item: Surveyed, row: Instruction) -> bool:
    """Does an instruction access what a segment override is for?"""
    if row.body in IMPLICIT:
        return True
    if row.body in NO_ACCESS:
        return False
    return "O" in _letters(row) or (bool(_letters(row) & set("EMQW")) and item[3] < 0xC0)


def take_apart(raw: bytes, item: Surveyed, row: Instruction, reserved: str) -> Access | None:
    """The stub for an instruction that goes through the reserved segment.

    None: it is left to the monitor.
    """
    if row.body not in READ and row.body not in WRITTEN:
        return None
    operand = operand_of(raw)
    if operand is None or (row.body == "pop_e" and operand.by_esp):
        return None
    prefixes, opcode, rest = split(raw)
    used = registers_used(row, operand.reg)
    address = next(number for number in NAMES if number not in used)
    if opcode[0] in OFFSET_FORMS:
        opcode = OFFSET_FORMS[opcode[0]]
    kept = bytes(prefix for prefix in KEPT_PREFIXES if prefix in prefixes)
    modrm = operand.reg << 3 | address
    place = bytes([modrm])
    if not operand.head:  # the address register holds the distance alone
        place = bytes([0x80 | modrm]) + (operand.displacement ^ TOP).to_bytes(4, "little")
    guest_code = kept + opcode + place + rest[operand.size :]
    stub = _stub(address, bounds_of(row, item[5]), bool(operand.head), reserved)
    return Access(stub, address_code(operand, address), guest_code)


def address_code(operand: Operand, register: int) -> bytes:
    """One instruction: an operand's offset into a register, with its top bit turned over."""
    turned = (operand.displacement ^ TOP).to_bytes(4, "little")
    if not operand.head:
        return bytes([0xB8 | register]) + turned  # MOV
    return bytes([0x8D, operand.head[0] | register << 3]) + operand.head[1:] + turned  # LEA


def split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Prefixes, opcode, and what follows."""
    at = 0
    while raw[at] in PREFIXES:
        at += 1
    end = at + (2 if raw[at] == 0x0F else 1)
    return raw[:at], raw[at:end], raw[end:]


def operand_of(raw: bytes) -> Operand | None:
    """The memory operand of an instruction. None: it is not worth a stub."""
    prefixes, opcode, rest = split(raw)
    short = ADDRESS_SIZE in prefixes
    if opcode[0] in OFFSET_FORMS:
        size = 2 if short else 4
        return Operand(EAX, b"", int.from_bytes(rest[:size], "little"), size)
    mod, reg, rm = rest[0] >> 6, rest[0] >> 3 & 7, rest[0] & 7
    if short:
        if mod or rm != ONLY_DISPLACEMENT_16:
            return None
        return Operand(reg, b"", int.from_bytes(rest[1:3], "little"), 3)
    has_sib = rm == ESP
    base = rest[1] & 7 if has_sib else rm
    index = rest[1] >> 3 & 7 if has_sib else ESP  # ESP: none
    without_base = mod == 0 and base == EBP
    width = 4 if mod == 2 or without_base else mod
    at = 2 if has_sib else 1
    displacement = int.from_bytes(rest[at : at + width], "little", signed=True) & 0xFFFFFFFF
    if without_base and index == ESP:
        return Operand(reg, b"", displacement, at + width)
    head = bytes([(0 if without_base else 0x80) | rm]) + rest[1:at]
    return Operand(reg, head, displacement, at + width, by_esp=has_sib and base == ESP)


def _letters(row: Instruction) -> set[str]:
    return {text[:1] for text in row.operands.split(",")}


def registers_used(row: Instruction, reg: int) -> set[int]:
    """General registers that an instruction uses besides those of its address.

    Byte registers count as those they are part of; a register that is only written counts, too.
    """
    used = set(USES.get(row.body, ()))
    for text in row.operands.split(","):
        if text[:1] == "G":
            used.add(reg & 3 if text == "Gb" else reg)
        elif text[:1] == "A":
            used.add(EAX)
    if row.body in BY_CL and row.args[-1]:
        used.add(ECX)
    return used


def access_of(row: Instruction, size: int) -> tuple[int, bool]:
    """How many bytes its memory operand has, and whether it is written.

    For bodies of READ and WRITTEN; `size`: the instruction's operand size.
    """
    letter = next(text[1:] for text in row.operands.split(",") if text[:1] in "EMO")
    width = BYTES.get(letter, size)
    writes = row.body in WRITTEN
    if row.body in ("alu_eg", "alu_ei") and row.args[0] == COMPARE:
        writes = False
    if row.body == "bt_ei" and row.args[0] == 0:
        writes = False
    return width, writes


def bounds_of(row: Instruction, size: int) -> int:
    """The slot with the bounds for this access; `size`: the instruction's operand size."""
    width, writes = access_of(row, size)
    return (WRITE_BOUNDS if writes else READ_BOUNDS) + 8 * (width.bit_length() - 1)


@functools.cache
def _stub(address: int, bounds: int, by_registers: bool, reserved: str) -> Stub:
    other = EAX if address != EAX else ECX
    names = {"address": NAMES[address], "other": NAMES[other], "bounds": hex(bounds)}
    names |= {name.upper(): text.upper() for name, text in names.items()}
    template = BY_REGISTERS if by_registers else CONSTANT
    return assembled(template.format(**names), reserved)


def reads_code_segment(item: Surveyed, raw: bytes, row: Instruction) -> bool:
    """Is there a CS override that counts? CS is flat, so the whole hidden region could be read.

    (The survey names a segment also where there is no override.)
    """
    return item[7] == CS and row.body not in NO_ACCESS and _has_prefix(raw, 0x2E)


def _has_prefix(raw: bytes, prefix: int) -> bool:
    """Is a byte among an instruction's prefixes, however many there are?"""
    for byte in raw:
        if byte == prefix:
            return True
        if byte not in PREFIXES:
            return False
    return False

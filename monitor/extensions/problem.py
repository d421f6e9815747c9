"""A problem instruction as the author of its stub sees it: taken apart, with its operands.

    def smsw(problem: Problem) -> str | None:
        if problem.memory is not None or problem.operand_size != 4:
            return None                                  # left to the monitor
        return f"mov {problem.register}, dword ptr gs:[CR0] | done"

Operands come in the order of the manual (SDM vol. 2), with the accumulator and DX of IN and OUT
among them; what else an instruction uses by its nature (EDX and EAX of RDTSC, the stack) is not.
`str()` of an operand is what an assembler wants. Addresses, sizes and offsets are in bytes.

Worked example: 0F 01 64 8B 08 is SMSW word ptr [ebx + ecx*4 + 0x8]: one operand, a Memory of 2
bytes; EBX and ECX are used, so that EAX and ESI are spare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from bt.instruction import Instruction
from bt.lengths import OPERAND_SIZE
from bt.output import Surveyed
from bt.segment_access import operand_of, split
from monitor.extensions.names import name_of
from monitor.extensions.slots import SELECTOR_NAMES

REGISTERS = {
    1: ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"),
    2: ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di"),
    4: ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"),
}
EAX, ECX, EDX, ESP, EBP, ESI = 0, 1, 2, 4, 5, 6
SPILLED = (ECX, EAX, ESI)  # what a stub may use and bring back, the handiest first
ES, SS, DS = 0, 2, 3
FLAT = (ES, SS, DS)  # segments whose operands are where translated code finds them, too
REPEATS = (0xF2, 0xF3)
REGISTER_FORM = 0xC0  # ModRM from here on: no memory
WITH_BASE = 0x80  # of the head of an operand (bt/segment_access.py)
SIZE_WORDS = {1: "byte ptr ", 2: "word ptr ", 4: "dword ptr ", 8: "qword ptr "}
WORD_IN_MEMORY = ("smsw", "sldt", "str_e", "mov_es")  # 16 bits there, whatever the operand size
M_SIZES = {"sgdt": 6, "sidt": 6, "lgdt": 6, "lidt": 6, "invlpg": 0}  # BOUND has two operands there


@dataclass(frozen=True)
class Register:
    """A general register, or the part of one that has `size` bytes."""

    number: int
    size: int

    def __str__(self) -> str:
        """
        >>> str(Register(0, 4)), str(Register(4, 1))
        ('eax', 'ah')
        """
        return REGISTERS[self.size][self.number]

    @property
    def whole(self) -> str:
        """The 32-bit register that it is (a part of)."""
        return REGISTERS[4][self.number & 3 if self.size == 1 else self.number]


@dataclass(frozen=True)
class SystemRegister:
    """A segment, control or debug register: `kind` is s, c or d."""

    kind: str
    number: int

    def __str__(self) -> str:
        """
        >>> str(SystemRegister("s", 3)), str(SystemRegister("c", 0)), str(SystemRegister("d", 7))
        ('ds', 'cr0', 'dr7')
        """
        if self.kind == "s":
            return SELECTOR_NAMES[self.number].lower()
        return f"{self.kind}r{self.number}"


@dataclass(frozen=True)
class Immediate:
    """A number in the instruction."""

    value: int
    size: int

    def __str__(self) -> str:
        return hex(self.value)


@dataclass(frozen=True)
class FarPointer:
    """Selector and offset in the instruction."""

    selector: int
    offset: int

    def __str__(self) -> str:
        return f"{self.selector:#x}:{self.offset:#x}"


@dataclass(frozen=True)
class Memory:
    """An operand in memory, in the guest's own registers. `base`, `index`: None where there is
    none. `size` 0: its address alone counts."""

    segment: int
    base: Register | None
    index: Register | None
    scale: int
    displacement: int
    size: int

    def __str__(self) -> str:
        """
        >>> str(Memory(3, Register(3, 4), Register(1, 4), 4, 8, 2))
        'word ptr [ebx + ecx*4 + 0x8]'
        """
        return self.part(0, self.size)

    def part(self, offset: int, size: int) -> str:
        """Some of its bytes, from an offset into it on.

        >>> Memory(0, Register(5, 4), None, 1, 0, 6).part(2, 4)
        'dword ptr es:[ebp + 0x2]'
        """
        terms = [str(self.base)] if self.base else []
        if self.index:
            terms.append(f"{self.index}*{self.scale}")
        displacement = self.displacement + offset & 0xFFFFFFFF
        if displacement or not terms:
            terms.append(hex(displacement))
        usual = SS if self.base is not None and self.base.number in (ESP, EBP) else DS
        named = self.segment != usual
        segment = f"{SELECTOR_NAMES[self.segment].lower()}:" if named else ""
        return f"{SIZE_WORDS.get(size, '')}{segment}[{' + '.join(terms)}]"


Operand = Register | SystemRegister | Immediate | FarPointer | Memory
Kind = TypeVar("Kind", Register, Immediate, Memory)


@dataclass(frozen=True)
class Problem:
    """An instruction of the guest's kernel that the translator would replace."""

    #: What `Extensions(stubs=...)` calls it.
    name: str
    #: Where it is, and its bytes.
    eip: int
    code: bytes
    #: 2 or 4; 2 means that there is an operand-size prefix.
    operand_size: int
    #: In the manual's order.
    operands: tuple[Operand, ...]
    #: Has it a REP prefix (string instructions)?
    repeated: bool = False

    @property
    def next_eip(self) -> int:
        """Where the next instruction is."""
        return self.eip + len(self.code) & 0xFFFFFFFF

    @property
    def register(self) -> Register | None:
        """The first operand that is a general register."""
        return self._first(Register)

    @property
    def memory(self) -> Memory | None:
        """The operand that is in memory."""
        return self._first(Memory)

    @property
    def immediate(self) -> Immediate | None:
        """The first operand that is a number."""
        return self._first(Immediate)

    @property
    def spare(self) -> tuple[str, ...]:
        """Registers with a slot to be spilled to that no operand uses: of ecx, eax and esi."""
        used = {register.whole for register in self._registers()}
        names = (REGISTERS[4][number] for number in SPILLED)
        return tuple(name for name in names if name not in used)

    def _first(self, kind: type[Kind]) -> Kind | None:
        return next((one for one in self.operands if isinstance(one, kind)), None)

    def _registers(self) -> Iterator[Register]:
        for operand in self.operands:
            if isinstance(operand, Register):
                yield operand
            elif isinstance(operand, Memory):
                yield from (part for part in (operand.base, operand.index) if part)


def take_apart(item: Surveyed, raw: bytes, row: Instruction) -> Problem | None:
    """A surveyed instruction; None where it is one that no stub can stand for.

    That is one with a memory operand in CS, FS or GS, which translated code does not have as the
    guest has them, or with 16-bit addressing by registers; and what only looks like the row.
    """
    prefixes = split(raw)[0]
    size = 2 if OPERAND_SIZE in prefixes else 4
    operands: list[Operand] = []
    for text in row.operands.split(","):
        if text[:1] in PARTS:
            operand = PARTS[text[:1]](text, item, raw, size, row)
            if operand is None:
                return None
            operands.append(operand)
    repeated = any(prefix in REPEATS for prefix in prefixes)
    named = _with_implied(operands, row, 1 if row.operands.startswith("b") else size)
    return Problem(name_of(row), item[0], raw, size, named, repeated)


def _with_implied(operands: list[Operand], row: Instruction, size: int) -> tuple[Operand, ...]:
    """What the opcode alone says: the segment register of PUSH and POP, AL and DX of IN and OUT."""
    if row.body in ("push_seg", "pop_seg"):
        return (SystemRegister("s", row.args[0]),)
    accumulator, port = Register(EAX, size), Register(EDX, 2)
    if row.body in ("in_dx", "in_imm"):
        return (accumulator, *(operands or [port]))
    if row.body in ("out_dx", "out_imm"):
        return (*(operands or [port]), accumulator)
    return tuple(operands)


def _general_or_memory(
    text: str, item: Surveyed, raw: bytes, size: int, row: Instruction
) -> Operand | None:
    """E: what ModRM names."""
    width = 2 if text == "Ew" else size
    if item[3] >= REGISTER_FORM:
        return Register(item[3] & 7, width)
    return _memory(text, item, raw, 2 if row.body in WORD_IN_MEMORY else width, row)


def _memory(text: str, item: Surveyed, raw: bytes, size: int, row: Instruction) -> Operand | None:
    """M, and E in memory."""
    where = operand_of(raw) if item[3] < REGISTER_FORM and item[7] in FLAT else None
    if where is None:
        return None
    if text == "Mp":
        size += 2
    elif text == "M":
        size = M_SIZES.get(row.body, 2 * size)
    base = index = None
    scale = 1
    if where.head:
        rm = where.head[0] & 7
        if rm == ESP:
            sib = where.head[1]
            rm, number, scale = sib & 7, sib >> 3 & 7, 1 << (sib >> 6)
            index = Register(number, 4) if number != ESP else None
        base = Register(rm, 4) if where.head[0] & WITH_BASE else None
    return Memory(item[7], base, index, scale, where.displacement, size)


def _immediate(
    text: str, item: Surveyed, raw: bytes, size: int, row: Instruction
) -> Operand | None:
    """I: the last bytes."""
    width = 2 if text == "Iw" else 1
    return Immediate(int.from_bytes(raw[-width:], "little"), width)


def _far_pointer(
    text: str, item: Surveyed, raw: bytes, size: int, row: Instruction
) -> Operand | None:
    """P: an offset, and a selector behind it."""
    offset = int.from_bytes(raw[-2 - size : -2], "little")
    return FarPointer(int.from_bytes(raw[-2:], "little"), offset)


PARTS: dict[str, Callable[[str, Surveyed, bytes, int, Instruction], Operand | None]] = {
    "E": _general_or_memory,
    "M": _memory,
    "I": _immediate,
    "P": _far_pointer,
    "G": lambda text, item, raw, size, row: Register(item[3] >> 3 & 7, size),
    "R": lambda text, item, raw, size, row: Register(item[3] & 7, 4),
    "S": lambda text, item, raw, size, row: SystemRegister("s", item[3] >> 3 & 7),
    "C": lambda text, item, raw, size, row: SystemRegister("c", item[3] >> 3 & 7),
    "D": lambda text, item, raw, size, row: SystemRegister("d", item[3] >> 3 & 7),
}

"""Exceptions: which one, with what error code, and that nothing has changed before it."""

from __future__ import annotations

import pytest
from engine_lab import (
    BP,
    BR,
    CODE,
    DATA,
    DB,
    DE,
    FLAGS,
    GP,
    HOLE,
    MF,
    OF,
    PAGE,
    PF,
    READ_ONLY,
    STACK,
    UD,
    Lab,
    assemble,
    physical,
    x87_image,
)

from bt.contract import EXIT_EXCEPTION, EXIT_SOFTINT, PERM_WRITE
from bt.instruction import Class, Instruction
from bt.models import DEFAULT
from bt.table import TABLE

# --- page faults: state as before ---------------------------------------------------------------

#: Instructions that read [EBX], and instructions that write it.
READS = (
    "mov al, [ebx]",
    "movzx eax, word ptr [ebx]",
    "add eax, [ebx]",
    "cmp [ebx], eax",
    "test [ebx], eax",
    "imul eax, [ebx], 3",
    "mul dword ptr [ebx]",
    "div dword ptr [ebx]",
    "push dword ptr [ebx]",
    "call dword ptr [ebx]",
    "jmp dword ptr [ebx]",
    "bt [ebx], eax",
    "bsf eax, [ebx]",
    "cmovz eax, [ebx]",
    "cmovnz eax, [ebx]",
    "lds eax, [ebx]",
    "bound eax, [ebx]",
    "xlatb",
    "fld dword ptr [ebx]",
    "fld qword ptr [ebx]",
    "fld tbyte ptr [ebx]",
    "fild word ptr [ebx]",
    "fbld tbyte ptr [ebx]",
    "fadd dword ptr [ebx]",
    "fldcw [ebx]",
    "fldenv [ebx]",
    "frstor [ebx]",
    "fcom qword ptr [ebx]",
)
WRITES = (
    "mov [ebx], al",
    "mov [ebx], ax",
    "mov [ebx], eax",
    "mov dword ptr [ebx], 5",
    "add [ebx], eax",
    "inc dword ptr [ebx]",
    "neg word ptr [ebx]",
    "xchg [ebx], eax",
    "xadd [ebx], eax",
    "cmpxchg [ebx], ecx",
    "cmpxchg8b [ebx]",
    "shl dword ptr [ebx], 3",
    "rcr byte ptr [ebx], 1",
    "shld [ebx], eax, 5",
    "bts [ebx], ecx",
    "pop dword ptr [ebx]",
    "setz [ebx]",
    "setnz [ebx]",
    "mov word ptr [ebx], ds",
    "fst dword ptr [ebx]",
    "fstp qword ptr [ebx]",
    "fistp word ptr [ebx]",
    "fbstp tbyte ptr [ebx]",
    "fnstcw [ebx]",
    "fnstsw [ebx]",
    "lock or [ebx], eax",
)


@pytest.fixture
def ready(lab: Lab) -> Lab:
    lab.load_x87(x87_image(stack=[bytes.fromhex("00000000000000800040")] * 8, tags=0))
    lab.set(ecx=7, edx=0x11, ebp=0x22, esi=0x33, edi=0x44, flags=FLAGS | 0x41)
    return lab


@pytest.mark.parametrize("code", READS)
def test_reads_of_a_missing_page(ready: Lab, code: str) -> None:
    exit_ = ready.fault(code, ebx=HOLE + 0x200, eax=0)
    assert (exit_.vector, exit_.error, exit_.address) == (PF, 4, HOLE + 0x200)


@pytest.mark.parametrize("code", WRITES)
@pytest.mark.parametrize(("page", "error"), [(HOLE, 6), (READ_ONLY, 7)])
def test_writes_to_a_missing_and_to_a_read_only_page(
    ready: Lab, code: str, page: int, error: int
) -> None:
    """A read-modify-write may tell of its read first, where not even that is possible."""
    exit_ = ready.fault(code, ebx=page + 0x200, eax=0)
    assert (exit_.vector, exit_.address) == (PF, page + 0x200)
    assert exit_.error == error or (page == HOLE and exit_.error == 4)


PUSHES = {
    "push": "push eax",
    "push imm": "push 5",
    "push m": "push dword ptr [0x20000]",
    "push seg": "push ds",
    "push word": "push ax",
    "pushf": "pushfd",
    "call": "call 0x10020",
    "call r": "call eax",
    "call m": "call dword ptr [0x20000]",
}


@pytest.mark.parametrize("name", PUSHES)
@pytest.mark.parametrize("below", [0, 1])
def test_pushes_that_fail(ready: Lab, name: str, below: int) -> None:
    """Into a missing page, and half into one: ESP and every byte are as before."""
    ready.poke(DATA, (CODE + 0x20).to_bytes(4, "little"))
    exit_ = ready.fault(PUSHES[name], esp=STACK + 1 if below else STACK, eax=CODE)
    assert exit_.vector == PF and STACK - 4 <= exit_.address < STACK
    assert exit_.error == 6


MANY = {
    "pusha": "pushad",
    "pusha 16": "pushaw",
    "enter": "enter 0x10, 3",
    "enter 0": "enter 0x10, 0",
    "fnsave": "fnsave [ebx]",
    "fnstenv": "fnstenv [ebx]",
    "fstp": "fstp tbyte ptr [ebx]",
}


@pytest.mark.parametrize("name", MANY)
def test_long_stores_that_fail_half_way(ready: Lab, name: str) -> None:
    """Some of the operand may be written; nothing else, and the registers are as before."""
    ready.program(MANY[name])
    ready.set(esp=STACK + 6, ebx=HOLE - 9, ebp=STACK + 0x400)
    guest, memory = ready.guest(), ready.all_memory()
    exit_ = ready.run()
    assert (exit_.reason, exit_.vector, exit_.count) == (EXIT_EXCEPTION, PF, 0)
    assert ready.guest() == guest
    now = bytearray(ready.all_memory())
    for first, size in ((STACK, 6), (HOLE - 9, 9)):
        at = physical(first)
        now[at : at + size] = memory[at : at + size]
    assert now == memory
    for page, frame in ((STACK - PAGE, 20), (HOLE, 21)):
        ready.map(page, frame, PERM_WRITE)
    assert ready.run().reason == EXIT_SOFTINT, "it can be done again"


POPS = {
    "pop": "pop eax",
    "popa": "popad",
    "popf": "popfd",
    "ret": "ret",
    "ret n": "ret 8",
    "leave": "leave",
}


@pytest.mark.parametrize("name", POPS)
def test_pops_that_fail(ready: Lab, name: str) -> None:
    place = STACK + PAGE - 2
    exit_ = ready.fault(POPS[name], esp=place, ebp=place)
    assert (exit_.vector, exit_.error, exit_.address) == (PF, 4, STACK + PAGE)


# --- string instructions ------------------------------------------------------------------------

STRINGS = {
    "movs": ("rep movsb", 1),
    "movs 4": ("rep movsd", 4),
    "stos": ("rep stosd", 4),
    "lods": ("rep lodsb", 1),
    "scas": ("repne scasb", 1),
    "cmps": ("repe cmpsb", 1),
    "movs 2": ("rep movsw", 2),
}


@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("name", STRINGS)
def test_rep_can_go_on_where_it_faulted(lab: Lab, name: str, down: bool) -> None:
    """The registers say how far it came; with the page there it does the rest, and counts once."""
    code, size = STRINGS[name]
    total, before = 40, 10
    edge = (DATA if down else HOLE) + (-size if down else 0)  # first item out of reach
    step = -size if down else size
    start = edge - before * step
    other = DATA + 0x2000  # never at an edge
    walks_esi = name.startswith("lods")
    lab.program(_rep(code))
    registers = {"esi": start, "edi": other} if walks_esi else {"esi": other, "edi": start}
    lab.set(eax=0x5A5A5A5A, ecx=total, flags=FLAGS | (0x400 if down else 0), **registers)
    exit_ = lab.run()
    assert (exit_.vector, exit_.address, exit_.eip, exit_.count) == (PF, edge, CODE, 0)
    assert lab.reg("ecx") == total - before
    assert lab.reg("esi" if walks_esi else "edi") == edge
    if not walks_esi and name[:4] in ("movs", "cmps"):
        assert lab.reg("esi") == other + before * step
    lab.map(edge & -PAGE, 20, PERM_WRITE)
    lab.write(20 << 12, bytes(PAGE))
    exit_ = lab.run()
    assert (exit_.reason, exit_.count) == (EXIT_SOFTINT, 1)
    assert lab.reg("ecx") == 0
    assert lab.reg("esi" if walks_esi else "edi") == start + total * step


def _rep(code: str) -> bytes:
    """keystone knows no REP MOVSD without operands."""
    prefix, name = code.split()
    opcode = {
        "movsb": 0xA4,
        "movsd": 0xA5,
        "movsw": 0xA5,
        "stosd": 0xAB,
        "lodsb": 0xAC,
        "scasb": 0xAE,
        "cmpsb": 0xA6,
    }[name]
    operand_size = b"\x66" if name == "movsw" else b""
    return operand_size + (b"\xf2" if prefix == "repne" else b"\xf3") + bytes([opcode])


@pytest.mark.parametrize("code", ["a5", "ab", "f3ab", "f366a5"])
def test_a_first_item_that_faults_changes_nothing(lab: Lab, code: str) -> None:
    exit_ = lab.fault(bytes.fromhex(code), esi=DATA, edi=READ_ONLY + 8, ecx=5)
    assert (exit_.vector, exit_.error, exit_.address) == (PF, 7, READ_ONLY + 8)


def test_rep_with_a_count_of_zero_touches_nothing(lab: Lab) -> None:
    exit_ = lab.finish(_rep("rep movsd"), esi=HOLE, edi=HOLE, ecx=0)
    assert exit_.count == 1
    assert (lab.reg("esi"), lab.reg("edi")) == (HOLE, HOLE)


# --- the other exceptions -----------------------------------------------------------------------

EXCEPTIONS = {
    "div by 0": ("div ecx", DE, {"ecx": 0}),
    "div overflow": ("div ecx", DE, {"ecx": 1, "edx": 1}),
    "div byte": ("div cl", DE, {"ecx": 1, "eax": 0x100}),
    "idiv overflow": ("idiv ecx", DE, {"ecx": 0xFFFFFFFF, "eax": 0x80000000, "edx": 0xFFFFFFFF}),
    "aam": (b"\xd4\x00", DE, {}),
    "bound low": ("bound eax, [0x20000]", BR, {"eax": 0}),
    "bound high": ("bound eax, [0x20000]", BR, {"eax": 0x7FFFFFFF}),
    "ud2": ("ud2", UD, {}),
    "undefined": (b"\x0f\xff", UD, {}),
    "undefined group": (b"\xfe\xf8", UD, {}),
    "lock nop": (b"\xf0\x90", UD, {}),
    "lock register": (b"\xf0\x01\xc0", UD, {}),
    "mov cs": (b"\x8e\xc8", UD, {}),
    "register operand": (b"\x8d\xc0", UD, {}),
    "16 bytes": (b"\x3e" * 15 + b"\x90", GP, {}),
    "mmx": (b"\x0f\x77", UD, {}),
    "syscall": (b"\x0f\x05", UD, {}),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions(lab: Lab, name: str) -> None:
    code, vector, registers = EXCEPTIONS[name]
    lab.poke(DATA, (1).to_bytes(4, "little") + (9).to_bytes(4, "little"))
    exit_ = lab.fault(code, **registers)
    assert (exit_.vector, exit_.error) == (vector, 0)


def test_an_instruction_of_15_bytes_runs(lab: Lab) -> None:
    lab.finish(b"\x3e" * 14 + b"\x40", eax=1)
    assert lab.reg("eax") == 2


def test_unmasked_x87_exceptions_come_at_the_next_instruction(lab: Lab) -> None:
    lab.load_x87(x87_image(control=0x360, status=0, tags=0xFFFF))
    lab.program("fld1; fldz; fdivp st(1), st(0); nop; fwait")
    exit_ = lab.run()
    assert (exit_.vector, exit_.eip, exit_.count) == (MF, CODE + 7, 4)


@pytest.mark.parametrize("number", [0, 3, 4, 0x20, 0x80, 0xFF])
def test_software_interrupts(lab: Lab, number: int) -> None:
    lab.program(bytes([0x40, 0xCD, number]))
    before = lab.regs()
    exit_ = lab.run()
    assert (exit_.reason, exit_.arg, exit_.eip, exit_.count) == (EXIT_SOFTINT, number, CODE + 1, 1)
    assert lab.regs()[1:] == before[1:]


@pytest.mark.parametrize(("code", "number"), [(b"\xcc", BP), (b"\xf1", DB), (b"\xce", OF)])
def test_short_interrupts(lab: Lab, code: bytes, number: int) -> None:
    lab.program(b"\x90" + code)
    lab.set(flags=FLAGS | 0x800)
    exit_ = lab.run()
    assert (exit_.reason, exit_.arg, exit_.eip, exit_.count) == (EXIT_SOFTINT, number, CODE + 1, 1)


def test_into_without_overflow(lab: Lab) -> None:
    assert lab.finish(b"\xce", flags=FLAGS).count == 1


# --- privileged instructions --------------------------------------------------------------------

PRIVILEGED = [row for row in TABLE if row.sensitivity is Class.PRIVILEGED
              and (not row.feature or row.feature in DEFAULT.features)]  # fmt: skip
MODRM = ("E", "M", "Rd,", "C,", "D,")


def encodings(row: Instruction) -> list[bytes]:
    """The instruction with a register and with a memory operand, as far as it has them."""
    code = row.lead + bytes([row.byte])
    if "/" in row.opcode or row.operands.startswith(MODRM):
        reg = (row.extension or 0) << 3
        forms = [bytes([0xC0 | reg])] if not row.operands.endswith("M") else []
        if row.operands[0] in "EMv":
            forms.append(bytes([0x05 | reg]) + DATA.to_bytes(4, "little"))
        return [code + form for form in forms]
    return [code + b"\x40" if row.operands.endswith("Ib") else code]


@pytest.mark.parametrize(
    "row", PRIVILEGED, ids=[f"{row.opcode} {row.mnemonic}" for row in PRIVILEGED]
)
def test_privileged_instructions(lab: Lab, row: Instruction) -> None:
    """Every one of the table, in every form, with ring 3's IOPL of 0 and no port open."""
    codes = encodings(row)
    assert codes
    for code in codes:
        for prefix in (b"", b"\x66"):
            exit_ = lab.fault(prefix + code, esi=DATA, edi=DATA + 0x100, ecx=3, edx=0x70)
            assert (exit_.vector, exit_.error) == (GP, 0), code.hex()
    assert lab.ports.log == []


def test_all_of_them_are_there() -> None:
    names = {row.mnemonic for row in PRIVILEGED}
    assert {
        "HLT",
        "CLI",
        "STI",
        "LGDT",
        "LIDT",
        "LLDT",
        "LTR",
        "LMSW",
        "CLTS",
        "INVLPG",
        "WBINVD",
        "INVD",
        "RDMSR",
        "WRMSR",
        "MOV",
        "IN",
        "OUT",
        "INSB",
        "OUTS",
    } <= names


@pytest.mark.parametrize("prefix", [b"\xf3", b"\xf2"])
@pytest.mark.parametrize("opcode", [b"\x6c", b"\x6d", b"\x6e", b"\x6f"])
def test_string_port_instructions(lab: Lab, prefix: bytes, opcode: bytes) -> None:
    assert lab.fault(prefix + opcode, esi=DATA, edi=DATA, ecx=9, edx=0x60).vector == GP


def test_a_fault_after_other_instructions(lab: Lab) -> None:
    """What came before it in the same block has completed, and counts."""
    lab.program("inc eax; inc eax; mov [0x20000], eax; mov ecx, [0x24000]; inc eax")
    lab.set(eax=5)
    exit_ = lab.run()
    at = CODE + len(assemble("inc eax; inc eax; mov [0x20000], eax"))
    assert (exit_.vector, exit_.eip, exit_.count) == (PF, at, 3)
    assert (lab.reg("eax"), lab.dword(DATA)) == (7, 7)
    lab.map(HOLE, 20, 0)
    exit_ = lab.run()
    assert (exit_.reason, exit_.count, lab.reg("eax")) == (EXIT_SOFTINT, 5, 8)

"""Alignment checking: interrupt 17 (SDM vol. 3, 6.15 and table 6-7).

It is in force when CR0.AM and EFLAGS.AC are set and CPL is 3. Each kind of operand has an alignment
of its own; the processor's own (implicit supervisor) accesses are never checked. All of it is held
against the host's processor in tests/instructions/test_host_agreement.py; here is what the manual
says, one case each, also where the host cannot be asked.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from system_lab import (
    CODE,
    CODE3,
    DATA,
    DATA3,
    DB,
    DS,
    EAX,
    ECX,
    EDI,
    ESI,
    ESP,
    FLAG_TF,
    FREE,
    GP,
    HANDLERS,
    PF,
    SS_FAULT,
    STACK0,
    STACK3,
    TSS_MAIN,
    UD,
    Lab,
    descriptor,
    external_lab,
    gate,
)

AC_VECTOR = 17
AM, AC = 0x40000, 0x40000
EXIT_EXCEPTION = 4

# Operands at [esi], and the alignment the manual gives them; 1: never checked.
OPERANDS = {
    "mov al, [esi]": 1,
    "xlatb": 1,
    "mov ax, [esi]": 2,
    "mov [esi], ax": 2,
    "add word ptr [esi], 1": 2,
    "mov eax, [esi]": 4,
    "mov [esi], eax": 4,
    "add dword ptr [esi], 1": 4,
    "lock add dword ptr [esi], 1": 4,
    "movzx eax, word ptr [esi]": 2,
    "xchg [esi], eax": 4,
    "xadd [esi], eax": 4,
    "cmpxchg [esi], ecx": 4,
    "cmpxchg8b [esi]": 8,
    "imul eax, [esi], 3": 4,
    "push dword ptr [esi]": 4,
    "pop dword ptr [esi]": 4,
    "call dword ptr [esi]": 4,
    "jmp dword ptr [esi]": 4,
    "bound ax, [esi]": 2,
    "bound eax, [esi]": 4,
    "bt word ptr [esi], 1": 2,
    "bt dword ptr [esi], 1": 4,
    "bts word ptr [esi], ax": 2,
    "btr dword ptr [esi], eax": 4,
    "shld [esi], eax, 1": 4,
    "les ax, [esi]": 2,  # a 32-bit far pointer: 2
    "les eax, [esi]": 4,  # a 48-bit one: 4
    "mov es, [esi]": 2,  # a selector: 2
    "mov [esi], ds": 2,
    "sldt word ptr [esi]": 2,
    "str word ptr [esi]": 2,
    "smsw word ptr [esi]": 2,
    "sgdt [esi]": 4,  # a pseudo-descriptor: 4, though its base lies at 2
    "sidt [esi]": 4,
    "lar eax, word ptr [esi]": 2,
    "arpl [esi], ax": 2,
    "lodsb": 1,
    "lodsw": 2,
    "lodsd": 4,
    "fld dword ptr [esi]": 4,
    "fstp dword ptr [esi]": 4,
    "fld qword ptr [esi]": 8,
    "fstp qword ptr [esi]": 8,
    "fadd qword ptr [esi]": 8,
    "fld tbyte ptr [esi]": 8,
    "fstp tbyte ptr [esi]": 8,
    "fbld [esi]": 8,
    "fbstp [esi]": 8,
    "fild word ptr [esi]": 2,
    "fild dword ptr [esi]": 4,
    "fild qword ptr [esi]": 8,
    "fistp word ptr [esi]": 2,
    "fistp dword ptr [esi]": 4,
    "fistp qword ptr [esi]": 8,
    "fldcw [esi]": 2,
    "fnstcw [esi]": 2,
    "fnstsw [esi]": 2,
    "fldenv [esi]": 4,
    "fnstenv [esi]": 4,
    "frstor [esi]": 4,  # its registers lie at any even address
    "fnsave [esi]": 4,
}
RAW = {  # forms that the assembler has no word for
    "a5": 4,  # movsd
    "a7": 4,  # cmpsd
    "f3 a5": 4,  # rep movsd
    "ff 1e": 4,  # call m16:32
    "66 ff 2e": 2,  # jmp m16:16
    "66 d9 26": 2,  # fldenv
    "66 d9 36": 2,  # fnstenv
    "66 dd 26": 2,  # frstor
    "66 dd 36": 2,  # fnsave
}
# On a stack that is misaligned by 2: every one of them pushes or pops doublewords.
STACK = ("push eax", "pop eax", "pushad", "popad", "pushfd", "popfd", "enter 0, 0", "enter 4, 2",
         "leave", "call 0x10005", "ret", "ret 4", "retf", "iretd", "push fs", "pop fs", "push 1",
         "push esp")  # fmt: skip


BOTH = pytest.mark.parametrize("make", [Lab, external_lab])


def ready(lab: Lab, cpl: int = 3, flags: int = AC) -> Lab:
    """Alignment checking as asked for, ESI and friends on aligned data that any operand can be."""
    lab.cpu.cr0 = 0x11 | AM
    lab.ring(cpl).cpu.set_flags(flags | cpl << 12 | 2)
    lab.memory[DATA : DATA + 0x200] = bytes(0x200)
    lab.cpu.set_reg(ESI, DATA)
    lab.cpu.set_reg(EDI, DATA + 0x100)
    lab.cpu.set_reg(ECX, 2)
    lab.cpu.set_reg(EAX, 0)
    return lab


def vector_of(lab: Lab, code: str | bytes) -> int | None:
    """The exception of one instruction, None if it completed."""
    stop = lab.run(code, budget=1)
    if lab.cpu.external:
        return lab.cpu.fault_vector if stop.reason == EXIT_EXCEPTION else None
    return stop.vector


def misaligned_by(lab: Lab, code: str | bytes, by: int) -> int | None:
    ready(lab).cpu.set_reg(ESI, DATA + by)
    lab.cpu.set_reg(3, DATA + by)  # EBX, for XLAT
    return vector_of(lab, code)


@BOTH
@pytest.mark.parametrize("code", [*OPERANDS, *RAW])
def test_each_operand_has_its_alignment(make: Callable[[], Lab], code: str) -> None:
    lab = make()
    needed = OPERANDS.get(code) or RAW[code]
    source: str | bytes = code if code in OPERANDS else bytes.fromhex(code)
    for by in range(16):
        found = misaligned_by(lab, source, by)
        assert (found == AC_VECTOR) == (by % needed != 0), (by, found)
        if found == AC_VECTOR and not lab.cpu.external:
            top = lab.reg(ESP)
            assert (lab.peek(top), lab.peek(top + 4)) == (0, CODE), (
                "error code 0, at the instruction"
            )


@BOTH
@pytest.mark.parametrize("code", STACK)
@pytest.mark.parametrize("by", [0, 1, 2, 3])
def test_the_stack_is_data(make: Callable[[], Lab], code: str, by: int) -> None:
    lab = ready(make())
    lab.cpu.set_reg(ESP, STACK3 - 0x100 + by)
    lab.cpu.set_reg(5, STACK3 - 0x80 + by)  # EBP
    assert (vector_of(lab, code) == AC_VECTOR) == (by != 0)
    if by:
        assert lab.cpu.external or lab.reg(5) == STACK3 - 0x80 + by


@BOTH
def test_words_on_the_stack_need_two(make: Callable[[], Lab]) -> None:
    for by in range(4):
        lab = ready(make())
        lab.cpu.set_reg(ESP, STACK3 - 0x100 + by)
        assert (vector_of(lab, b"\x66\x50") == AC_VECTOR) == (by % 2 != 0)


@pytest.mark.parametrize(
    ("cpl", "am", "flags"),
    [(0, AM, AC), (1, AM, AC), (2, AM, AC), (3, 0, AC), (3, AM, 0)],
)
@pytest.mark.parametrize("code", ["mov eax, [esi]", "fld qword ptr [esi]", "sgdt [esi]", "pushad"])
def test_all_three_are_needed(lab: Lab, cpl: int, am: int, flags: int, code: str) -> None:
    lab = ready(lab, cpl, flags)
    lab.cpu.cr0 = 0x11 | am
    lab.cpu.set_privilege(cpl)
    lab.cpu.set_reg(ESI, DATA + 1)
    lab.cpu.set_reg(ESP, lab.reg(ESP) - 1)
    assert vector_of(lab, code) is None


def test_linear_addresses_count(lab: Lab) -> None:
    """An odd base makes even offsets odd, and odd ones even."""
    lab.describe(FREE, descriptor(DATA + 1, 0xFFF, 0x40F2))
    for offset, vector in ((0, AC_VECTOR), (3, None)):
        ready(lab).load(DS, FREE | 3)
        lab.cpu.set_reg(ESI, offset)
        assert vector_of(lab, "mov eax, [esi]") == vector


def test_code_may_lie_anywhere(lab: Lab) -> None:
    ready(lab).run(b"\x90\xeb\x01\x00\xb8\x78\x56\x34\x12\x90", budget=4)
    assert lab.reg(EAX) == 0x12345678


@BOTH
def test_popf_and_iret_switch_it_on_and_off(make: Callable[[], Lab]) -> None:
    lab = ready(make(), flags=0)
    load = f"mov eax, [{DATA + 1}]; "
    off, on = "push 2; popfd; ", f"push {AC | 2}; popfd; "
    assert vector_of(lab, load) is None
    stop = ready(lab, flags=0).run(on + off + load + on + "nop; " + load, budget=9)
    assert (lab.cpu.fault_vector if lab.cpu.external else stop.vector) == AC_VECTOR
    frame = f"push {{}}; push {CODE3}; push {CODE + 0x80}; iretd"
    lab.memory[CODE + 0x80 : CODE + 0x86] = b"\x8b\x06\x90\x90\x0f\x0b"  # mov eax, [esi]
    for before, after, vector in ((0, AC, AC_VECTOR), (AC, 0, UD)):
        ready(lab, flags=before).cpu.set_reg(ESI, DATA + 1)
        stop = lab.run(frame.format(after | 2), budget=8)
        assert (lab.cpu.fault_vector if lab.cpu.external else stop.vector) == vector


def test_the_handler_is_not_checked_and_the_way_back_is(lab: Lab) -> None:
    """AC survives the gate (SDM vol. 3, 6.12.1); CPL 0 stops the checks, IRET begins them again."""
    code = b"\xa1" + (DATA + 1).to_bytes(4, "little") + b"\x9c\x5b\xcf"
    lab.memory[HANDLERS + 0x2F * 16 : HANDLERS + 0x2F * 16 + len(code)] = code
    lab.idt(0x2F, gate(14, 0x08, HANDLERS + 0x2F * 16, dpl=3))
    ready(lab).cpu.set_reg(ESI, DATA + 1)
    stop = lab.run(b"\xcd\x2f\x8b\x06")
    assert lab.reg(3) & AC, "the handler's own flags"
    assert (stop.vector, stop.frame[1]) == (AC_VECTOR, CODE + 2)


def test_implicit_accesses_are_never_checked(lab: Lab) -> None:
    """Descriptors, the TSS and an inner stack, all at odd addresses; ring 3 has AC set."""
    table = DATA + 0x801
    lab.memory[table : table + 0x100] = lab.memory[0x1000:0x1100]
    lab.cpu.gdtr_base = table
    tss = DATA + 0xC01
    lab.memory[tss : tss + 0x70] = lab.memory[TSS_MAIN : TSS_MAIN + 0x70]
    lab.dword(tss + 4, STACK0 - 3)
    ready(lab).cpu.set_segment(7, 0x28, tss, 0xFFF, 0x8B)
    lab.cpu.idtr_base = DATA + 0xE03
    lab.memory[DATA + 0xE03 : DATA + 0xE03 + 384] = lab.memory[0x2000 : 0x2000 + 384]
    lab.cpu.set_reg(EAX, DATA3)
    stop = lab.run("mov es, eax; mov fs, eax; ud2")
    assert (stop.vector, stop.frame[0]) == (UD, CODE + 4)
    assert lab.reg(ESP) == STACK0 - 3 - 20


def test_far_calls_within_ring_3_are_explicit(lab: Lab) -> None:
    lab = ready(lab)
    lab.cpu.set_reg(ESP, STACK3 - 2)
    assert vector_of(lab, b"\x9a" + CODE.to_bytes(4, "little") + b"\x1b\x00") == AC_VECTOR


def test_limits_come_first_and_pages_last(lab: Lab) -> None:
    """#GP and #SS before #AC before #PF (SDM vol. 3, table 6-2, leaves the last two open)."""
    lab.describe(FREE, descriptor(DATA, 0xF, 0x40F2))
    ready(lab).load(DS, FREE | 3)
    lab.cpu.set_reg(ESI, 0x0E)
    assert vector_of(lab, "mov eax, [esi]") == GP
    ready(lab).load(2, FREE | 3)
    lab.cpu.set_reg(5, 0x0E)
    assert vector_of(lab, "mov eax, [ebp]") == SS_FAULT
    lab.cpu.cr3 = 0x80000
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 7)
    lab.dword(0x80000, 0x81007)
    lab.dword(0x81000 + (DATA >> 12) * 4, 0)
    for by, vector in ((1, AC_VECTOR), (0, PF)):
        ready(lab).cpu.cr0 = 0x80000011 | AM
        lab.cpu.flush()
        lab.cpu.set_privilege(3)
        lab.cpu.set_reg(ESI, DATA + by)
        lab.dword(0x81000 + (DATA >> 12) * 4, 0)
        assert vector_of(lab, "mov eax, [esi]") == vector


def test_an_undefined_opcode_comes_first(lab: Lab) -> None:
    ready(lab).cpu.set_reg(ESI, DATA + 1)
    assert vector_of(lab, b"\xf0\x8b\x06") == UD


def test_nothing_has_changed(lab: Lab) -> None:
    """A read-modify-write, a string instruction and a pop: registers and memory as before."""
    for code in (
        "add [esi], eax",
        b"\xa5",
        "pop dword ptr [esi]",
        "xchg [esi], ebx",
        "fist dword ptr [esi]",
    ):
        ready(lab).cpu.set_reg(ESI, DATA + 2)
        before, image = lab.regs(), bytes(lab.memory[DATA : DATA + 0x200])
        assert vector_of(lab, code) == AC_VECTOR
        after = lab.regs()
        after[ESP] = before[ESP]
        assert (after, bytes(lab.memory[DATA : DATA + 0x200])) == (before, image)
        assert lab.peek(lab.reg(ESP) + 16) == before[ESP]


def test_rep_stops_at_the_first_misaligned_element(lab: Lab) -> None:
    """Both pointers are checked; what was done stays done."""
    ready(lab).cpu.set_reg(EDI, DATA + 0x102)
    stop = lab.run(b"\xf3\xa5")
    assert stop.vector == AC_VECTOR
    assert (lab.reg(ECX), lab.reg(ESI), lab.reg(EDI)) == (2, DATA, DATA + 0x102)


def test_virtual_8086_mode_is_cpl_3(lab: Lab) -> None:
    lab.cpu.cr0 = 0x11 | AM
    lab.v86().cpu.set_flags(lab.cpu.flags() | AC)
    stop = lab.run("mov ax, [0x1001]", bits=16)
    assert (stop.vector, stop.error) == (AC_VECTOR, 0)


def test_real_mode_knows_none(lab: Lab) -> None:
    lab.real_mode().cpu.cr0 = 0x10 | AM
    lab.cpu.set_flags(AC | 2)
    assert lab.run("mov ax, [0x1001]", bits=16).vector is None


def test_clearing_am_ends_it(lab: Lab) -> None:
    """MOV CR0 in ring 0, then back: the TLB entries of before serve again."""
    ready(lab, 0).load(DS, DATA3)
    lab.cpu.set_reg(ESI, DATA + 1)
    back = f"push {DATA3}; push {STACK3}; push {AC | 2}; push {CODE3}; push {CODE + 0x80}; iretd"
    lab.memory[CODE + 0x80 : CODE + 0x84] = b"\x8b\x06\x0f\x0b"
    assert lab.run("mov eax, cr0; btc eax, 18; mov cr0, eax;" + back).vector == UD
    ready(lab, 0).load(DS, DATA3)
    lab.cpu.cr0 = 0x11
    lab.cpu.set_reg(ESI, DATA + 1)
    assert lab.run("mov eax, cr0; bts eax, 18; mov cr0, eax;" + back).vector == AC_VECTOR


def test_a_single_step_trap_comes_after_none(lab: Lab) -> None:
    """The instruction has not completed: no #DB behind its #AC."""
    ready(lab, flags=AC | FLAG_TF).cpu.set_reg(ESI, DATA + 1)
    assert lab.run("mov eax, [esi]").vector == AC_VECTOR
    ready(lab, flags=AC | FLAG_TF)
    assert lab.run("mov eax, [esi]").vector == DB

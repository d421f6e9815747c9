"""A fault inside a stub is the guest's fault, at the guest's instruction, with its registers."""

from __future__ import annotations

import pytest
from kernel_lab import DATA, FREE, PRESENT, TSS, WRITE, Kernel, agree, descriptor, fault_task

HOLE = 0x200000  # a page that is not there
READ_ONLY = 0x201000

# With ESP in a hole, or the operand there
STACK_USERS = {
    "popf": "popfd",
    "pushf": "pushfd",
    "ret": "ret",
    "ret imm": "ret 8",
    "call": "call there",
    "call register": "mov ebx, there \n call ebx",
    "call memory": "mov dword ptr [DATA], there \n call [DATA]",
    "call esp": "call [esp]",
    "push cs": "push cs",
    "push ds": "push ds",
    "pop ds": "pop ds",
    "push": "push eax",
    "pop": "pop ebx",
    "iret": "iretd",
    "retf": "retf",
    "call far": "call far 0x08:there",
    "enter": "enter 8, 0",
    "leave": "leave",
    "pushad": "pushad",
    "popad": "popad",
}
PROGRAM = """
    mov  eax, 0x11111111
    mov  ecx, 0x22222222
    mov  edx, 0x33333333
    mov  ebp, ESP_THERE
    mov  esi, 0x66666666
    mov  edi, 0x77777777
    stc
    mov  esp, ESP_THERE
    {code}
there:
    mov  esp, STACK0
    int  0x31
task:
    pop  ebx
    mov  al, 0x55
    int  0x31
"""


def program(code: str, esp: int) -> str:
    return PROGRAM.replace("ESP_THERE", hex(esp)).format(code=code)


def holes(source: str, **options: object) -> Kernel:
    pages = {HOLE: 0, READ_ONLY: READ_ONLY | PRESENT}
    kernel = Kernel(source, paging=True, pages=pages, **options)  # type: ignore[arg-type]
    return fault_task(kernel, "task", 8, 12, 14)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0, 2, 4, 8, 0x100, 0xFFE, 0x1000, 0x1002])
@pytest.mark.parametrize("name", STACK_USERS)
def test_stack_in_a_hole(name: str, offset: int) -> None:
    """ESP in, just above, and across the edges of a missing page."""
    agree(holes(program(STACK_USERS[name], HOLE + offset)))


@pytest.mark.parametrize("name", STACK_USERS)
def test_stack_is_read_only(name: str) -> None:
    agree(holes(program(STACK_USERS[name], READ_ONLY + 0x100), wp=True))


@pytest.mark.parametrize("name", ["pushf", "call", "push cs", "call register"])
def test_the_main_tss_has_the_registers_of_the_instruction(name: str) -> None:
    done = agree(holes(program(STACK_USERS[name], HOLE + 0x100)))
    run = done.translate
    assert run.dword(TSS + 0x38) == HOLE + 0x100, "ESP"
    assert run.dword(TSS + 0x28) == 0x11111111, "EAX"
    assert run.dword(TSS + 0x2C) == 0x22222222, "ECX"
    assert run.dword(TSS + 0x24) & 1, "CF"
    assert run.registers["cr2"] == HOLE + 0xFC


@pytest.mark.slow
@pytest.mark.parametrize("name", STACK_USERS)
def test_stack_limit(name: str) -> None:
    """SS ends at 0xAFFF; ESP lies beyond, or so that half an item does."""
    code = f"mov ax, {FREE} \n mov ss, ax \n mov esp, {{}} \n {STACK_USERS[name]}"
    for esp in (0xB000, 0xAFFE, 0xB002, 2):
        source = PROGRAM.replace("ESP_THERE", "STACK0").format(code=code.format(hex(esp)))
        source = source.replace("mov  esp, STACK0\n    int", "mov ax, 0x10\n mov ss, ax\n int")
        kernel = Kernel(source, gdt={FREE: descriptor(0, 0xAFFF, 0x4093)})
        agree(fault_task(kernel, "task", 8, 12, 13, 14), ends=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", STACK_USERS)
def test_stack_segment_expands_down(name: str) -> None:
    code = f"mov ax, {FREE} \n mov ss, ax \n mov esp, {{}} \n {STACK_USERS[name]}"
    for esp in (0x8000, 0x8004, 0x7000, 0x8800):
        source = PROGRAM.replace("ESP_THERE", "STACK0").format(code=code.format(hex(esp)))
        kernel = Kernel(source, gdt={FREE: descriptor(0, 0x7FFF, 0x4097)})
        agree(fault_task(kernel, "task", 8, 12, 13, 14), ends=None)


OPERANDS = {
    "call": "call [{at}]",
    "jmp": "jmp [{at}]",
    "call ecx": "mov ecx, {at} \n call [ecx]",
    "jmp eax": "mov eax, {at} \n jmp [eax]",
    "jmp both": "mov eax, {at} \n xor ecx, ecx \n jmp [eax + ecx * 4]",
    "mov from seg": "mov word ptr [{at}], cs",
    "smsw": "smsw word ptr [{at}]",
    "str": "str word ptr [{at}]",
    "sidt": ".byte 0x0f, 0x01, 0x0d \n .long {at}",
    "jmp to": "mov eax, {at} \n jmp eax",
    "jmp direct": "jmp {at}",
    "call direct": "call {at}",
    "jcc direct": "stc \n jc {at}",
    "ret to": "push {at} \n ret",
    "les": "les ebx, [{at}]",
    "add": "add dword ptr [{at}], ecx",
    "fld": "fld tbyte ptr [{at}]",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERANDS)
@pytest.mark.parametrize("ring", [0, 3])
def test_operand_in_a_hole(name: str, ring: int) -> None:
    for at in (HOLE, HOLE + 0xFFE, HOLE - 2, 0xC0000000):
        source = f"""
            mov  dword ptr [RESUME], end
            mov  eax, 0x12345678
            mov  ecx, 0x87654321
            {OPERANDS[name].format(at=hex(at))}
        end:
            int  0x31
        """
        done = agree(holes_with_handlers(source, ring))
        assert set(done.bare.vectors) <= {6, 13, 14}


def holes_with_handlers(source: str, ring: int) -> Kernel:
    return Kernel(source, ring=ring, paging=True, pages={HOLE: 0})


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERANDS)
def test_supervisor_page_from_user_code_that_is_translated(name: str) -> None:
    """IOPL 3: ring 3 runs out of the cache, and still only reaches user pages."""
    source = f"""
        mov  dword ptr [RESUME], end
        {OPERANDS[name].format(at=hex(HOLE))}
    end:
        int  0x31
    """
    pages = {HOLE: HOLE | PRESENT | WRITE}
    memory = {HOLE: b"\xc3" * 64}
    for flags in (0x3202, 0x202, 0x002):
        kernel = Kernel(source, ring=3, flags=flags, paging=True, pages=pages, memory=memory)
        done = agree(kernel)
        assert done.bare.log[-1].vector in (6, 13, 14)


def test_stack_limit_leaves_memory_alone() -> None:
    done = agree(holes(program("pushfd", HOLE + 0x1000 + 2)), ends=None)
    assert not done.translate.memory()[DATA : DATA + 64].any()

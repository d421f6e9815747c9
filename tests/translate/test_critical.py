"""The seventeen critical instructions (Robin and Irvine 2000, table 2), in ring 0 and in ring 3.

Each runs bare and under the monitor, in forms that a ring 3 processor would answer wrongly.
"""

from __future__ import annotations

import pytest
from kernel_lab import CODE, FREE, Kernel, agree, code16, descriptor, gate, make, raw, run
from patience import PATIENCE

LDT = 0x5000
EXTRA_GDT = {
    FREE: descriptor(0x30000, 0xFFF, 0x40F3),  # data, DPL 3
    FREE + 8: descriptor(LDT, 0x1F, 0x0082),
    FREE + 0x10: descriptor(0, 0xFFFFF, 0xC09F),  # conforming code
    FREE + 0x18: gate(0, 0xEC, words=0),  # a call gate to ring 0, offset set by the test
    FREE + 0x20: descriptor(0x30000, 0xFFF, 0x4073),  # not present
}

RESUMED = """
    mov dword ptr [RESUME], {label}
"""

# name: assembly; every value that could betray the wrong ring is left in a register or in DATA
INSTRUCTIONS = {
    "SGDT": "mov dword ptr [DATA], -1 \n mov dword ptr [DATA + 4], -1 \n sgdt [DATA]",
    "SIDT": "sidt [DATA]",
    "SLDT": "mov ebx, -1 \n sldt ebx \n mov ecx, -1 \n sldt cx \n sldt word ptr [DATA]",
    "SMSW": "mov ebx, -1 \n smsw ebx \n mov ecx, -1 \n smsw cx \n smsw word ptr [DATA]",
    "STR": "mov ebx, -1 \n str ebx \n mov ecx, -1 \n str cx \n str word ptr [DATA]",
    "PUSHF": "pushfd \n pop ebx \n " + raw("669c") + "\n pop cx \n pushfd \n pop dword ptr [DATA]",
    "POPF": "push 0x3ed7 \n popfd \n pushfd \n pop ebx \n push 0x202 \n popfd \n pushfd \n pop ecx"
    "\n push 2 \n popfd \n pushfd \n pop edx \n push 0x246 \n "
    + raw("669d")
    + "\n add esp, 2 \n pushfd \n pop ebp",
    "LAR": "mov eax, 0x08 \n lar ebx, eax \n setz cl \n mov eax, 0x2b \n lar edx, eax \n setz ch"
    "\n mov eax, 0x10 \n lar esi, eax \n mov eax, 0x38 \n lar edi, eax",
    "LSL": "mov eax, 0x08 \n lsl ebx, eax \n setz cl \n mov eax, 0x28 \n lsl edx, eax \n setz ch"
    "\n mov eax, 0x23 \n lsl esi, eax \n mov eax, 0x38 \n lsl edi, eax",
    "VERR": "mov eax, 0x10 \n verr ax \n setz bl \n mov eax, 0x23 \n verr ax \n setz bh"
    "\n mov eax, 0x48 \n verr ax \n setz cl \n verr word ptr [DATA] \n setz ch",
    "VERW": "mov eax, 0x10 \n verw ax \n setz bl \n mov eax, 0x23 \n verw ax \n setz bh"
    "\n mov eax, 0x08 \n verw ax \n setz cl",
    "PUSH-seg": "push cs \n pop eax \n push ss \n pop ebx \n push ds \n pop ecx \n push es"
    "\n pop edx \n push fs \n pop esi \n push gs \n pop edi \n " + raw("660e 665b"),
    "POP-seg": "push 0x3b \n pop ds \n mov eax, [0x10] \n push 0x23 \n pop es \n push 0 \n pop gs"
    "\n push 0x3b \n pop fs \n mov eax, fs:[0x20] \n push 0x23 \n pop ds",
    "MOV-from-seg": "mov eax, cs \n mov ebx, ss \n mov ecx, ds \n mov edx, es \n mov esi, fs"
    "\n mov edi, gs \n mov word ptr [DATA], cs \n mov ebp, -1 \n " + raw("668ccd"),
    "MOV-to-seg": "mov ax, 0x3b \n mov ds, ax \n mov ebx, [0x10] \n mov ax, 0 \n mov fs, ax"
    "\n mov ax, 0x23 \n mov ds, ax \n mov es, ax",
    "LDS": "mov dword ptr [DATA], 0x44 \n mov word ptr [DATA + 4], 0x3b \n les ebx, [DATA]"
    "\n mov eax, es:[0] \n lfs ecx, [DATA] \n lgs edx, [DATA]",
    "CALL-far": "call far {code}:there \n jmp end \n there: push cs \n pop ebx \n retf",
    "JMP-far": "jmp far {code}:there \n nop \n there: mov ebx, cs",
    "RET-far": "push {code} \n push there \n retf \n nop \n there: mov ebx, cs",
    "IRET": "pushfd \n push {code} \n push there \n iretd \n nop \n there: mov ebx, cs \n pushfd"
    "\n pop ecx",
    "INT-n": "mov ebx, 5 \n int 0x30 \n int 0x38 \n int3 \n " + raw("cd03"),
    "INTO": "mov al, 0x7f \n add al, 1 \n into \n xor al, al \n into",
}
ALL = sorted(INSTRUCTIONS)


def program(name: str, ring: int) -> str:
    body = INSTRUCTIONS[name].replace("{code}", "0x1b" if ring == 3 else "0x08")
    return f"{RESUMED.format(label='end')}\n{body}\nend:\n int 0x31\n"


def kernel(name: str, ring: int, **options: int) -> Kernel:
    return Kernel(program(name, ring), ring=ring, gdt=EXTRA_GDT, **options)


@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("name", ALL)
def test_the_same_bare_and_translated(name: str, ring: int, paging: bool) -> None:
    agree(kernel(name, ring, paging=paging))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [0x202, 0x1202, 0x3202, 0x3002, 0x0002, 0x4202])
@pytest.mark.parametrize("name", ALL)
def test_ring_3_with_unusual_flags(name: str, flags: int) -> None:
    """IF = 0, IOPL = 1 and 3, NT: user code that has to be translated, or cannot be."""
    agree(kernel(name, 3, flags=flags))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [0x202, 0x1002, 0x3202, 0x4002])
@pytest.mark.parametrize("name", ALL)
def test_ring_0_with_unusual_flags(name: str, flags: int) -> None:
    agree(kernel(name, 0, flags=flags))


@pytest.mark.parametrize("name", ALL)
def test_user_code_is_right_in_trap_mode_too(name: str) -> None:
    """Ring 3 runs where it belongs in every mode; only the kernel's instructions go wrong."""
    source = program(name, 3)
    bare, trap = (run(Kernel(source, ring=3, gdt=EXTRA_GDT), mode) for mode in ("bare", "trap"))
    assert trap.registers["ebx"] == bare.registers["ebx"]


@pytest.mark.parametrize("stop", ["elsewhere", "one", "two"])
def test_breakpoints_let_no_critical_instruction_pass(stop: str) -> None:
    """Neither the next one after an emulated one, nor the one at the breakpoint itself."""
    kernel = Kernel("one: smsw eax \n two: smsw ebx \n elsewhere: int 0x31", ring=3)
    wanted = run(kernel, "bare").registers
    machine = make(kernel, "translate")
    machine.debug.add_breakpoint(kernel.symbol(stop))
    outcome = machine.run(timeout=PATIENCE)
    assert (outcome.kind, machine.registers["eip"]) == ("address", kernel.symbol(stop))
    assert machine.run(timeout=PATIENCE).kind == "exit"
    assert machine.registers["eax"] == machine.registers["ebx"] == wanted["ebx"]


WRONG_IN_RING_0 = (
    *("PUSHF", "POPF", "SGDT", "SIDT", "SMSW", "STR", "LAR"),
    *("PUSH-seg", "MOV-from-seg"),
)


@pytest.mark.parametrize("name", WRONG_IN_RING_0)
def test_trap_mode_gets_the_kernel_wrong(name: str) -> None:
    wrong = run(kernel(name, 0), "trap").machine.statistics()["wrong_answers"]
    assert wrong, name


def test_lock_prefix_makes_stubbed_instructions_undefined() -> None:
    codes = "9c 9d fa fb c3 ffe0 ffd0 e800000000 8cd8 0f20c0 1e ebfe 74fe e2fe cf cb"
    for code in codes.split(" "):
        done = agree(f"mov dword ptr [RESUME], end \n {raw('f0' + code)} \n end: int 0x31")
        assert done.bare.vectors == [6], code


def test_undefined_segment_registers() -> None:
    for code in ("8cf0", "8cf8", "8cf6", "8ef0", "8ec8", "0f20c8", "0f20e8", "0f20f8"):
        done = agree(f"mov dword ptr [RESUME], end \n {raw(code)} \n end: int 0x31")
        assert done.bare.vectors == [6], code


@pytest.mark.parametrize("ring", [0, 3])
def test_call_gate(ring: int) -> None:
    source = """
        call far 0x50:0
        mov  esi, 7
        int  0x31
    inside:
        mov  ebx, cs
        push cs
        pop  ecx
        retf
    """
    done = agree(Kernel(source, ring=ring, gdt=EXTRA_GDT | {0x50: _gate_to(source)}))
    assert done.bare.registers["ebx"] == 8 and done.bare.registers["esi"] == 7


def _gate_to(source: str) -> bytes:
    return gate(Kernel(source).symbol("inside"), 0xEC)


def test_sixteen_bit_forms_of_everything() -> None:
    body = "pushf; pop ax; push ax; popf; cli; sti; cli; push cs; pop bx; push ds; pop es"
    source = f"""
        jmp  far 0x38:small - CODE
    small:
        {code16(body + "; mov cx, ss; smsw dx; str si")}
        {raw("66ea")}
        .long back
        .short 8
    back:
        int  0x31
    """
    agree(source, gdt={0x38: descriptor(CODE, 0xFFFF, 0x009B)})

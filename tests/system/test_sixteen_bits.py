"""16-bit code on a whole machine: big real mode, and segments of 16 and 32 bits that mix.

Manual: SDM vol. 3, 20.1 (real mode) and chapter 21, "Mixing 16-bit and 32-bit code".
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from patience import PATIENCE
from v86_guest import descriptor

from bt.assembler import assemble
from monitor import Machine

MODES = ("bare", "translate", "trap")
modes = pytest.mark.parametrize("mode", MODES)


def ended(machine: Machine) -> Machine:
    outcome = machine.run(max_instructions=100_000, timeout=PATIENCE)
    assert (outcome.kind, outcome.status) == ("exit", 1), (outcome, machine.registers)
    return machine


def life(machine: Machine) -> tuple[Any, ...]:
    memory = hashlib.sha256(machine.memory.map()).hexdigest()
    return machine.registers, machine.instructions, machine.clock.now(), memory


def words(machine: Machine, at: int, count: int) -> list[int]:
    data = machine.read_physical(at, 2 * count)
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, 2 * count, 2)]


# --- a loader in big real mode --------------------------------------------------------------------

LOADED, IMAGE, BYTES, SEEN = 0x200000, 0x10000, 0x9000, 0x600
LOADER = f"""
    cli; cld
    xor ax, ax; mov ds, ax; mov es, ax; mov ss, ax; mov sp, 0x7c00
    lea ax, [service]; mov [0x100], ax; mov word ptr [0x102], 0
    in al, 0x92; or al, 2; out 0x92, al
    lgdt [table]
    mov eax, cr0; or al, 1; mov cr0, eax
    mov bx, 0x10; mov ds, bx; mov es, bx
    and al, 0xfe; mov cr0, eax
    xor bx, bx; mov ds, bx                      # another base, and still the limit of 4 GiB
    mov esi, {IMAGE:#x}; mov edi, {LOADED:#x}; mov ecx, {BYTES // 4:#x}
    .byte 0x67, 0xf3, 0x66, 0xa5                # REP MOVSD with ESI, EDI and ECX
    mov [{SEEN:#x}], esi; mov [{SEEN + 4:#x}], edi
    int 0x40
    mov ax, 0x1000; mov ds, ax                  # a base of 10000h
    mov ebx, {LOADED - 0x10000:#x}; mov al, [ebx]
    xor cx, cx; mov ds, cx
    mov [{SEEN + 10:#x}], al
    mov eax, cr0; or al, 1; mov cr0, eax
    .byte 0x66, 0xea
    .long {LOADED:#x}
    .word 8
service:
    mov ebx, {LOADED:#x}; mov eax, [ebx]; mov [{SEEN + 12:#x}], eax
    mov word ptr [{SEEN + 8:#x}], 0x4040
    iret
    .align 4
table:
    .word 0x17
    .long table - 2
    .word 0
"""
KERNEL = f"""
    mov ax, 0x10; mov ds, ax; mov ss, ax; mov esp, 0x90000
    mov dword ptr [{SEEN + 16:#x}], 0x600df00d
    xor al, al; out 0xf4, al
"""


def loader(mode: str) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    code = bytearray(assemble(LOADER, 0x7C00, bits=16))
    gdt = bytes(8) + descriptor(0, 0xFFFFF, 0xC09A) + descriptor(0, 0xFFFFF, 0xC092)
    at = len(code)
    code[at - 6 : at - 2] = (0x7C00 + at).to_bytes(4, "little")
    machine.load_flat(bytes(code) + gdt, 0x7C00, real_mode=True)
    image = assemble(KERNEL, LOADED).ljust(BYTES, b"\x90")
    machine.write_physical(IMAGE, image)
    return machine


@modes
def test_a_loader_in_big_real_mode(mode: str) -> None:
    machine = ended(loader(mode))
    image = machine.read_physical(IMAGE, BYTES)
    assert machine.read_physical(LOADED, BYTES) == image
    seen = machine.read_physical(SEEN, 20)
    assert seen[:8] == (IMAGE + BYTES).to_bytes(4, "little") + (LOADED + BYTES).to_bytes(
        4, "little"
    )
    assert seen[8:10] == b"\x40\x40" and seen[10] == image[0]
    assert seen[12:16] == image[:4], "the limit outlives an interrupt"
    assert seen[16:20] == b"\x0d\xf0\x0d\x60"


def test_the_loader_is_the_same_in_every_mode() -> None:
    lives = [life(ended(loader(mode))) for mode in MODES]
    assert lives[0] == lives[1] == lives[2]


# --- segments of 16 and 32 bits -------------------------------------------------------------------

MAIN, SIXTEEN, STACK_16, DATA_16 = 0x100000, 0x20000, 0x30000, 0x40000
GDT, IDT = 0x8000, 0x9000
CODE, DATA, CODE_16, STACK, SHORT, GATE_386, GATE_286 = range(0x18, 0x50, 8)
FAR = 0x1000  # in the 16-bit segment: what the 286 gate leads to
THIRTY_TWO = 0x110000  # and the 386 gate


def main_32(ring: int) -> str:
    enter = (f"lea eax, [main]; push {DATA | 3:#x}; push 0x80000; push 0x3002;"
             f"push {CODE | 3:#x}; push eax; iretd")  # fmt: skip
    return f"""
        lgdt [gdt_limit]
        lidt [idt_limit]
        {enter if ring else ""}
        .byte 0xea
        .long main
        .word {CODE:#x}
    main:
        mov ax, {DATA | ring:#x}; mov ds, ax; mov es, ax
        mov [{DATA_16 + 0x48:#x}], esp
        .byte 0x9a
        .long 0
        .word {CODE_16 | ring:#x}
        mov ecx, eax
        mov ax, {DATA | ring:#x}; mov ds, ax
        mov ebx, [{DATA_16 + 0x48:#x}]; sub ebx, esp
        mov [{DATA_16 + 0x40:#x}], ebx
        mov [{DATA_16 + 0x44:#x}], ecx
        xor al, al
        out 0xf4, al
    gdt_limit:
        .word 0x4f
        .long {GDT:#x}
    idt_limit:
        .word 0x3ff
        .long {IDT:#x}
    """


def code_16(ring: int) -> str:
    return f"""
        mov ax, {SHORT | ring:#x}; mov ds, ax
        mov [0x100], ss; mov [0x104], esp
        mov ax, {STACK | ring:#x}; mov ss, ax; mov sp, 2
        mov ax, 0x1111; push ax                 # to 0
        mov ax, 0x2222; push ax                 # and round to FFFE
        mov [0], sp
        pop bx; pop ax; mov [2], bx; mov [4], sp
        mov si, 0xffff; cld; lodsb; mov [6], si
        mov ecx, 0x10000
        jcxz taken
        mov word ptr [8], 0xbad
    taken:
        mov word ptr [10], 1
        jecxz not_taken
        mov word ptr [10], 2
    not_taken:
        mov sp, 0x200; mov eax, 0x12345678; push eax; pop bx; pop si
        mov [12], bx; mov [14], si
        stc
        int 0x40
        .byte 0x9a, 0, 0, {GATE_386 | ring:#x}, 0
        .byte 0x9a, 0, 0, {GATE_286 | ring:#x}, 0
        mov edi, 8
        .byte 0x67, 0xc7, 0x04, 0x7d, 8, 0, 0, 0, 0x77, 0       # MOV WORD PTR [EDI*2 + 8], 77h
        call near_16
        mov eax, 0xdead0000; mov ax, sp; mov [28], eax
        mov ss, [0x100]; mov esp, [0x104]
        mov eax, 0x00c0ffee
        .byte 0x66, 0xcb
    near_16:
        mov bp, sp; mov ax, [bp]; mov [26], ax
        ret
    """


HANDLER = 0xF00
HANDLER_16 = "push bp; mov bp, sp; mov ax, [bp + 6]; and ax, 0x0001; mov [16], ax; pop bp; iret"
FUNCTION_32 = "mov dword ptr [18], 0x00320386; mov [22], cs; retf"
FUNCTION_16 = "mov word ptr [0x50], 0x286; mov [0x52], cs; mov [0x54], sp; .byte 0xcb"


def mixed(mode: str, ring: int) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(assemble(main_32(ring), MAIN), MAIN, esp=0x90000, selectors=(0x08, 0x10))
    rights = ring << 5
    flat, short = 0xC000 | 0x90 | rights, 0x0090 | rights
    gdt = [bytes(8), descriptor(0, 0xFFFFF, 0xC09A), descriptor(0, 0xFFFFF, 0xC092),
           descriptor(0, 0xFFFFF, flat | 0xB), descriptor(0, 0xFFFFF, flat | 3),
           descriptor(SIXTEEN, 0xFFFF, short | 0xB), descriptor(STACK_16, 0xFFFF, short | 3),
           descriptor(DATA_16, 0xFFFF, short | 3),
           gate(0x8C | rights, CODE, THIRTY_TWO), gate(0x84 | rights, CODE_16, FAR)]  # fmt: skip
    machine.write_physical(GDT, b"".join(gdt))
    machine.write_physical(IDT + 8 * 0x40, gate(0x86 | rights, CODE_16, HANDLER))
    code = assemble(code_16(ring), 0, bits=16)
    assert len(code) < HANDLER
    machine.write_physical(SIXTEEN, code)
    machine.write_physical(SIXTEEN + HANDLER, assemble(HANDLER_16, HANDLER, bits=16))
    machine.write_physical(SIXTEEN + FAR, assemble(FUNCTION_16, FAR, bits=16))
    machine.write_physical(THIRTY_TWO, assemble(FUNCTION_32, THIRTY_TWO))
    return machine


def gate(rights: int, selector: int, offset: int) -> bytes:
    high = offset & 0xFFFF0000 | rights << 8
    return (offset & 0xFFFF | selector << 16 | high << 32).to_bytes(8, "little")


@pytest.mark.parametrize("ring", [0, 3])
@modes
def test_segments_of_both_sizes(mode: str, ring: int) -> None:
    machine = ended(mixed(mode, ring))
    seen = words(machine, DATA_16, 16)
    assert seen[0] == 0xFFFE, "SP goes round at 64 KiB"
    assert seen[1:4] == [0x2222, 2, 0]
    assert seen[4] == 0, "JCXZ looks at CX"
    assert seen[5] == 2, "JECXZ at ECX"
    assert seen[6:8] == [0x5678, 0x1234]
    assert seen[8] == 1, "carry, in the frame of a 16-bit gate"
    assert seen[9:12] == [0x0386, 0x0032, CODE | ring]
    assert seen[12] == 0x77
    assert words(machine, DATA_16 + 28, 2) == [0x200, 0xDEAD], "all calls have come back"
    assert words(machine, DATA_16 + 0x40, 4) == [0, 0, 0xFFEE, 0x00C0]
    assert words(machine, DATA_16 + 0x50, 3) == [0x286, CODE_16 | ring, 0x1FC]


@pytest.mark.parametrize("ring", [0, 3])
def test_they_are_the_same_in_every_mode(ring: int) -> None:
    lives = [life(ended(mixed(mode, ring))) for mode in MODES]
    assert lives[0] == lives[1] == lives[2]

"""A guest that is a monitor itself: it runs a program in virtual-8086 mode, as EMM386 does.

Manual: SDM vol. 3, chapter 20 ("8086 emulation"); 20.2.7 on IOPL-sensitive instructions.

MONITOR is 32-bit code in ring 0, with paging, a TSS with an I/O permission bitmap, and a timer.
The program has IOPL 0, so that CLI, STI, PUSHF, POPF, INT n and IRET raise #GP; the monitor keeps a
virtual interrupt flag for it, reflects interrupts and exceptions to the program's own handlers, by
the table at 0, and emulates ports that the bitmap denies. HLT waits for the timer, which becomes
the program's INT 8 as soon as its interrupt flag lets it. INT 20h ends the machine.

PROGRAM does what it can with flags, interrupts, exceptions, ports and single steps, and writes what
it sees from LOG on. What it must see there, EXPECTED says; each word is behind a comment.
"""

from __future__ import annotations

from functools import cache

import bt.assembler
from monitor import Machine

MONITOR_AT, STACK = 0x100000, 0x90000
GDT, IDT, TSS, DIRECTORY, TABLE = 0x80000, 0x81000, 0x82000, 0x85000, 0x86000
PROGRAM_AT, LOG, REMAPPED = 0x10000, 0x20000, 0x250000
VIF, PENDING, STARTED, TRAPS, OUTS = 0x88000, 0x88004, 0x88008, 0x89000, 0x88010
BITMAP = 0x68
ALLOWED = (0x80,)

MONITOR = f"""
    mov edi, {IDT:#x}                           # all vectors to their stubs, open to the program
    lea esi, [stubs]
    mov ecx, 64
gates:
    mov eax, esi
    mov [edi], ax
    mov word ptr [edi + 2], 0x10
    mov word ptr [edi + 4], 0xee00
    shr eax, 16
    mov [edi + 6], ax
    add edi, 8
    add esi, 16
    loop gates
    mov edi, {TABLE:#x}                         # 4 MiB, one to one, but for one page of the program
    mov eax, 7
    mov ecx, 1024
pages:
    stosd
    add eax, 0x1000
    loop pages
    mov dword ptr [{TABLE + 4 * 0x50:#x}], {REMAPPED | 7:#x}
    mov dword ptr [{DIRECTORY:#x}], {TABLE | 7:#x}
    mov eax, {DIRECTORY:#x}
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    lgdt [gdt_limit]
    lidt [idt_limit]
    mov dword ptr [{TSS + 4:#x}], {STACK:#x}
    mov dword ptr [{TSS + 8:#x}], 0x18
    mov word ptr [{TSS + 102:#x}], {BITMAP:#x}
    mov ax, 0x20
    ltr ax
    mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al
    mov al, 4; out 0x21, al; mov al, 1; out 0x21, al; mov al, 0xfe; out 0x21, al
    mov al, 0x34; out 0x43, al; mov al, 149; out 0x40, al; mov al, 0; out 0x40, al
    mov dword ptr [{VIF:#x}], 1
    xor eax, eax
    push eax; push eax; push eax                # GS, FS, DS
    push eax                                    # ES
    push 0x3000                                 # SS
    push 0x1000
    push 0x20202                                # VM, IF
    push {PROGRAM_AT >> 4:#x}
    push eax
    iretd

    .align 16
stubs:
    {{stubs}}

fault:                                          # by BL: the vector
    mov ebp, esp
    test dword ptr [ebp + 44], 0x20000
    jz wrong
    cmp bl, 13
    je protection
    cmp bl, 0x20
    je wrong
    call inject
    jmp leave

protection:                                     # what the program must not do
    movzx esi, word ptr [ebp + 40]
    shl esi, 4
    add esi, [ebp + 36]
    xor edi, edi
    movzx eax, byte ptr [esi]
    cmp al, 0x66
    jne plain
    inc edi
    inc esi
    inc dword ptr [ebp + 36]
    movzx eax, byte ptr [esi]
plain:
    inc dword ptr [eax*4 + {TRAPS:#x}]
    inc dword ptr [ebp + 36]
    cmp al, 0xfa
    je do_cli
    cmp al, 0xfb
    je do_sti
    cmp al, 0x9c
    je do_pushf
    cmp al, 0x9d
    je do_popf
    cmp al, 0xcf
    je do_iret
    cmp al, 0xcd
    je do_int
    cmp al, 0xf4
    je do_hlt
    movzx edx, byte ptr [ebp + 20]              # DX of the program, of which the low byte tells
    cmp al, 0xec
    je do_in
    cmp al, 0xee
    je do_out
    movzx edx, byte ptr [esi + 1]
    inc dword ptr [ebp + 36]
    cmp al, 0xe4
    je do_in
    cmp al, 0xe6
    je do_out
wrong:
    mov al, 0x7f
    out 0xf4, al
    cli
    hlt

do_cli:
    mov dword ptr [{VIF:#x}], 0
    jmp leave
do_sti:
    mov dword ptr [{VIF:#x}], 1
    jmp leave
do_pushf:
    call image
    call pushed
    jmp leave
do_popf:
    call popped
    call set_flags
    jmp leave
do_iret:
    call popped
    mov [ebp + 36], eax
    call popped
    mov [ebp + 40], ax
    call popped
    call set_flags
    jmp leave
do_int:
    movzx ebx, byte ptr [esi + 1]
    inc dword ptr [ebp + 36]
    cmp bl, 0x20
    je done
    call inject
    jmp leave
do_in:
    xor dl, 0x5a
    mov [ebp + 28], dl
    jmp leave
do_out:
    mov eax, [ebp + 28]
    cmp dl, 0xe9
    jne other
    out 0xe9, al
    jmp leave
other:
    mov [edx + {OUTS:#x}], al
    jmp leave
do_hlt:
    cmp dword ptr [{PENDING:#x}], 0
    jne leave
    sti
    hlt
    cli
    jmp do_hlt
done:
    mov al, [{STARTED:#x}]
    xor al, al
    out 0xf4, al
    cli
    hlt

timer:
    mov ebp, esp
    inc dword ptr [{PENDING:#x}]
    mov al, 0x20
    out 0x20, al
    test dword ptr [ebp + 44], 0x20000
    jz back
leave:                                          # is there an interrupt, and may it come?
    cmp dword ptr [{VIF:#x}], 0
    je back
    cmp dword ptr [{PENDING:#x}], 0
    je back
    dec dword ptr [{PENDING:#x}]
    mov ebx, 8
    call inject
back:
    popad
    add esp, 4
    iretd

inject:                                         # interrupt EBX, by the program's own table
    xor edi, edi
    call image
    call pushed
    mov eax, [ebp + 40]
    call pushed
    mov eax, [ebp + 36]
    call pushed
    mov dword ptr [{VIF:#x}], 0
    and dword ptr [ebp + 44], 0xfffffeff
    movzx eax, word ptr [ebx*4]
    mov [ebp + 36], eax
    movzx eax, word ptr [ebx*4 + 2]
    mov [ebp + 40], eax
    ret

image:                                          # EAX: what the program shall see
    mov eax, [ebp + 44]
    and eax, 0xfffccdff
    cmp dword ptr [{VIF:#x}], 0
    je no_flag
    or eax, 0x200
no_flag:
    ret

set_flags:                                      # the program's, from EAX
    mov ecx, eax
    shr ecx, 9
    and ecx, 1
    mov [{VIF:#x}], ecx
    and eax, 0x4dd5
    or eax, 0x20202
    mov [ebp + 44], eax
    ret

pushed:                                         # EAX on the program's stack: 2 bytes, or 4 by EDI
    sub word ptr [ebp + 48], 2
    call top
    test edi, edi
    jz push_word
    sub word ptr [ebp + 48], 2
    call top
    mov [ecx], eax
    ret
push_word:
    mov [ecx], ax
    ret

popped:
    call top
    movzx eax, word ptr [ecx]
    add word ptr [ebp + 48], 2
    test edi, edi
    jz popped_word
    mov eax, [ecx]
    add word ptr [ebp + 48], 2
popped_word:
    ret

top:
    movzx ecx, word ptr [ebp + 52]
    shl ecx, 4
    movzx edx, word ptr [ebp + 48]
    add ecx, edx
    ret

    .align 4
    .word 0
gdt_limit:
    .word 0x27
    .long {GDT:#x}
    .word 0
idt_limit:
    .word 0x1ff
    .long {IDT:#x}
"""

ENTER = "pushad; mov ax, 0x18; mov ds, ax; mov es, ax"
WITH_ERROR_CODE = (8, 10, 11, 12, 13, 14, 17)


def stubs() -> str:
    """16 bytes for each vector: an error code where there is none, and on."""
    lines = []
    for vector in range(64):
        if vector == 0x20:
            lines.append("push 0; jmp enter_timer")
        else:
            push = "" if vector in WITH_ERROR_CODE else "push 0;"
            lines.append(f"{push} jmp enter_{vector}")
        lines.append(".align 16")
    for vector in range(64):
        if vector != 0x20:
            lines.append(f"enter_{vector}: ; {ENTER}; mov ebx, {vector}; jmp fault")
    lines.append(f"enter_timer: ; {ENTER}; jmp timer")
    return "\n".join(lines)


PROGRAM = f"""
    cld
    mov ax, {LOG >> 4:#x}; mov es, ax
    xor di, di
    xor ax, ax; mov ds, ax
    lea ax, [divide]; mov [0], ax; mov [2], cs
    lea ax, [step]; mov [4], ax; mov [6], cs
    lea ax, [three]; mov [12], ax; mov [14], cs
    lea ax, [four]; mov [16], ax; mov [18], cs
    lea ax, [undefined]; mov [24], ax; mov [26], cs
    lea ax, [tick]; mov [32], ax; mov [34], cs
    lea ax, [service]; mov [0x84], ax; mov [0x86], cs
    push cs; pop ds
    pushf; pop ax; and ax, 0x3200; stosw        # 0: interrupts are on, IOPL 0
    cli; pushf; pop ax; and ax, 0x200; stosw    # 1: off
    sti; pushf; pop ax; and ax, 0x200; stosw    # 2: on
    stc; pushf; clc; popf; sbb ax, ax; stosw    # 3: carry is back
    cli; mov ax, 0x203; push ax; popf; pushf; pop ax; and ax, 0x3201; stosw     # 4: on, carry
    mov bx, 0x1234; int 0x21                    # 5: off within the handler
    mov ax, bx; stosw                           # 6
    pushf; pop ax; and ax, 0x200; stosw         # 7: on again
    pushfd; pop eax; and eax, 0x23200; stosd    # 8, 9: nothing of VM
    pushfd; pop eax; or al, 1; push eax; popfd; sbb ax, ax; stosw               # 10
    pushfd; xor eax, eax; mov ax, cs; push eax; lea eax, [returned]; push eax; iretd
    hlt
returned:
    mov ax, 0xa11; stosw                        # 11
    mov al, 0x42; out 0x80, al; mov al, 0; in al, 0x80; mov ah, 0; stosw        # 12: its own port
    in al, 0x60; stosw                          # 13: the monitor's answer
    mov dx, 0x3da; in al, dx; stosw             # 14
    mov al, 0x99; out 0x61, al
    mov al, 0x56; out 0xe9, al
    mov dx, 0xe9; mov al, 0x38; out dx, al
    mov ax, 5; mov cl, 0; div cl; mov ax, dx; stosw     # 15
    int3
    mov ax, dx; stosw                           # 16
    mov al, 0x7f; add al, 1; into; mov ax, dx; stosw    # 17
    .byte 0x63, 0xc0                            # ARPL
    mov ax, dx; stosw                           # 18
    hlt
    mov ax, [ticks]; stosw                      # 19: one
wait:
    cmp word ptr [ticks], 3; jb wait
    cli
    mov cx, 30000
late:
    loop late                                   # the timer rings, and has to wait
    mov ax, [ticks]; stosw                      # 20
    sti
    nop
    cmp ax, [ticks]; mov ax, 0; adc ax, ax; stosw   # 21: it came with STI
    mov ax, 0x302; push ax; popf                # single steps
    nop; nop; nop; nop
    mov ax, [steps]; stosw                      # 22
    smsw ax; and ax, 1; stosw                   # 23: not hidden from it: PE
    mov ax, 0x5000; mov ds, ax; mov word ptr [0], 0xbeef
    mov ax, 0xffff; mov ds, ax; mov al, [0x20]; stosw   # 24: above 1 MiB
    int 0x20
service:
    pushf; pop ax; and ax, 0x200; stosw
    add bx, 0x1111
    iret
divide:
    push bp; mov bp, sp; add word ptr [bp + 2], 2; pop bp
    mov dx, 0xd1
    iret
undefined:
    push bp; mov bp, sp; add word ptr [bp + 2], 2; pop bp
    mov dx, 6
    iret
three:
    mov dx, 0x33
    iret
four:
    mov dx, 4
    iret
tick:
    inc word ptr cs:[ticks]
    iret
step:
    inc word ptr cs:[steps]
    cmp word ptr cs:[steps], 3
    jb more
    push bp; mov bp, sp; and word ptr [bp + 6], 0xfeff; pop bp
more:
    iret
ticks:
    .word 0
steps:
    .word 0
"""
EXPECTED = {0: 0x200, 1: 0, 2: 0x200, 3: 0xFFFF, 4: 0x201, 5: 0, 6: 0x2345, 7: 0x200, 8: 0x200,
            9: 0, 10: 0xFFFF, 11: 0xA11, 12: 0x42, 13: 0x60 ^ 0x5A, 14: 0xDA ^ 0x5A, 15: 0xD1,
            16: 0x33, 17: 4, 18: 6, 19: 1, 20: 3, 21: 1, 22: 3, 23: 1}  # fmt: skip


def descriptor(base: int, limit: int, rights: int) -> bytes:
    """A segment; `rights` are bits 8 to 23 of its upper half, without the limit's."""
    high = base & 0xFF000000 | base >> 16 & 0xFF | rights << 8 | limit & 0xF0000
    return (limit & 0xFFFF | (base & 0xFFFF) << 16 | high << 32).to_bytes(8, "little")


def bitmap(allowed: tuple[int, ...]) -> bytes:
    """The I/O permission bitmap: ones deny."""
    bits = (1 << 0x400) - 1
    for port in allowed:
        bits &= ~(1 << port)
    return bits.to_bytes(0x80, "little") + b"\xff"


@cache
def monitor_code() -> bytes:
    return bt.assembler.assemble(MONITOR.format(stubs=stubs()), MONITOR_AT)


@cache
def program_code(source: str) -> bytes:
    return bt.assembler.assemble(source, 0, bits=16)


def make(mode: str, program: str = PROGRAM, **options: object) -> Machine:
    """About to start the monitor, which starts the program."""
    machine = Machine(memory_mb=4, mode=mode, **options)  # type: ignore[arg-type]
    machine.load_flat(monitor_code(), MONITOR_AT, esp=STACK)
    gdt = (bytes(16) + descriptor(0, 0xFFFFF, 0xC09A) + descriptor(0, 0xFFFFF, 0xC092)
           + descriptor(TSS, BITMAP + 0x80, 0x0089))  # fmt: skip
    machine.write_physical(GDT, gdt)
    machine.write_physical(TSS + BITMAP, bitmap(ALLOWED))
    machine.write_physical(PROGRAM_AT, program_code(program))
    return machine


def log(machine: Machine, count: int) -> list[int]:
    """Words that the program has written."""
    data = machine.read_physical(LOG, 2 * count)
    return [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]


def traps(machine: Machine) -> dict[int, int]:
    """How often the monitor emulated an instruction, by its first byte."""
    data = machine.read_physical(TRAPS, 1024)
    counts = (int.from_bytes(data[at : at + 4], "little") for at in range(0, 1024, 4))
    return {opcode: count for opcode, count in enumerate(counts) if count}

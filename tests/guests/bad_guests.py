"""Guests that go wrong, each in its own way, as rows of assembly text.

Adding a bad guest is adding a row to BAD_GUESTS: its source, and the ways in which it may end. The
machine has 2 MiB of RAM; the code starts at 0x100000 in flat protected mode, with SUBROUTINES
behind it. A guest that never ends by itself ends by `--timeout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pieces import controllers

from monitor.guests.assembler import assemble

ORIGIN = 0x100000
MEMORY_MB = 2

SHUTDOWN = "triple fault"
STUCK = "halted with interrupts off"
ASLEEP = "halted, and no timer or input"
TIMEOUT = "time limit"

CONSTANTS = """
IDT = 0x8000
DIRECTORY = 0x10000
TABLE = 0x11000
DESCRIPTORS = 0x12000
CODE = 0x10
"""
SUBROUTINES = """
; every vector leads to EAX, through an interrupt gate
set_idt:
    mov edi, IDT
    mov ecx, 256
.next:
    mov word ptr [edi], ax
    mov word ptr [edi + 2], CODE
    mov word ptr [edi + 4], 0x8E00
    mov edx, eax
    shr edx, 16
    mov word ptr [edi + 6], dx
    add edi, 8
    loop .next
    lidt [idt_register]
    ret
idt_register:
    .short 0x7FF
    .long IDT
no_idt:
    .short 0
    .long 0

; the first 4 MiB as they are, by pages, for ring 3 too
set_paging:
    mov edi, TABLE
    mov eax, 7
    mov ecx, 1024
.next:
    mov dword ptr [edi], eax
    add eax, 4096
    add edi, 4
    loop .next
    mov eax, TABLE + 7
    mov dword ptr [DIRECTORY], eax
    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp .on
.on:
    ret

; the next number of a linear congruential generator, in EAX
random:
    mov eax, dword ptr [seed]
    imul eax, eax, 1664525
    add eax, 1013904223
    mov dword ptr [seed], eax
    ror eax, 13
    ret
seed:
    .long 0x12345678
stored_esp:
    .long 0

; code and data of ring 0, of ring 3, and 16-bit code of ring 0 that begins at ORIGIN
gdt_register:
    .short 0x37
    .long gdt
gdt:
    .long 0, 0, 0, 0
    .long 0x0000FFFF, 0x00CF9B00, 0x0000FFFF, 0x00CF9300
    .long 0x0000FFFF, 0x00CFFB00, 0x0000FFFF, 0x00CFF300
    .long 0x0000FFFF, 0x00009B10
"""



BACK_TO_LOOP = """
    mov eax, after_fault
    call set_idt
    mov dword ptr [stored_esp], esp
    jmp again
after_fault:
    mov ax, 0x18
    mov ss, ax
    mov ds, ax
    mov es, ax
    mov esp, dword ptr [stored_esp]
"""


@dataclass(frozen=True)
class BadGuest:
    """`ends`: words of the last line that `vp run` may end with."""

    name: str
    source: str
    ends: tuple[str, ...]

    @cached_property
    def image(self) -> bytes:
        """The code, to be loaded and started at ORIGIN."""
        source = f"{CONSTANTS}\n{self.source}\n{SUBROUTINES}"
        return assemble(lambda _name: source, f"{self.name}.asm", ORIGIN).image


BAD_GUESTS = (
    BadGuest("no-idt", "lidt [no_idt]\n int3", (SHUTDOWN,)),
    BadGuest("halts-for-ever", "cli\n hlt", (STUCK,)),
    BadGuest("spins", "cli\n here: jmp here", (TIMEOUT,)),
    BadGuest("spins-in-ring-3", """
        lgdt [gdt_register]
        call set_paging
        push 0x2B
        push esp
        push 0x202
        push 0x23
        push .user
        iretd
    .user:
        jmp .user
    """, (TIMEOUT,)),
    BadGuest("sleeps-with-no-alarm-set", """
        mov eax, set_idt
        call set_idt
        mov al, 0xFF
        out 0x21, al
    again: sti
        hlt
        jmp again
    """, (ASLEEP,)),
    BadGuest("runs-into-zeros", "mov eax, 0x180000\n jmp eax", (SHUTDOWN, TIMEOUT)),
    BadGuest("runs-into-open-bus", "mov eax, 0x80000000\n jmp eax", (SHUTDOWN,)),
    BadGuest("runs-off-the-end-of-memory", "mov eax, 0x1FFFFE\n jmp eax", (SHUTDOWN,)),
    BadGuest("jumps-to-the-reset-vector", "mov eax, 0xFFFFFFF0\n jmp eax", (SHUTDOWN,)),
    BadGuest("jumps-to-where-monitors-hide", "mov eax, 0xFF800000\n jmp eax", (SHUTDOWN,)),
    BadGuest("pages-in-open-bus", """
        mov eax, 0x90000000
        mov cr3, eax
        mov eax, 0x80000011
        mov cr0, eax
        jmp .on
    .on: hlt
    """, (SHUTDOWN,)),
    BadGuest("timer-storm", """
        mov eax, tick
        call set_idt
        mov al, 0x34
        out 0x43, al
        mov al, 2
        out 0x40, al
        mov al, 0
        out 0x40, al
""" + controllers(1) + """
        mov al, 0xFE
        out 0x21, al
        sti
    .wait: inc ebx
        jmp .wait
    tick: inc ebp
        mov al, 0x20
        out 0x20, al
        iretd
    """, (TIMEOUT,)),
    BadGuest("interrupt-line-stays-up", """
        mov eax, tick
        call set_idt
""" + controllers(3) + """
        mov al, 0xEF
        out 0x21, al
        mov dx, 0x3FC
        mov al, 8
        out dx, al
        mov dx, 0x3F9
        mov al, 2
        out dx, al
        sti
    .wait: inc ebx
        mov dx, 0x3F9
        mov al, 0
        out dx, al
        mov al, 2
        out dx, al
        jmp .wait
    tick: iretd
    """, (TIMEOUT,)),
    BadGuest("handler-interrupts-itself", """
        mov eax, tick
        call set_idt
    tick: int 0x40
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("handler-faults", """
        mov eax, handler
        call set_idt
    handler: ud2
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("stack-grows-into-nothing", """
        mov eax, handler
        call set_idt
        call set_paging
        mov dword ptr [TABLE], 0
        invlpg [0x3000]
        mov esp, 0x4000
    .down: push eax
        jmp .down
    handler: hlt
    """, (SHUTDOWN, STUCK)),
    BadGuest("stack-wraps-around-memory", """
        mov esp, 0x2000
    .down: pushad
        jmp .down
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("pages-vanish", """
        call set_paging
        mov eax, handler
        call set_idt
        mov dword ptr [DIRECTORY], 0
        mov eax, cr3
        mov cr3, eax
    handler: hlt
    """, (SHUTDOWN,)),
    BadGuest("page-tables-of-garbage", f"""
        call set_paging
        {BACK_TO_LOOP}
    again:
        call random
        mov ebx, eax
        and ebx, 0xFFC
        call random
        mov dword ptr [TABLE + ebx], eax
        call random
        and eax, 0x3FFFFF
        invlpg [eax]
        mov ecx, dword ptr [eax]
        mov dword ptr [eax], ecx
        mov eax, cr3
        mov cr3, eax
        jmp again
    """, (SHUTDOWN, TIMEOUT, STUCK)),
    BadGuest("directory-of-garbage", """
        call set_paging
        mov eax, handler
        call set_idt
    again: mov esi, 0x100
    .next: call random
        or eax, 1
        mov dword ptr [DIRECTORY + 4 * esi], eax
        inc esi
        cmp esi, 1024
        jb .next
        mov eax, cr3
        mov cr3, eax
    .touch: call random
        or eax, 0x40000000
        mov ecx, dword ptr [eax]
        mov dword ptr [eax], 1
        jmp .touch
    handler: add esp, 4
        add dword ptr [esp], 2
        iretd
    """, (SHUTDOWN, TIMEOUT, STUCK)),
    BadGuest("descriptors-of-garbage", f"""
        {BACK_TO_LOOP}
    again:
        lgdt [garbage_register]
        mov edi, DESCRIPTORS + 0x20
        mov ecx, 248
    .each: call random
        mov dword ptr [edi], eax
        add edi, 4
        loop .each
        mov dword ptr [DESCRIPTORS + 0x10], 0x0000FFFF
        mov dword ptr [DESCRIPTORS + 0x14], 0x00CF9B00
        mov dword ptr [DESCRIPTORS + 0x18], 0x0000FFFF
        mov dword ptr [DESCRIPTORS + 0x1C], 0x00CF9300
        call random
        mov ebx, eax
        and eax, 0x3FF
        or eax, 0x20
        shr ebx, 28
        jmp dword ptr [loads + 4 * ebx]
    es_load: mov es, ax
        jmp again
    ds_load: mov ds, ax
        mov ecx, dword ptr [0x100]
        jmp again
    fs_load: mov fs, ax
        mov fs:[0x100], ecx
        jmp again
    gs_load: mov gs, ax
        jmp again
    ss_load: mov ss, ax
        push eax
        jmp again
    ldt_load: lldt ax
        jmp again
    task_load: ltr ax
        jmp again
    far_load: push eax
        push again
        retf
    iret_load: push 0x3202
        push eax
        push again
        iretd
    look: lar ecx, eax
        lsl ecx, eax
        verr ax
        verw ax
        jmp again
    garbage_register:
        .short 0x3FF
        .long DESCRIPTORS
    loads:
        .long es_load, ds_load, fs_load, gs_load, ss_load, ldt_load, task_load, far_load
        .long iret_load, look, es_load, ds_load, fs_load, far_load, iret_load, look
    """, (SHUTDOWN, TIMEOUT, STUCK)),
    BadGuest("copies-for-ever", """
        call set_paging
        mov ecx, 0xFFFFFFFF
        mov esi, 0x1000
        rep lodsb
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("reads-open-bus-for-ever", """
        mov ecx, 0xFFFFFFFF
        mov esi, 0x80000000
        rep lodsb
    .end: jmp .end
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("fills-all-memory", """
        mov edi, 0x200000
        mov ecx, 0xFFFFFFFF
        xor eax, eax
        rep stosd
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("reads-a-port-for-ever", """
        mov ecx, 0xFFFFFFFF
        mov edi, 0x80000000
        mov dx, 0x60
        rep insb
    .end: jmp .end
    """, (SHUTDOWN, TIMEOUT)),
    BadGuest("rewrites-itself-for-ever", """
    .again: inc byte ptr [.here + 1]
    .here: mov al, 0
        inc dword ptr [.there + 1]
    .there: mov eax, 0
        jmp .again
    """, (TIMEOUT,)),
    BadGuest("single-steps-for-ever", """
        mov eax, handler
        call set_idt
        pushfd
        or dword ptr [esp], 0x100
        popfd
    .again: inc ecx
        jmp .again
    handler: iretd
    """, (TIMEOUT,)),
    BadGuest("sixteen-bit-nonsense", """
        lgdt [gdt_register]
        mov eax, handler
        call set_idt
        mov esp, 0x7000
        push 0x30
        push 0
        retf
    handler: hlt
    """, (SHUTDOWN, TIMEOUT, STUCK)),
    BadGuest("back-to-real-mode-nowhere", """
        lgdt [gdt_register]
        mov esp, 0x7000
        push 0x30
        push .here - 0x100000
        retf
    .here:
        mov eax, 0x10
        mov cr0, eax
        jmp .here
    """, (SHUTDOWN, TIMEOUT, STUCK)),
)  # fmt: skip

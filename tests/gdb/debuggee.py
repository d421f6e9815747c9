"""A small kernel to debug: paging, a timer, a program in ring 3 whose system calls are three deep.

It prints a letter for each system call, then how many timer interrupts there were, which tells
instruction counts apart. Functions of the kernel keep frame pointers, as Linux once did.
`symbol_file` writes an ELF file with the names of its labels, for gdb's `symbol-file`.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from monitor import Machine
from monitor.guests.assembler import Assembly, assemble

ORIGIN = 0x100000
MEMORY_MB = 8
DIRECTORY, TABLE, MAPPED = 0x200000, 0x201000, 0x300000
LETTERS = "gdb on the machine\n"
UPPER = 1000  # what count_up counts to

SOURCE = """
DIRECTORY = 0x200000
TABLE = 0x201000
MAPPED = 0x300000
UPPER = 1000

start:
    cli
    mov  esp, 0x90000
    lgdt [gdt_register]
    jmp  far 0x08:reload
reload:
    mov  eax, 0x10
    mov  ds, eax
    mov  es, eax
    mov  ss, eax
    xor  eax, eax
    mov  fs, eax
    mov  gs, eax
    mov  dword ptr [tss + 4], 0x98000
    mov  dword ptr [tss + 8], 0x10
    mov  eax, tss
    mov  word ptr [gdt + 0x2a], ax
    shr  eax, 16
    mov  byte ptr [gdt + 0x2c], al
    mov  eax, 0x28
    ltr  ax
    mov  eax, timer
    mov  edi, idt + 8 * 0x20
    mov  edx, 0x8e00
    call set_gate
    mov  eax, system_call
    mov  edi, idt + 8 * 0x80
    mov  edx, 0xef00
    call set_gate
    lidt [idt_register]
    call start_paging
    call start_timer
    fninit
    fldpi
    xor  ebp, ebp
    call flag_work
    push MAPPED
    call map_page
    add  esp, 4
    mov  dword ptr [MAPPED], 0x12345678
    mov  eax, [MAPPED]
    mov  dword ptr [counter], 0
    call count_up
    sti
    push 0x23
    push 0x80000
    push 0x202
    push 0x1b
    push user
    iretd

; A gate at EDI to EAX, with the rights EDX.
set_gate:
    mov  word ptr [edi], ax
    mov  word ptr [edi + 2], 0x08
    mov  word ptr [edi + 4], dx
    shr  eax, 16
    mov  word ptr [edi + 6], ax
    ret

; The first 4 MiB as they are, but for the page at MAPPED.
start_paging:
    mov  dword ptr [DIRECTORY], TABLE + 7
    mov  edi, TABLE
    mov  eax, 7
.next:
    mov  [edi], eax
    add  eax, 0x1000
    add  edi, 4
    cmp  edi, TABLE + 0x1000
    jne  .next
    mov  dword ptr [TABLE + MAPPED / 0x400], 0
    mov  eax, DIRECTORY
    mov  cr3, eax
    mov  eax, cr0
    or   eax, 0x80000000
    mov  cr0, eax
    ret

; map_page(linear): a page-table entry to the frame 1 MiB above.
map_page:
    push ebp
    mov  ebp, esp
    mov  eax, [ebp + 8]
    mov  edx, eax
    shr  edx, 12
    add  eax, 0x100003
map_store:
    mov  [TABLE + edx * 4], eax
map_done:
    invlpg [MAPPED]
    mov  esp, ebp
    pop  ebp
    ret

; POPF that changes arithmetic flags, and IF both ways.
flag_work:
    push ebp
    mov  ebp, esp
    push 0x8d5
flag_popf:
    popfd
flag_after:
    setc al
    push 0x202
flag_popf_if:
    popfd
flag_if_after:
    nop
    cli
    pushfd
    pop  ecx
    mov  esp, ebp
    pop  ebp
    ret

count_up:
    push ebp
    mov  ebp, esp
    mov  ecx, UPPER
count_next:
    inc  dword ptr [counter]
    mov  eax, [other]
    dec  ecx
    jnz  count_next
    mov  esp, ebp
    pop  ebp
    ret

; System calls: EAX 1 writes the character BL, 0 ends. The frame of the caller is ECX's business.
system_call:
    push ebp
    mov  ebp, esp
    push ds
    push ebx
    mov  edx, 0x10
    mov  ds, edx
    cmp  eax, 1
    jne  leave_machine
    push ebx
    call sys_write
    add  esp, 4
    pop  ebx
    pop  ds
    mov  esp, ebp
    pop  ebp
    iretd

sys_write:
    push ebp
    mov  ebp, esp
    inc  dword ptr [calls]
    push dword ptr [ebp + 8]
    call put_char
    mov  esp, ebp
    pop  ebp
    ret

put_char:
    push ebp
    mov  ebp, esp
    mov  dx, 0x3f8
    mov  al, [ebp + 8]
put_out:
    out  dx, al
    mov  esp, ebp
    pop  ebp
    ret

leave_machine:
    mov  ecx, 8
.digit:
    rol  dword ptr [ticks], 4
    mov  eax, [ticks]
    and  eax, 15
    mov  al, [digits + eax]
    push eax
    call put_char
    add  esp, 4
    dec  ecx
    jnz  .digit
    mov  al, 3
    out  0xf4, al
.for_ever:
    hlt
    jmp  .for_ever

; IRQ 0 at 30 kHz
start_timer:
    mov  al, 0x11
    out  0x20, al
    mov  al, 0x20
    out  0x21, al
    mov  al, 4
    out  0x21, al
    mov  al, 1
    out  0x21, al
    mov  al, 0xfe
    out  0x21, al
    mov  al, 0x34
    out  0x43, al
    mov  al, 0x28
    out  0x40, al
    mov  al, 0
    out  0x40, al
    ret

timer:
    push eax
    push ds
    mov  eax, 0x10
    mov  ds, eax
    inc  dword ptr [ticks]
    mov  al, 0x20
    out  0x20, al
    pop  ds
    pop  eax
    iretd

; Ring 3: print the text, with some work between two letters.
user:
    mov  eax, 0x23
    mov  ds, eax
    mov  esi, text
    xor  ebp, ebp
user_next:
    movzx ebx, byte ptr [esi]
    mov  eax, 1
    test ebx, ebx
    jz   user_end
user_call:
    int  0x80
user_back:
    mov  ecx, 1000
.work:
    dec  ecx
    jnz  .work
    inc  esi
    jmp  user_next
user_end:
    xor  eax, eax
    int  0x80

; Never left: for those who want to be interrupted.
spin:
    inc  ebx
    jmp  spin

    .align 8
gdt:
    .long 0, 0
    .long 0x0000ffff, 0x00cf9b00
    .long 0x0000ffff, 0x00cf9300
    .long 0x0000ffff, 0x00cffb00
    .long 0x0000ffff, 0x00cff300
    .long 0x00000067, 0x00008900
gdt_register:
    .short 0x2f
    .long gdt
idt_register:
    .short 0x7ff
    .long idt
counter: .long 0
other:   .long 0x77
calls:   .long 0
ticks:   .long 0
digits:  .ascii "0123456789abcdef"
text:    .asciz "TEXT"
    .align 8
tss:     .fill 104, 1, 0
    .align 8
idt:     .fill 2048, 1, 0
"""


@cache
def debuggee() -> Assembly:
    """The assembled kernel."""
    source = SOURCE.replace("TEXT", LETTERS.replace("\n", "\\n"))
    return assemble(lambda _name: source, "debuggee.asm", ORIGIN)


def address(label: str) -> int:
    return debuggee().symbols[label]


def load(machine: Machine, entry: str = "start") -> None:
    machine.load_flat(debuggee().image, ORIGIN, eip=address(entry))


def symbol_file(path: Path, symbols: dict[str, int], origin: int, size: int) -> Path:
    """A 32-bit ELF file that holds nothing but names of functions (System V ABI, chapter 4)."""
    names = bytearray(b"\0")
    entries = bytearray(16)
    for name, value in symbols.items():
        entries += struct.pack("<IIIBBH", len(names), value, 0, 0x12, 0, 1)
        names += name.encode() + b"\0"
    section_names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at = 52
    places = []
    for part in (entries, names, section_names):
        places.append(at)
        at += len(part)
    sections = (
        (0,) * 10,
        (1, 8, 6, origin, at, size, 0, 0, 16, 0),  # .text, NOBITS, allocated and executable
        (7, 2, 0, 0, places[0], len(entries), 3, 1, 4, 16),
        (15, 3, 0, 0, places[1], len(names), 0, 0, 1, 0),
        (23, 3, 0, 0, places[2], len(section_names), 0, 0, 1, 0),
    )
    head = b"\x7fELF\1\1\1" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, origin, 0, at, 0, 52, 0, 0, 40, 5, 4)
    table = b"".join(struct.pack("<10I", *section) for section in sections)
    path.write_bytes(head + entries + names + section_names + table)
    return path


def executable(path: Path) -> Path:
    """The kernel as a 32-bit ELF executable with its symbols: what `symbol_file` writes, with a
    program header behind it, and the code behind that (System V ABI, chapter 5)."""
    image = debuggee().image
    symbol_file(path, dict(debuggee().symbols), ORIGIN, len(image))
    file = bytearray(path.read_bytes())
    at = len(file)
    struct.pack_into("<II", file, 24, address("start"), at)  # e_entry, e_phoff
    struct.pack_into("<HH", file, 42, 32, 1)  # e_phentsize, e_phnum
    file += struct.pack("<8I", 1, at + 32, ORIGIN, ORIGIN, len(image), len(image), 7, 4)
    path.write_bytes(bytes(file) + image)
    return path

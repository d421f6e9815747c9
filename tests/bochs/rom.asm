; What stands at the top of a PC's memory instead of a BIOS, after the jump to protected mode
; (kernel.py): at power-on it copies kernel, template and worlds into RAM; after a reset they are there.

.include "layout.inc"

start:
    mov eax, KDATA
    mov ds, ax
    mov es, ax
    cld
    cmp dword ptr [MARK], MAGIC
    je .there
    mov esi, PAYLOAD
    mov edi, TEMPLATE
    mov ecx, ARENA_DWORDS
    rep movsd
    mov edi, KERNEL
    mov ecx, KERNEL_DWORDS
    rep movsd
    mov edi, WORLDS
    mov ecx, WORLDS_DWORDS
    rep movsd
    mov dword ptr [MARK], MAGIC
.there:
    mov eax, ENTRY
    jmp eax

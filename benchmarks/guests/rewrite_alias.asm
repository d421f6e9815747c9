; Code rewritten through another linear address: the page of the loop is mapped at ALIAS too, and
; each round stores through that a new immediate into its next instruction. Needs PAGING = 1.
; A round that ran the old instruction ends the machine with status 3.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

ALIAS = 0xc00000                    ; the first page of the last page table

body:
    mov  eax, patched
    and  eax, 0xfffff000
    or   eax, 7
    mov  dword ptr [PAGE_TABLES + 0x3000], eax
    mov  edi, ALIAS
    invlpg [edi]
    mov  edi, patched
    and  edi, 0xfff
    add  edi, ALIAS + 1
    mov  ecx, ROUNDS
round:
    mov  dword ptr [edi], ecx
patched:
    mov  edx, 0
    cmp  edx, ecx
    jne  stale
    dec  ecx
    jnz  round
    ret
stale:
    mov  al, 1
    out  DEBUG_EXIT, al

image_end:

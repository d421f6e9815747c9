; A counter that every round increments, COUNTER_OFFSET bytes after the loop that does it.
; With a small offset, code and hot data share a page: each write is one to a page that holds
; translated code, though it changes no instruction. With a large one they do not.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

body:
    mov  ecx, ROUNDS
    xor  eax, eax
.round:
    inc  dword ptr [counter + COUNTER_OFFSET]
    lea  eax, [eax + ecx * 4 + 3]
    mov  edx, eax
    shr  edx, 7
    xor  eax, edx
    add  eax, ecx
    dec  ecx
    jnz  .round
    ret

    .align 8
counter:
    .long 0

image_end:

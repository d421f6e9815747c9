; The critical section of an operating system: PUSHF, CLI, some work, POPF, STI in ring 0,
; twelve instructions a round. PUSHF and POPF are the two that ring 3 lets through silently wrong.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

body:
    mov  ecx, ROUNDS
    mov  esi, ARRAYS
    xor  eax, eax
.round:
    pushfd
    cli
    mov  edx, [esi]
    add  edx, ecx
    mov  [esi], edx
    lea  eax, [eax + edx * 2]
    popfd
    xor  eax, ecx
    sti
    add  eax, 7
    dec  ecx
    jnz  .round
    cli
    ret

image_end:

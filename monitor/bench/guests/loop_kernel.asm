; The loop in ring 0. ECX counts; EBX, ESI and EDI are what the operations expect.

body:
    mov  ecx, ROUNDS
    mov  esi, ARRAYS
    mov  edi, ABSENT_PAGE
    xor  ebx, ebx
    xor  edx, edx
    .align 16
.round:
    .include "operation.asm"
    dec  ecx
    jnz  .round
    ret

; Direct execution: a loop of ordinary instructions in ring 3, nine a round.
; The monitor has nothing to do here, so its cost over bare is what it costs to be there at all.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

body:
    push USER_DATA
    push USER_STACK_TOP
    push 0x202                      ; interrupts on, IOPL 0
    push USER_CODE
    mov  eax, user_loop
    push eax
    mov  eax, USER_DATA
    mov  ds, eax
    mov  es, eax
    iretd

user_loop:
    mov  ecx, ROUNDS
    mov  esi, ARRAYS
    xor  eax, eax
.round:
    lea  eax, [eax + ecx * 4 + 3]
    mov  edx, [esi]
    xor  edx, eax
    mov  [esi], edx
    shr  edx, 5
    add  eax, edx
    and  edx, 15
    dec  ecx
    jnz  .round
    int  SYSTEM_CALL

image_end:

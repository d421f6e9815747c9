; The loop in ring 3, which ends by a gate of its own.

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

    .align 4096
user_loop:
    mov  ecx, ROUNDS
    .align 16
.round:
    .include "operation.asm"
    dec  ecx
    jnz  .round
    int  FINISH

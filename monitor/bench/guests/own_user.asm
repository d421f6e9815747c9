; The same in ring 3 (own_kernel.asm). It ends by a gate.

PASSES_LEFT = 0x28fff0              ; above ESP, on the stack's page

.include "own_gates.asm"

body:
    call set_stray_gates
    mov  dword ptr [PASSES_LEFT], ROUNDS
    push USER_DATA
    push USER_STACK_TOP - 0x400
    push 0x202                      ; interrupts on, IOPL 0
    push USER_CODE
    mov  eax, user_loop
    push eax
    mov  eax, USER_DATA
    mov  ds, eax
    mov  es, eax
    mov  esi, ARRAYS
    mov  edi, ABSENT_PAGE
    xor  eax, eax
    xor  ebx, ebx
    xor  edx, edx
    xor  ebp, ebp
    iretd

    .align 4096
user_loop:
own_pass:
    mov  ecx, dword ptr ss:[PASSES_LEFT]
    jmp  operation                  ; so that a block of the translator's begins there
    .align 16
operation:
    .include "operation.asm"
behind:
    dec  dword ptr ss:[PASSES_LEFT]
    jnz  own_pass
    int  FINISH

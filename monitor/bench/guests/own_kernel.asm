; The loop around an operation of the user's own, in ring 0. Its counter lies in memory and is reached
; by SS, which a balanced stack needs anyway: every other register is the operation's. ECX has the
; passes that are left when a pass begins; all others are as the pass before left them.

PASSES_LEFT = 0x27fff0              ; above ESP, on the stack's page

.include "own_gates.asm"

body:
    call set_stray_gates
    mov  esp, STACK_TOP - 0x400     ; so that an operation that pops too much finds zeros
    mov  dword ptr [PASSES_LEFT], ROUNDS
    mov  esi, ARRAYS
    mov  edi, ABSENT_PAGE
    xor  eax, eax
    xor  ebx, ebx
    xor  edx, edx
    xor  ebp, ebp
own_pass:
    mov  ecx, dword ptr ss:[PASSES_LEFT]
    jmp  operation                  ; so that a block of the translator's begins there
    .align 16
operation:
    .include "operation.asm"
behind:
    dec  dword ptr ss:[PASSES_LEFT]
    jnz  own_pass
    jmp  finish

; Code that rewrites itself (SDM vol. 3, 8.1.3). Processors of this class notice a write to code
; that they are about to run; a write through another linear address needs a serializing
; instruction, and gets CPUID.

checks_code:
    xor  ebx, ebx
    mov  ecx, 8
.again:
    call patched_routine            ; 0, 1, 2... 7: it counts in its own immediate
    add  ebx, eax
    dec  ecx
    jnz  .again
    mov  eax, ebx
    mov  edx, 28
    mov  esi, "smc-immediate"
    call check

; The very next instruction is rewritten
    mov  byte ptr [.next + 1], 7
.next:
    mov  eax, 1
    mov  byte ptr [.next + 1], 1
    mov  edx, 7
    mov  esi, "smc-next"
    call check

; A block that rewrites an instruction of itself, behind and ahead, in a loop
    xor  eax, eax
    mov  ecx, 4
.block:
    mov  byte ptr [.ahead + 1], cl
    nop
.ahead:
    add  al, 0
    dec  ecx
    jnz  .block
    mov  edx, 10
    mov  esi, "smc-own-block"
    call check

; Through the alias
    mov  byte ptr [answer + ALIAS + 1], 0x77
    call serialize
    call answer
    mov  edx, 0x77
    mov  esi, "smc-alias"
    call check

; REP MOVSB of one routine over another that has just run
    mov  esi, answer_two
    mov  edi, answer
    mov  ecx, answer_end - answer_two
    rep  movsb
    call answer
    mov  edx, 2
    mov  esi, "smc-movs"
    call check

; REP MOVSB over itself: the copy is the same up to the instruction after it, which differs
    mov  esi, .replacement
    mov  edi, .itself
    mov  ecx, .replacement_end - .replacement
    jmp  .itself
.replacement:
    rep  movsb
    mov  eax, 0x22
.replacement_end:
.itself:
    rep  movsb
    mov  eax, 0x11
    mov  edx, 0x22
    mov  esi, "smc-movs-itself"
    call check

; Another frame under the same linear address
    mov  dword ptr [FRAME_A], 0xc300b0  ; mov al, 0 ; ret... with an immediate to fill in
    mov  dword ptr [FRAME_B], 0xc300b0
    mov  byte ptr [FRAME_A + 1], 0x0a
    mov  byte ptr [FRAME_B + 1], 0x0b
    mov  eax, FRAME_A | PRESENT | WRITABLE
    call map_window
    xor  eax, eax
    call .window
    mov  edx, 0x0a
    mov  esi, "smc-window"
    call check
    mov  eax, FRAME_B | PRESENT | WRITABLE
    call map_window
    xor  eax, eax
    call .window
    mov  edx, 0x0b
    mov  esi, "smc-remap"
    call check

; Code and a hot counter on one page
    mov  ecx, 500
.count:
    call counting_routine
    dec  ecx
    jnz  .count
    mov  eax, [hot_counter]
    mov  edx, 500
    mov  esi, "smc-counter"
    call check
    ret
.window:
    mov  edx, WINDOW
    jmp  edx

; serialize: CPUID, keeping EBX.
serialize:
    push ebx
    xor  eax, eax
    cpuid
    pop  ebx
    ret

patched_routine:
    mov  eax, 0
    inc  dword ptr [patched_routine + 1]
    ret

answer:
    mov  eax, 1
    ret
answer_two:
    mov  eax, 2
    ret
answer_end:

counting_routine:
    inc  dword ptr [hot_counter]
    ret
    .align 4
hot_counter: .long 0

; REP MOVS over itself: the seven bytes it copies are its own two and the MOV behind it, whose
; immediate is new in each round. A round that ran the old MOV ends the machine with status 3.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

LENGTH = 7

body:
    mov  ebx, ROUNDS
round:
    mov  dword ptr [template + 3], ebx
    mov  esi, template
    mov  edi, overwritten
    mov  ecx, LENGTH
overwritten:
    .byte 0xf3, 0xa4                ; rep movsb
    mov  edx, 0
    cmp  edx, ebx
    jne  stale
    dec  ebx
    jnz  round
    ret
stale:
    mov  al, 1
    out  DEBUG_EXIT, al

template:
    .byte 0xf3, 0xa4, 0xba          ; rep movsb; mov edx, imm32
    .long 0

image_end:

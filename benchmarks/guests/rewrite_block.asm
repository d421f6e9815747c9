; A block that rewrites itself: each round changes an instruction that it has already executed, and
; finds it changed in the next round. A stale one ends the machine with status 3.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

body:
    mov  ecx, ROUNDS
round:
patched:
    mov  edx, ROUNDS + 1
    dec  edx
    cmp  edx, ecx
    jne  stale
    mov  dword ptr [patched + 1], ecx
    dec  ecx
    jnz  round
    ret
stale:
    mov  al, 1
    out  DEBUG_EXIT, al

image_end:

; Code that rewrites its next instruction: each round stores a new immediate into the MOV after it.
; A round that ran the old instruction ends the machine with status 3.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

body:
    mov  ecx, ROUNDS
round:
    mov  dword ptr [patched + 1], ecx
patched:
    mov  edx, 0
    cmp  edx, ecx
    jne  stale
    dec  ecx
    jnz  round
    ret
stale:
    mov  al, 1
    out  DEBUG_EXIT, al

image_end:

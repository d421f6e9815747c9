; Two arrays DISTANCE bytes apart, copied onto each other in turn, a doubleword at a time.
; At a distance of exactly 4 MiB a direct-mapped TLB of 1024 pages has one slot for both sides.
; One round copies LENGTH bytes there and back.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

LENGTH = 0x4000

body:
    mov  ebx, ROUNDS
.round:
    mov  esi, ARRAYS
    mov  edi, ARRAYS + DISTANCE
    call copy
    mov  esi, ARRAYS + DISTANCE
    mov  edi, ARRAYS
    call copy
    dec  ebx
    jnz  .round
    ret

copy:
    mov  ecx, LENGTH / 4
.word:
    mov  eax, [esi]
    add  esi, 4
    mov  [edi], eax
    add  edi, 4
    dec  ecx
    jnz  .word
    ret

image_end:

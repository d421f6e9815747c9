; Read 64 KiB at PLACE again and again, a doubleword after the other.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

body:
    mov  ecx, ROUNDS
.round:
    mov  esi, PLACE
.next:
    mov  eax, [esi]
    add  esi, 4
    test esi, 0xFFFF
    jnz  .next
    dec  ecx
    jnz  .round
    ret

image_end:

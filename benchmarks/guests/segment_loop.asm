; Data reached through a segment register, as per-CPU and per-thread data is: ten instructions a
; round, of which four access memory, two through the prefix ONE and two through OTHER: 64 for FS,
; 65 for GS, 3E for DS, which is none.

.include "settings.asm"
.include "frame.asm"

prepare:
    ret

body:
    mov  ecx, ROUNDS
    mov  esi, ARRAYS
    xor  eax, eax
.round:
    .byte ONE
    mov  edx, [esi]
    add  edx, ecx
    .byte ONE
    mov  [esi + 4], edx
    .byte OTHER
    add  edx, [ARRAYS + 8]
    lea  eax, [eax + edx * 2]
    .byte OTHER
    inc  dword ptr [ARRAYS + 12]
    xor  eax, ecx
    add  eax, 7
    dec  ecx
    jnz  .round
    ret

image_end:

; CPU-bound, in ring 3: ordinary integer instructions.
    mov  esi, ARRAYS
    mov  ebp, 2000
.work:
    lea  eax, [eax + ebp * 4 + 3]
    mov  edx, [esi]
    xor  edx, eax
    mov  [esi], edx
    shr  edx, 5
    add  eax, edx
    and  edx, 15
    dec  ebp
    jnz  .work

; CPU-bound, in ring 0, where all code runs translated: a procedure call in twenty instructions, and
; a critical section in two hundred.
    mov  ebp, 100
.work:
    pushfd
    cli
    mov  edx, [esi]
    add  edx, ebp
    mov  [esi], edx
    popfd
    mov  ebx, 10
.inner:
    lea  eax, [eax + ebx * 4 + 3]
    mov  edx, [esi + ebx * 4]
    xor  edx, eax
    mov  [esi + ebx * 4], edx
    shr  edx, 5
    add  eax, edx
    test ebx, 1
    jz   .even
    xor  eax, ebp
.even:
    push eax
    mov  eax, edx
    call nothing
    add  edx, eax
    pop  eax
    rol  eax, 3
    not  edx
    dec  ebx
    jnz  .inner
    dec  ebp
    jnz  .work

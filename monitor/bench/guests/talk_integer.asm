; An integer program under an operating system: calls, memory, a division now and then; after some
; thirty thousand instructions a system call and a page fault.
    mov  esi, ARRAYS
    mov  edi, ABSENT_PAGE
    mov  ebp, 2000
.work:
    mov  ebx, ebp
    and  ebx, 1023
    mov  edx, [esi + ebx * 4]
    lea  eax, [eax + edx * 2 + 1]
    call nothing
    xor  edx, eax
    mov  [esi + ebx * 4], edx
    shr  edx, 7
    test ebp, 3
    jz   .skip
    add  eax, ebp
.skip:
    imul eax, edx
    dec  ebp
    jnz  .work
    xor  edx, edx
    mov  ebx, 7
    div  ebx
    int  SYSTEM_CALL
    mov  eax, [edi]

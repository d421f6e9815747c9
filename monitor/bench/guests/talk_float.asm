; A floating-point program under an operating system: x87 over an array; after some twenty thousand
; instructions a system call and a page fault.
    mov  esi, ARRAYS
    mov  edi, ABSENT_PAGE
    mov  ebp, 2000
.work:
    mov  ebx, ebp
    and  ebx, 1023
    fld  qword ptr [esi + ebx * 8]
    fadd qword ptr [esi]
    fmul qword ptr [esi + 8]
    fld1
    faddp st(1), st
    fstp qword ptr [esi + ebx * 8]
    dec  ebp
    jnz  .work
    int  SYSTEM_CALL
    mov  eax, [edi]

; Routines for ring 3, on the page that every process shares.

; user_check: EAX = got, EDX = want, ESI = name. Keeps every register.
user_check:
    pushad
    mov  ecx, eax
    mov  ebx, esi
    mov  eax, SYS_CHECK
    int  VECTOR_SYSCALL
    popad
    ret

; user_write: the string at ESI. Keeps every register.
user_write:
    pushad
    mov  ebx, esi
    mov  eax, SYS_WRITE
    int  VECTOR_SYSCALL
    popad
    ret

; user_exit: does not return.
user_exit:
    mov  eax, SYS_EXIT
    int  VECTOR_SYSCALL

; user_fault: EAX = the fault that ring 3 last made, or NO_FAULT.
user_fault:
    mov  eax, SYS_FAULT
    int  VECTOR_SYSCALL
    mov  dword ptr [USER_RESUME], 0
    ret

; copy_string: the string at ESI to EDI, which then points at its end.
copy_string:
    lodsb
    test al, al
    jz   .done
    stosb
    jmp  copy_string
.done:
    mov  byte ptr [edi], 0
    ret

; copy_decimal: EAX without leading zeros to EDI, which then points at its end.
copy_decimal:
    push ebx
    mov  ebx, 10
    xor  ecx, ecx
.divide:
    xor  edx, edx
    div  ebx
    push edx
    inc  ecx
    test eax, eax
    jnz  .divide
.next:
    pop  eax
    add  al, 48
    stosb
    dec  ecx
    jnz  .next
    mov  byte ptr [edi], 0
    pop  ebx
    ret

; copy_hex: EAX as eight digits to EDI, which then points at its end.
copy_hex:
    mov  edx, eax
    mov  ecx, 8
.next:
    rol  edx, 4
    mov  eax, edx
    and  eax, 15
    mov  al, [eax + .digits]
    stosb
    dec  ecx
    jnz  .next
    mov  byte ptr [edi], 0
    ret
.digits:
    .ascii "0123456789abcdef"

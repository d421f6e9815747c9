; The serial console: a 16550A at 0x3f8, polled, one byte at a time.
; Each byte is sent in a critical section, as a driver would: PUSHF, CLI, ..., POPF.

LINE_STATUS   = COM1 + 5
THR_EMPTY     = 0x20
PATIENCE      = 200000              ; polls before sending anyway: a dead line must not hang us

console_start:
    mov  esi, .setup
    mov  ecx, 7
.next:
    movzx edx, byte ptr [esi]
    add  edx, COM1
    mov  al, [esi + 1]
    out  dx, al
    add  esi, 2
    dec  ecx
    jnz  .next
    ret
; register, value: no interrupts; divisor 1 (115200); 8N1; FIFO on; DTR and RTS
.setup:
    .byte 1, 0, 3, 0x80, 0, 1, 1, 0, 3, 3, 2, 7
    .byte 4, 3
    .align 4

; print: the string at ESI, with CR before LF. Keeps every register.
print:
    pushad
.next:
    lodsb
    test al, al
    jz   .done
    cmp  al, 10
    jne  .send
    mov  al, 13
    call put_byte
    mov  al, 10
.send:
    call put_byte
    jmp  .next
.done:
    popad
    ret

; put_byte: AL to the line. Changes EAX, ECX, EDX.
put_byte:
    pushfd
    cli
    mov  ah, al
    mov  edx, LINE_STATUS
    mov  ecx, PATIENCE
.wait:
    in   al, dx
    test al, THR_EMPTY
    jnz  .send
    dec  ecx
    jnz  .wait
.send:
    mov  al, ah
    mov  edx, COM1
    out  dx, al
    popfd
    ret

; print_hex: EAX as eight digits. Keeps every register.
print_hex:
    pushad
    mov  ebx, eax
    mov  esi, 8
.next:
    rol  ebx, 4
    mov  eax, ebx
    and  eax, 15
    mov  al, [eax + .digits]
    call put_byte
    dec  esi
    jnz  .next
    popad
    ret
.digits:
    .ascii "0123456789abcdef"

; print_decimal: EAX without leading zeros. Keeps every register.
print_decimal:
    pushad
    xor  esi, esi
    mov  ebx, 10
.divide:
    xor  edx, edx
    div  ebx
    push edx
    inc  esi
    test eax, eax
    jnz  .divide
.next:
    pop  eax
    add  al, 48
    call put_byte
    dec  esi
    jnz  .next
    popad
    ret

; Gates for the exceptions that handlers.asm has no handler for: each says which it was and ends the
; machine with status 1, so that an operation that faults never runs on. Status 0 is a good end.

STRAY_STATUS = 1

set_stray_gates:
    mov  edi, idt
    mov  ecx, stray_entries
.gate:
    cmp  dword ptr [edi + 4], 0     ; handlers.asm has set it
    jnz  .next
    mov  eax, ecx
    mov  edx, GATE_RING0
    call set_gate
.next:
    add  edi, 8
    add  ecx, 8
    cmp  edi, idt + 256
    jnz  .gate
    ret

; On the stack from here on: the vector, the error code if it has one, EIP, CS, EFLAGS.
stray:
    mov  al, STRAY_STATUS
    out  DEBUG_EXIT, al
.halt:
    hlt
    jmp  .halt

    .align 8
stray_entries:
    push 0
    jmp  stray
    .align 8
    push 1
    jmp  stray
    .align 8
    push 2
    jmp  stray
    .align 8
    push 3
    jmp  stray
    .align 8
    push 4
    jmp  stray
    .align 8
    push 5
    jmp  stray
    .align 8
    push 6
    jmp  stray
    .align 8
    push 7
    jmp  stray
    .align 8
    push 8
    jmp  stray
    .align 8
    push 9
    jmp  stray
    .align 8
    push 10
    jmp  stray
    .align 8
    push 11
    jmp  stray
    .align 8
    push 12
    jmp  stray
    .align 8
    push 13
    jmp  stray
    .align 8
    push 14
    jmp  stray
    .align 8
    push 15
    jmp  stray
    .align 8
    push 16
    jmp  stray
    .align 8
    push 17
    jmp  stray
    .align 8
    push 18
    jmp  stray
    .align 8
    push 19
    jmp  stray
    .align 8
    push 20
    jmp  stray
    .align 8
    push 21
    jmp  stray
    .align 8
    push 22
    jmp  stray
    .align 8
    push 23
    jmp  stray
    .align 8
    push 24
    jmp  stray
    .align 8
    push 25
    jmp  stray
    .align 8
    push 26
    jmp  stray
    .align 8
    push 27
    jmp  stray
    .align 8
    push 28
    jmp  stray
    .align 8
    push 29
    jmp  stray
    .align 8
    push 30
    jmp  stray
    .align 8
    push 31
    jmp  stray
    .align 8

    .align 4096

; The gates of the operations, and what they call: handlers and a procedure, on pages of their own,
; so that code and the data of the frame do not share one.

prepare:
    mov  edi, idt
    mov  edx, GATE_RING0
    mov  eax, divide_error
    call set_gate
    mov  edi, idt + 112
    mov  eax, page_fault
    call set_gate
    mov  edi, idt + 1024
    mov  edx, GATE_RING3
    mov  eax, system_call
    call set_gate
    mov  edi, idt + 1032
    mov  eax, finish
    call set_gate
    xor  eax, eax
    mov  dword ptr [ABSENT_PTE], eax
    ret

    .align 4096
; A divide error and a page fault of a two-byte instruction: go on behind it.
divide_error:
    add  dword ptr [esp], 2
    iretd
page_fault:
    add  dword ptr [esp + 4], 2
    add  esp, 4
    iretd
system_call:
    iretd
nothing:
    ret

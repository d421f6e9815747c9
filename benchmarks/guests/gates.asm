; The one gate of these guests: ring 3 ends by INT 0x80. The frame they share with vp bench is
; monitor/bench/guests/frame.asm; the harness sets ROUNDS, PAGING, TABLES, ARRAYS and a guest's own.

prepare:
    mov  edi, idt + 1024
    mov  edx, GATE_RING3
    mov  eax, finish
    jmp  set_gate

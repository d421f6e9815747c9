; The 8254's channel 0 on IRQ0: one shot for the interrupt-flag checks, 2 kHz for the scheduler.

ONE_SHOT = 0x30                     ; channel 0, both bytes, mode 0
PERIODIC = 0x34                     ; mode 2
READ_IRR = 0x0a                     ; OCW3
EOI      = 0x20                     ; OCW2, non-specific

; IRQ0. Ring 3 loses the processor; the kernel is never preempted.
timer_interrupt:
    push 0
    push VECTOR_IRQ0
    pushad
    push ds
    push es
    mov  ebp, esp
    cld
    mov  eax, KERNEL_DATA
    mov  ds, eax
    mov  es, eax
    inc  dword ptr [CLOCK_TICKS]
    mov  al, EOI
    out  PIC1, al
    test byte ptr [ebp + FRAME_CS], 3
    jz   leave_handler
    inc  dword ptr [CLOCK_PREEMPTIONS]
    call schedule
    jmp  leave_handler

timer_periodic:
    mov  al, PERIODIC
    out  PIT_CONTROL, al
    mov  al, PIT_2_KHZ & 0xff
    out  PIT_CHANNEL0, al
    mov  al, PIT_2_KHZ >> 8
    out  PIT_CHANNEL0, al
    ret

; timer_pend: make IRQ0 pending now, and return the tick count of before in EBX.
; With interrupts off the 8259A then holds the request; the wait ends too if it was delivered.
timer_pend:
    mov  ebx, [CLOCK_TICKS]
    mov  al, ONE_SHOT
    out  PIT_CONTROL, al
    mov  al, 12                     ; 10 us
    out  PIT_CHANNEL0, al
    xor  al, al
    out  PIT_CHANNEL0, al
    mov  al, READ_IRR
    out  PIC1, al
    mov  ecx, 100000
.wait:
    cmp  ebx, [CLOCK_TICKS]
    jne  .done
    in   al, PIC1
    test al, 1
    jnz  .done
    dec  ecx
    jnz  .wait
.done:
    ret

; ticks_since: EAX = interrupts delivered since EBX, after a pause in which one could come.
ticks_since:
    mov  ecx, 100
.wait:
    dec  ecx
    jnz  .wait
    mov  eax, [CLOCK_TICKS]
    sub  eax, ebx
    ret

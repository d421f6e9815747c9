; Gates, exception handlers and the 8259A pair (SDM vol. 3, chapter 6).
;
; A check that expects a fault stores where to go on in [resume_at] (ring 3: in [USER_RESUME]),
; runs the instruction, and asks take_fault what happened. A fault nobody announced ends the run.

INTERRUPT_GATE = 0x8e00
TRAP_GATE_USER = 0xef00
BREAK_GATE     = 0xee00             ; interrupt gate, DPL 3

; the frame that `save` leaves on the stack, from EBP
FRAME_EAX    = 36
FRAME_VECTOR = 40
FRAME_ERROR  = 44
FRAME_EIP    = 48
FRAME_CS     = 52

interrupts_start:
    mov  esi, gate_table
.next:
    mov  eax, [esi]
    cmp  eax, -1
    je   .load
    lea  edi, [idt + eax * 8]
    mov  eax, [esi + 4]
    mov  ecx, eax
    and  ecx, 0xffff
    or   ecx, KERNEL_CODE << 16
    mov  [edi], ecx
    and  eax, 0xffff0000
    or   eax, [esi + 8]
    mov  [edi + 4], eax
    add  esi, 12
    jmp  .next
.load:
    lidt [idt_register]
    ; fall through

; The 8259A pair: ICW1 to ICW4, vectors 0x20 and 0x28, every line but IRQ0 masked.
pic_start:
    mov  al, 0x11
    out  PIC1, al
    out  PIC2, al
    mov  al, VECTOR_IRQ0
    out  PIC1_DATA, al
    mov  al, VECTOR_IRQ0 + 8
    out  PIC2_DATA, al
    mov  al, 4
    out  PIC1_DATA, al
    mov  al, 2
    out  PIC2_DATA, al
    mov  al, 1
    out  PIC1_DATA, al
    out  PIC2_DATA, al
    mov  al, 0xfe
    out  PIC1_DATA, al
    mov  al, 0xff
    out  PIC2_DATA, al
    ret

vector_0:
    push 0
    push 0
    jmp  exception
vector_1:
    push 0
    push 1
    jmp  exception
vector_2:
    push 0
    push 2
    jmp  exception
vector_3:
    push 0
    push 3
    jmp  exception
vector_4:
    push 0
    push 4
    jmp  exception
vector_5:
    push 0
    push 5
    jmp  exception
vector_6:
    push 0
    push 6
    jmp  exception
vector_7:
    push 0
    push 7
    jmp  exception
vector_8:
    push 8
    jmp  exception
vector_10:
    push 10
    jmp  exception
vector_11:
    push 11
    jmp  exception
vector_12:
    push 12
    jmp  exception
vector_13:
    push 13
    jmp  exception
vector_14:
    push 14
    jmp  exception
vector_16:
    push 0
    push 16
    jmp  exception
vector_17:
    push 17
    jmp  exception

exception:
    pushad
    push ds
    push es
    mov  ebp, esp
    cld
    mov  eax, KERNEL_DATA
    mov  ds, eax
    mov  es, eax
    mov  eax, [ebp + FRAME_VECTOR]
    shl  eax, 16
    or   eax, [ebp + FRAME_ERROR]
    mov  [fault_code], eax
    mov  eax, [ebp + FRAME_EIP]
    mov  [fault_eip], eax
    mov  eax, cr2
    mov  [fault_cr2], eax
    mov  ebx, resume_at
    cmp  dword ptr [current], MAIN  ; not the CS pushed: it is what the checks doubt
    je   .resume
    mov  ebx, USER_RESUME           ; ring 3 announces its faults on its own page
.resume:
    xor  eax, eax
    xchg eax, [ebx]
    test eax, eax
    jz   unexpected
    mov  [ebp + FRAME_EIP], eax
    ; fall through

; Undo what the entry saved. Every way back to the interrupted code ends here.
leave_handler:
    pop  es
    pop  ds
    popad
    add  esp, 8
    iretd

; A second one, while the first is being reported, ends the run without a word.
unexpected:
    mov  al, 1
    bts  dword ptr [reporting], 0
    jnc  .report
    out  DEBUG_EXIT, al
.report:
    mov  esi, "unexpected exception "
    call print
    mov  eax, [fault_code]
    call print_hex
    mov  esi, " at "
    call print
    mov  eax, [fault_eip]
    call print_hex
    mov  esi, " cr2 "
    call print
    mov  eax, [fault_cr2]
    call print_hex
    mov  esi, "\n"
    call print
    inc  dword ptr [checks_wrong]
    jmp  finish

; take_fault: EAX = the last fault, or NO_FAULT, and forget it.
take_fault:
    mov  eax, NO_FAULT
    xchg eax, [fault_code]
    mov  dword ptr [resume_at], 0
    ret

    .align 4
fault_code: .long NO_FAULT
fault_eip:  .long 0
fault_cr2:  .long 0
resume_at:  .long 0
reporting:  .long 0

gate_table:
    .long 0,  vector_0,  INTERRUPT_GATE
    .long 1,  vector_1,  INTERRUPT_GATE
    .long 2,  vector_2,  INTERRUPT_GATE
    .long 3,  vector_3,  BREAK_GATE
    .long 4,  vector_4,  BREAK_GATE
    .long 5,  vector_5,  INTERRUPT_GATE
    .long 6,  vector_6,  INTERRUPT_GATE
    .long 7,  vector_7,  INTERRUPT_GATE
    .long 8,  vector_8,  INTERRUPT_GATE
    .long 10, vector_10, INTERRUPT_GATE
    .long 11, vector_11, INTERRUPT_GATE
    .long 12, vector_12, INTERRUPT_GATE
    .long 13, vector_13, INTERRUPT_GATE
    .long 14, vector_14, INTERRUPT_GATE
    .long 16, vector_16, INTERRUPT_GATE
    .long 17, vector_17, INTERRUPT_GATE
    .long VECTOR_IRQ0,    timer_interrupt, INTERRUPT_GATE
    .long VECTOR_INNER,   inner_interrupt, INTERRUPT_GATE
    .long VECTOR_SYSCALL, system_call,     TRAP_GATE_USER
    .long -1
idt_register:
    .short IDT_LIMIT
    .long  idt
    .align 8
idt:
    .space IDT_LIMIT + 1

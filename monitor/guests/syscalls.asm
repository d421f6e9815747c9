; System calls: INT 0x80 through a trap gate, so that interrupts stay on in the kernel.

system_call:
    push 0
    push VECTOR_SYSCALL
    pushad
    push ds
    push es
    mov  ebp, esp
    cld
    mov  esi, KERNEL_DATA
    mov  ds, esi
    mov  es, esi
    cmp  eax, SYS_FAULT
    ja   .unknown
    call dword ptr [.table + eax * 4]
    mov  [ebp + FRAME_EAX], eax
    jmp  leave_handler
.unknown:
    mov  dword ptr [ebp + FRAME_EAX], -1
    jmp  leave_handler
    .align 4
.table:
    .long sys_nothing, sys_exit, sys_write, sys_getpid, sys_yield, sys_ticks, sys_check, sys_fault

sys_nothing:
    mov  eax, -1
    ret

sys_exit:
    mov  eax, [current]
    mov  dword ptr [context_state + eax * 4], 0
    call schedule                   ; never returns

; sys_write: the string at EBX, when it is this process's turn.
sys_write:
    call wait_turn
    mov  esi, ebx
    call print
    jmp  pass_turn

sys_getpid:
    mov  eax, [current]
    ret

sys_yield:
    call schedule
    xor  eax, eax
    ret

sys_ticks:
    mov  eax, [CLOCK_TICKS]
    ret

; sys_check: EBX = name, ECX = got, EDX = want.
sys_check:
    call wait_turn
    mov  esi, ebx
    mov  eax, ecx
    call check
    jmp  pass_turn

sys_fault:
    jmp  take_fault

; The console goes round: line 1 of process 1, line 1 of process 2, line 2 of process 1...
; so that what is printed does not depend on when the timer ticks.
wait_turn:
    pushad
.again:
    pushfd
    cli
    mov  eax, [write_turn]
    cmp  eax, [current]
    je   .mine
    cmp  dword ptr [context_state + eax * 4], READY
    jne  .mine                      ; the other has ended
    popfd
    call schedule
    jmp  .again
.mine:
    popfd
    popad
    ret

pass_turn:
    mov  eax, [current]
    mov  eax, [.next + eax * 4]
    mov  [write_turn], eax
    xor  eax, eax
    ret
    .align 4
.next:
    .long 0, 2, 1
write_turn:
    .long 0

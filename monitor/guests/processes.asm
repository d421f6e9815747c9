; Processes: 0 is the probe, which checks ring 3 alone; 1 (primes) and 2 (checksum) then run side
; by side, preempted by the timer. Context MAIN is the kernel's own, run when no process can.
;
; A context that does not run is its kernel stack: EFLAGS, EBX, ESI, EDI, EBP and where to return.

run_processes:
    call timer_periodic
    xor  ecx, ecx
    call create_process
    sti
    call schedule                   ; comes back when the probe has ended
    mov  esi, "embedded guest: two processes under the timer\n"
    call print
    mov  dword ptr [write_turn], 1
    cli
    mov  ecx, 1
    call create_process
    mov  ecx, 2
    call create_process
    sti
    call schedule
    xor  eax, eax
    cmp  dword ptr [CLOCK_PREEMPTIONS], 2
    setae al
    mov  edx, 1
    mov  esi, "timer-preempts"
    call check
    mov  ebx, [CLOCK_TICKS]
    sti
    hlt
    hlt
    cli
    xor  eax, eax
    cmp  ebx, [CLOCK_TICKS]
    setne al
    mov  esi, "hlt-wakes"
    call check
    ret

; schedule: let the next ready context run. Returns when this one is chosen again.
schedule:
    pushfd
    cli
    push ebx
    push esi
    push edi
    push ebp
    mov  ecx, [current]
    mov  [context_esp + ecx * 4], esp
    mov  edx, PROCESSES
    mov  eax, ecx
.look:
    inc  eax
    cmp  eax, PROCESSES
    jb   .candidate
    xor  eax, eax
.candidate:
    cmp  dword ptr [context_state + eax * 4], READY
    je   .switch
    dec  edx
    jnz  .look
    mov  eax, MAIN
.switch:
    mov  [current], eax
    mov  esp, [context_esp + eax * 4]
    cmp  eax, ecx
    je   .same
    mov  edx, [context_esp0 + eax * 4]
    mov  [tss + 4], edx
    mov  edx, [context_cr3 + eax * 4]
    mov  cr3, edx
.same:
    pop  ebp
    pop  edi
    pop  esi
    pop  ebx
    popfd
    ret

; create_process: ECX = its number. Builds its address space and a stack to start from.
create_process:
    mov  edx, ecx
    shl  edx, 16
    add  edx, PROCESS_AREA
    mov  edi, edx
    push ecx
    xor  eax, eax
    mov  ecx, 0x1800
    rep  stosd
    mov  esi, KERNEL_PT             ; the kernel, for the supervisor, as everywhere
    lea  edi, [edx + PROCESS_LOW_PT]
    mov  ecx, 1024
    rep  movsd
    pop  ecx
    mov  eax, user_library          ; opened to ring 3: the shared page and its own page
    call open_page
    mov  eax, [process_text + ecx * 4]
    call open_page
    mov  eax, [KERNEL_PD + (ALIAS >> 22) * 4]
    mov  [edx + PROCESS_PD + (ALIAS >> 22) * 4], eax
    lea  eax, [edx + PROCESS_LOW_PT + PRESENT + WRITABLE + USER]
    mov  [edx + PROCESS_PD], eax
    lea  eax, [edx + PROCESS_USER_PT + PRESENT + WRITABLE + USER]
    mov  [edx + PROCESS_PD + 4], eax
    lea  eax, [edx + PROCESS_DATA + PRESENT + WRITABLE + USER]
    mov  [edx + PROCESS_USER_PT], eax
    lea  eax, [edx + PROCESS_STACK + PRESENT + WRITABLE + USER]
    mov  [edx + PROCESS_USER_PT + 8], eax
    mov  dword ptr [edx + PROCESS_USER_PT + 16], CLOCK_PAGE + PRESENT + USER
    lea  eax, [edx + PROCESS_KERNEL_STACK_TOP]
    mov  [context_esp0 + ecx * 4], eax
    mov  [context_cr3 + ecx * 4], edx
    mov  dword ptr [eax - 4], USER_DATA
    mov  dword ptr [eax - 8], USER_STACK_TOP
    mov  dword ptr [eax - 12], IF | 2
    mov  dword ptr [eax - 16], USER_CODE
    mov  ebx, [process_text + ecx * 4]
    mov  [eax - 20], ebx
    mov  dword ptr [eax - 24], process_launch
    mov  dword ptr [eax - 28], 2
    sub  eax, 44
    mov  [context_esp + ecx * 4], eax
    mov  dword ptr [context_state + ecx * 4], READY
    ret

; open_page: let ring 3 reach the page at EAX through the low table of the process at EDX.
open_page:
    shr  eax, 12
    or   dword ptr [edx + PROCESS_LOW_PT + eax * 4], USER
    ret

; The first thing a process does in the kernel: leave it. No kernel value goes along.
process_launch:
    mov  eax, USER_DATA
    mov  ds, eax
    mov  es, eax
    mov  fs, eax
    mov  gs, eax
    xor  eax, eax
    xor  ebx, ebx
    xor  ecx, ecx
    xor  edx, edx
    xor  esi, esi
    xor  edi, edi
    xor  ebp, ebp
    iretd

    .align 4
current:       .long MAIN
context_state: .long 0, 0, 0, 0
context_esp:   .long 0, 0, 0, 0
context_esp0:  .long 0, 0, 0, BOOT_STACK_TOP
context_cr3:   .long 0, 0, 0, KERNEL_PD
process_text:  .long user_probe, user_primes, user_checksum

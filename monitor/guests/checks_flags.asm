; PUSHF, POPF, CLI, STI: what the interrupt flag shows and what it does (SDM vol. 3, 6.8.1).
;
; PUSHF and POPF are critical: in ring 3 they do not trap, show the real IF and leave it alone.
; Each check of what IF *does* first makes IRQ0 pending, so no check depends on speed.

checks_flags:
    sti
    pushfd
    pop  eax
    and  eax, IF
    mov  edx, IF
    mov  esi, "sti-pushf"
    call check
    cli
    pushfd
    pop  eax
    and  eax, IF
    xor  edx, edx
    mov  esi, "cli-pushf"
    call check
    pushf
    pop  ax
    and  eax, IF
    mov  esi, "cli-pushf-16"
    call check

    call timer_pend
    call ticks_since
    xor  edx, edx
    mov  esi, "cli-holds-irq"
    call check
    call timer_pend                 ; nothing happens between STI and the next instruction
    sti
    cli
    mov  eax, [CLOCK_TICKS]
    sub  eax, ebx
    mov  esi, "sti-shadow"
    call check
    sti
    nop
    cli
    call ticks_since
    mov  edx, 1
    mov  esi, "sti-opens-irq"
    call check

; POPF restores IF = 1, and the request that waited comes at once
    sti
    pushfd
    cli
    call timer_pend
    popfd
    call ticks_since
    mov  edx, 1
    mov  esi, "popf-opens-irq"
    call check
    pushfd
    pop  eax
    and  eax, IF
    mov  edx, IF
    mov  esi, "popf-sets-if"
    call check

; POPF clears IF, and requests wait
    sti
    pushfd
    and  dword ptr [esp], ~IF
    popfd
    pushfd
    pop  eax
    and  eax, IF
    xor  edx, edx
    mov  esi, "popf-clears-if"
    call check
    sti
    pushfd
    and  dword ptr [esp], ~IF
    popfd
    call timer_pend
    call ticks_since
    mov  esi, "popf-holds-irq"
    call check
    sti
    pushf
    and  word ptr [esp], 0xfdff
    popf
    pushfd
    pop  eax
    and  eax, IF
    mov  esi, "popf-16-clears-if"
    call check

; The two fields that POPF may change in ring 0 only, or that ring 3 tends to lose
    cli
    pushfd
    or   dword ptr [esp], IOPL
    popfd
    pushfd
    pop  eax
    and  eax, IOPL
    mov  edx, IOPL
    mov  esi, "popf-sets-iopl"
    call check
    pushfd
    and  dword ptr [esp], ~IOPL
    popfd
    pushfd
    pop  eax
    and  eax, IOPL
    xor  edx, edx
    mov  esi, "popf-clears-iopl"
    call check
    pushfd
    or   dword ptr [esp], NT
    popfd
    pushfd
    mov  eax, [esp]
    and  dword ptr [esp], ~NT
    popfd
    and  eax, NT
    mov  edx, NT
    mov  esi, "popf-sets-nt"
    call check

; Critical sections, nested: IF is off in all of them and on again after the last
    sti
    xor  ebx, ebx                   ; IF as seen inside
    mov  ecx, 64
.section:
    pushfd
    cli
    pushfd
    cli
    pushfd
    pop  eax
    or   ebx, eax
    popfd
    pushfd
    pop  eax
    or   ebx, eax
    popfd
    dec  ecx
    jnz  .section
    mov  eax, ebx
    and  eax, IF
    xor  edx, edx
    mov  esi, "critical-section-inside"
    call check
    pushfd
    pop  eax
    and  eax, IF
    mov  edx, IF
    mov  esi, "critical-section-after"
    call check
    cli

; The flags of ordinary arithmetic go through PUSHF and POPF unharmed
    mov  eax, 0x7fffffff
    add  eax, 1                     ; OF SF AF PF, no ZF, no CF
    pushfd
    xor  eax, eax
    popfd
    pushfd
    pop  eax
    and  eax, 0x8d5
    mov  edx, 0x894
    mov  esi, "popf-arithmetic"
    call check
    ret

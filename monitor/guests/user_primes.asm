; Process 1: counts primes below 750, 1500, 2250 and 3000 by trial division, then waits, in
; ring 3, until the timer has taken the processor away twice.

PRIMES_STEP = 750
PRIMES_END  = 3000
SPIN_LIMIT  = 1000000               ; without a timer it gives up

    mov  eax, SYS_GETPID
    int  VECTOR_SYSCALL
    mov  [USER_MARK], eax
    mov  ebp, PRIMES_STEP           ; where the next line is due
    xor  ebx, ebx                   ; primes so far
    mov  esi, 2
.candidate:
    mov  ecx, 2
.divide:
    mov  eax, ecx
    imul eax, ecx
    cmp  eax, esi
    ja   .prime
    mov  eax, esi
    xor  edx, edx
    div  ecx
    inc  ecx
    test edx, edx
    jnz  .divide
    jmp  .next
.prime:
    inc  ebx
.next:
    inc  esi
    cmp  esi, ebp
    jb   .candidate
    push esi
    mov  edi, USER_BUFFER
    mov  esi, "primes: "
    call copy_string
    mov  eax, ebx
    call copy_decimal
    mov  esi, " below "
    call copy_string
    mov  eax, ebp
    call copy_decimal
    mov  esi, "\n"
    call copy_string
    mov  esi, USER_BUFFER
    call user_write
    pop  esi
    add  ebp, PRIMES_STEP
    cmp  ebp, PRIMES_END
    jbe  .candidate
    mov  ecx, SPIN_LIMIT
.spin:
    pause                           ; a fast processor would give up too soon
    cmp  dword ptr [USER_PREEMPTIONS], 2
    jae  .done
    dec  ecx
    jnz  .spin
.done:
    mov  eax, [USER_MARK]
    mov  edx, 1
    mov  esi, "primes-own-page"
    call user_check
    jmp  user_exit

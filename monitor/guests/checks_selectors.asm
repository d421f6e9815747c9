; Segment registers and transfers between segments (SDM vol. 3, 5.5 to 5.8).
;
; Reading CS shows the privilege level, and a far transfer pushes it: a kernel moved to ring 3
; sees RPL 3 where it wants 0. Nothing traps.

checks_selectors:
    xor  eax, eax
    mov  ax, cs
    mov  edx, KERNEL_CODE
    mov  esi, "mov-ax-cs"
    call check
    mov  eax, cs
    and  eax, 0xffff
    mov  esi, "mov-eax-cs"
    call check
    mov  dword ptr [selector_word], 0
    mov  word ptr [selector_word], cs
    mov  eax, [selector_word]
    mov  esi, "mov-memory-cs"
    call check
    push cs
    pop  eax
    and  eax, 0xffff
    mov  esi, "push-cs"
    call check
    mov  eax, ss
    and  eax, 0xffff
    mov  edx, KERNEL_DATA
    mov  esi, "mov-eax-ss"
    call check
    push ss
    pop  eax
    and  eax, 0xffff
    mov  esi, "push-ss"
    call check
    push ds
    pop  eax
    and  eax, 0xffff
    mov  esi, "push-ds"
    call check

; What is loaded is read back, RPL and all
    mov  eax, USER_DATA
    mov  es, eax
    xor  eax, eax
    mov  ax, es
    mov  edx, USER_DATA
    mov  esi, "mov-es"
    call check
    push USER_DATA
    pop  fs
    push fs
    pop  eax
    and  eax, 0xffff
    mov  esi, "pop-fs"
    call check
    push KERNEL_DATA
    pop  es
    push es
    pop  eax
    and  eax, 0xffff
    mov  edx, KERNEL_DATA
    mov  esi, "pop-es"
    call check
    push ss
    pop  ss
    push ss
    pop  eax
    and  eax, 0xffff
    mov  esi, "pop-ss"
    call check
    mov  eax, esp
    mov  [stack_pointer], eax
    lss  esp, [stack_pointer]
    mov  eax, ss
    and  eax, 0xffff
    mov  esi, "lss"
    call check
    lgs  eax, [far_pointer]
    mov  eax, gs
    and  eax, 0xffff
    mov  edx, BYTE_LIMIT
    mov  esi, "lgs"
    call check

; A segment with a base and a limit: its last byte is there
    mov  byte ptr [FRAME_A + 0xff], 0x5a
    xor  eax, eax
    mov  al, gs:[0xff]
    mov  edx, 0x5a
    mov  esi, "segment-base"
    call check
    mov  eax, LOCAL_DATA
    mov  gs, eax
    mov  eax, gs
    and  eax, 0xffff
    mov  edx, LOCAL_DATA
    mov  esi, "ldt-selector"
    call check
    xor  eax, eax
    mov  gs, eax
    mov  fs, eax

; JMP, CALL and RET between segments
    jmp  far LOCAL_CODE:.local
.local:
    mov  eax, cs
    jmp  far KERNEL_CODE:.back
.back:
    and  eax, 0xffff
    mov  edx, LOCAL_CODE
    mov  esi, "jmp-far"
    call check
    call far KERNEL_CODE:far_routine
    mov  edx, KERNEL_CODE
    mov  esi, "call-far"
    call check
    call far [far_routine_pointer]
    mov  esi, "call-far-memory"
    call check
    call far CALL_GATE:0
    mov  edx, KERNEL_CODE << 16 | KERNEL_CODE
    mov  esi, "call-gate"
    call check
    push LOCAL_CODE
    push .returned
    retf
.returned:
    mov  eax, cs
    and  eax, 0xffff
    mov  edx, LOCAL_CODE
    mov  esi, "retf"
    call check
    call far CONFORMING:far_routine
    mov  esi, "call-conforming"
    call check

; INT n pushes CS and EFLAGS, IRET takes them back
    sti
    pushfd
    push KERNEL_CODE
    push .interrupted
    and  dword ptr [esp + 8], ~IF
    iretd
.interrupted:
    pushfd
    pop  eax
    and  eax, IF
    xor  edx, edx
    mov  esi, "iret-clears-if"
    call check
    mov  eax, cs
    and  eax, 0xffff
    mov  edx, KERNEL_CODE
    mov  esi, "iret-cs"
    call check
    sti
    int  VECTOR_INNER
    mov  edx, KERNEL_CODE
    mov  esi, "int-n-pushes-cs"
    call check
    mov  eax, ecx
    mov  edx, IF
    mov  esi, "int-n-pushes-if"
    call check
    mov  eax, ebx
    xor  edx, edx
    mov  esi, "int-n-clears-if"
    call check
    pushfd
    pop  eax
    and  eax, IF
    mov  edx, IF
    mov  esi, "iret-sets-if"
    call check
    cli
    ret

; Reached by CALL far: EAX = the CS that was pushed.
far_routine:
    mov  eax, [esp + 4]
    and  eax, 0xffff
    retf

; Reached through the call gate: EAX = CS pushed << 16 | CS now.
gate_target:
    mov  eax, cs
    and  eax, 0xffff
    push ecx
    mov  ecx, [esp + 8]
    shl  ecx, 16
    or   eax, ecx
    pop  ecx
    retf

; INT 0x41: EAX = CS pushed, ECX = IF pushed, EBX = IF now.
inner_interrupt:
    mov  eax, [esp + 4]
    and  eax, 0xffff
    mov  ecx, [esp + 8]
    and  ecx, IF
    pushfd
    pop  ebx
    and  ebx, IF
    iretd

    .align 4
selector_word: .long 0
stack_pointer: .long 0
    .short KERNEL_DATA, 0
far_pointer:
    .long 0
    .short BYTE_LIMIT, 0
far_routine_pointer:
    .long far_routine
    .short KERNEL_CODE, 0

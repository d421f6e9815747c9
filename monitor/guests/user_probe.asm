; Process 0: ring 3 as it should be. The critical instructions run and show this guest's own
; tables; the privileged ones fault, and the kernel's handler goes on after them.

    mov  eax, cs
    and  eax, 0xffff
    mov  edx, USER_CODE
    mov  esi, "user-mov-cs"
    call user_check
    push cs
    pop  eax
    and  eax, 0xffff
    mov  esi, "user-push-cs"
    call user_check
    mov  eax, ss
    and  eax, 0xffff
    mov  edx, USER_DATA
    mov  esi, "user-mov-ss"
    call user_check
    mov  eax, esp
    mov  edx, USER_STACK_TOP
    mov  esi, "user-esp"
    call user_check
    xor  eax, eax
    smsw ax
    mov  edx, MSW_VALUE
    mov  esi, "user-smsw"
    call user_check
    sgdt [USER_SCRATCH]
    movzx eax, word ptr [USER_SCRATCH]
    mov  edx, GDT_LIMIT
    mov  esi, "user-sgdt-limit"
    call user_check
    mov  eax, [USER_SCRATCH + 2]
    mov  edx, gdt
    mov  esi, "user-sgdt-base"
    call user_check
    sidt [USER_SCRATCH]
    mov  eax, [USER_SCRATCH + 2]
    mov  edx, idt
    mov  esi, "user-sidt-base"
    call user_check
    sldt eax
    and  eax, 0xffff
    mov  edx, LDT_SELECTOR
    mov  esi, "user-sldt"
    call user_check
    str  eax
    and  eax, 0xffff
    mov  edx, TSS_SELECTOR
    mov  esi, "user-str"
    call user_check

; Flags: IF is on, and neither POPF nor IRET can turn it off from here
    pushfd
    pop  eax
    and  eax, IF | IOPL
    mov  edx, IF
    mov  esi, "user-pushf"
    call user_check
    pushfd
    and  dword ptr [esp], ~IF
    or   dword ptr [esp], IOPL
    popfd
    pushfd
    pop  eax
    and  eax, IF | IOPL
    mov  esi, "user-popf"
    call user_check
    pushfd
    and  dword ptr [esp], ~IF
    push cs
    push .iret
    iretd
.iret:
    pushfd
    pop  eax
    and  eax, IF | IOPL
    mov  esi, "user-iret"
    call user_check

; Descriptors: its own are visible, the kernel's are not
    mov  ecx, USER_CODE
    mov  eax, -1
    lar  eax, ecx
    and  eax, 0xf0ff00
    mov  edx, 0xc0fb00
    mov  esi, "user-lar-code"
    call user_check
    mov  ecx, KERNEL_DATA
    mov  eax, 0x1234
    lar  eax, ecx
    mov  edx, 0x1234
    mov  esi, "user-lar-kernel"
    call user_check
    mov  ecx, USER_DATA
    lsl  eax, ecx
    mov  edx, 0xffffffff
    mov  esi, "user-lsl-data"
    call user_check
    xor  eax, eax
    mov  ecx, LOCAL_DATA
    lsl  eax, ecx
    mov  edx, 0xfff
    mov  esi, "user-lsl-local"
    call user_check
    mov  ecx, USER_DATA
    xor  eax, eax
    verw cx
    setz al
    mov  edx, 1
    mov  esi, "user-verw-data"
    call user_check
    mov  ecx, KERNEL_DATA
    xor  eax, eax
    verr cx
    setz al
    xor  edx, edx
    mov  esi, "user-verr-kernel"
    call user_check
    mov  dword ptr [USER_MARK], 0x600d
    mov  eax, LOCAL_DATA
    mov  es, eax
    mov  eax, es:[USER_MARK - USER_RESUME]
    push ds
    pop  es
    mov  edx, 0x600d
    mov  esi, "user-ldt-segment"
    call user_check
    call far 0x43:0                 ; the call gate, RPL 3: to ring 0 and back
    mov  edx, USER_CODE << 16 | KERNEL_CODE
    mov  esi, "user-call-gate"
    call user_check

; Privileged instructions: a general protection fault each
    mov  edx, FAULT_GP
    mov  dword ptr [USER_RESUME], .cli
    cli
.cli:
    call user_fault
    mov  esi, "user-cli"
    call user_check
    mov  dword ptr [USER_RESUME], .sti
    sti
.sti:
    call user_fault
    mov  esi, "user-sti"
    call user_check
    mov  dword ptr [USER_RESUME], .hlt
    hlt
.hlt:
    call user_fault
    mov  esi, "user-hlt"
    call user_check
    mov  dword ptr [USER_RESUME], .clts
    clts
.clts:
    call user_fault
    mov  esi, "user-clts"
    call user_check
    mov  dword ptr [USER_RESUME], .lmsw
    lmsw ax
.lmsw:
    call user_fault
    mov  esi, "user-lmsw"
    call user_check
    mov  dword ptr [USER_RESUME], .cr0
    mov  eax, cr0
.cr0:
    call user_fault
    mov  esi, "user-mov-cr0"
    call user_check
    mov  dword ptr [USER_RESUME], .lgdt
    lgdt [USER_SCRATCH]
.lgdt:
    call user_fault
    mov  esi, "user-lgdt"
    call user_check
    mov  dword ptr [USER_RESUME], .invlpg
    invlpg [USER_SCRATCH]
.invlpg:
    call user_fault
    mov  esi, "user-invlpg"
    call user_check
    mov  dword ptr [USER_RESUME], .in
    in   al, PIC1_DATA
.in:
    call user_fault
    mov  esi, "user-in"
    call user_check
    mov  dword ptr [USER_RESUME], .out
    out  DEBUG_EXIT, al
.out:
    call user_fault
    mov  esi, "user-out"
    call user_check

; What the gates and the pages keep from it
    mov  dword ptr [USER_RESUME], .int
    int  VECTOR_INNER
.int:
    call user_fault
    mov  edx, FAULT_GP | VECTOR_INNER << 3 | 2
    mov  esi, "user-int-inner"
    call user_check
    mov  dword ptr [USER_RESUME], .segment
    mov  eax, KERNEL_DATA
    mov  es, eax
.segment:
    call user_fault
    mov  edx, FAULT_GP | KERNEL_DATA
    mov  esi, "user-mov-es-kernel"
    call user_check
    mov  dword ptr [USER_RESUME], .read
    mov  eax, [gdt]
.read:
    call user_fault
    mov  edx, FAULT_PF | 5
    mov  esi, "user-reads-kernel"
    call user_check
    mov  dword ptr [USER_RESUME], .write
    mov  dword ptr [gdt + ALIAS], 0
.write:
    call user_fault
    mov  edx, FAULT_PF | 7
    mov  esi, "user-writes-kernel"
    call user_check
    mov  dword ptr [USER_RESUME], .clock
    mov  dword ptr [USER_TICKS], 0
.clock:
    call user_fault
    mov  esi, "user-writes-clock"
    call user_check
    mov  dword ptr [USER_RESUME], .absent
    mov  eax, [USER_STACK_TOP - 0x2000]
.absent:
    call user_fault
    mov  edx, FAULT_PF | 4
    mov  esi, "user-reads-nothing"
    call user_check

; Code that rewrites itself, in ring 3
    mov  byte ptr [.next + 1], 9
.next:
    mov  eax, 1
    mov  edx, 9
    mov  esi, "user-smc-next"
    call user_check
    jmp  user_exit

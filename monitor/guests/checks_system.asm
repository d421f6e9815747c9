; System registers, and the instructions that look at descriptors (SDM vol. 3, 2.8 and 5.10).
;
; SMSW, SGDT, SIDT, SLDT, STR, LAR, LSL, VERR and VERW are critical: ring 3 may run them all, and
; they show the tables that the processor really uses.

LAR_MASK = 0xf0ff00                 ; the limit's nibble in LAR's result is undefined

checks_system:
    xor  eax, eax
    smsw ax
    mov  edx, MSW_VALUE
    mov  esi, "smsw-ax"
    call check
    smsw eax                        ; the upper half is undefined
    and  eax, 0xffff
    mov  esi, "smsw-eax"
    call check
    mov  dword ptr [table_image], 0
    smsw word ptr [table_image]
    mov  eax, [table_image]
    mov  esi, "smsw-memory"
    call check
    mov  eax, MSW_VALUE | CR0_TS
    lmsw ax
    xor  eax, eax
    smsw ax
    mov  edx, MSW_VALUE | CR0_TS
    mov  esi, "lmsw-sets-ts"
    call check
    mov  dword ptr [resume_at], .no_device
    fnop
.no_device:
    call take_fault
    mov  edx, FAULT_NM
    mov  esi, "ts-stops-x87"
    call check
    clts
    xor  eax, eax
    smsw ax
    mov  edx, MSW_VALUE
    mov  esi, "clts"
    call check
    mov  eax, MSW_VALUE & 0xfffe
    lmsw ax
    xor  eax, eax
    smsw ax
    mov  esi, "lmsw-keeps-pe"
    call check
    mov  eax, cr0
    mov  edx, CR0_VALUE
    mov  esi, "mov-eax-cr0"
    call check
    mov  eax, cr3
    mov  edx, KERNEL_PD
    mov  esi, "mov-eax-cr3"
    call check
    mov  eax, cr4
    mov  edx, [cr4_value]
    mov  esi, "mov-eax-cr4"
    call check
    mov  eax, 0x12345678
    mov  dr0, eax
    xor  eax, eax
    mov  eax, dr0
    mov  edx, 0x12345678
    mov  esi, "mov-dr0"
    call check

; The table registers
    sgdt [table_image]
    movzx eax, word ptr [table_image]
    mov  edx, GDT_LIMIT
    mov  esi, "sgdt-limit"
    call check
    mov  eax, [table_image + 2]
    mov  edx, gdt
    mov  esi, "sgdt-base"
    call check
    sidt [table_image]
    movzx eax, word ptr [table_image]
    mov  edx, IDT_LIMIT
    mov  esi, "sidt-limit"
    call check
    mov  eax, [table_image + 2]
    mov  edx, idt
    mov  esi, "sidt-base"
    call check
    sldt eax
    and  eax, 0xffff
    mov  edx, LDT_SELECTOR
    mov  esi, "sldt"
    call check
    str  eax
    and  eax, 0xffff
    mov  edx, TSS_SELECTOR
    mov  esi, "str"
    call check

; Access rights and limits. The processor has made the data segment accessed, the TSS busy.
    mov  ecx, KERNEL_CODE
    mov  edx, 0xc09b00
    mov  esi, "lar-code"
    call check_lar
    mov  ecx, KERNEL_DATA
    mov  edx, 0xc09300
    mov  esi, "lar-data"
    call check_lar
    mov  ecx, TSS_SELECTOR
    mov  edx, 0x8b00
    mov  esi, "lar-tss"
    call check_lar
    mov  ecx, CALL_GATE
    lar  eax, ecx
    and  eax, 0xff00                ; above the access byte a gate holds a part of its offset
    mov  edx, 0xec00
    mov  esi, "lar-gate"
    call check
    mov  ecx, NOT_PRESENT
    mov  edx, 0xc01200
    mov  esi, "lar-not-present"
    call check_lar
    xor  ecx, ecx
    mov  edx, -1
    mov  esi, "lar-null"
    call check_lar
    mov  ecx, GDT_LIMIT + 1
    mov  esi, "lar-beyond"
    call check_lar
    mov  ecx, KERNEL_CODE
    lsl  eax, ecx
    mov  edx, 0xffffffff
    mov  esi, "lsl-code"
    call check
    xor  eax, eax
    mov  ecx, BYTE_LIMIT
    lsl  eax, ecx
    mov  edx, 0xff
    mov  esi, "lsl-bytes"
    call check
    xor  eax, eax
    mov  ecx, TSS_SELECTOR
    lsl  eax, ecx
    mov  edx, TSS_LIMIT
    mov  esi, "lsl-tss"
    call check
    mov  ecx, KERNEL_CODE
    xor  eax, eax
    verr cx
    setz al
    mov  edx, 1
    mov  esi, "verr-code"
    call check
    mov  ecx, KERNEL_DATA
    xor  eax, eax
    verw cx
    setz al
    mov  esi, "verw-data"
    call check
    mov  ecx, READ_ONLY
    xor  eax, eax
    verr cx
    setz al
    mov  esi, "verr-read-only"
    call check
    xor  eax, eax
    verw cx
    setz al
    xor  edx, edx
    mov  esi, "verw-read-only"
    call check
    ret

; check_lar: LAR of selector CX must be EDX; -1 stands for ZF = 0.
check_lar:
    lar  eax, ecx
    jz   .valid
    mov  eax, -1
    jmp  check
.valid:
    and  eax, LAR_MASK
    jmp  check

    .align 4
table_image: .long 0, 0

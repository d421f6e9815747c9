; Segment descriptors (SDM vol. 3, 3.4.5), the TSS (7.2.1) and the LDT.

descriptors_start:
    mov  eax, tss
    mov  edi, gdt + TSS_SELECTOR
    call set_base
    mov  eax, ldt
    mov  edi, gdt + LDT_SELECTOR
    call set_base
    mov  eax, gate_target
    mov  word ptr [gdt + CALL_GATE], ax
    shr  eax, 16
    mov  word ptr [gdt + CALL_GATE + 6], ax
    lgdt [gdt_register]
    jmp  far KERNEL_CODE:.reload
.reload:
    mov  eax, KERNEL_DATA
    mov  ds, eax
    mov  es, eax
    mov  ss, eax
    xor  eax, eax
    mov  fs, eax
    mov  gs, eax
    mov  eax, LDT_SELECTOR
    lldt ax
    mov  eax, TSS_SELECTOR
    ltr  ax
    ret

; set_base: give the descriptor at EDI the base EAX.
set_base:
    mov  word ptr [edi + 2], ax
    shr  eax, 16
    mov  byte ptr [edi + 4], al
    mov  byte ptr [edi + 7], ah
    ret

    .align 8
gdt:
    .long 0, 0
    .long 0x0000ffff, 0x00cf9b00    ; 08 kernel code: flat, readable, accessed, DPL 0
    .long 0x0000ffff, 0x00cf9200    ; 10 kernel data: the processor sets accessed
    .long 0x0000ffff, 0x00cffb00    ; 18 user code: flat, accessed, DPL 3
    .long 0x0000ffff, 0x00cff200    ; 20 user data
    .long TSS_LIMIT,  0x00008900    ; 28 TSS, base set above
    .long LDT_LIMIT,  0x00008200    ; 30 LDT, base set above
    .long 0x0000ffff, 0x00cf9e00    ; 38 conforming code
    .long 0x00080000, 0x0000ec00    ; 40 call gate to gate_target, DPL 3, no parameters
    .long 0x0000ffff, 0x00cf9000    ; 48 read-only data
    .long 0x400000ff, 0x00409220    ; 50 data of 256 bytes at FRAME_A
    .long 0x0000ffff, 0x00cf1200    ; 58 data, not present
ldt:
    .long 0x0000ffff, 0x00cf9a00    ; 04 kernel code again
    .long 0x00000fff, 0x0040f240    ; 0f one page of user data at USER_RESUME, DPL 3
tss:
    .long 0, BOOT_STACK_TOP, KERNEL_DATA
    .space 84
    .long 0
    .short 0, 0x68                  ; no I/O permission map: it starts beyond the limit
gdt_register:
    .short GDT_LIMIT
    .long  gdt
    .align 4

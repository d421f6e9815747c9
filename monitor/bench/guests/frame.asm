; What every small guest of the benchmarks shares: the Multiboot header, flat segments, paging, the
; way out. It needs PAGING, TABLES and ARRAYS, which the harness or the guest sets before, and
; is followed by the labels `prepare` and `body`, each of which is called once, and `image_end`.
; With PAGING = 1 the first TABLES times 4 MiB are mapped one to one, in 4 KiB pages that ring 3 may
; use too. `prepare` sets gates, and changes page tables that are not in use yet.

DEBUG_EXIT = 0xf4
KERNEL_CODE = 0x08
KERNEL_DATA = 0x10
USER_CODE = 0x1b                    ; selectors 18 and 20 with RPL 3
USER_DATA = 0x23
TSS_SELECTOR = 0x28
SYSTEM_CALL = 0x80
GATE_RING0 = 0x8e00                 ; interrupt gates: present, DPL 0 and DPL 3
GATE_RING3 = 0xee00

PAGE_DIRECTORY = 0x200000           ; its page tables follow
PAGE_TABLES = 0x201000
STACK_TOP = 0x280000
USER_STACK_TOP = 0x290000

image_start:
    jmp  start
    .align 4
multiboot_header:
    .long 0x1badb002, 0x10000, 0xe4514ffe
    .long multiboot_header, image_start, image_end, image_end, start

start:
    cli
    cld
    mov  esp, STACK_TOP
    mov  al, 0xff                   ; no interrupt controller line may interrupt
    out  0x21, al
    out  0xa1, al
    call load_descriptors
    call fill_page_tables
    call prepare
    mov  eax, PAGING
    test eax, eax
    jz   .started
    mov  eax, PAGE_DIRECTORY
    mov  cr3, eax
    mov  eax, cr0
    or   eax, 0x80000000
    mov  cr0, eax
.started:
    fninit
    call body
; The debug-exit device ends the machine with status 0.
finish:
    cli
    xor  eax, eax
    out  DEBUG_EXIT, al
.halt:
    hlt
    jmp  .halt

load_descriptors:
    mov  eax, tss
    mov  word ptr [gdt + TSS_SELECTOR + 2], ax
    shr  eax, 16
    mov  byte ptr [gdt + TSS_SELECTOR + 4], al
    lgdt [gdt_register]
    lidt [idt_register]
    jmp  far KERNEL_CODE:.reload
.reload:
    mov  eax, KERNEL_DATA
    mov  ds, eax
    mov  es, eax
    mov  fs, eax
    mov  gs, eax
    mov  ss, eax
    mov  eax, TSS_SELECTOR
    ltr  ax
    ret

; A gate at EDI to the handler at EAX, with the type and DPL in EDX.
set_gate:
    mov  word ptr [edi], ax
    mov  word ptr [edi + 2], KERNEL_CODE
    mov  word ptr [edi + 4], dx
    shr  eax, 16
    mov  word ptr [edi + 6], ax
    ret

fill_page_tables:
    mov  edi, PAGE_TABLES
    mov  eax, 7                     ; present, writable, user
    mov  ecx, TABLES * 1024
.page:
    mov  [edi], eax
    add  edi, 4
    add  eax, 0x1000
    dec  ecx
    jnz  .page
    mov  edi, PAGE_DIRECTORY
    mov  eax, PAGE_TABLES + 7
    mov  ecx, TABLES
.table:
    mov  [edi], eax
    add  edi, 4
    add  eax, 0x1000
    dec  ecx
    jnz  .table
    ret

    .align 8
gdt:
    .long 0, 0
    .long 0x0000ffff, 0x00cf9b00    ; 08 kernel code
    .long 0x0000ffff, 0x00cf9300    ; 10 kernel data
    .long 0x0000ffff, 0x00cffb00    ; 18 user code
    .long 0x0000ffff, 0x00cff300    ; 20 user data
    .long 0x00000067, 0x00008900    ; 28 TSS, base set above
gdt_register:
    .short 0x2f
    .long gdt
idt_register:
    .short 0x40f
    .long idt
    .align 4
tss:
    .long 0, STACK_TOP, KERNEL_DATA
    .space 92
    .align 8
idt:
    .space 1040

; Entry, the order of things, and the end.
; The multiboot header (Multiboot 1, section 3.1) lets other loaders start the same image.

MULTIBOOT_MAGIC = 0x1badb002
MULTIBOOT_FLAGS = 0x10000           ; bit 16: the address fields are valid

image_start:
    jmp  start
    .align 4
multiboot_header:
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, 0xe4514ffe
    .long multiboot_header, image_start, image_end, image_end, start

start:
    cli
    cld
    mov  esp, BOOT_STACK_TOP
    call console_start
    mov  esi, "embedded guest: kernel checks\n"
    call print
    call descriptors_start
    call paging_start
    call interrupts_start
    call checks_flags
    call checks_selectors
    call checks_system
    call checks_faults
    call checks_paging
    call checks_code
    mov  esi, "embedded guest: ring 3 checks\n"
    call print
    call run_processes
    ; fall through

; Print the sum and leave. Also where an exception that nobody expected ends.
finish:
    cli
    mov  esi, "embedded guest: "
    call print
    mov  eax, [checks_total]
    call print_decimal
    mov  esi, " checks, "
    call print
    mov  eax, [checks_wrong]
    call print_decimal
    mov  esi, " wrong\n"
    call print
    cmp  dword ptr [checks_wrong], 0
    setnz al
    out  DEBUG_EXIT, al
.halt:
    cli
    hlt
    jmp  .halt

; check: EAX = got, EDX = want, ESI = name. Keeps every register.
check:
    pushad
    inc  dword ptr [checks_total]
    mov  edi, esi
    mov  ebx, eax
    mov  esi, "check "
    call print
    mov  esi, edi
    call print
    mov  esi, " ok\n"
    cmp  ebx, edx
    je   .say
    inc  dword ptr [checks_wrong]
    mov  esi, " WRONG got "
    call print
    mov  eax, ebx
    call print_hex
    mov  esi, " want "
    call print
    mov  eax, edx
    call print_hex
    mov  esi, "\n"
.say:
    call print
    popad
    ret

    .align 4
checks_total: .long 0
checks_wrong: .long 0

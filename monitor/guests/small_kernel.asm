; The small kernel's boot code and its handlers; small_kernel.py says what it is for.

boot:
    mov  al, 0xff
    out  0x21, al
    lgdt [gdt_pointer]
    lidt [idt_pointer]
    mov  ax, 0x28
    ltr  ax
    jmp  far 0x08:reload
reload:
    mov  ax, [START_DATA]
    mov  ds, ax
    mov  es, ax
    mov  fs, ax
    mov  gs, ax
    mov  ax, 0x10
    mov  ss, ax
    mov  esp, STACK0
    mov  dword ptr [LOG_END], LOG
    call pics
    mov  eax, [START_CR4]
    test eax, eax
    jz   no_cr4
    mov  cr4, eax
no_cr4:
    mov  eax, [START_PAGING]
    test eax, eax
    jz   no_paging
    mov  eax, DIRECTORY
    mov  cr3, eax
    mov  eax, cr0
    or   eax, [START_PAGING]
    mov  cr0, eax
no_paging:
    xor  eax, eax
    xor  ecx, ecx
    push dword ptr [START_DATA]
    push dword ptr [START_ESP]
    push dword ptr [START_FLAGS]
    push dword ptr [START_CS]
    push dword ptr [START_EIP]
    cmp  dword ptr [esp + 4], 8
    je   same_ring
    iretd
same_ring:
    iretd

pics:
    mov  al, 0x11
    out  0x20, al
    out  0xa0, al
    mov  al, 0x20
    out  0x21, al
    mov  al, 0x28
    out  0xa1, al
    mov  al, 4
    out  0x21, al
    mov  al, 2
    out  0xa1, al
    mov  al, 1
    out  0x21, al
    out  0xa1, al
    mov  al, 0xff
    out  0x21, al
    out  0xa1, al
    ret

; On the stack: EIP CS EFLAGS (ESP SS); below them error and vector.
handler:
    pushad
    push ds
    push es
    mov  ax, 0x10
    mov  ds, ax
    mov  es, ax
    mov  edi, [LOG_END]
    cld
    mov  eax, [esp + 40]
    stosd
    mov  eax, [esp + 44]
    stosd
    mov  eax, [esp + 48]
    stosd
    movzx eax, word ptr [esp + 52]
    stosd
    mov  eax, [esp + 56]
    stosd
    mov  eax, cr2
    stosd
    lea  eax, [esp + 60]
    test byte ptr [esp + 52], 3
    jz   .inner
    mov  eax, [esp + 60]
.inner:
    stosd
    mov  eax, [esp + 36]
    stosd
    mov  [LOG_END], edi
    mov  eax, [esp + 40]
    cmp  eax, 0x20
    jae  .irq
    cmp  eax, 1
    je   .back
    cmp  eax, 3
    je   .back
    cmp  eax, 4
    je   .back
    mov  eax, [RESUME]
    test eax, eax
    jz   finish
    mov  [esp + 48], eax
.back:
    pop  es
    pop  ds
    popad
    lea  esp, [esp + 8]
    iretd
.irq:
    cmp  eax, 0x30
    jae  .back
    mov  al, 0x20
    out  0x20, al
    jmp  .back
finish:
    mov  dword ptr [UNEXPECTED], 1
    mov  al, 0xfe
    out  0xf4, al
    hlt
leave_guest:
    out  0xf4, al
    hlt
    .align 8
gdt_pointer:
    .short 0x1ff
    .long GDT
    .align 8
idt_pointer:
    .short 0x7ff
    .long IDT

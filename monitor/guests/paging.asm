; Paging (SDM vol. 3, chapter 4). The first 4 MiB are identity mapped for the supervisor by 4 KiB
; pages; the same memory shows a second time at ALIAS, by one 4 MiB page where CPUID has PSE.

CPUID_PSE = 8

paging_start:
    mov  edi, KERNEL_PD
    mov  ecx, 1024
    xor  eax, eax
    rep  stosd
    mov  edi, KERNEL_PT
    mov  ecx, 1024
    mov  eax, PRESENT | WRITABLE
.identity:
    stosd
    add  eax, 0x1000
    dec  ecx
    jnz  .identity
    mov  dword ptr [KERNEL_PD], KERNEL_PT | PRESENT | WRITABLE
    mov  eax, 1
    cpuid
    mov  eax, KERNEL_PT | PRESENT | WRITABLE
    test edx, CPUID_PSE
    jz   .small
    mov  eax, CR4_PSE
    mov  cr4, eax
    mov  [cr4_value], eax
    mov  eax, PRESENT | WRITABLE | LARGE
.small:
    mov  [KERNEL_PD + (ALIAS >> 22) * 4], eax
    mov  eax, KERNEL_PD
    mov  cr3, eax
    mov  eax, CR0_VALUE
    mov  cr0, eax
    jmp  .on
.on:
    ret

    .align 4
cr4_value: .long 0

; A load of CR3 with the value it has. It stands for cr8wr: 32-bit x86 has no CR8.
    mov  eax, cr3
    mov  cr3, eax

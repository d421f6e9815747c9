; A page table entry is written, flushed and used.
    xor  dword ptr [SPARE_PTE], 0x200
    invlpg [SPARE_PAGE]
    mov  eax, [SPARE_PAGE]

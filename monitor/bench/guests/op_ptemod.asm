; A page table entry is written, and that is all: nobody flushes it or uses the page.
    xor  dword ptr [SPARE_PTE], 0x200

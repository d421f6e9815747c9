; A page fault of the guest's own, whose handler skips the instruction.
    mov  eax, [edi]

; Data beside code: a write to the page that is being executed, not to code.
    jmp  .beyond
    .align 4
.datum:
    .long 0
.beyond:
    inc  dword ptr [.datum]

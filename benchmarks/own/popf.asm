; How does the cost of POPF change with the length of the block around it?
; vp bench own benchmarks/own/popf.asm --set LENGTH=0,8,64

LENGTH = 8                  ; ordinary instructions between PUSHF and POPF

popf:
    pushfd
    .rept LENGTH
    add  eax, ebx
    .endr
    popfd

without:                    ; the same block, with an ordinary instruction in POPF's place
    pushfd
    .rept LENGTH
    add  eax, ebx
    .endr
    add  esp, 4

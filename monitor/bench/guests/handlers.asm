; What the operations call: gates' handlers and a procedure. On pages of their own, so that code
; and the data of the frame do not share one.

    .align 4096
; A divide error and a page fault of a two-byte instruction: go on behind it.
divide_error:
    add  dword ptr [esp], 2
    iretd
page_fault:
    add  dword ptr [esp + 4], 2
    add  esp, 4
    iretd
system_call:
    iretd
nothing:
    ret

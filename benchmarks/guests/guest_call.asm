; A loop around one call: GETTIME by the backdoor (CALL = 0), by VMCALL (1), or an ordinary access to
; a device's port (2). A round is 5 instructions.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

MAGIC = 0x564d5868
BACKDOOR = 0x5658
GETTIME = 23
POST = 0x80                         ; a chip that only keeps what it is told

body:
    mov  edi, CALL
    cmp  edi, 1
    je   hypercalls
    cmp  edi, 2
    je   accesses
backdoor_calls:
    mov  eax, MAGIC
    mov  ecx, GETTIME
    mov  edx, BACKDOOR
    in   eax, dx
    jmp  backdoor_calls
hypercalls:
    mov  eax, MAGIC
    mov  ecx, GETTIME
    mov  edx, BACKDOOR
    .byte 0x0f, 0x01, 0xc1          ; VMCALL
    jmp  hypercalls
accesses:
    mov  eax, MAGIC
    mov  ecx, GETTIME
    mov  edx, POST
    in   eax, dx
    jmp  accesses

image_end:

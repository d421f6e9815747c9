; A fire in mode 13h, at PLACE: A0000h, or RAM to compare with. Each pixel is a little less than the
; mean of three below it and one further below; the lowest two lines are dice. FRAMES counts.

.include "settings.asm"
.include "frame.asm"
.include "gates.asm"

FRAMES = 0x300000
WIDTH = 320

body:
    cld
    mov  esi, mode
    mov  dx, 0x3c2
    outsb
    mov  dx, 0x3c4
    mov  ecx, 5
    call indexed
    mov  dx, 0x3d4
    mov  ecx, 25
    call indexed
    mov  dx, 0x3ce
    mov  ecx, 9
    call indexed
    mov  dx, 0x3da
    in   al, dx
    mov  dx, 0x3c0
    xor  eax, eax
.attribute:
    out  dx, al
    outsb
    inc  eax
    cmp  eax, 21
    jb   .attribute
    mov  al, 0x20
    out  dx, al
    mov  dx, 0x3c8                  ; black over red and yellow to white
    xor  eax, eax
    out  dx, al
    inc  edx
    xor  ecx, ecx
.colour:
    mov  eax, ecx
    call channel
    lea  eax, [ecx - 64]
    call channel
    lea  eax, [ecx - 128]
    call channel
    inc  ecx
    cmp  ecx, 256
    jb   .colour
    mov  dword ptr [FRAMES], 0
    mov  ecx, ROUNDS
    mov  ebp, 12345
.round:
    mov  edi, PLACE + WIDTH * 198
.dice:
    imul ebp, ebp, 1103515245
    add  ebp, 12345
    mov  eax, ebp
    sar  eax, 31                    ; nothing, or everything
    and  eax, 0xFF
    stosb
    cmp  edi, PLACE + WIDTH * 200
    jb   .dice
    mov  edi, PLACE
.pixel:
    movzx eax, byte ptr [edi + WIDTH - 1]
    movzx ebx, byte ptr [edi + WIDTH]
    movzx edx, byte ptr [edi + WIDTH + 1]
    add  eax, ebx
    movzx ebx, byte ptr [edi + 2 * WIDTH]
    add  eax, edx
    add  eax, ebx
    shr  eax, 2
    cmp  eax, 1                     ; colder, but not below nothing
    adc  eax, -1
    stosb
    cmp  edi, PLACE + WIDTH * 198
    jb   .pixel
    inc  dword ptr [FRAMES]
    dec  ecx
    jnz  .round
    ret

; A part of a colour, from EAX: at least 0, at most 63.
channel:
    test eax, eax
    jns  .bright
    xor  eax, eax
.bright:
    cmp  eax, 63
    jbe  .write
    mov  eax, 63
.write:
    out  dx, al
    ret

; ECX registers from 0 on, from ESI to an index at DX.
indexed:
    xor  eax, eax
.next:
    mov  ah, [esi]
    out  dx, ax
    inc  esi
    inc  eax
    loop .next
    ret

mode:
    .byte 0x63
    .byte 0x03, 0x01, 0x0F, 0x00, 0x0E
    .byte 0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0x00, 0x00, 0x00
    .byte 0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF
    .byte 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF
    .byte 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C
    .byte 0x0D, 0x0E, 0x0F, 0x41, 0x00, 0x0F, 0x00, 0x00

image_end:

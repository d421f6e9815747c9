; A fire in mode 13h, in a boot sector. Each pixel is a little less than the mean of three below it
; and one further below; the lowest two lines are dice. FRAMES counts, 70 a second.

WIDTH = 320
FRAMES = 0x600                      ; behind what the BIOS has in low memory
HEARTH = WIDTH * 198
SCREEN = 0xA000                     ; its segment
RATE = 17045                        ; 1193182 Hz / 70

start:
    xor  ax, ax
    mov  ds, ax
    mov  ss, ax
    mov  sp, 0x7C00
    mov  dword ptr [FRAMES], 0
    mov  ax, 0x0013
    int  0x10
    mov  dx, 0x3C8                  ; black over red and yellow to white
    xor  al, al
    out  dx, al
    inc  dx
    xor  cx, cx
.colour:
    mov  ax, cx
    call channel
    lea  ax, [ecx - 64]
    call channel
    lea  ax, [ecx - 128]
    call channel
    inc  cx
    cmp  cx, 256
    jb   .colour
    mov  al, 0x34
    out  0x43, al
    mov  ax, RATE
    out  0x40, al
    mov  al, ah
    out  0x40, al
    sti
    mov  ax, SCREEN
    mov  es, ax
    mov  ebp, 12345
    cld
.frame:
    hlt
    push es
    pop  ds
    mov  di, HEARTH
.dice:
    imul ebp, ebp, 1103515245
    add  ebp, 12345
    mov  eax, ebp
    sar  eax, 31                    ; nothing, or everything
    stosb
    cmp  di, WIDTH * 200
    jb   .dice
    xor  di, di
    xor  ax, ax
    xor  bx, bx
    xor  dx, dx
.pixel:
    mov  al, [di + WIDTH - 1]
    mov  bl, [di + WIDTH]
    mov  dl, [di + WIDTH + 1]
    add  ax, bx
    mov  bl, [di + 2 * WIDTH]
    add  ax, dx
    add  ax, bx
    shr  ax, 2
    cmp  al, 1                      ; colder, but not below nothing
    adc  al, -1
    stosb
    xor  ah, ah
    cmp  di, HEARTH
    jb   .pixel
    xor  ax, ax
    mov  ds, ax
    inc  dword ptr [FRAMES]
    jmp  .frame

; A part of a colour, from AX: at least 0, at most 63.
channel:
    test ax, ax
    jns  .bright
    xor  ax, ax
.bright:
    cmp  ax, 63
    jbe  .write
    mov  al, 63
.write:
    out  dx, al
    ret

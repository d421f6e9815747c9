; Interrupt handlers in real mode, at the BIOS's segment: of the hardware, and the few services that
; only look something up. IBM PC/AT Technical Reference, "System BIOS usage".

BDA = 0x40                          ; the BIOS data area's segment
EQUIPMENT = 0x10
MEMORY_KIB = 0x13
SHIFT_FLAGS = 0x17
TICKS = 0x6c
MIDNIGHT = 0x70
TICKS_PER_DAY = 0x1800b0            ; at 1193182 / 65536 Hz

PIC1 = 0x20
PIC1_MASK = 0x21
PIC2 = 0xa0
PIC2_MASK = 0xa1
EOI = 0x20
READ_ISR = 0x0b
KEYBOARD_DATA = 0x60
KEYBOARD_COMMAND = 0x64
PULSE_RESET = 0xfe
CMOS_INDEX = 0x70
CMOS_DATA = 0x71
RTC_C = 0x0c                        ; reading it takes the clock's interrupt away
RTC_D = 0x0d
ALARM = 0x20
EXTENDED_LOW = 0x30                 ; KiB above 1 MiB
EXTENDED_HIGH = 0x31
CARRY = 0x01                        ; in the low byte of FLAGS
ZERO = 0x40
UNSUPPORTED = 0x86

; INT 08h, IRQ0: 18.2 times a second.
timer_irq:
    push ds
    push ax
    mov  ax, BDA
    mov  ds, ax
    inc  dword ptr [TICKS]
    cmp  dword ptr [TICKS], TICKS_PER_DAY
    jb   .today
    mov  dword ptr [TICKS], 0
    mov  byte ptr [MIDNIGHT], 1
.today:
    int  0x1c                       ; for whoever wants to know
    mov  al, EOI
    out  PIC1, al
    pop  ax
    pop  ds
    iret

; INT 09h, IRQ1. The key is read, so that the next can come, and lost.
keyboard_irq:
    push ax
    in   al, KEYBOARD_DATA
    mov  al, EOI
    out  PIC1, al
    pop  ax
    iret

; INT 70h, IRQ8: the clock chip.
clock_irq:
    push ax
    mov  al, RTC_C
    out  CMOS_INDEX, al
    in   al, CMOS_DATA
    mov  ah, al
    mov  al, RTC_D
    out  CMOS_INDEX, al
    test ah, ALARM
    jz   .no_alarm
    int  0x4a
.no_alarm:
    mov  al, EOI
    out  PIC2, al
    out  PIC1, al
    pop  ax
    iret

; An interrupt of the master that nobody handles: its line is closed. Without a line in service it
; was a spurious one, or INT.
other_master_irq:
    push ax
    mov  al, READ_ISR
    out  PIC1, al
    in   al, PIC1
    mov  ah, al
    neg  ah
    and  ah, al                     ; the lowest bit is the most urgent line, so the last served
    jz   .none
    in   al, PIC1_MASK
    or   al, ah
    out  PIC1_MASK, al
    mov  al, EOI
    out  PIC1, al
.none:
    pop  ax
    iret

; The same of the slave. A spurious one has put the master's line 2 in service all the same.
other_slave_irq:
    push ax
    mov  al, READ_ISR
    out  PIC2, al
    in   al, PIC2
    mov  ah, al
    neg  ah
    and  ah, al
    jz   .none
    in   al, PIC2_MASK
    or   al, ah
    out  PIC2_MASK, al
    mov  al, EOI
    out  PIC2, al
.none:
    mov  al, EOI
    out  PIC1, al
    pop  ax
    iret

; INT 11h: AX = equipment.
equipment_service:
    push ds
    mov  ax, BDA
    mov  ds, ax
    mov  ax, [EQUIPMENT]
    pop  ds
    iret

; INT 12h: AX = KiB of memory below 640 KiB that are free to use.
memory_service:
    push ds
    mov  ax, BDA
    mov  ds, ax
    mov  ax, [MEMORY_KIB]
    pop  ds
    iret

; INT 13h: there are no disks. AH = 1, carry.
disk_service:
    mov  ah, 1
    jmp  fail

; INT 15h: AH = 88h gives AX = KiB above 1 MiB, and nothing else is there.
system_service:
    cmp  ah, 0x88
    jne  unsupported
    mov  al, EXTENDED_HIGH
    out  CMOS_INDEX, al
    in   al, CMOS_DATA
    mov  ah, al
    mov  al, EXTENDED_LOW
    out  CMOS_INDEX, al
    in   al, CMOS_DATA
    push ax
    mov  al, RTC_D
    out  CMOS_INDEX, al
    pop  ax
    push bp
    mov  bp, sp
    and  byte ptr [bp + 6], ~CARRY & 0xff
    pop  bp
    iret

; INT 16h: no key has come, and none will.
keyboard_service:
    test ah, 0xee                   ; 00h, 01h, 10h, 11h
    jnz  .other
    test ah, 1
    jz   .wait
    push bp
    mov  bp, sp
    or   byte ptr [bp + 6], ZERO
    pop  bp
    iret
.wait:
    sti
    hlt
    jmp  .wait
.other:
    cmp  ah, 2
    jne  nothing
    push ds
    push bx
    mov  bx, BDA
    mov  ds, bx
    mov  al, [SHIFT_FLAGS]
    pop  bx
    pop  ds
    iret

; INT 18h, INT 19h: there is nothing to boot from, so the machine starts anew.
boot_service:
    mov  al, PULSE_RESET
    out  KEYBOARD_COMMAND, al
.wait:
    hlt
    jmp  .wait

; INT 1Ah: AH = 0 gives CX:DX = ticks since midnight, and AL = 1 once after it; AH = 1 sets them.
time_service:
    cmp  ah, 1
    ja   unsupported
    push ds
    push bx
    mov  bx, BDA
    mov  ds, bx
    je   .set
    mov  cx, [TICKS + 2]
    mov  dx, [TICKS]
    mov  al, [MIDNIGHT]
    jmp  .done
.set:
    mov  [TICKS + 2], cx
    mov  [TICKS], dx
.done:
    mov  byte ptr [MIDNIGHT], 0
    pop  bx
    pop  ds
    push bp
    mov  bp, sp
    and  byte ptr [bp + 6], ~CARRY & 0xff
    pop  bp
    iret

; A call that there is not, in the way of INT 15h: AH = 86h, carry.
unsupported:
    mov  ah, UNSUPPORTED
fail:
    push bp
    mov  bp, sp
    or   byte ptr [bp + 6], CARRY
    pop  bp
    iret

; All other vectors.
nothing:
    iret

/* A boot sector that loads a flat 32-bit image from a floppy to 0x100000 and starts it.
 *
 * The BIOS reads sector 0 to 0x7C00 and jumps there in real mode. SECTORS sectors after it are
 * read one at a time (INT 13h, AH=2; 18 sectors a track, 2 heads) to 0x10000; then A20 is opened
 * (port 0x92), protected mode entered with flat segments, the image copied up, and ENTRY called.
 */

        .code16
        .text
        .globl _start
_start: cli
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %ss
        mov $0x7C00, %sp
        sti
        mov %dl, drive
        mov $0x1000, %ax                /* ES:0 is where the next sector goes */
        mov %ax, %es
        mov $1, %di                     /* logical sector */
next:   mov %di, %ax
        xor %dx, %dx
        mov $18, %bx
        div %bx                         /* AX track and head together, DX sector - 1 */
        mov %dl, %cl
        inc %cl
        mov %al, %dh
        and $1, %dh
        shr $1, %ax
        mov %al, %ch
        mov drive, %dl
        xor %bx, %bx
        mov $0x0201, %ax
        int $0x13
        jc next
        mov %es, %ax
        add $0x20, %ax
        mov %ax, %es
        inc %di
        cmp $SECTORS + 1, %di
        jne next

        cli
        in $0x92, %al
        or $2, %al
        out %al, $0x92
        lgdtl gdt_pointer
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmpl $8, $protected

        .code32
protected:
        mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %fs
        mov %eax, %gs
        mov %eax, %ss
        mov $0x10000, %esi
        mov $0x100000, %edi
        mov $SECTORS * 128, %ecx
        cld
        rep movsl
        mov $ENTRY, %eax
        jmp *%eax

        .align 8
gdt:    .quad 0
        .quad 0x00CF9A000000FFFF        /* flat code */
        .quad 0x00CF92000000FFFF        /* flat data */
gdt_pointer:
        .word 23
        .long gdt
drive:  .byte 0

        .org 510
        .word 0xAA55

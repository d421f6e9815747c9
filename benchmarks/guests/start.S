/* Start and end of a freestanding C guest, bare or as a Linux process.
 *
 * Bare (Multiboot specification 0.6.96): entered in 32-bit protected mode with flat segments and
 * paging off. Clears .bss, with -DPAGING maps the first 16 MiB one to one in 4 KiB pages, calls
 * mix(), writes the checksum as eight hexadecimal digits and a newline to the serial port at 0x3F8
 * and ends the machine by OUT 0xF4 (the debug-exit device); a machine without one is asked through
 * Bochs' shutdown port, and then halts.
 *
 * With -DNATIVE the same code is a static i386 program: it writes the same line to standard output
 * and exits, by INT 0x80.
 */

        .text
        .globl _start

#ifdef NATIVE

_start: call mix
        mov $line, %edi
        call format
        mov $4, %eax                    /* write(1, line, 9) */
        mov $1, %ebx
        mov $line, %ecx
        mov $9, %edx
        int $0x80
        mov $1, %eax                    /* exit(0) */
        xor %ebx, %ebx
        int $0x80

#else

        .align 4
        .long 0x1BADB002                /* Multiboot header: magic, flags, checksum */
        .long 0
        .long -0x1BADB002

_start: cli
        cld
        mov $stack_top, %esp
        mov $__bss_start, %edi
        mov $_end, %ecx
        sub %edi, %ecx
        xor %eax, %eax
        rep stosb
#ifdef PAGING
        call enable_paging
#endif
        call mix
        mov $line, %edi
        call format
        mov $0x3FB, %edx                /* line control: eight bits, no parity, one stop bit */
        mov $3, %al
        out %al, %dx
        mov $line, %esi
        mov $9, %ecx
1:      mov $0x3FD, %edx                /* wait for the transmitter, then send a byte */
2:      in %dx, %al
        test $0x20, %al
        jz 2b
        mov $0x3F8, %edx
        lodsb
        out %al, %dx
        loop 1b
        mov $0x3FD, %edx                /* let the last byte leave */
3:      in %dx, %al
        test $0x40, %al
        jz 3b
        xor %eax, %eax
        out %al, $0xF4
        mov $0x8900, %edx
        mov $shutdown, %esi
        mov $8, %ecx
        rep outsb
4:      cli
        hlt
        jmp 4b

#ifdef PAGING
#define MAPPED_TABLES 4                 /* 4 MiB each */
enable_paging:
        mov $page_tables, %edi
        mov $3, %eax                    /* present, writable */
1:      stosl
        add $0x1000, %eax
        cmp $MAPPED_TABLES * 0x400000 + 3, %eax
        jne 1b
        mov $page_directory, %edi
        mov $page_tables + 3, %eax
        mov $MAPPED_TABLES, %ecx
2:      stosl
        add $0x1000, %eax
        loop 2b
        mov $page_directory, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        ret
#endif

shutdown:
        .ascii "Shutdown"

        .bss
        .align 4096
#ifdef PAGING
page_directory:
        .space 4096
page_tables:
        .space MAPPED_TABLES * 4096
#endif
        .space 16384
stack_top:

#endif

        .text
/* Write EAX as eight hexadecimal digits and a newline at EDI. */
format: mov $8, %ecx
1:      rol $4, %eax
        mov %eax, %edx
        and $15, %edx
        mov digits(%edx), %dl
        mov %dl, (%edi)
        inc %edi
        loop 1b
        movb $10, (%edi)
        ret

digits: .ascii "0123456789ABCDEF"

        .bss
line:   .space 9

        .section .note.GNU-stack, "", @progbits

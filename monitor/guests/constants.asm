; Every number with a name. Physical memory is laid out like this (4 MiB are enough):
;
;   0x100000  the image: kernel text and data, then the pages that ring 3 may read
;   0x1f0000  top of the boot stack
;   0x200000  the kernel's page directory and tables, the clock page, two frames for tests
;   0x210000  64 KiB for each process: page directory, two tables, data, stack, kernel stack
;   0x3f0000  the window: a linear page that the tests map to one frame and another

; --- selectors (SDM 3.4.2) and the descriptors in descriptors.asm
KERNEL_CODE  = 0x08
KERNEL_DATA  = 0x10
USER_CODE    = 0x1b
USER_DATA    = 0x23
TSS_SELECTOR = 0x28
LDT_SELECTOR = 0x30
CONFORMING   = 0x38
CALL_GATE    = 0x40
READ_ONLY    = 0x48
BYTE_LIMIT   = 0x50
NOT_PRESENT  = 0x58
GDT_LIMIT    = 0x5f
LOCAL_CODE   = 0x04
LOCAL_DATA   = 0x0f
LDT_LIMIT    = 0x0f
TSS_LIMIT    = 0x67
IDT_LIMIT    = 0x407

; --- EFLAGS
IF   = 0x200
IOPL = 0x3000
NT   = 0x4000

; --- CR0: paging and write protection on, MP and NE off so that SMSW has something to tell
CR0_TS    = 0x8
CR0_VALUE = 0x80010011
MSW_VALUE = 0x11
CR4_PSE   = 0x10

; --- vectors, and a fault as the checks see it: vector in the upper half, error code below
VECTOR_IRQ0    = 0x20
VECTOR_INNER   = 0x41
VECTOR_SYSCALL = 0x80
FAULT_BR  = 5 << 16
FAULT_UD  = 6 << 16
FAULT_NM  = 7 << 16
FAULT_NP  = 11 << 16
FAULT_GP  = 13 << 16
FAULT_PF  = 14 << 16
NO_FAULT  = 0xffffffff

; --- page table entries
PRESENT  = 1
WRITABLE = 2
USER     = 4
ACCESSED = 0x20
DIRTY    = 0x40
LARGE    = 0x80

; --- memory
BOOT_STACK_TOP = 0x1f0000
KERNEL_PD      = 0x200000
KERNEL_PT      = 0x201000
CLOCK_PAGE     = 0x203000
FRAME_A        = 0x204000
FRAME_B        = 0x205000
WINDOW         = 0x3f0000
WINDOW_PTE     = KERNEL_PT + (WINDOW >> 12) * 4
ALIAS          = 0xc0000000
CLOCK_TICKS       = CLOCK_PAGE
CLOCK_PREEMPTIONS = CLOCK_PAGE + 4

; --- contexts: three processes and the kernel's own; the state of one that can run
MAIN      = 3
PROCESSES = 3
READY     = 1

; --- processes, by their place in memory: offsets from PROCESS_AREA + number * 64 KiB
PROCESS_AREA     = 0x210000
PROCESS_PD       = 0
PROCESS_LOW_PT   = 0x1000
PROCESS_USER_PT  = 0x2000
PROCESS_DATA     = 0x3000
PROCESS_STACK    = 0x4000
PROCESS_KERNEL_STACK_TOP = 0x6000

; --- what a process sees at 4 MiB
USER_RESUME    = 0x400000
USER_SCRATCH   = 0x400010
USER_MARK      = 0x400040
USER_BUFFER    = 0x400800
USER_STACK_TOP = 0x403000
USER_TICKS     = 0x404000
USER_PREEMPTIONS = 0x404004

; --- system calls: number in EAX, arguments in EBX, ECX, EDX, result in EAX
SYS_EXIT   = 1
SYS_WRITE  = 2
SYS_GETPID = 3
SYS_YIELD  = 4
SYS_TICKS  = 5
SYS_CHECK  = 6
SYS_FAULT  = 7

; --- ports
COM1        = 0x3f8
PIC1        = 0x20
PIC1_DATA   = 0x21
PIC2        = 0xa0
PIC2_DATA   = 0xa1
PIT_CHANNEL0 = 0x40
PIT_CONTROL  = 0x43
DEBUG_EXIT   = 0xf4
PIT_2_KHZ    = 596

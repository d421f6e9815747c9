"""Where things are: a world's arena, the kernel around it, and what the host exchanges with it.

| physical      | what                                                                     |
| ------------- | ------------------------------------------------------------------------ |
| 0 to 9FFFh    | the arena: everything that a world may change, compared as a whole       |
| B000h         | LOW: the part of the kernel that catches; supervisor page in every world  |
| 10_0000h      | TEMPLATE, the arena as every world begins with                           |
| 12_0000h      | PRISTINE, the arena as this world began                                  |
| 15_0000h      | the kernel (kernel.asm); supervisor pages in every world                 |
| 20_0000h      | WORLDS: their number, 0, and each as a size, a state and patches         |
| 200_0000h     | OUTPUT: each world's record, as size, registers and changed doublewords  |

A state is STATE, then pairs of (address, doubleword) that make the world out of the template. A
record is RECORD, then pairs of (address, doubleword) of the arena. A size of 0 ends the records.
"""

from __future__ import annotations

PAGE = 4096
ARENA_SIZE = 10 * PAGE
LOW, KERNEL, KSTACK, KERNEL_END = 0xB000, 0x150000, 0x151FF0, 0x152000
LOAD_STACK = 0x3380
REST_END = 0x28000  # what an 8086 program can reach behind the arena is cleared
TEMPLATE, PRISTINE, WORLDS, OUTPUT = 0x100000, 0x120000, 0x200000, 0x2000000
MEMORY_MB = 64

VECTORS = 0x40  # stubs, and entries of every IDT
STUB_SIZE = 16
SHUTDOWN = 0x100  # the vector of a record without one
PORT = 0x80
PORT_START, PORT_CAUGHT, PORT_DONE, PORT_END = 1, 2, 3, 4

# Selectors that the kernel's GDT and every world's share
KCODE, KDATA, KTSS = 0x08, 0x10, 0x18

#: Name and size in bytes, in order.
STATE = (
    *((name, 4) for name in ("size", "cr0", "cr3", "cr4")),
    *(("gdtr", 6), ("idtr", 6)),
    *((name, 4) for name in ("ldtr", "tr", "dr0", "dr1", "dr6", "dr7")),
    *((name, 4) for name in ("ds", "es", "fs", "gs", "esp", "ss")),
    *((name, 4) for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")),
    ("patches", 4),
)
RECORD = (
    ("vector", 4),  # DS in the lower half
    *((name, 4) for name in ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")),
    *((name, 4) for name in ("es", "cs", "ss", "fs", "gs", "eflags")),
    *((name, 4) for name in ("cr0", "cr2", "cr3", "cr4", "dr0", "dr1", "dr6", "dr7")),
    *(("gdtr", 6), ("idtr", 6), ("ldtr", 4), ("tr", 4), ("fpu", 108)),
)
STATE_SIZE = sum(size for _, size in STATE)
RECORD_SIZE = sum(size for _, size in RECORD)

"""Loaders: they put a guest into memory and say where its processor starts.

    linux.py      bzImage, Linux/x86 boot protocol, 32-bit entry
    linux16.py    its 16-bit entry, for kernels that have no other
    multiboot.py  Multiboot 1 kernels with modules
    elf.py        32-bit i386 executables
    flat.py       bytes at an address
    cpio.py       writes an initramfs, for whoever wants a file in one

Each has `load(memory, image, ...) -> StartState` (start.py). `memory` is anything with `.size`,
`.read(address, n)` and `.write(address, data)`. What is `reserved` is somebody else's memory. A
loader first plans (plan.py), checks, and only then writes: bad input raises UserError and leaves
memory as it was.
"""

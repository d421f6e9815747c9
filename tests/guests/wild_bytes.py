"""A random world that begins with random bytes, in ring 0 or ring 3 as its dice fall.

2 MiB of RAM with a GDT, an IDT, a TSS and, in half of the worlds, page tables; and a few pages of
random bytes, salted with the instructions that a monitor finds hard. Every exception and interrupt
leads to a handler that goes on in the random pages at another place, in ring 0 or ring 3. Nothing
protects these structures from the random code: that is the point.
"""

from __future__ import annotations

import random
import struct
from functools import cache

from wild_code import World, salted_bytes

from monitor.guests.assembler import Assembly, assemble

ORIGIN = 0x100000
WILD, WILD_BYTES = 0x110000, 0x4000

SOURCE = """
GDT = 0x1000
IDT = 0x2000
TSS = 0x3000
DIRECTORY = 0x4000
TABLE = 0x5000
STATE = 0x6000
STACK = 0x90000
WILD = 0x110000

start:
    mov ax, 0x28
    ltr ax
    cmp dword ptr [STATE + 8], 0
    je handler
    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, 0x80000011
    mov cr0, eax
    jmp handler

; go on somewhere else: the next number decides where, and in which ring
handler:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, STACK
    mov eax, dword ptr [STATE]
    imul eax, eax, 1664525
    add eax, 1013904223
    mov dword ptr [STATE], eax
    mov ebx, eax
    shr ebx, 8
    and ebx, 0x3FFF
    add ebx, WILD
    mov esi, eax
    mov edi, ebx
    mov ebp, STACK - 0x100
    mov ecx, 7
    test eax, 0x80000000
    jnz .user
    push 2
    popfd
    jmp ebx
.user:
    push 0x23
    push STACK - 0x1000
    push dword ptr [STATE + 4]
    push 0x1B
    push ebx
    iretd
"""


@cache
def kernel() -> Assembly:
    return assemble(lambda _name: SOURCE, "wild.asm", ORIGIN)


def descriptor(limit: int, access: int, flags: int, base: int = 0) -> bytes:
    """One entry of the GDT (SDM volume 3, 3.4.5)."""
    low = limit & 0xFFFF | (base & 0xFFFF) << 16
    high = (base >> 16) & 0xFF | access << 8 | limit & 0xF0000 | flags << 20 | base & 0xFF000000
    return struct.pack("<II", low, high)


def make(dice: random.Random) -> World:
    """The world that these dice make."""
    pieces: list[tuple[int, bytes]] = []

    def put(address: int, data: bytes) -> None:
        pieces.append((address, data))

    assembly = kernel()
    handler = assembly.symbols["handler"]
    gdt = [
        bytes(8),
        descriptor(0xFFFFF, 0x9B, 0xC),  # 0x08: code
        descriptor(0xFFFFF, 0x93, 0xC),  # 0x10: data
        descriptor(0xFFFFF, 0xFB, 0xC),  # 0x1B: code of ring 3
        descriptor(0xFFFFF, 0xF3, 0xC),  # 0x23: data of ring 3
        descriptor(0x67, 0x89, 0, 0x3000),  # 0x28: TSS
        descriptor(0xFFFF, 0x9B, 0),  # 0x30: 16-bit code
        descriptor(0x1FF, 0xF3, 4, 0x110000),  # 0x3B: a short segment of data
        *(dice.randbytes(8) for _ in range(8)),
    ]
    put(0x1000, b"".join(gdt))
    for vector in range(256):
        access = 0xEE00 if vector >= 32 else 0x8E00
        gate = struct.pack("<HHHH", handler & 0xFFFF, 8, access, handler >> 16)
        put(0x2000 + 8 * vector, gate)
    put(0x3004, struct.pack("<II", 0x90000, 0x10))
    put(0x3066, b"\x68\x00")  # no I/O permission bitmap
    paging = dice.random() < 0.5
    user_flags = dice.choice((0x202, 0x3202, 0x2, 0x3002, 0x202))
    put(0x6000, struct.pack("<III", dice.getrandbits(32), user_flags, paging))
    put(0x4000, struct.pack("<I", 0x5007))
    entries = [page << 12 | dice.choice((7, 7, 7, 7, 5, 3)) for page in range(512)]
    for page in (*range(7), *range(0x8F, 0x91), 0x100, 0x110, 0x111):
        entries[page] = page << 12 | 7
    entries += [dice.choice((0, dice.getrandbits(32))) for _ in range(512)]
    # Page tables that change behind the TLB's back may act at once or later, and both are right:
    # no page leads to them.
    entries = [0 if entry >> 12 in (4, 5) else entry for entry in entries]
    put(0x5000, struct.pack("<1024I", *entries))
    put(WILD, salted_bytes(dice, WILD_BYTES))
    prelude = b"\x0f\x01\x15" + struct.pack("<I", ORIGIN + 0x800)  # lgdt
    prelude += b"\x0f\x01\x1d" + struct.pack("<I", ORIGIN + 0x808)  # lidt
    prelude += b"\xea" + struct.pack("<IH", ORIGIN, 8)  # jmp far start
    put(ORIGIN + 0x800, struct.pack("<HIxxHI", 8 * len(gdt) - 1, 0x1000, 0x7FF, 0x2000))
    put(ORIGIN, assembly.image)
    return World(pieces, prelude, ORIGIN + 0x900, 0x90000)

"""Random code in a real machine: whatever it does, the monitor must not raise, hang or crash.

`python wild.py SEED COUNT MODE [MODE ...]` runs COUNT worlds from SEED on, in each mode, and prints
a line for each: what is left at its end. A test compares the lines of the modes: the same world
must end the same, to the last register and byte of memory.

A world is 2 MiB of RAM with a GDT, an IDT, a TSS and, in half of the worlds, page tables; and a few
pages of random bytes, salted with the instructions that a monitor finds hard. Every exception and
interrupt leads to a handler that goes on in the random pages at another place, in ring 0 or ring 3.
Nothing protects these structures from the random code: that is the point.
"""

from __future__ import annotations

import hashlib
import random
import struct
import sys
from functools import cache, lru_cache

from monitor import Machine
from monitor.guests.assembler import Assembly, assemble

MEMORY_MB = 2
INSTRUCTIONS = 4000
SECONDS = 60.0  # a REP may go on nearly for ever; such a world is not compared
ORIGIN = 0x100000
WILD, WILD_BYTES = 0x110000, 0x4000

# What a monitor finds hard: privileged and critical instructions, segment loads, far transfers,
# string and stack forms, instructions that write close to themselves. Bytes that follow are random.
SALT_TEXT = """
    9c 9d 669c 669d fa fb cf cb ca cd80 cd40 cc ce 9a ea 06 07 0e 16 17 1e 1f 0fa0 0fa1 0fa8
    0fa9 8c 8e 8ec0 8ed0 8ed8 8ee0 8ee8 8cc8 8cd0 c4 c5 0fb2 0fb4 0fb5 0f00 0f00c0 0f00d8 0f00d0
    0f00c8 0f00e0 0f00e8 0f01 0f01e0 0f01f0 0f0100 0f0108 0f0110 0f0118 0f0138 0f02 0f03 0f02c0
    0f03c0 0f06 0f08 0f09 0f0b 0f20 0f20c0 0f22c0 0f20d8 0f22d8 0f20e0 0f22e0 0f20d0 0f21 0f23
    0f30 0f31 0f32 0f33 0fa2 0fc7 e4 e5 e6 e7 ec ed ee ef 6c 6d 6e 6f f36c f36e f3a4 f3a5 f3aa f3ab
    f3a6 f2ae f3ac c8 c9 60 61 ff10 ff18 ff20 ff28 ff30 ffd0 ffe0 ffe4 e800000000 ebfe 7502 e2f0
    e3 c3 c2 f0 f00fb1 2e 36 3e 26 64 65 66 67 d9 db dd df 9b dbe3 d97424 dd3424 62 63 d6 f1 f6 f7
    a4 a5 aa ab c604 c705 8b05 8905 8b04 8904 8f 54 5c 87e4 bc 0fba 0fb0 0fc0 0fc8
"""
SALT = [bytes.fromhex(text) for text in SALT_TEXT.split()]

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
def assembled() -> Assembly:
    """What all worlds have in common."""
    return assemble(lambda _name: SOURCE, "wild.asm", ORIGIN)


def descriptor(limit: int, access: int, flags: int, base: int = 0) -> bytes:
    """One entry of the GDT (SDM volume 3, 3.4.5)."""
    low = limit & 0xFFFF | (base & 0xFFFF) << 16
    high = (base >> 16) & 0xFF | access << 8 | limit & 0xF0000 | flags << 20 | base & 0xFF000000
    return struct.pack("<II", low, high)


def wild_bytes(dice: random.Random) -> bytes:
    """Random code with salt."""
    code = bytearray()
    while len(code) < WILD_BYTES:
        if dice.random() < 0.6:
            code += dice.choice(SALT)
        code += dice.randbytes(dice.randrange(4))
    return bytes(code[:WILD_BYTES])


@lru_cache(1)
def world(seed: int) -> dict[int, bytes]:
    """What lies where in memory in the world of this number."""
    dice = random.Random(seed)
    assembly = assembled()
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
    gates = [
        struct.pack("<HHHH", handler & 0xFFFF, 8, 0xEE00 if vector >= 32 else 0x8E00, handler >> 16)
        for vector in range(256)
    ]
    paging = dice.random() < 0.5
    user_flags = dice.choice((0x202, 0x3202, 0x2, 0x3002, 0x202))
    state = struct.pack("<III", dice.getrandbits(32), user_flags, paging)
    entries = [page << 12 | dice.choice((7, 7, 7, 7, 5, 3)) for page in range(512)]
    for page in (*range(7), *range(0x8F, 0x91), 0x100, 0x110, 0x111):
        entries[page] = page << 12 | 7
    entries += [dice.choice((0, dice.getrandbits(32))) for _ in range(512)]
    # Page tables that change behind the TLB's back may act at once or later, and both are right:
    # no page leads to them.
    entries = [0 if entry >> 12 in (4, 5) else entry for entry in entries]
    table, wild = struct.pack("<1024I", *entries), wild_bytes(dice)
    pointers = struct.pack("<HIxxHI", 8 * len(gdt) - 1, 0x1000, 0x7FF, 0x2000)
    return {
        0x1000: b"".join(gdt),
        0x2000: b"".join(gates),
        0x3004: struct.pack("<II", 0x90000, 0x10),
        0x3066: b"\x68\x00",  # no I/O permission bitmap
        0x4000: struct.pack("<I", 0x5007),
        0x5000: table,
        0x6000: state,
        ORIGIN: assembly.image,
        ORIGIN + 0x800: pointers,
        WILD: wild,
    }


def build(machine: Machine, seed: int) -> None:
    """Fill the machine's memory with the world of this number."""
    for address, content in world(seed).items():
        machine.memory.write(address, content)
    prelude = b"\x0f\x01\x15" + struct.pack("<I", ORIGIN + 0x800)  # lgdt
    prelude += b"\x0f\x01\x1d" + struct.pack("<I", ORIGIN + 0x808)  # lidt
    prelude += b"\xea" + struct.pack("<IH", ORIGIN, 8)  # jmp far start
    machine.load_flat(prelude, ORIGIN + 0x900, esp=0x90000)


def life(seed: int, mode: str) -> str:
    """Run one world; how it ended, in one line."""
    machine = Machine(memory_mb=MEMORY_MB, mode=mode)
    build(machine, seed)
    outcome = machine.run(timeout=SECONDS, max_instructions=INSTRUCTIONS)
    assert machine.where()
    registers = " ".join(f"{name}={value:x}" for name, value in machine.registers.items())
    digest = hashlib.sha256(machine.memory.read(0, machine.memory.size)).hexdigest()[:16]
    count = machine.statistics()["instructions"]
    console = hashlib.sha256(machine.console).hexdigest()[:8]
    return f"{seed} {outcome.kind} {count} {registers} memory={digest} console={console}"


def main() -> None:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + count):
        for mode in sys.argv[3:]:
            print(mode, life(seed, mode), flush=True)


if __name__ == "__main__":
    main()

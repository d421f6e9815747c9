"""Programs at random for test_engine_random.py: instructions that mostly do not fault.

    program(random.Random(1), 0x1000)       a page of them

Operands are registers other than ESP and EBP, or memory at NEAR, where something is mapped, and now
and then at FAR, where not. Branches are short, and lead into the middle of instructions as well.
"""

from __future__ import annotations

import random

from engine_lab import CEILING, CODE, DATA, HOLE, PAGE, STACK

SELF = 0x600000  # where the program is, and can write itself

ALU = [kind * 8 + form for kind in range(8) for form in range(4)] + list(range(0x84, 0x8C))
PLAIN = bytes.fromhex(
    "40 41 43 46 47 48 4a 4b 4f 50 52 58 5a 91 92 98 99 9c 9e 9f f5 f8 f9"
    "a4 a5 aa ab ac ad ae af 60 c9 d6"
)
TWO_BYTE = bytes.fromhex("40 45 4c 92 95 9f a3 ab a5 ad af b3 b6 b7 bb bc bd be c0 c1")
SHIFTS = bytes.fromhex("c0 c1 d1 d3")
BRANCHES = bytes.fromhex("70 75 78 7c e2 e3 eb")
REGISTERS = (0, 1, 2, 3, 6, 7)
NEAR = (DATA + 0x100, DATA + PAGE - 2, STACK + 0x40, SELF, SELF + 0x800)
FAR = (CEILING - 2, CEILING, 0xFFFFFFFE, CODE + 8, HOLE)


def _two(rng: random.Random) -> bytes:
    """ModRM of two registers."""
    return bytes([0xC0 | rng.choice(REGISTERS) << 3 | rng.choice(REGISTERS)])


def _memory(rng: random.Random) -> bytes:
    """ModRM of a register and an absolute address."""
    place = rng.choice(NEAR if rng.random() < 0.93 else FAR) + rng.randrange(64)
    return bytes([0x05 | rng.choice(REGISTERS) << 3]) + (place & 0xFFFFFFFF).to_bytes(4, "little")


def _instruction(rng: random.Random) -> bytes:
    kind = rng.random()
    size = b"\x66" if rng.random() < 0.1 else b""
    if kind < 0.30:
        return size + bytes([rng.choice(ALU)]) + _two(rng)
    if kind < 0.44:
        return size + bytes([rng.choice(ALU)]) + _memory(rng)
    if kind < 0.59:
        return size + bytes([rng.choice(PLAIN)])
    if kind < 0.69:
        return size + b"\x0f" + bytes([rng.choice(TWO_BYTE)]) + _two(rng)
    if kind < 0.79:
        return bytes([rng.choice(SHIFTS)]) + _two(rng) + rng.randbytes(1)
    if kind < 0.86:
        return bytes([0xD8 + rng.randrange(8), 0xC0 + rng.randrange(64)])  # x87, on its stack
    if kind < 0.97:
        return bytes([rng.choice(BRANCHES), rng.randrange(-24, 40) & 0xFF])
    return rng.randbytes(rng.randrange(1, 4))


def program(rng: random.Random, size: int) -> bytes:
    code = b""
    while len(code) < size:
        code += _instruction(rng)
    return code[:size]

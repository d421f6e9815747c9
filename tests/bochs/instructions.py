"""Random instructions of the system half, each a few bytes without a transfer of control.

Left out is what two right processors may answer differently: RDTSC, RDPMC, RDMSR, CPUID, HLT,
ports of real devices, undefined flags, MMX and SSE. CR0.PE is never cleared, DR7.GD never set
(the kernel uses debug registers), and CR0.NE stays set.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.bochs import objects as the
from tests.bochs.encode import (
    CS,
    EAX,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    ESP,
    POP_SEGMENT,
    PUSH_SEGMENT,
    SS,
    Code,
)

Instruction = Callable[[Code, Random], None]

PORTS = (0x9C, 0x9D, 0xA8, 0xBE, 0xFE, 0x2F0)
PAGE_ENDS = (0x5FFD, 0x5FFE, 0x5FFF, 0x6FFE)
FLAGS = (0x100, 0x200, 0x400, 0x1000, 0x2000, 0x4000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000)


def selector(random: Random) -> int:
    """Any selector, mostly one that names something."""
    if random.random() < 0.1:
        return random.choice((0, 1, 2, 3, 4, 7, 0x200, 0x1FF, 0xFFFF, 0x104))
    if random.random() < 0.25:
        return random.randrange(0x20) * 8 | 4 | random.randrange(4)
    return random.randrange(0x20, the.GDT_LIMIT, 8) | random.randrange(4)


def data_selector(random: Random) -> int:
    """A selector for a data segment register."""
    if random.random() < 0.4:
        return selector(random)
    base = random.choice((the.DATA32, the.DATA32, the.STACK16, the.CONFORMING, the.CODE32))
    level = random.randrange(4)
    return base + 8 * level | random.choice((0, level, 3))


def address(random: Random) -> int:
    """Linear address of an operand in memory: data, the ends of pages, other names of pages."""
    place = random.choice((random.randrange(0x5000, 0x7000), *PAGE_ENDS))
    if random.random() < 0.25:
        place += random.choice((the.ALIAS, the.ALIAS, the.LARGE))
    if random.random() < 0.05:
        place = random.choice((0x1100, 0x2010, 0xB000, 0x1000000, 0x40100))
    return place


def flags(random: Random) -> int:
    """An EFLAGS image with some of the system flags; TF seldom."""
    image = 2 | random.choice((0, 0x8D5, random.randrange(0x100) & 0xD5))
    for flag in FLAGS:
        if random.random() < (0.04 if flag == 0x100 else 0.2):
            image |= flag
    return image


def _size(random: Random, code: Code) -> int:
    return code.native if random.random() < 0.7 else 6 - code.native


def _segment(random: Random) -> int | None:
    return random.choice((None, None, 0, CS, SS, 3, 4, 5))


def load_segment(code: Code, random: Random) -> None:
    code.load(EAX, data_selector(random))
    target = random.choice((0, 0, SS, 3, 3, 4, 5))
    code.raw(bytes([0x8E, 0xC0 | target << 3 | EAX]))


def pop_segment(code: Code, random: Random) -> None:
    size = _size(random, code)
    code.push(size, data_selector(random))
    pop = POP_SEGMENT[random.choice((0, SS, 3, 4, 5))]
    assert pop is not None
    code.op(size, pop)


def push_segment(code: Code, random: Random) -> None:
    code.op(_size(random, code), random.choice(PUSH_SEGMENT))


def store_segment(code: Code, random: Random) -> None:
    if random.random() < 0.5:
        code.op(_size(random, code), bytes([0x8C, 0xC0 | random.randrange(6) << 3 | EBX]))
    else:
        code.memory(2, b"\x8c", random.randrange(6), address(random), _segment(random))


def load_pointer(code: Code, random: Random) -> None:
    """LES, LDS, LSS, LFS, LGS."""
    opcode = random.choice((b"\xc4", b"\xc5", b"\x0f\xb2", b"\x0f\xb4", b"\x0f\xb5"))
    size, place = _size(random, code), random.randrange(0x5000, 0x5FF0)
    code.memory(2, b"\xc7", 0, place + size)
    code.raw(data_selector(random).to_bytes(2, "little"))
    code.memory(size, opcode, random.choice((EBX, ECX)), place)


def query(code: Code, random: Random) -> None:
    """LAR, LSL, VERR, VERW, ARPL."""
    code.load(EAX, selector(random))
    which = random.randrange(5)
    if which < 2:
        code.register(_size(random, code), (b"\x0f\x02", b"\x0f\x03")[which], ECX, EAX)
    elif which < 4:
        code.raw(bytes([0x0F, 0x00, 0xC0 | (4 + which - 2) << 3 | EAX]))
    else:
        code.load(EDX, random.randrange(0x10000))
        code.raw(bytes([0x63, 0xC0 | EDX << 3 | EAX]))


def push_flags(code: Code, random: Random) -> None:
    code.op(_size(random, code), b"\x9c")


def pop_flags(code: Code, random: Random) -> None:
    size = _size(random, code)
    code.push(size, flags(random))
    code.op(size, b"\x9d")


def interrupt_flag(code: Code, random: Random) -> None:
    code.raw(random.choice((b"\xfa", b"\xfb")))


def port(code: Code, random: Random) -> None:
    number, size = random.choice(PORTS), random.choice((1, 2, 4))
    if number < 0x100 and random.random() < 0.4:
        code.op(size, bytes([random.choice((0xE4, 0xE6)) | (size > 1), number]))
        return
    code.load(EDX, number)
    code.op(size, bytes([random.choice((0xEC, 0xEE)) | (size > 1)]))


def string_port(code: Code, random: Random) -> None:
    size = random.choice((1, 2, 4))
    code.load(EDX, random.choice(PORTS))
    code.load(EDI, address(random))
    code.load(ESI, address(random))
    code.load(ECX, random.randrange(4))
    code.raw(random.choice((b"", b"\xf3")))
    code.op(size, bytes([random.choice((0x6C, 0x6E)) | (size > 1)]))


def string(code: Code, random: Random) -> None:
    """MOVS, STOS, LODS, CMPS and SCAS over the end of a page."""
    size = random.choice((1, 2, 4))
    code.load(EDI, random.choice((address(random), 0x5FF9, 0x405FFA)))
    code.load(ESI, random.choice((address(random), 0x5FF9, 0x405FFA)))
    code.load(ECX, random.randrange(6))
    code.raw(random.choice((b"", b"\xf3", b"\xf2")))
    code.op(size, bytes([random.choice((0xA4, 0xAA, 0xAC, 0xA6, 0xAE)) | (size > 1)]))


def table(code: Code, random: Random) -> None:
    """SGDT, SIDT, and their loads of what is in force anyway, or with another limit."""
    which = random.choice((0, 1, 0, 1, 2, 3))
    place = random.randrange(0x5000, 0x5FF0)
    if which < 2:
        code.memory(_size(random, code), b"\x0f\x01", which, address(random), _segment(random))
        return
    base, limit = (the.GDT, the.GDT_LIMIT) if which == 2 else (the.IDT, the.IDT_LIMIT)
    if random.random() < 0.3:
        limit = random.choice((0x3F, 0x7F, 0xA7, 0x106, 0x107, 0xFFFF))
    code.memory(4, b"\xc7", 0, place)
    code.raw((limit | (base & 0xFFFF) << 16).to_bytes(4, "little"))
    code.memory(2, b"\xc7", 0, place + 4)
    code.raw(random.choice((b"\0\0", b"\0\0", b"\x40\0", b"\x40\xff")))
    code.memory(_size(random, code), b"\x0f\x01", which, place)


def system_selector(code: Code, random: Random) -> None:
    """SLDT, STR, LLDT, LTR."""
    which = random.randrange(4)
    if which < 2:
        if random.random() < 0.5:
            code.memory(_size(random, code), b"\x0f\x00", which, address(random))
        else:
            code.register(_size(random, code), b"\x0f\x00", which, EDX)
        return
    likely = (the.LDT_SELECTOR, the.LDT2_SELECTOR, 0) if which == 2 else (*the.TSS,)
    code.load(EAX, random.choice(likely) if random.random() < 0.7 else selector(random))
    code.raw(bytes([0x0F, 0x00, 0xC0 | which << 3 | EAX]))


def machine_status(code: Code, random: Random) -> None:
    """SMSW, LMSW (which cannot clear PE), CLTS."""
    which = random.randrange(4)
    if which == 0:
        code.register(_size(random, code), b"\x0f\x01", 4, EDX)
    elif which == 1:
        code.memory(_size(random, code), b"\x0f\x01", 4, address(random), _segment(random))
    elif which == 2:
        code.load(EAX, random.randrange(16) | 0xFFF0)
        code.raw(b"\x0f\x01\xf0")
    else:
        code.raw(b"\x0f\x06")


def control_register(code: Code, random: Random) -> None:
    number = random.choice((0, 0, 2, 3, 4, 4, 1, 5))
    if random.random() < 0.4:
        code.raw(bytes([0x0F, 0x20, 0xC0 | number << 3 | random.choice((EBX, EDX))]))
        return
    value = random.getrandbits(32)
    if number == 0:
        value = 0x31 | random.choice((0, 0x8000_0000, 0x8000_0000))
        for bit in (1, 2, 3, 16, 18, 29, 30):
            value |= (random.random() < 0.25) << bit
    elif number == 3:
        value = the.DIRECTORY | random.choice((0, 0x18, 0x8))
    elif number == 4:
        value = sum(1 << bit for bit in (0, 1, 2, 3, 4, 6, 7, 8) if random.random() < 0.4)
        value |= (random.random() < 0.1) << random.randrange(24, 32)
    code.load(EAX, value)
    code.raw(bytes([0x0F, 0x22, 0xC0 | number << 3 | EAX]))


def debug_register(code: Code, random: Random) -> None:
    number = random.choice((0, 1, 4, 5, 6, 7, 7))
    if random.random() < 0.3:
        code.raw(bytes([0x0F, 0x21, 0xC0 | number << 3 | EBX]))
        return
    code.load(EAX, breakpoint_address(random) if number < 2 else debug_control(random))
    code.raw(bytes([0x0F, 0x23, 0xC0 | number << 3 | EAX]))


def breakpoint_address(random: Random) -> int:
    """Somewhere in the data, or at the start of a stage."""
    return random.choice((0x5FFE, 0x5FFF, 0x6000, 0x5100, the.stage(1), the.stage(2), 0x9C))


def debug_control(random: Random) -> int:
    """DR7 for DR0 and DR1, without GD."""
    return random.getrandbits(4) | random.getrandbits(2) << 8 | random.getrandbits(8) << 16 | 0x400


def invalidate(code: Code, random: Random) -> None:
    if random.random() < 0.8:
        code.memory(code.native, b"\x0f\x01", 7, address(random), _segment(random))
    else:
        code.raw(random.choice((b"\x0f\x08", b"\x0f\x09")))


def access(code: Code, random: Random) -> None:
    """A load, a store, or a read-modify-write whose flags are all defined."""
    size, segment = random.choice((1, 2, 4)), _segment(random)
    opcode = random.choice((0x88, 0x8A, 0x8A, 0x00, 0x38, 0x86, 0x28))
    code.memory(size, bytes([opcode | (size > 1)]), EBX, address(random), segment)


def double_access(code: Code, random: Random) -> None:
    """Instructions that read or write twice or read and write: PUSH, POP m; XADD, CMPXCHG, BTS."""
    size, segment = _size(random, code), _segment(random)
    opcode, reg = random.choice(
        ((b"\xff", 6), (b"\x8f", 0), (b"\x0f\xc1", EBX), (b"\x0f\xb1", EBX), (b"\x0f\xc7", 1))
    )
    code.memory(size, opcode, reg, address(random), segment)


def frame(code: Code, random: Random) -> None:
    which = random.randrange(4)
    size = _size(random, code)
    if which == 0:
        code.op(size, b"\xc8" + random.randrange(32).to_bytes(2, "little"))
        code.raw(bytes([random.choice((0, 0, 1, 2, 5, 33))]))
    elif which == 1:
        code.op(size, b"\x60")
    elif which == 2:
        code.op(size, b"\x60")
        code.op(size, b"\x61")
    else:
        code.op(size, b"\x55")
        code.raw(b"\x89\xe5" if code.bits == 32 else b"\x66\x89\xe5")
        code.op(size, b"\xc9")


def move_stack(code: Code, random: Random) -> None:
    """ESP to the edge of something."""
    level = random.randrange(4)
    top = the.stack_top(level)
    code.load(ESP, random.choice((top, top - 0x100, 0x6002, 0x5001, 0x405004, 0x1_3000, 2, 0)))


def x87(code: Code, random: Random) -> None:
    simple = (b"\xdb\xe3", b"\xd9\xe8", b"\xd9\xee", b"\x9b", b"\xdf\xe0", b"\xdb\xe2", b"\xde\xf9")
    if random.random() < 0.6:
        code.raw(random.choice(simple))
        return
    opcode, reg = random.choice(((b"\xd9", 7), (b"\xdb", 2), (b"\xdb", 0), (b"\xdd", 3)))
    code.memory(code.native, opcode, reg, address(random), _segment(random))


def divide_by_zero(code: Code, random: Random) -> None:
    """Unmask everything and divide 1 by 0, so that the next x87 instruction is #MF."""
    place = random.randrange(0x5000, 0x5FF0)
    code.memory(2, b"\xc7", 0, place)
    code.raw(b"\x40\x03")
    code.memory(code.native, b"\xd9", 5, place)
    code.raw(b"\xd9\xe8\xd9\xee\xde\xf9")


def bound(code: Code, random: Random) -> None:
    code.memory(_size(random, code), b"\x62", EBX, address(random), _segment(random))


def overflow(code: Code, random: Random) -> None:
    code.raw(b"\xce")


def undefined(code: Code, random: Random) -> None:
    """Encodings that are #UD, LOCK where it may not stand among them."""
    code.raw(
        random.choice(
            (b"\x0f\x0b", b"\xf0\x90", b"\x0f\xff", b"\x8e\xc8", b"\xf0\x89\x00", b"\xff\xff")
        )
    )


ALL: tuple[tuple[Instruction, int], ...] = (
    (load_segment, 10), (pop_segment, 6), (push_segment, 3), (store_segment, 3),
    (load_pointer, 4), (query, 8), (push_flags, 4), (pop_flags, 6), (interrupt_flag, 4),
    (port, 4), (string_port, 2), (string, 5), (table, 3), (system_selector, 4),
    (machine_status, 3), (control_register, 5), (debug_register, 3), (invalidate, 2),
    (access, 12), (double_access, 6), (frame, 4), (move_stack, 2), (x87, 4), (divide_by_zero, 1),
    (bound, 1), (overflow, 1), (undefined, 1),
)  # fmt: skip
_CHOICES = [each for each, _ in ALL]
_WEIGHTS = [weight for _, weight in ALL]


def any_instruction(code: Code, random: Random) -> str:
    """Append one; its name."""
    chosen = random.choices(_CHOICES, _WEIGHTS)[0]
    chosen(code, random)
    return chosen.__name__

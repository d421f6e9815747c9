"""Random programs for ring 3, 16-bit code and ring 0: mostly sane, sometimes hostile.

A program of random bytes faults within a few instructions, and so says little of code that runs
directly. These live longer: EBP points to the program's data and ESP to its stack, loops end, and
about every tenth instruction is one that a monitor finds hard. What it does to the rest of the
world is left to chance.

    Program(random.Random(1), CODE, DATA).bytes(4096)       # a page of ring-3 code
    Short(random.Random(1)).bytes(48)                       # 16-bit code, an INT at its end
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from monitor import Machine

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
FREE = (EAX, ECX, EDX, EBX, ESI, EDI)  # ESP and EBP stay what they are
SEGMENT_PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
LOADS = (0xC0, 0xD8, 0xE0, 0xE8)  # ModRM of MOV ES, DS, FS, GS, AX
POPS = ("07", "1f", "0fa1", "0fa9")
LOOKS_CRITICAL = re.compile(b"\x0f[\x00-\x03]")  # what keeps a page from running unaudited
STRINGS = ("a4", "a5", "a6", "a7", "aa", "ab", "ac", "ad", "ae", "af")

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


def salted_bytes(dice: random.Random, size: int) -> bytes:
    """Random code with salt."""
    code = bytearray()
    while len(code) < size:
        if dice.random() < 0.6:
            code += dice.choice(SALT)
        code += dice.randbytes(dice.randrange(4))
    return bytes(code[:size])


@dataclass
class World:
    """What is in memory, and where the processor begins: flat, in ring 0."""

    pieces: list[tuple[int, bytes]]
    first: bytes  # the code that loads the descriptor tables
    entry: int
    stack: int

    def load(self, machine: Machine) -> None:
        for address, data in self.pieces:
            machine.memory.write(address, data)
        machine.load_flat(self.first, self.entry, esp=self.stack)


def dword(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


class Program:
    """32-bit code for ring 3, to stand at `origin`."""

    def __init__(
        self,
        dice: random.Random,
        origin: int,
        data: int,
        selectors: tuple[int, ...] = (0, 0x23),
        far: tuple[int, ...] = (0x1B,),
        hostility: float = 0.1,
    ) -> None:
        """`data` is what EBP holds; `selectors` are worth loading, `far` worth calling.

        `hostility` is the share of hostile instructions; at 0, none even looks critical.
        """
        self.dice = dice
        self.origin = origin
        self.data = data
        self.selectors = selectors
        self.far = far
        self.hostility = hostility
        self.code = bytearray()
        self.marks: list[int] = []  # where instructions begin
        self.sane: list[Callable[[], bytes]] = [
            *[self.arithmetic, self.arithmetic, self.to_memory, self.from_memory, self.move],
            *[self.stack, self.shift, self.narrow, self.bits, self.flags, self.branch, self.call],
            *[self.string, self.x87, self.x87_memory, self.exchange, self.override, self.frame],
            *[self.conditional, self.constant, self.saved_segment],
        ]
        self.hostile: list[Callable[[], bytes]] = [
            *[self.load_segment, self.load_segment, self.pop_segment, self.load_pointer],
            *[self.ask, self.ask, self.store_system, self.interrupt, self.interrupt],
            *[self.set_flags, self.far_transfer, self.far_transfer, self.privileged],
            *[self.own_code, self.own_code, self.stray, self.salt],
            *[self.long_string, self.interrupt_return, self.divide, self.traced_step],
        ]

    def bytes(self, size: int) -> bytes:
        """So many bytes of code; the last instruction is cut off."""
        while len(self.code) < size:
            self.marks.append(len(self.code))
            if self.dice.random() < 0.06:
                self.loop()
            else:
                self.code += self.instruction()
        return bytes(self.code[:size])

    def instruction(self) -> bytes:
        group = self.hostile if self.dice.random() < self.hostility else self.sane
        code = self.dice.choice(group)()
        while self.hostility == 0 and LOOKS_CRITICAL.search(code):
            code = self.dice.choice(group)()
        return code

    def loop(self) -> None:
        """A counter in memory; the body; DEC, JNZ."""
        counter = dword(0x3F80 + 4 * self.dice.randrange(16))
        self.code += b"\xc7\x85" + counter + dword(self.dice.choice((2, 3, 5, 9)))
        start = len(self.code)
        for _ in range(self.dice.randrange(1, 6)):
            if self.hostility == 0:
                self.code += self.instruction()
            else:
                self.code += self.dice.choice(self.sane)()
        self.code += b"\xff\x8d" + counter
        back = len(self.code) + 2 - start
        if back <= 128:
            self.code += b"\x75" + bytes([256 - back])

    # --- parts --------------------------------------------------------------------------

    def reg(self) -> int:
        return self.dice.choice(FREE)

    def here(self) -> int:
        return self.origin + len(self.code)

    def memory(self, reg: int) -> bytes:
        """ModRM and displacement of an operand at EBP."""
        if self.dice.random() < 0.3:
            return bytes([0x45 | reg << 3, self.dice.randrange(0, 128)])
        return bytes([0x85 | reg << 3]) + dword(self.offset())

    def offset(self) -> int:
        """Of some data; sometimes between two pages, sometimes beyond the end."""
        if self.dice.random() < 0.06:
            return self.dice.choice((0xFFD, 0xFFF, 0x1FFE, 0x2FFD, 0x3FFE, 0x4000, 0x8000, -3))
        return self.dice.randrange(0x3F00) & -4

    def selector(self) -> int:
        if self.dice.random() < 0.1:
            return self.dice.getrandbits(16)
        if self.dice.random() < 0.2:
            return self.dice.randrange(4)
        return self.dice.choice(self.selectors)

    # --- sane ---------------------------------------------------------------------------

    def arithmetic(self) -> bytes:
        opcode = self.dice.choice((0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85, 0x8B))
        return bytes([opcode, 0xC0 | self.reg() << 3 | self.reg()])

    def constant(self) -> bytes:
        return bytes([0x81, 0xC0 | self.dice.randrange(8) << 3 | self.reg()]) + self.some_dword()

    def some_dword(self) -> bytes:
        common = (0, 1, 0x7F, 0xFF, 0x80000000, 0xFFFFFFFF, self.data)
        return dword(self.dice.choice((*common, self.dice.getrandbits(32))))

    def move(self) -> bytes:
        return bytes([0xB8 | self.reg()]) + self.some_dword()

    def to_memory(self) -> bytes:
        return bytes([self.dice.choice((0x89, 0x01, 0x29, 0x31, 0x88, 0x00))]) + self.memory(
            self.reg()
        )

    def from_memory(self) -> bytes:
        return bytes([self.dice.choice((0x8B, 0x03, 0x2B, 0x33, 0x3B))]) + self.memory(self.reg())

    def override(self) -> bytes:
        return bytes([self.dice.choice(SEGMENT_PREFIXES)]) + self.from_memory()

    def stack(self) -> bytes:
        return bytes([0x50 | self.reg(), 0x58 | self.reg()])

    def shift(self) -> bytes:
        ext = self.dice.randrange(8) << 3
        return bytes([0xC1, 0xC0 | ext | self.reg(), self.dice.randrange(34)])

    def narrow(self) -> bytes:
        return b"\x66" + self.dice.choice((self.arithmetic, self.from_memory))()

    def bits(self) -> bytes:
        opcode = self.dice.choice((0xA3, 0xAB, 0xB3, 0xBB, 0xBC, 0xBD, 0xAF, 0xB6, 0xBE, 0xC1))
        return bytes([0x0F, opcode, 0xC0 | self.reg() << 3 | self.reg()])

    def flags(self) -> bytes:
        return self.dice.choice((b"\xf8", b"\xf9", b"\xf5", b"\xfc", b"\x9f", b"\x9c\x58", b"\x9e"))

    def branch(self) -> bytes:
        """A Jcc over one instruction."""
        over = self.dice.choice((self.arithmetic, self.from_memory, self.move))()
        return bytes([0x70 | self.dice.randrange(16), len(over)]) + over

    def call(self) -> bytes:
        """CALL, at the target RET back; or the same through a register."""
        if self.dice.random() < 0.5:
            return b"\xe8\x02\x00\x00\x00\xeb\x01\xc3"
        target = self.here() + 9
        return b"\xb8" + dword(target) + b"\xff\xd0\xeb\x01\xc3"

    def string(self) -> bytes:
        code = b"\x8d\xb5" + dword(self.offset()) + b"\x8d\xbd" + dword(self.offset())
        code += b"\xb9" + dword(self.dice.choice((0, 1, 3, 20, 300)))
        prefix = self.dice.choice((b"", b"\xf3", b"\xf3", b"\xf2", b"\xf3\x64", b"\xf3\x67"))
        return code + prefix + bytes.fromhex(self.dice.choice(STRINGS))

    def x87(self) -> bytes:
        return bytes([self.dice.choice((0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF)),
                      self.dice.randrange(0xC0, 0x100)])  # fmt: skip

    def x87_memory(self) -> bytes:
        return bytes([self.dice.choice((0xD8, 0xD9, 0xDB, 0xDD, 0xDF))]) + self.memory(
            self.dice.randrange(8)
        )

    def exchange(self) -> bytes:
        lock = self.dice.choice((b"", b"\xf0"))
        opcode = self.dice.choice((b"\x87", b"\x0f\xb1", b"\x0f\xc1"))
        return lock + opcode + self.memory(self.reg())

    def frame(self) -> bytes:
        return self.dice.choice((b"\x60\x61", b"\xc8\x08\x00\x00\xc9", b"\xc8\x04\x00\x02\xc9"))

    def conditional(self) -> bytes:
        """CMOVcc, SETcc."""
        opcode = self.dice.choice((0x40, 0x90)) | self.dice.randrange(16)
        return bytes([0x0F, opcode]) + self.memory(self.reg())

    def saved_segment(self) -> bytes:
        """PUSH of a segment register, and POP of the same."""
        return bytes.fromhex(self.dice.choice(("061f", "1e07", "8cd8", "8cc0", "8ce0", "0e58")))

    # --- hostile ------------------------------------------------------------------------

    def load_segment(self) -> bytes:
        return b"\xb8" + dword(self.selector()) + bytes([0x8E, self.dice.choice(LOADS)])

    def pop_segment(self) -> bytes:
        pop = bytes.fromhex(self.dice.choice((*POPS, "17")))
        return b"\x68" + dword(self.selector()) + pop

    def load_pointer(self) -> bytes:
        """MOV WORD [EBP + n + 4], selector; LxS."""
        offset = self.offset()
        opcode = bytes.fromhex(self.dice.choice(("c4", "c5", "0fb4", "0fb5", "0fb2")))
        store = b"\x66\xc7\x85" + dword(offset + 4) + struct.pack("<H", self.selector())
        return store + opcode + bytes([0x85 | self.reg() << 3]) + dword(offset)

    def ask(self) -> bytes:
        """LAR, LSL, VERR, VERW, ARPL of a selector."""
        opcode = bytes.fromhex(self.dice.choice(("0f02c8", "0f03d0", "0f00e0", "0f00e8", "63c3")))
        return b"\xb8" + dword(self.selector()) + opcode

    def store_system(self) -> bytes:
        """SLDT, STR, SGDT, SIDT, SMSW, CPUID, RDTSC, RDPMC."""
        kind = self.dice.randrange(6)
        if kind > 3:
            counter = b"\xb9" + dword(self.dice.randrange(2)) + b"\x0f\x33"
            return self.dice.choice((b"\x0f\xa2", b"\x0f\x31", counter, counter))
        if kind < 2:
            return bytes([0x0F, 0x00]) + self.memory(kind)
        return bytes([0x0F, 0x01]) + self.memory(self.dice.choice((0, 1, 4)))

    def interrupt(self) -> bytes:
        vector = self.dice.choice((*range(0x40, 0x52), 0x80, 0x80, self.dice.randrange(256)))
        return self.dice.choice((bytes([0xCD, vector]), bytes([0xCD, vector]), b"\xcc", b"\xce"))

    def set_flags(self) -> bytes:
        """PUSH a flags image, POPFD."""
        image = self.dice.choice((0, 0x202, 0x40202, 0x3202, 0x4202, 0x200AD7, 0x20202, 0x180202))
        return b"\x68" + dword(image ^ self.dice.getrandbits(12)) + b"\x9d"

    def traced_step(self) -> bytes:
        """POPFD with TF."""
        return b"\x68" + dword(0x302) + b"\x9d"

    def interrupt_return(self) -> bytes:
        """IRETD within ring 3, to the next instruction."""
        following = self.here() + 16
        selector = self.dice.choice(self.far) & 0xFF
        return b"\x68\x02\x02\x00\x00\x6a" + bytes([selector]) + b"\x68" + dword(following) + (
            b"\xcf\x90\x90"
        )

    def far_transfer(self) -> bytes:
        opcode = self.dice.choice((0x9A, 0x9A, 0xEA))
        target = self.dice.choice((self.here() + 7, self.dice.getrandbits(12)))
        selector = self.dice.choice((*self.far, self.selector()))
        if self.dice.random() < 0.2:  # RETF
            return b"\x68" + dword(selector) + b"\x68" + dword(self.here() + 11) + b"\xcb"
        return bytes([opcode]) + dword(target) + struct.pack("<H", selector)

    def privileged(self) -> bytes:
        return bytes.fromhex(
            self.dice.choice(("fa", "fb", "f4", "ec", "ee", "0f20c0", "0f22d8", "0f06", "0f09",
                              "0f23f8", "0f32", "6c", "6e", "e642", "0f0138", "0f01f0"))
        )  # fmt: skip

    def own_code(self) -> bytes:
        """A byte or four into the code close by, or anywhere in it."""
        near = self.here() + self.dice.randrange(-32, 64)
        target = self.dice.choice((near, near, self.origin + self.dice.randrange(0x3000)))
        if self.dice.random() < 0.5:
            return b"\xc6\x05" + dword(target) + bytes([self.dice.choice((0x90, 0x40, 0xF8, 0xCC))])
        return b"\x89\x05" + dword(target)

    def stray(self) -> bytes:
        """An access to anywhere."""
        anywhere = self.dice.choice(
            (self.dice.getrandbits(32), self.dice.getrandbits(22), 0xFF800000, 0xFFFFFFFE)
        )
        prefix = self.dice.choice((b"", bytes([self.dice.choice(SEGMENT_PREFIXES)])))
        return prefix + self.dice.choice((b"\x8b\x05", b"\x89\x1d")) + dword(anywhere)

    def long_string(self) -> bytes:
        """REP into whatever lies behind the data."""
        code = b"\x8d\xbd" + dword(self.offset()) + b"\xb9" + dword(self.dice.choice((5000, 70000)))
        return code + b"\xf3" + bytes.fromhex(self.dice.choice(STRINGS))

    def divide(self) -> bytes:
        return bytes([0xF7, self.dice.choice((0xF0, 0xF8)) | self.reg()])

    def salt(self) -> bytes:
        return self.dice.choice(SALT) + self.dice.randbytes(self.dice.randrange(3))


class Short(Program):
    """16-bit code, for real mode, virtual-8086 mode and 16-bit segments; its data is at DS:0."""

    def __init__(self, dice: random.Random, hostility: float = 0.25) -> None:
        super().__init__(dice, 0, 0, (0, 0x10, 0x1000, 0x1800, 0xF000, 0xFFFF), (0x1000,))
        self.hostility = hostility
        self.sane = [self.arithmetic, self.stack, self.shift, self.bits, self.flags, self.near]
        self.hostile = [
            *[self.load_segment, self.pop_segment, self.far_memory, self.far_memory, self.near],
            *[self.through_cs, self.interrupt, self.privileged, self.salt, self.flag_image],
        ]

    def loop(self) -> None:
        self.code += self.flags()

    def load_segment(self) -> bytes:
        return b"\xb8" + struct.pack("<H", self.selector()) + bytes([0x8E, self.dice.choice(LOADS)])

    def pop_segment(self) -> bytes:
        pop = bytes.fromhex(self.dice.choice(POPS))
        return b"\x68" + struct.pack("<H", self.selector()) + pop

    def near(self) -> bytes:
        """A load or store at [BX + n], with an override or without."""
        prefix = self.dice.choice((b"", bytes([self.dice.choice(SEGMENT_PREFIXES)])))
        opcode = self.dice.choice((0x8B, 0x89, 0x03, 0x01))
        return prefix + bytes([opcode, 0x47 | self.reg() << 3, self.dice.randrange(128)])

    def far_memory(self) -> bytes:
        """An access with a 32-bit address: what big real mode is for."""
        prefix = bytes([self.dice.choice(SEGMENT_PREFIXES)])
        address = self.dice.choice((0x200, 0x110000, 0x200000, 0xFFFF, 0x10000, 0x3FFFF0))
        opcode = self.dice.choice((0x8B, 0x8B, 0x89))
        return b"\x66\x67" + prefix + bytes([opcode, 0x05 | self.reg() << 3]) + dword(address)

    def through_cs(self) -> bytes:
        return b"\x2e\x89\x0e" + struct.pack("<H", 0xF000 | self.dice.getrandbits(8))

    def privileged(self) -> bytes:
        """No HLT: in real mode, where interrupts are off, it would be the end."""
        return super().privileged().replace(b"\xf4", b"\xfa")

    def flag_image(self) -> bytes:
        return b"\x68" + struct.pack("<H", self.dice.getrandbits(16) & 0x7ED7) + b"\x9d"

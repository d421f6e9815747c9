"""A random world in which much of the code runs in ring 3.

A small kernel goes through a script of 48 records, each a few instructions of ring 0: most enter
user code with some registers and selectors; between them others change page tables, descriptors,
gates, control and debug registers, write into user code, switch tasks, enter virtual-8086 mode,
return to real mode with whatever the segment caches hold, or run ring-0 code of chance. Every
exception and most interrupts come to the next record; some are returned from.

    0x01000 GDT   0x01800 LDT   0x02000 IDT   0x03000 TSSs     0x04000, 0x05000 page tables
    0x06000 the kernel's variables   0x07000 kernel   0x07800 its 16-bit part
    0x10000 16-bit code              0x20000 script   0x90000 the kernel's stack
    0x110000 user code, 3 pages      0x118000 user stack       0x11A000 user data, 4 pages

The kernel lies in supervisor pages, in the worlds that have paging; in others user code may write
it, if it finds it.
"""

from __future__ import annotations

import random
import struct
from functools import cache

from wild_code import Program, Short, World, dword, salted_bytes

from bt.assembler import assemble
from monitor.guests.assembler import Assembly
from monitor.guests.assembler import assemble as assemble_guest

GDT, LDT, IDT, TSS_MAIN, TSS_TWO, TSS_SMALL = 0x1000, 0x1800, 0x2000, 0x3000, 0x3100, 0x3200
DIRECTORY, TABLE, STATE, KERNEL, KERNEL16 = 0x4000, 0x5000, 0x6000, 0x7000, 0x7800
CODE16, CODE16_BYTES, SCRIPT, STACK = 0x10000, 0x1000, 0x20000, 0x90000
USER, USER_BYTES, USER_STACK, DATA = 0x110000, 0x3000, 0x119800, 0x11A000
WILD, EASY = USER + 0x1C00, USER + 0x2000  # within user code: bytes of chance; nothing hostile
WINDOW = 0x3FE000  # linear: the page table itself, for ring 0
RECORDS, RECORD_BYTES = 48, 128
RECORD_DATA = 64  # offset of what a record pops

CODE0, DATA0, CODE3, DATA3, MAIN, CODE16_0, LDT_SELECTOR, TWO, SMALL = (
    0x08, 0x10, 0x1B, 0x23, 0x28, 0x30, 0x40, 0x48, 0x50)  # fmt: skip
SELECTORS = (
    *(0, 0, 0, 1, 2, 3, DATA3, DATA3, DATA3, CODE3, DATA0, CODE0),
    *range(0x3B, 0xF8, 8), *range(0x38, 0xF8, 16), *range(0x07, 0x80, 8), *range(0x07, 0x80, 8),
)  # fmt: skip
FAR = (CODE3, CODE3, 0x07, 0x70, 0x7B, 0x83, 0x8B, 0x93, 0x9B, 0xB3, 0xCB, 0x4B, MAIN, TWO, SMALL)

SOURCE = """
STATE = 0x6000
STACK = 0x90000
WINDOW = 0x3fe000

start:
    mov ax, 0x10
    mov ss, ax
    mov esp, STACK
    mov ax, 0x28
    ltr ax
    mov ax, 0x40
    lldt ax
    mov eax, 0x4000
    mov cr3, eax
    mov eax, dword ptr ss:[STATE + 8]
    mov cr4, eax
    mov eax, dword ptr ss:[STATE + 4]
    mov cr0, eax

; on to the next record, whatever has happened
handler:
    mov ax, 0x10
    mov ss, ax
    mov esp, STACK
    jmp dword ptr ss:[STATE]

; handlers that go back
back:
    iretd
back_error:
    add esp, 4
    iretd
clear_ts:
    clts
    iretd
end_trap:
    and dword ptr [esp + 8], 0xfffffeff
    iretd
touch:
    inc dword ptr ss:[STATE + 16]
    push eax
    mov eax, cr3
    mov cr3, eax
    pop eax
    iretd
fix_page:
    push eax
    push ecx
    mov eax, cr2
    lea ecx, [eax - 0x110000]
    cmp ecx, 0x20000
    jae handler
    shr eax, 12
    mov ecx, eax
    shl ecx, 12
    or ecx, 7
    mov dword ptr ss:[WINDOW + eax * 4], ecx
    mov eax, cr2
    invlpg byte ptr ss:[eax]
    pop ecx
    pop eax
    add esp, 4
    iretd

; targets of call gates
gate:
    inc dword ptr ss:[STATE + 20]
    retf
gate_two:
    mov eax, dword ptr [esp + 8]
    retf 8
"""

SOURCE16 = """
pm16:
    mov eax, cr0
    mov dword ptr ss:[0x6048], eax
    and eax, 0x7ffffffe
    mov cr0, eax
"""


@cache
def kernel(wide: bool = False) -> Assembly:
    """`wide`: page-table entries have 64 bits (wild_pae.py)."""
    source = SOURCE.replace("WINDOW + eax * 4", "WINDOW + eax * 8") if wide else SOURCE
    return assemble_guest(lambda _name: source, "wild.asm", KERNEL)


@cache
def kernel16() -> tuple[bytes, int]:
    """The way to real mode, and the address of the handler that all vectors have there."""
    down = assemble(SOURCE16.replace("pm16:", ""), KERNEL16, 16)
    real = KERNEL16 + len(down) + 5
    down += b"\xea" + struct.pack("<HH", real, 0)
    down += b"\x2e\x0f\x01\x1e" + struct.pack("<H", STATE + 0x50)  # lidt cs:[...]: the IVT
    down += b"\xfb"  # sti: the timer ends loops here, too
    down += b"\x2e\xff\x2e" + struct.pack("<H", STATE + 0x40)  # jmp far cs:[...]
    handler = KERNEL16 + len(down)
    up = b"\x66\x2e\x0f\x01\x1e" + struct.pack("<H", STATE + 0x58)  # lidt cs:[...]: the IDT
    up += b"\x66\xb8" + dword(DIRECTORY) + b"\x0f\x22\xd8"  # cr3
    up += b"\x66\x2e\xa1" + struct.pack("<H", STATE + 0x48) + b"\x0f\x22\xc0"  # cr0
    up += b"\x66\xea" + struct.pack("<IH", kernel().symbols["handler"], CODE0)
    return down + up, handler


def descriptor(limit: int, access: int, flags: int, base: int = 0) -> bytes:
    """One entry of the GDT (SDM volume 3, 3.4.5)."""
    low = limit & 0xFFFF | (base & 0xFFFF) << 16
    high = (base >> 16) & 0xFF | access << 8 | limit & 0xF0000 | flags << 20 | base & 0xFF000000
    return struct.pack("<II", low, high)


def gate(
    kind: int, selector: int, offset: int, dpl: int, count: int = 0, present: int = 1
) -> bytes:
    """A call, interrupt, trap or task gate (SDM volume 3, 5.8.3, 6.11)."""
    low = selector << 16 | offset & 0xFFFF
    high = offset & 0xFFFF0000 | present << 15 | dpl << 13 | kind << 8 | count
    return struct.pack("<II", low, high)


class UserWorld:
    """What one seed makes, part by part; `world` is all of it."""

    wide = False  # are entries of page tables?

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.symbols = kernel().symbols
        self.paging = dice.random() < 0.8
        flat = 0xFFFFF if dice.random() < 0.3 else 0x1FF
        self.user_limit = flat
        self.debugs = dice.random() < 0.04  # breakpoints make the monitor emulate everything
        hostility = dice.choice((0.02, 0.04, 0.08, 0.15))
        hard = Program(dice, USER, DATA, SELECTORS, FAR, hostility)
        easy = Program(dice, EASY, DATA, SELECTORS, FAR, 0.0)  # a page that may run as it is
        self.code = hard.bytes(WILD - USER) + salted_bytes(dice, EASY - WILD)
        self.code += easy.bytes(USER_BYTES - (EASY - USER))
        self.marks = [USER + at for at in hard.marks], [EASY + at for at in easy.marks]
        self.short = Short(dice)
        self.mask = 0xFE  # of the interrupt lines: the timer's alone

    # --- tables -------------------------------------------------------------------------

    def random_descriptor(self) -> bytes:
        raw = bytearray(self.dice.randbytes(8))
        if self.dice.random() < 0.8:
            raw[6] &= 0x7F  # a limit below 1 MiB
        if self.dice.random() < 0.8:
            raw[5] |= 0xE0
        return bytes(raw)

    def gdt(self) -> bytes:
        symbols, user = self.symbols, self.user_limit
        entries = [
            bytes(8),
            descriptor(0xFFFFF, 0x9B, 0xC),  # 08
            descriptor(0xFFFFF, 0x93, 0xC),  # 10
            descriptor(0xFFFFF, 0xFB, 0xC),  # 18: flat code of ring 3
            descriptor(user, 0xF3, 0xC),  # 20: data of ring 3
            descriptor(0x67, 0x89, 0, TSS_MAIN),  # 28
            descriptor(0xFFFF, 0x9B, 0),  # 30: 16-bit code
            descriptor(0x3FFF, 0xF2, 4, DATA),  # 38: the user's data and no more, not accessed
            descriptor(0x7F, 0x82, 0, LDT),  # 40
            descriptor(0x67, 0xE9, 0, TSS_TWO),  # 48
            descriptor(0x2B, 0xE1, 0, TSS_SMALL),  # 50
            descriptor(0x117, 0xF6, 0xC),  # 58: expand-down
            descriptor(0x3FFF, 0xF7, 0, DATA),  # 60: expand-down, 64 KiB at most
            descriptor(0xFFFFF, 0x73, 0xC),  # 68: absent
            descriptor(0xFFFFF, 0x9F, 0xC),  # 70: conforming code of ring 0
            descriptor(0xFFFFF, 0xF8, 0xC),  # 78: code that cannot be read
            descriptor(0xFFFF, 0xFB, 0, CODE16),  # 80: 16-bit code of ring 3
            gate(12, CODE0, symbols["gate"], 3),  # 88
            gate(12, CODE0, symbols["gate_two"], 3, 2),  # 90
            gate(5, TWO, 0, 3),  # 98
            descriptor(0xFFFFF, 0xF3, 0xC, 0xFF7FF000),  # A0: up to the monitor's region
            descriptor(0xFFFFF, 0xF3, 0xC, 0xFFC00000),  # A8: begins in it, and wraps
            descriptor(0xFFFF, 0xFA, 4, USER),  # B0: code that begins at the user's
            descriptor(0xFFFFF, 0xBB, 0xC),  # B8: ring 1
            descriptor(0xFFFFF, 0xB3, 0xC),  # C0
            gate(4, CODE0, symbols["gate"], 3),  # C8: 16 bits
            descriptor(0xFFFFF, 0xF1, 0xC),  # D0: may not be written
            descriptor(0xFFFF, 0xF3, 0, 0x10000),  # D8: as in real mode
            *(self.random_descriptor() for _ in range(4)),
        ]
        return b"".join(entries)

    def ldt(self) -> bytes:
        entries = [
            descriptor(0xFFFFF, 0xFA, 0xC),  # 07: flat code, not accessed
            descriptor(self.user_limit, 0xF2, 0xC),  # 0F: data, not accessed
            descriptor(0x1FFF, 0xF3, 4, DATA),
            descriptor(0x11F, 0xF4, 0xC),  # 1F: expand-down, read-only
            gate(12, CODE0, self.symbols["gate"], 3),
            descriptor(0xFFFFF, 0xF2, 0xC, 0xFF800000),
            *(self.random_descriptor() for _ in range(10)),
        ]
        return b"".join(entries)

    def idt(self) -> bytes:
        dice, symbols = self.dice, self.symbols
        handler = symbols["handler"]
        entries = []
        for vector in range(256):
            outer = 3 if vector >= 0x30 or vector in (3, 4) else 0
            kind, target = dice.choice((14, 14, 15)), handler
            if vector >= 0x30 and vector < 0x60 and dice.random() < 0.6:
                target = symbols[dice.choice(("back", "back", "touch"))]
                outer = dice.choice((3, 3, 3, 0))
            entries.append(gate(kind, CODE0, target, outer))
        for vector, name, chance in GOING_BACK:
            if dice.random() < chance:
                entries[vector] = gate(14, CODE0, symbols[name], 3 if vector in (3, 4) else 0)
        for vector in range(0x20, 0x30):
            name = dice.choice(("back", "handler", "handler", "handler"))
            entries[vector] = gate(14, CODE0, symbols[name], 0)
        entries[0x50] = gate(5, dice.choice((TWO, SMALL)), 0, 3)
        entries[0x51] = gate(6, CODE0, handler, 3)
        entries[0x4F] = gate(14, CODE0, handler, 3, present=0)
        entries[0x4E] = gate(14, CODE3, USER, 3)
        return b"".join(entries)

    def task(self, eip: int, selector: int) -> bytes:
        """A 32-bit TSS of a task in ring 3."""
        segments = (DATA3, CODE3, DATA3, DATA3, selector, 0)
        return struct.pack(
            "<26I", 0, STACK, DATA0, STACK - 0x1000, 0xC1, 0, 0, DIRECTORY, eip, self.flags(),
            *(self.dice.getrandbits(32) for _ in range(4)), USER_STACK, DATA, USER, DATA,
            *segments, LDT_SELECTOR, self.dice.choice((0x680000, 0x680000, 0x680001)),
        )  # fmt: skip

    def small_task(self) -> bytes:
        words = (0, 0x8F00, DATA0, 0, 0, 0, 0, 0x100, 0x202, *range(8))
        return struct.pack("<22H", *words, 0x23, 0x83, DATA3, DATA3, LDT_SELECTOR)

    def page_table(self) -> bytes:
        dice = self.dice
        entries = [page << 12 | 3 for page in range(512)]
        for page in (*range(0x10, 0x18), *range(0x110, 0x130)):
            entries[page] = page << 12 | dice.choice((*[7] * 12, 5, 0x107, 3, 0))
        entries[0] = dice.choice((3, 5, 7))
        code_pages = range(USER >> 12, (USER + USER_BYTES) >> 12)
        for page in code_pages:
            entries[page] = page << 12 | dice.choice((7, 7, 7, 5))
        entries[(USER_STACK >> 12)] |= 7
        for _ in range(510):  # aliases, or nothing
            frame = dice.choice((*code_pages, *range(0x11A, 0x11E), 0x10))
            entries.append(dice.choice((0, frame << 12 | dice.choice((7, 5, 0x107)))))
        entries += [TABLE | 3, 0]
        # Page tables that change behind the TLB's back may act at once or later, and both are
        # right: no page leads to them but the window, after which the kernel flushes.
        entries[4] = entries[5] = 0
        return struct.pack("<1024I", *entries)

    def tables(self) -> list[tuple[int, bytes]]:
        """What CR3 leads to."""
        return [(DIRECTORY, dword(TABLE | 7)), (TABLE, self.page_table())]

    def control_bits(self) -> int:
        """CR4 to begin with."""
        return self.dice.choice((0, 0, 0, 0x100, 0x80, 0x1, 0x2, 0x4, 0x10))

    # --- the script ---------------------------------------------------------------------

    def flags(self) -> int:
        return self.dice.choice((0x202, 0x202, 0x202, 0x202, 0x202, 0x202, 0x40202, 0x3202, 2,
                                 0x302, 0x10202, 0x4202, 0x200202))  # fmt: skip

    def entry(self) -> int:
        """Where user code begins: mostly at an instruction."""
        if self.dice.random() < 0.93:
            return self.dice.choice(self.dice.choice(self.marks))
        return USER + self.dice.randrange(USER_BYTES)

    def script(self) -> bytes:
        out = bytearray()
        for number in range(RECORDS):
            at = SCRIPT + number * RECORD_BYTES
            following = SCRIPT + (number + 1) % RECORDS * RECORD_BYTES
            begin = b"\x36\xc7\x05" + dword(STATE) + dword(following)  # mov ss:[STATE], following
            act = self.dice.choices(ACTS, WEIGHTS)[0]
            if number == 0 and self.dice.random() < 0.8:
                act = UserWorld.timer  # or a loop without end would be the rest of many a life
            method = getattr(self, act.__name__)  # a kind of world may have its own
            code, data = method(at + len(begin), at + RECORD_DATA)
            code = begin + code
            assert len(code) <= RECORD_DATA and len(data) <= RECORD_BYTES - RECORD_DATA, act
            out += code.ljust(RECORD_DATA, b"\x90") + data.ljust(RECORD_BYTES - RECORD_DATA, b"\0")
        return bytes(out)

    def to(self, name: str, at: int) -> bytes:
        """JMP to the kernel, from `at`."""
        return b"\xe9" + dword(self.symbols[name] - at - 5)

    def then(self, code: bytes, at: int) -> tuple[bytes, bytes]:
        """This, and on to the next record."""
        return code + self.to("handler", at + len(code)), b""

    def user(self, at: int, data: int) -> tuple[bytes, bytes]:
        """POPs of segments, or not; POPAD; IRETD."""
        dice = self.dice
        words, pops = b"", b""
        if dice.random() < 0.7:
            pops = b"\x0f\xa9\x0f\xa1\x07\x1f"
            good = dice.random() < 0.7
            for _ in range(4):
                words += dword(DATA3 if good else dice.choice(SELECTORS))
        registers = [dice.getrandbits(32) for _ in range(8)]
        registers[0], registers[1], registers[2] = DATA + 0x100, DATA + 0x200, DATA
        registers[6] = dice.choice((3, 100, registers[6]))
        frame = (self.entry(), CODE3, self.flags(), USER_STACK, DATA3)
        if dice.random() < 0.1:
            frame = (self.entry(), dice.choice((0x07, 0x1B, 0xB3)), self.flags(), USER_STACK, 0x0F)
        elif dice.random() < 0.04:
            frame = (dice.randrange(CODE16_BYTES), 0x83, self.flags(), USER_STACK, DATA3)
        words += struct.pack("<13I", *registers, *frame)
        if len(words) > RECORD_BYTES - RECORD_DATA:  # 4 too many: without EDI
            words, pops = words[4:], b"\x0f\xa1\x07\x1f"
        return b"\xbc" + dword(data) + pops + b"\x61\xcf", words

    def v86(self, at: int, data: int) -> tuple[bytes, bytes]:
        dice = self.dice
        flags = 0x20202 | dice.choice((0, 0x3000, 0x3000, 0x180000))
        place = dice.randrange(CODE16_BYTES)
        segments = (dice.choice((0, 0x1000, 0xF800, 0x1100)) for _ in range(4))
        frame = struct.pack("<9I", place, 0x1000, flags, 0x7000, 0x1000, *segments)
        return b"\xbc" + dword(data) + b"\xcf", frame

    def real(self, at: int, data: int) -> tuple[bytes, bytes]:
        """To real mode, and to some 16-bit code there."""
        place = self.dice.randrange(CODE16_BYTES) | 0x1000 << 16
        code = b"\x36\xc7\x05" + dword(STATE + 0x40) + dword(place)
        if self.dice.random() < 0.5:  # a segment cache for it
            load = self.dice.choice((0xC0, 0xD8, 0xE0, 0xE8))
            code += b"\x66\xb8" + struct.pack("<H", self.dice.choice((0x10, 0, 0x23, 0x38, 0x58)))
            code += bytes([0x8E, load])
        code += b"\xbb" + dword(0x200)
        return code + b"\xea" + dword(KERNEL16) + struct.pack("<H", CODE16_0), b""

    def page(self, at: int, data: int) -> tuple[bytes, bytes]:
        """A page-table entry, and INVLPG or a load of CR3."""
        dice = self.dice
        page = dice.choice((*range(0x110, 0x11F), *range(0x200, 0x210)))
        frame = dice.choice((page & 0x1FF, *range(0x110, 0x11F)))
        entry = frame << 12 | dice.choice((7, 7, 5, 3, 1, 0, 0x107, 0x67))
        code = b"\x36\xc7\x05" + dword(WINDOW + 4 * page) + dword(entry)
        if dice.random() < 0.7:
            return self.then(code + b"\x36\x0f\x01\x3d" + dword(page << 12), at)
        if dice.random() < 0.5:  # without PGE, global pages go too
            code += b"\x0f\x20\xe0\x83\xe0\x7f\x0f\x22\xe0"
        return self.then(code + b"\x0f\x20\xd8\x0f\x22\xd8", at)

    def poke(self, at: int, data: int) -> tuple[bytes, bytes]:
        """A dword of a table that the processor reads, or of user code."""
        dice = self.dice
        table = dice.choice((LDT, GDT + 0x38, GDT + 0x80, USER, USER, DATA, TSS_TWO + 0x20))
        span = {USER: USER_BYTES, DATA: 0x1000, TSS_TWO + 0x20: 0x40}.get(table, 0x80)
        place = table + dice.randrange(span) & (-4 if table != USER else -1)
        value = dice.choice((dice.getrandbits(32), 0x90909090, 0x00CFF300, 0x0000FFFF))
        return self.then(b"\x36\xc7\x05" + dword(place) + dword(value), at)

    def gate_poke(self, at: int, data: int) -> tuple[bytes, bytes]:
        """Another handler for a vector."""
        vector = self.dice.choice((1, 3, 6, 7, 13, 14, 0x40, 0x41, 0x42, 0x80))
        name = self.dice.choice(("handler", "handler", "back", "touch"))
        low = CODE0 << 16 | self.symbols[name] & 0xFFFF
        return self.then(b"\x36\xc7\x05" + dword(IDT + 8 * vector) + dword(low), at)

    def control(self, at: int, data: int) -> tuple[bytes, bytes]:
        """CR0, CR4, debug registers, LDTR, CLTS, LMSW."""
        dice = self.dice
        kind = dice.randrange(7)
        if kind == 2 and not self.debugs:
            kind = 0
        if kind == 0:  # xor cr0
            bits = dice.choice((8, 4, 2, 0x20, 0x40000, 0x10000, 0x10028))
            return self.then(b"\x0f\x20\xc0\x35" + dword(bits) + b"\x0f\x22\xc0", at)
        if kind == 1:  # xor cr4
            bits = dice.choice((1, 2, 4, 8, 0x80, 0x100, 0x10))
            return self.then(b"\x0f\x20\xe0\x35" + dword(bits) + b"\x0f\x22\xe0", at)
        if kind == 2:
            address = dice.choice((self.entry(), DATA + dice.randrange(0x1000), USER_STACK - 4))
            image = dice.choice((0x1, 0x10001, 0x30001, 0xF0001, 0xD0001, 0x2000, 0x0))
            code = b"\xb8" + dword(address) + b"\x0f\x23\xc0\xb8" + dword(image) + b"\x0f\x23\xf8"
            return self.then(code, at)
        if kind == 3:
            selector = dice.choice((LDT_SELECTOR, LDT_SELECTOR, 0, DATA0))
            return self.then(b"\x66\xb8" + struct.pack("<H", selector) + b"\x0f\x00\xd0", at)
        if kind == 4:  # wrmsr: a performance counter, the TSC
            number = dice.choice((0xC1, 0xC2, 0x10))
            code = b"\xb9" + dword(number) + b"\xb8" + dword(dice.getrandbits(32))
            return self.then(code + b"\x31\xd2\x0f\x30", at)
        return self.then(dice.choice((b"\x0f\x06", b"\x0f\x09", b"\x0f\x01\xe0", b"\xdb\xe3")), at)

    def switch(self, at: int, data: int) -> tuple[bytes, bytes]:
        """A far JMP or CALL to a task."""
        opcode = self.dice.choice((b"\xea", b"\xea", b"\x9a"))
        selector = self.dice.choice((TWO, TWO, MAIN, SMALL))
        return self.then(opcode + dword(0) + struct.pack("<H", selector), at)

    def wild(self, at: int, data: int) -> tuple[bytes, bytes]:
        """Ring 0 runs bytes of chance."""
        place = WILD + self.dice.randrange(EASY - WILD)
        return b"\xfb\xbd" + dword(DATA) + b"\xe9" + dword(place - at - 11), b""

    def ring0(self, at: int, data: int) -> tuple[bytes, bytes]:
        """Ring 0 runs what was made for ring 3."""
        data3 = b"\x66\xb8\x23\x00\x8e\xd8\x8e\xc0"
        code = data3 + self.dice.choice((b"", b"\xfb", b"\xfb")) + b"\xbd" + dword(DATA)
        return code + b"\xe9" + dword(self.entry() - at - len(code) - 5), b""

    def timer(self, at: int, data: int) -> tuple[bytes, bytes]:
        """The 8259As from vector 20h on, ending interrupts by themselves; IRQ 0 every so often."""
        count = self.dice.choice((2, 2, 3, 5))
        code = b"".join(
            bytes([0xB0, value, 0xE6, port])
            for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 3), (0x21, self.mask),
                                (0x43, 0x14), (0x40, count))
        )  # fmt: skip
        return self.then(code, at)

    # --- all of it ----------------------------------------------------------------------

    def world(self) -> World:
        dice = self.dice
        pieces: list[tuple[int, bytes]] = []

        def put(address: int, data: bytes) -> None:
            pieces.append((address, data))

        code16, handler16 = kernel16()
        put(0, struct.pack("<HH", handler16, 0) * 256)
        put(GDT, self.gdt())
        put(LDT, self.ldt())
        put(IDT, self.idt())
        put(TSS_MAIN, self.task(USER, DATA3))
        put(TSS_TWO, self.task(self.entry(), dice.choice(SELECTORS)))
        put(TSS_SMALL, self.small_task())
        pieces.extend(self.tables())
        put(KERNEL, kernel(self.wide).image)
        put(KERNEL16, code16)
        put(CODE16, self.short.bytes(CODE16_BYTES) + b"\xcd\x77" * 0x100)
        put(USER, self.code)
        put(DATA, dice.randbytes(0x4000))
        put(SCRIPT, self.script())
        cr0 = 0x80000011 if self.paging else 0x11
        cr0 |= dice.choice((0, 0, 0x10000, 0x20, 0x40000))
        put(STATE, struct.pack("<III", SCRIPT, cr0, self.control_bits()))
        put(STATE + 0x50, struct.pack("<HI2xHI", 0x3FF, 0, 0x7FF, IDT))
        entry = KERNEL + 0x600
        tables = struct.pack("<HI2xHI", len(self.gdt()) - 1, GDT, 0x7FF, IDT)
        prelude = b"\x0f\x01\x15" + dword(entry + 0x80) + b"\x0f\x01\x1d" + dword(entry + 0x88)
        prelude += b"\xea" + dword(KERNEL) + struct.pack("<H", CODE0)
        return World(pieces, prelude.ljust(0x80, b"\x90") + tables, entry, STACK)


# Exceptions from which the kernel may return: vector, handler, in what share of worlds
GOING_BACK = (
    *((14, "fix_page", 0.7), (7, "clear_ts", 0.8), (3, "back", 0.5), (1, "end_trap", 0.6)),
    *((4, "back", 0.5), (17, "back_error", 0.1), (5, "back", 0.1), (16, "back", 0.1)),
)
ACTS = (UserWorld.user, UserWorld.page, UserWorld.poke, UserWorld.gate_poke, UserWorld.control,
        UserWorld.switch, UserWorld.v86, UserWorld.real, UserWorld.wild, UserWorld.ring0,
        UserWorld.timer)  # fmt: skip
WEIGHTS = (90, 7, 7, 1.5, 4, 3, 6, 4, 0.6, 3, 0.4)

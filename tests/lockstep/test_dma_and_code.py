"""Devices that write code by DMA: bare and translated, the guest runs what then stands there.

Also the very next instruction, also in the middle of a REP, also the translated block that is being
executed (monitor/vmm/physical_map.py).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from patience import PATIENCE
from pieces import controllers

from bt.assembler import assemble
from devices.bus import Bus
from devices.device import Chip
from devices.fields import MOMENT, TIMER, fields, number
from monitor import Machine
from monitor.embedding.segments import Segment
from monitor.lockstep.pair import Pair

ORIGIN = 0x100000
ESP = 0x90000
DESCRIPTORS = 0x80000
SOURCE = 0x81000
PORT = 0x300
MODES = ("bare", "trap", "translate")
OF_KERNEL = ("bare", "translate")


class Copier(Chip):
    """Port 300h: the address of a descriptor (to, from, bytes, microseconds): a copy, by DMA.

    It is done during the access, or so much later, with an edge of IRQ 5 behind it. Port 304h: the
    same, by reading, of the descriptor that was named last.
    """

    name = "copier"
    state = fields(copies=number(0, 1 << 32), last=MOMENT, timer=TIMER)
    wiring = ("bus", "line")

    def __init__(self, bus: Bus) -> None:
        self.bus, self.line = bus, bus.irq(5)
        self.timer = bus.timer(self.later)
        self.copies = self.last = 0
        bus.claim_ports(PORT, 8, self)

    def reset(self) -> None:
        self.timer.cancel()

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 4)

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        if self.timer.live:
            yield self.line.number

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.last = value
        delay = self.descriptor()[3]
        if delay:
            self.timer.set(self.bus.clock.now() + 1000 * delay)
        else:
            self.copy()

    def read_port(self, offset: int, size: int) -> int:
        self.copy()
        return self.copies

    def descriptor(self) -> tuple[int, ...]:
        return struct.unpack("<4I", self.bus.memory.read(self.last, 16))

    def copy(self) -> None:
        to, source, size, _ = self.descriptor()
        self.copies += 1
        self.bus.memory.write(to, self.bus.memory.read(source, size & 0xFFFF))

    def later(self) -> None:
        self.copy()
        self.line.pulse()


def make(mode: str, source: str, copies: list[tuple[str | int, bytes, int]]) -> Machine:
    """A machine with the guest, and what its device is to copy: to a label, which bytes, when."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.devices.plug(Copier(machine.devices.bus))
    machine.load_flat(assemble(source, ORIGIN), ORIGIN, esp=ESP)
    at = SOURCE
    for index, (to, data, delay) in enumerate(copies):
        place = to if isinstance(to, int) else address(source, to)
        machine.write_physical(at, data)
        descriptor = struct.pack("<4I", place, at, len(data), delay)
        machine.write_physical(DESCRIPTORS + 16 * index, descriptor)
        at += len(data)
    return machine


def address(source: str, label: str) -> int:
    """Where a label is: keystone does not say, so a word with it is put in front."""
    head = assemble(f".long {label}\n{source}", ORIGIN - 4)
    return int(struct.unpack_from("<I", head)[0])


def lives(
    source: str, copies: list[tuple[str | int, bytes, int]], modes: tuple[str, ...] = MODES
) -> Machine:
    """The guest to its end in every mode: the same."""
    seen = []
    for mode in modes:
        machine = make(mode, source, copies)
        outcome = machine.run(timeout=PATIENCE, max_instructions=100_000)
        assert outcome.kind == "stuck", (mode, outcome)
        memory = machine.memory.map()[: 1 << 20].tobytes(), machine.read_physical(ORIGIN, 8192)
        seen.append((machine.registers, machine.instructions, machine.clock.now(), memory))
    assert all(each == seen[0] for each in seen), [each[:2] for each in seen]
    return machine


def imm(value: int) -> bytes:
    return struct.pack("<I", value)


OUT = f"mov dx, {PORT}; mov eax, {DESCRIPTORS}; out dx, eax"


def test_the_very_next_instruction() -> None:
    machine = lives(f"{OUT}; next: mov ebx, 1; hlt", [("next+1", imm(2), 0)])
    assert machine.registers["ebx"] == 2


def test_the_very_next_instruction_by_reading() -> None:
    source = f"{OUT}; mov dx, {PORT + 4}; in eax, dx; next: mov ebx, 1; hlt"
    machine = lives(source, [("next+1", imm(2), 1000)])
    assert machine.registers["ebx"] == 2 and machine.registers["eax"] == 1


@pytest.mark.parametrize("between", [1, 5, 40])
def test_further_on_in_the_block(between: int) -> None:
    source = f"{OUT}; {'inc ecx;' * between} next: mov ebx, 1; hlt"
    assert lives(source, [("next+1", imm(2), 0)]).registers["ebx"] == 2


def test_the_instruction_that_does_it() -> None:
    """OUT becomes INC EBX, and runs once more."""
    source = f"mov dx, {PORT}; mov eax, {DESCRIPTORS}; xor ecx, ecx; again: out dx, eax\n" \
             "inc ecx; cmp ecx, 3; jb again; hlt"  # fmt: skip
    machine = lives(source, [("again", b"\x43", 0)])
    assert machine.registers["ebx"] == 2


def test_another_instruction_with_another_length() -> None:
    """And across the edge of a page."""
    head = f"{OUT}; jmp there;"
    padding = 0xFFE - len(assemble(f"{head} there:", ORIGIN))
    source = f"{head} {'nop;' * padding} there: nop; nop; nop; nop; nop; inc esi; hlt"
    machine = lives(source, [("there", b"\xbb\x78\x56\x34\x12", 0)])
    assert (machine.registers["ebx"], machine.registers["esi"]) == (0x12345678, 1)


def test_code_that_is_hot_and_chained() -> None:
    """The device changes the body of a loop at every pass."""
    source = f"""
        mov  dx, {PORT}; mov ecx, 200; mov esi, {SOURCE}; mov eax, {DESCRIPTORS}; xor ebx, ebx
    again:
        inc  dword ptr [esi]
        out  dx, eax
    next:
        add  ebx, 0x11111111
        test ebx, ebx; jz over; inc edi
    over:
        loop again
        hlt
    """
    machine = lives(source, [("next+2", imm(0), 0)])
    assert machine.registers["ebx"] == 200 * 201 // 2
    if machine.mode == "translate":
        assert machine.statistics()["by_kind"]["translated"] > 1000


def test_a_function_that_was_called_before() -> None:
    source = f"""
        call f; call f
        {OUT}
        call f
        jmp  done
    f:  mov  ebx, 1
        add  ecx, ebx
        ret
    done: hlt
    """
    assert lives(source, [("f+1", imm(100), 0)]).registers["ecx"] == 102


@pytest.mark.parametrize("patched", [0, 1, 2])
def test_in_the_middle_of_a_rep(patched: int) -> None:
    """REP OUTSD: one of the copies turns the REP OUTSD itself into two NOPs."""
    source = f"""
        mov  dx, {PORT}; mov ecx, 3; mov esi, list; cld
    rep_: rep outsd
    next: mov ebx, 1
        hlt
    list: .long {DESCRIPTORS}, {DESCRIPTORS + 16}, {DESCRIPTORS + 32}
    """
    copies: list[tuple[str | int, bytes, int]] = [("next+1", imm(index + 2), 0)
                                                  for index in range(3)]  # fmt: skip
    copies[patched] = ("rep_", b"\x90\x90", 0)
    machine = lives(source, copies)
    assert machine.registers["ecx"] == 2 - patched, "what was left of it was not done"
    assert machine.registers["ebx"] == (patched + 1 if patched else 1)


def test_a_rep_that_goes_on() -> None:
    source = f"""
        mov  dx, {PORT}; mov ecx, 50; mov esi, list; cld
        rep  outsd
    next: mov ebx, 1
        hlt
    list: {f".long {DESCRIPTORS};" * 50}
    """
    machine = lives(source, [("next+1", imm(2), 0)])
    assert (machine.registers["ebx"], machine.registers["ecx"]) == (2, 0)


def test_while_it_is_stepped() -> None:
    """By the trap flag: every instruction by itself."""
    source = f"""
        mov  eax, handler
        mov  [0x7008], ax; mov word ptr [0x700a], 0x10; mov word ptr [0x700c], 0x8e00
        shr  eax, 16; mov [0x700e], ax
        sub  esp, 8; mov word ptr [esp], 0x7f; mov dword ptr [esp + 2], 0x7000; lidt [esp]
        pushfd; or dword ptr [esp], 0x100; popfd
        {OUT}
    next: mov ebx, 1
        pushfd; and dword ptr [esp], 0xfffffeff; popfd
        hlt
    handler: inc edi; iretd
    """
    machine = lives(source, [("next+1", imm(2), 0)], OF_KERNEL)
    assert machine.registers["ebx"] == 2 and machine.registers["edi"] == 7


IDT = f"""
    mov  eax, handler
    mov  [0x7128], ax; mov word ptr [0x712a], 0x10; mov word ptr [0x712c], 0x8e00
    shr  eax, 16; mov [0x712e], ax
    sub  esp, 8; mov word ptr [esp], 0x17f; mov dword ptr [esp + 2], 0x7000; lidt [esp]
    {controllers()}
    mov  al, 0xdf; out 0x21, al
"""


def test_between_two_instructions_by_a_timer() -> None:
    """The guest waits in a loop for the loop to change."""
    source = f"""
        {IDT}
        {OUT}
        sti
    wait: jmp wait
        hlt
    handler:
        inc  edi; mov al, 0x20; out 0x20, al
        iretd
    """
    machine = lives(source, [("wait", b"\x90\x90", 50)], OF_KERNEL)
    assert machine.registers["edi"] == 1 and machine.instructions > 9000


def test_while_the_guest_is_halted() -> None:
    source = f"{IDT} {OUT}; sti; hlt; next: mov ebx, 1; cli; hlt\n" \
             "handler: mov al, 0x20; out 0x20, al; iretd"  # fmt: skip
    assert lives(source, [("next+1", imm(2), 50)], OF_KERNEL).registers["ebx"] == 2


def test_what_is_no_ram() -> None:
    """A ROM keeps its bytes, and nobody's addresses read as ones."""
    def guest(mode: str) -> Machine:
        machine = make(mode, f"{OUT}; add eax, 16; out dx, eax; add eax, 16; out dx, eax; hlt",
                       [(0xC8000, b"written", 0), (0x10000, b"", 0), (0xE0000000, b"lost", 0)])
        machine.roms.add(0xC8000, b"ROM")
        machine.write_physical(DESCRIPTORS + 16, struct.pack("<4I", 0x10000, 0xC7FFE, 8, 0))
        machine.run(timeout=PATIENCE)
        return machine

    for mode in MODES:
        machine = guest(mode)
        assert machine.read_physical(0x10000, 8) == b"\xff\xffROM\xff\xff\xff"
        assert machine.devices["copier"].copies == 3


@pytest.mark.parametrize("iopl", [0, 3])
def test_user_code(iopl: int) -> None:
    """Ring 3 runs directly, or translated with IOPL 3: the page is written behind its back."""
    source = f"""
        push 0x23; push 0x70000; push {iopl << 12 | 0x202:#x}; push 0x1b; mov eax, user; push eax
        iretd
    user:
        mov  ax, 0x23; mov ds, ax
        mov  ecx, 30; mov esi, {SOURCE}; mov dx, {PORT}; mov eax, {DESCRIPTORS}; xor ebx, ebx
    again:
        inc  dword ptr [esi]
        out  dx, eax
    next:
        add  ebx, 0x11111111
        loop again
        jmp  out_
    out_: int3
    handler: hlt
    """
    seen = []
    for mode in OF_KERNEL:
        machine = make(mode, source, [("next+2", imm(0), 0)])
        flat = [(0xFFFF, 0, rights) for rights in (0x9A, 0x92, 0xFA, 0xF2)]
        table = b"\0" * 8 + b"".join(struct.pack("<HHBBBB", low, base, 0, rights, 0xCF, 0)
                                     for low, base, rights in flat)  # fmt: skip
        machine.write_physical(0x60000, table)
        machine.load_flat(assemble(source, ORIGIN), ORIGIN, esp=ESP, selectors=(0x08, 0x10),
                          gdt=(0x60000, len(table) - 1))  # fmt: skip
        tss = struct.pack("<26I", 0, ESP, 0x10, *[0] * 22, 104 << 16) + b"\0" * 0x70
        machine.write_physical(0x61000, tss)
        machine.segments["tr"] = Segment(0x28, 0x61000, len(tss) - 1, 0x8B)
        handler = address(source, "handler")
        gate = struct.pack("<HHHH", handler & 0xFFFF, 0x08, 0xEE00, handler >> 16)
        machine.write_physical(0x62018, gate)
        machine.set_register("idtr_base", 0x62000)
        machine.set_register("idtr_limit", 0x1F)
        assert machine.run(timeout=PATIENCE, max_instructions=10_000).kind == "stuck"
        seen.append((machine.registers, machine.instructions, machine.clock.now()))
        assert machine.registers["ebx"] == 30 * 31 // 2
    assert seen[0] == seen[1]
    kinds = machine.statistics()["by_kind"]
    assert kinds["translated" if iopl else "direct"] > 50


# --- random worlds --------------------------------------------------------------------------------

SLOTS, SLOT = 48, 8
CODE = 0x110000
PIECES = ["inc eax", "add ebx, 0x12345", "lea ecx, [ecx + eax]", "xor esi, ebx",
          "push eax; pop edi", "mov [0x70000], ebx", "add ebp, [0x70000]", "pushfd; pop edi",
          "cmp eax, ebx", "sti", "cli", "jc over; inc esi; over:", "call over; over: pop edi",
          "rol eax, 3"]  # fmt: skip


class Scribbler(Chip):
    """An OUT to its port, or its timer, and it writes pieces of code into the guest's slots.

    It tosses its own dice; a state that is saved would hold them.
    """

    name = "scribbler"

    def __init__(self, bus: Bus, seed: int, pieces: list[bytes]) -> None:
        self.bus, self.dice, self.pieces = bus, random.Random(seed), pieces
        self.timer = bus.timer(self.tick)
        self.line = bus.shared_irq(5)
        self.base = CODE
        bus.claim_ports(PORT, 4, self)

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2, 4)

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.scribble()

    def read_port(self, offset: int, size: int) -> int:
        self.scribble()
        self.line.lower()
        return self.dice.getrandbits(8 * size)

    def scribble(self) -> None:
        for _ in range(self.dice.randrange(4)):
            at = self.base + SLOT * self.dice.randrange(SLOTS)
            data = self.dice.choice(self.pieces)
            if self.dice.random() < 0.3:  # only a part of an instruction's bytes is new
                with self.bus.memory.filling(at, SLOT) as spans:
                    whole = b"".join(span.tobytes() for span in spans)
                    for span in spans:
                        span[:] = list((data if whole != data else self.pieces[0])[: len(span)])
            else:
                self.bus.memory.write(at, data)
        if self.dice.random() < 0.3:
            self.timer.set(self.bus.clock.now() + self.dice.randrange(1, 40_000))

    def tick(self) -> None:
        self.scribble()
        self.line.set(bool(self.dice.getrandbits(1)))

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        if self.timer.live:
            yield self.line.number


def slot(source: str) -> bytes:
    code = assemble(source, 0)
    assert len(code) <= SLOT
    return code + b"\x90" * (SLOT - len(code))


def world(seed: int, shift: int) -> list[bytes]:
    """Pieces of code, some of which speak to the device."""
    speak = [f"mov edx, {PORT}; out dx, eax", f"mov edx, {PORT}; in al, dx",
             f"mov edx, {PORT}; out dx, al"]  # fmt: skip
    return [slot(each) for each in PIECES + speak * 2]


@pytest.mark.parametrize("seed", range(24))
def test_random_worlds(seed: int) -> None:
    dice = random.Random(seed)
    base = CODE + dice.choice((0, 0, 0xF00, 0xFFC))  # over the edge of a page, too
    pieces = world(seed, 0)
    start = [dice.choice(pieces) for _ in range(SLOTS)]
    source = f"""
        {IDT}
        mov  al, 0x20; mov dx, 0x4d0; out dx, al       # IRQ 5 by level
        sti
        jmp  {base}
    handler:
        push edx; push eax
        mov  edx, {PORT}; in al, dx                     # it lets go of the line, and scribbles
        mov  al, 0x20; out 0x20, al
        pop  eax; pop edx
        iretd
    """
    back = assemble(f"dec dword ptr [0x70010]; jmp {base}", base + SLOTS * SLOT)

    def make_world(mode: str) -> Machine:
        machine = Machine(memory_mb=2, mode=mode)
        device = Scribbler(machine.devices.bus, seed, pieces)
        device.base = base
        machine.devices.plug(device)
        machine.load_flat(assemble(source, ORIGIN), ORIGIN, esp=ESP)
        machine.write_physical(base, b"".join(start) + back)
        return machine

    pair = Pair(make_world, OF_KERNEL)
    step = dice.choice((1, 3, 17, 200))
    for _ in range(400 if step < 10 else 40):
        pair.advance(step)
        assert pair.processors_agree(), (seed, pair.count, pair.rows())
        assert pair.ends is not None and pair.ends[0].kind == "instructions", pair.ends
    assert pair.memories_agree(), (seed, pair.rows())
    assert pair.other.devices["scribbler"].dice.getstate() \
        == pair.one.devices["scribbler"].dice.getstate()  # fmt: skip

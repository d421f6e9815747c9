"""From one stage of a world to the next: every way there is to get to other code.

Each way takes a place to stand (a Place: privilege level, code size, 8086 mode), writes what it
needs into the world (a gate, a task, words on the stack), and says where the next stage will find
itself. The way may also fail, in this world or because of what the random instructions before it
did.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.bochs import objects as the
from tests.bochs.encode import Code
from tests.bochs.instructions import data_selector, flags
from tests.bochs.world import World

V86_CODE = the.STAGES >> 4
V86_STACK, V86_SP = 0x300, 0xF00
FIRST_VECTOR = 0x20  # + the number of the stage that it leads to


@dataclass(frozen=True)
class Place:
    """Where a stage runs, if all goes well."""

    cpl: int
    bits: int
    virtual: bool = False


@dataclass
class Way:
    """What a way to the next stage has at hand."""

    world: World
    random: Random
    code: Code
    here: Place
    number: int  # of the next stage

    @property
    def offset(self) -> int:
        return the.stage(self.number)

    def note(self, text: str) -> None:
        self.world.story.append(text)


def pick_code(random: Random, cpl: int) -> tuple[int, int]:
    """Selector (without RPL) and code size of a code segment that runs at this level."""
    if random.random() < 0.15:
        return the.CONFORMING + 8 * random.randrange(cpl + 1), 32
    kind, bits = random.choice(((the.CODE32, 32), (the.CODE32, 32), (the.CODE16, 16)))
    return kind + 8 * cpl, bits


def stack_of(random: Random, level: int) -> int:
    """A stack selector for a privilege level."""
    return random.choice((the.DATA32, the.DATA32, the.STACK16)) + 8 * level | level


def _operand(way: Way) -> int:
    return random_size(way.random)


def random_size(random: Random) -> int:
    """2 or 4."""
    return random.choice((2, 4, 4))


def far_direct(way: Way) -> Place:
    """JMP or CALL to a code segment of the same level."""
    selector, bits = pick_code(way.random, way.here.cpl)
    opcode = way.random.choice((0xEA, 0x9A))
    way.code.far(_operand(way), opcode, selector | way.here.cpl, way.offset)
    return Place(way.here.cpl, bits)


def far_memory(way: Way) -> Place:
    """The same, through a pointer in memory."""
    selector, bits = pick_code(way.random, way.here.cpl)
    size, place = _operand(way), 0x5800
    pointer = way.offset.to_bytes(size, "little") + (selector | way.here.cpl).to_bytes(2, "little")
    way.world.put(place, pointer)
    way.code.memory(size, b"\xff", way.random.choice((3, 5)), place, way.random.choice((None, 1)))
    return Place(way.here.cpl, bits)


def _push_outward(way: Way, size: int, level: int) -> None:
    if level > way.here.cpl:
        way.code.push(size, stack_of(way.random, level))
        way.code.push(size, the.stack_top(level))


def far_return(way: Way) -> Place:
    """RET far to the same level, or outward."""
    level = way.random.randrange(way.here.cpl, 4)
    selector, bits = pick_code(way.random, level)
    size = _operand(way)
    _push_outward(way, size, level)
    way.code.push(size, selector | level)
    way.code.push(size, way.offset)
    way.code.op(size, way.random.choice((b"\xcb", b"\xcb", b"\xca\x04\x00")))
    return Place(level, bits)


def interrupt_return(way: Way) -> Place:
    """IRET to the same level, outward, or from ring 0 into an 8086 program."""
    if way.here.cpl == 0 and way.random.random() < 0.25:
        return _return_to_8086(way)
    level = way.random.randrange(way.here.cpl, 4)
    selector, bits = pick_code(way.random, level)
    size = _operand(way)
    _push_outward(way, size, level)
    way.code.push(size, flags(way.random) & ~(0x20000 if way.random.random() < 0.8 else 0))
    way.code.push(size, selector | level)
    way.code.push(size, way.offset)
    way.code.op(size, b"\xcf")
    return Place(level, bits)


def _return_to_8086(way: Way) -> Place:
    for value in (0x500, 0x400, 0x501, 0x500, V86_STACK, V86_SP):
        way.code.push(4, value)
    way.code.push(4, flags(way.random) | 0x20000 | way.random.choice((0, 0x3000)))
    way.code.push(4, V86_CODE)
    way.code.push(4, way.offset - the.STAGES)
    way.code.op(4, b"\xcf")
    return Place(3, 16, True)


def _inner(way: Way) -> tuple[int, int, int]:
    """Level, selector and size of a code segment at this level or further in."""
    level = way.random.randrange(way.here.cpl + 1)
    selector, bits = pick_code(way.random, level)
    if the.CONFORMING <= selector < the.DATA32:
        level = way.here.cpl
    return level, selector, bits


def interrupt(way: Way) -> Place:
    """INT n through an interrupt or trap gate of 16 or 32 bits."""
    if way.here.virtual:
        level, selector, bits = 0, *way.random.choice(((the.CODE32, 32), (the.CODE16, 16)))
    else:
        level, selector, bits = _inner(way)
    vector = FIRST_VECTOR + way.number
    kind = way.random.choice((0xE, 0xF, 0xE, 0x6, 0x7))
    dpl = 3 if way.random.random() < 0.9 else way.random.randrange(4)
    way.world.put(the.IDT + 8 * vector, the.gate(kind, selector, way.offset, dpl))
    way.world.put(4 * vector, struct.pack("<HH", way.offset - the.STAGES, V86_CODE))
    way.code.raw(bytes([0xCD, vector]))
    return Place(level, bits)


def fault(way: Way) -> Place:
    """An exception whose gate leads to the next stage."""
    level, selector, bits = _inner(way)
    vector, raw = way.random.choice(
        (
            (6, b"\x0f\x0b"),
            (0, b"\x31\xc9\xf7\xf1"),
            (3, b"\xcc"),
            (1, b"\xf1"),
            (13, b"\x0f\x01\xf0" if way.here.cpl else b"\xcd\xff"),
            (13, b"\xcd\xfe"),
        )
    )
    if way.here.virtual:
        level, selector, bits = 0, the.CODE32, 32
    kind = way.random.choice((0xE, 0xF, 0xE, 0x6, 0x7))
    way.world.put(the.IDT + 8 * vector, the.gate(kind, selector, way.offset))
    way.code.raw(raw)
    return Place(level, bits)


def call_gate(way: Way) -> Place:
    """CALL inward, or JMP to the same level, through a call gate of 16 or 32 bits."""
    place = way.random.choice(the.CALL_GATES)
    call = way.random.random() < 0.75
    if call:
        level, selector, bits = _inner(way)
    else:
        level = way.here.cpl
        selector, bits = pick_code(way.random, level)
    kind = way.random.choice((0xC, 0xC, 0x4))
    count = way.random.choice((0, 0, 1, 3, 31, 0x20 | 2))
    way.world.put(the.GDT + place, the.gate(kind, selector, way.offset, 3, count))
    far = 0x9A if call else 0xEA
    way.code.far(_operand(way), far, place | way.random.randrange(4), way.random.getrandbits(15))
    return Place(level, bits)


def make_task(way: Way, selector: int) -> Place:
    """Write a task-state segment whose task begins with the next stage."""
    random = way.random
    virtual = selector in the.WIDE_TASKS and random.random() < 0.15
    level = 3 if virtual else random.randrange(4)
    code, bits = pick_code(random, level)
    image = flags(random) & ~0x20000
    segments = {name: data_selector(random) for name in ("es", "ds", "fs", "gs")}
    if random.random() < 0.7:
        segments = dict.fromkeys(segments, the.data_selector(level))
    segments |= {"cs": code | level, "ss": stack_of(random, level)}
    segments["ldt"] = random.choice((0, 0, the.LDT_SELECTOR, the.LDT2_SELECTOR))
    registers = {
        name: random.getrandbits(32) | 0x0800_0000 for name in ("eax", "ecx", "edx", "ebx", "esi")
    }
    registers |= {"eip": way.offset, "esp": the.TASK_STACK, "eflags": image}
    registers["trap"] = 1 if random.random() < 0.06 else 0
    if virtual:
        segments = dict.fromkeys(segments, 0x500) | {"cs": V86_CODE, "ss": V86_STACK, "ldt": 0}
        registers |= {"eip": way.offset - the.STAGES, "esp": V86_SP, "eflags": image | 0x20000}
    way.world.put(the.TSS[selector], the.tss_fields(selector, registers, segments))
    return Place(3, 16, True) if virtual else Place(level, bits)


def task(way: Way) -> Place:
    """JMP, CALL or INT to a task, by its TSS or by a task gate."""
    random = way.random
    selector = random.choice((the.TASK_B, the.TASK_C, the.TASK16, the.TASK16_B, the.TASK_X))
    after = make_task(way, selector)
    opcode = random.choice((0xEA, 0x9A))
    gate = random.choice(the.TASK_GATES)
    way.world.put(the.GDT + gate, the.gate(0x5, selector, 0, 3))
    rights = way.world.arena[the.GDT + selector + 5]
    way.world.put(the.GDT + selector + 5, bytes([rights | 0x60]))  # DPL 3
    how = random.randrange(3)
    if how == 0:
        way.code.far(_operand(way), opcode, selector | random.randrange(4), 0)
    elif how == 1:
        way.code.far(_operand(way), opcode, gate | random.randrange(4), 0)
    else:
        vector = FIRST_VECTOR + way.number
        way.world.put(the.IDT + 8 * vector, the.gate(0x5, selector, 0, 3))
        way.code.raw(bytes([0xCD, vector]))
    return after


def fault_task(way: Way) -> Place:
    """An exception, with an error code or without, through a task gate."""
    selector = way.random.choice((the.TASK_B, the.TASK_C, the.TASK16, the.TASK_X))
    after = make_task(way, selector)
    vector, raw = way.random.choice(((6, b"\x0f\x0b"), (13, b"\xcd\xff"), (11, b""), (1, b"\xf1")))
    if vector == 11:
        way.code.far(4, 0x9A, the.JUNK[0], 0)
        way.world.put(the.GDT + the.JUNK[0], the.descriptor(0, 0xFFFFF, 0xC07A))
    else:
        way.code.raw(raw)
    way.world.put(the.IDT + 8 * vector, the.gate(0x5, selector, 0, 3))
    return after


def task_return(way: Way) -> Place:
    """IRET with NT set, to the task that the current TSS links to."""
    selector = way.random.choice((the.TASK_B, the.TASK_C, the.TASK16, the.TASK_X))
    after = make_task(way, selector)
    if way.random.random() < 0.9:
        place = the.GDT + selector + 5
        way.world.put(place, bytes([way.world.arena[place] | 2]))  # busy, as its link has it
    way.world.put(the.TSS[way.world.state["tr"] & 0xFFF8], struct.pack("<H", selector))
    size = _operand(way)
    way.code.push(size, 0x4002)
    way.code.op(size, b"\x9d")
    way.code.op(_operand(way), b"\xcf")
    return after


def near_8086(way: Way) -> Place:
    """JMP, CALL, RET far and IRET inside an 8086 program."""
    offset = way.offset - the.STAGES
    opcode = way.random.choice((0xEA, 0x9A, 0xCB, 0xCF))
    if opcode in (0xEA, 0x9A):
        way.code.far(2, opcode, V86_CODE, offset)
        return way.here
    size = way.random.choice((2, 2, 4))
    if opcode == 0xCF:
        way.code.push(size, flags(way.random))
    way.code.push(size, V86_CODE)
    way.code.push(size, offset)
    way.code.op(size, bytes([opcode]))
    return way.here


WAYS: tuple[tuple[Callable[[Way], Place], int], ...] = (
    (far_direct, 2), (far_memory, 2), (far_return, 4), (interrupt_return, 5), (interrupt, 4),
    (fault, 3), (call_gate, 5), (task, 6), (fault_task, 2), (task_return, 3),
)  # fmt: skip
WAYS_8086: tuple[tuple[Callable[[Way], Place], int], ...] = (
    (near_8086, 3), (interrupt, 4), (fault, 2), (fault_task, 1),
)  # fmt: skip


def transfer(way: Way) -> Place:
    """Take one of the ways there are from here."""
    ways = WAYS_8086 if way.here.virtual else WAYS
    chosen = way.random.choices([each for each, _ in ways], [weight for _, weight in ways])[0]
    way.note(chosen.__name__)
    return chosen(way)

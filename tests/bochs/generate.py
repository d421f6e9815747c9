"""Random worlds: valid ones with a story, of which some are then damaged.

A world is a few stages of code. Every stage executes some random instructions and goes on to the
next by one of the ways of transfers.py; the last one ends with INT3, INT or an undefined opcode.
All tables are valid to begin with. Then a few of their bits are changed at random, in most
worlds.
"""

from __future__ import annotations

import struct
from random import Random

from tests.bochs import layout as at
from tests.bochs import objects as the
from tests.bochs.encode import Code
from tests.bochs.instructions import (
    any_instruction,
    breakpoint_address,
    debug_control,
    flags,
    selector,
)
from tests.bochs.pae import widen
from tests.bochs.transfers import (
    V86_CODE,
    V86_SP,
    V86_STACK,
    Place,
    Way,
    pick_code,
    stack_of,
    transfer,
)
from tests.bochs.world import World

PAE = "pae"
NE, PE_ET = 0x20, 0x11
#: In every random register, so that none points to what the kernel and the host keep in RAM.
BEYOND_RAM = 0x0800_0000
#: What ring 0 may load into a data segment register, of any level.
LOADABLE = (*range(the.CODE32, the.CODE32 + 32, 8), *range(the.DATA32, the.STACK16 + 32, 8))
START_FRAME = the.STACK - 0x40  # where the kernel's IRET finds its frame


def world(seed: str, number: int) -> World:
    """World `number` of a seed; the same for ever as long as this package stays as it is.

    With a seed that begins with "pae" its page tables are PAE's.
    """
    random = Random(f"{seed}/{number}")
    made = World(bytearray(the.template()), _state(random))
    _odd_segments(made, random)
    _pages(made, random)
    _stages(made, random, _start(made, random))
    _damage(made, random)
    if seed.startswith(PAE):
        widen(made, random)
    return made


def _state(random: Random) -> dict[str, int]:
    cr0 = PE_ET | NE | (random.random() < 0.6) << 31 | (random.random() < 0.4) << 16
    for bit, chance in ((1, 0.2), (2, 0.05), (3, 0.15), (18, 0.3)):  # MP, EM, TS, AM
        cr0 |= (random.random() < chance) << bit
    chances = ((0, 0.3), (1, 0.2), (2, 0.1), (3, 0.3), (4, 0.5), (7, 0.3))
    cr4 = sum((random.random() < chance) << bit for bit, chance in chances)
    state = {"cr0": cr0, "cr3": the.DIRECTORY, "cr4": cr4}
    state["gdtr"] = the.GDT << 16 | the.GDT_LIMIT
    state["idtr"] = the.IDT << 16 | the.IDT_LIMIT
    state["ldtr"] = random.choice((0, the.LDT_SELECTOR, the.LDT_SELECTOR, the.LDT2_SELECTOR))
    state["tr"] = the.TASK16 if random.random() < 0.15 else the.TASK
    state |= {"dr0": 0, "dr1": 0, "dr6": 0, "dr7": 0}
    if random.random() < 0.15:
        state["dr0"], state["dr1"] = breakpoint_address(random), breakpoint_address(random)
        state["dr7"] = debug_control(random)
    for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"):
        anything = random.getrandbits(32) | BEYOND_RAM
        state[name] = random.choice((anything, random.randrange(0x5000, 0x7000)))
    for name in ("ds", "es", "fs", "gs"):
        state[name] = random.choice((at.KDATA, at.KDATA, 0, *LOADABLE))
    state["ss"], state["esp"] = at.KDATA, START_FRAME
    return state


def _start(made: World, random: Random) -> Place:
    """The frame that leads to stage 0."""
    image = flags(random) & ~(0x20000 | 0x4000)
    if random.random() < 0.2:
        words = [0, image | 0x20000, V86_SP, V86_STACK, 0x500, 0x500, 0x501, 0x400]
        made.put(START_FRAME, struct.pack("<9I", words[0], V86_CODE, *words[1:]))
        return Place(3, 16, True)
    level = random.choice((0, 0, 1, 2, 3, 3))
    code, bits = pick_code(random, level)
    frame = [the.stage(0), code | level, image, the.stack_top(level), stack_of(random, level)]
    made.put(START_FRAME, struct.pack("<5I", *frame))
    if level and random.random() < 0.6:  # data segments that survive the way out
        for name in ("ds", "es", "fs", "gs"):
            made.state[name] = the.DATA32 + 24
    return Place(level, bits)


def _stages(made: World, random: Random, here: Place) -> None:
    count = random.choice((1, 2, 2, 3, 3, 4, 5))
    for number in range(count):
        code = Code(here.bits)
        story = [f"[{'V86' if here.virtual else here.cpl}/{here.bits}]"]
        for _ in range(random.choice((0, 1, 1, 2, 2, 3, 4))):
            before = len(code.bytes)
            name = any_instruction(code, random)
            if len(code.bytes) > the.STAGE_SIZE - 56:
                del code.bytes[before:]
            else:
                story.append(name)
        made.story.append(" ".join(story))
        if number < count - 1:
            here = transfer(Way(made, random, code, here, number + 1))
        else:
            code.raw(random.choice((b"\xcc", b"\x0f\x0b", b"\xcd\x30", b"\xcd\x03")))
        if len(code.bytes) > the.STAGE_SIZE:
            raise AssertionError("a stage is too long")
        made.put(the.stage(number), bytes(code.bytes))


def _odd_segments(made: World, random: Random) -> None:
    """Descriptors of any kind, with limits near something."""
    places = [the.GDT + each for each in (*the.ODD_DATA, *the.JUNK)]
    places += [table + 8 * random.randrange(16) for table in (the.LDT, the.LDT2) for _ in range(4)]
    for place in places:
        if random.random() < 0.5:
            made.put(place, _odd_descriptor(random))


def _odd_descriptor(random: Random) -> bytes:
    kind = random.randrange(0x20)
    rights = kind | random.randrange(4) << 5 | (random.random() < 0.9) << 7
    if kind & 0x17 in (0x4, 0x6, 0x7) or kind == 5:
        rights &= 0xFF
        target = selector(random) if kind == 5 else pick_code(random, random.randrange(4))[0]
        return the.gate(rights & 0x1F, target, the.stage(7), rights >> 5 & 3, random.randrange(4))
    rights |= random.choice((0, 0, 0x4000, 0x8000, 0xC000, 0xD000))
    base = random.choice((0, 0, 0, the.ALIAS, 0x5000, the.LARGE, 0x5FFC))
    limit = random.choice((0xFFFFF, 0xFFFF, 0xFFE, 0xFFF, 0x5FFE, 0, 3, 0x67, 0x66, 0x2B, 0x2A))
    if kind in (1, 3, 9, 11):
        base = random.choice(tuple(the.TSS.values()))
    elif kind == 2:
        base = random.choice((the.LDT, the.LDT2))
    return the.descriptor(base, limit, rights)


def _pages(made: World, random: Random) -> None:
    """Other names of the arena's pages with random rights, and a page of 4 MiB."""
    for page in range(at.ARENA_SIZE // at.PAGE):
        if random.random() < 0.7:
            frame = page if random.random() < 0.9 else random.randrange(3, 7)
            made.put(
                the.ALIASES + 4 * page, struct.pack("<I", frame * at.PAGE | _page_rights(random))
            )
        if random.random() < 0.12:
            made.put(the.TABLE + 4 * page, struct.pack("<I", page * at.PAGE | _page_rights(random)))
    if random.random() < 0.3:
        made.put(the.DIRECTORY + 4, struct.pack("<I", the.ALIASES | _page_rights(random) & ~0x80))
    if made.state["cr4"] & 0x10:
        made.put(the.DIRECTORY + 8, struct.pack("<I", _page_rights(random) | 0x80))


def _page_rights(random: Random) -> int:
    present = random.random() < 0.85
    return present | random.choice((0, 2, 4, 6, 6)) | random.getrandbits(9) << 3 & 0xF78


def _damage(made: World, random: Random) -> None:
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        kind = random.randrange(6)
        if kind == 0:  # rights or selector in the GDT
            place = the.GDT + random.randrange(0x20, the.GDT_LIMIT, 8)
            _flip(made, random, place + random.choice((5, 5, 5, 6, 0, 1, 2)))
        elif kind == 1:  # a gate of the IDT
            vector = random.choice((*range(32), *range(0x20, 0x27), *range(0x20, 0x27)))
            _flip(made, random, the.IDT + 8 * vector + random.choice((5, 5, 2)))
        elif kind == 2:  # a selector or stack of a task
            base = random.choice(tuple(the.TSS.values()))
            place = base + random.choice((*range(4, 28, 4), *range(72, 100, 4), *range(2, 44, 2)))
            made.put(place, struct.pack("<H", selector(random)))
        elif kind == 3:
            made.state[random.choice(("ldtr", "ds", "es", "fs", "gs"))] = selector(random)
        elif kind == 4:  # the frame of the start
            _flip(made, random, START_FRAME + random.choice((4, 5, 9, 10, 16, 17)))
        else:
            name = random.choice(("gdtr", "idtr"))
            limit = random.choice((0x107, 0x10F, 0xA7, 0x77, 0x6F, 0x13F, 0x106))
            made.state[name] = made.state[name] & ~0xFFFF | limit


def _flip(made: World, random: Random, place: int) -> None:
    made.put(place, bytes([made.arena[place] ^ 1 << random.randrange(8)]))

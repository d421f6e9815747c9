"""Shadow descriptors: what they are derived from, by which rules, and what ends them."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from bt.contract import EXIT_BUDGET
from bt.engine import BUILD, Interp, InterpEngine, Ram
from bt.interp.state import (
    ATTR_ACCESSED,
    ATTR_P,
    ATTR_UNUSABLE,
    CS,
    DS,
    ES,
    FS,
    GS,
    LDTR,
    SS,
    TR,
)
from monitor.vmm.shadow_descriptors import (
    ShadowDescriptor,
    ShadowDescriptors,
    shadow_of,
    take_apart,
)

PAGE = 0x1000
RAM_SIZE = 0x100000
CEILING = 0xFF800000
DIRECTORY, TABLE = 0x1000, 0x2000  # the guest's page tables: the first 4 MiB, to frames of its own
CODE = 0x8000  # mapped to itself
GDT, LDT = 0x10000, 0x20000  # linear, and where they usually are
DATA3 = 0xC0F3
NAMES = {ES: "es", SS: "ss", DS: "ds", FS: "fs", GS: "gs"}
SELECTORS = 0x80  # of descriptors at random
WORLDS = int(os.environ.get("DESCRIPTOR_WORLDS", "400" if BUILD == "compiled" else "60"))


def descriptor(base: int, limit: int, rights: int) -> bytes:
    """Eight bytes of a table; the limit as it stands there, without G."""
    high = base & 0xFF000000 | base >> 16 & 0xFF | limit & 0xF0000 | rights << 8 & 0xF0FF00
    return (high << 32 | (base & 0xFFFF) << 16 | limit & 0xFFFF).to_bytes(8, "little")


FLAT = descriptor(0, 0xFFFFF, DATA3)


@dataclass
class World:
    """A guest with a GDT, an LDT and paging, its ideal processor, and an engine beside it."""

    paging: bool = True
    lost: list[ShadowDescriptor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buffer = bytearray(RAM_SIZE)
        self.ram = Ram(self.buffer, RAM_SIZE, 1 << 13)
        self.ideal = Interp(self.ram)
        self.engine = InterpEngine(self.ram, None)  # type: ignore[arg-type]
        self.frames = list(range(RAM_SIZE >> 12))  # of linear pages
        if self.paging:
            self.put(DIRECTORY, (TABLE | 7).to_bytes(4, "little"))
            for page in range(len(self.frames)):
                self.map(page, page)
        self.ideal.cr3 = DIRECTORY
        self.ideal.cr0 = 0x80000031 if self.paging else 0x31
        self.ideal.flush()
        self.ideal.gdtr_base, self.ideal.gdtr_limit = GDT, 0xFFF
        self.ideal.set_segment(LDTR, 8, LDT, 0xFFF, 0x82)
        self.ideal.set_segment(TR, 0, 0, 0, ATTR_UNUSABLE)
        self.privilege(3)
        self.descriptors = ShadowDescriptors(
            self.ram, self.ram, self.ideal, CEILING, self.lost.append
        )

    def privilege(self, cpl: int) -> None:
        self.ideal.set_segment(CS, 0x18 | cpl, 0, 0xFFFFFFFF, 0xC09B | cpl << 5)
        for number in NAMES:
            self.ideal.set_segment(number, 0x20 | cpl, 0, 0xFFFFFFFF, 0xC093 | cpl << 5)
        self.ideal.set_privilege(cpl)

    def map(self, page: int, frame: int, bits: int = 0x27) -> None:
        """A linear page of the guest: present, writable, user, accessed."""
        self.frames[page] = frame
        self.put(TABLE + 4 * page, (frame << 12 | bits).to_bytes(4, "little"))

    def put(self, physical: int, data: bytes) -> None:
        self.buffer[physical : physical + len(data)] = data
        self.ram.written(physical, len(data))

    def physical(self, linear: int) -> int:
        return self.frames[linear >> 12] << 12 | linear & PAGE - 1

    def describe(self, selector: int, data: bytes) -> None:
        """Into the guest's table, as a device would write it: nobody is told."""
        base = self.ideal.segment(LDTR)[1] if selector & 4 else self.ideal.gdtr_base
        for i, byte in enumerate(data):
            self.put(self.physical(base + (selector & 0xFFF8) + i & 0xFFFFFFFF), bytes([byte]))

    def guest_writes(self, linear: int, data: bytes) -> None:
        """By the ideal processor; the monitor follows."""
        for i, byte in enumerate(data):
            self.ideal.write_physical(self.physical(linear + i), 1, byte)
        log = self.ram.take_write_log()
        if log is None:
            self.descriptors.forget()
        else:
            for pa, size in log:
                self.descriptors.written(pa, size)

    def load(self, register: int, selector: int) -> bool:
        """MOV to the segment register by the ideal processor; false: it faulted."""
        code = {ES: "8ec0", SS: "8ed0", DS: "8ed8", FS: "8ee0", GS: "8ee8"}[register]
        self.put(self.physical(CODE), bytes.fromhex(code))
        self.ideal.eip = CODE
        self.ideal.set_reg(0, selector)
        self.ideal.idtr_limit = 0  # a fault becomes a triple fault
        return self.ideal.run(1) == EXIT_BUDGET

    def traced(self) -> set[int]:
        return {pa for pa in range(GDT, LDT + PAGE) if self.ram.is_traced(pa)}


@pytest.fixture
def world() -> World:
    return World()


def wanted(world: World, selector: int = 0x33, register: int = DS) -> ShadowDescriptor:
    found = world.descriptors.load(selector, register, 3)
    assert found is not None
    return found


# --- the rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "limit", "rights", "shadow"),
    [
        (0, 0xFFFFF, 0xC093, (0, 0xFF7FFFFF, 0xC0F3)),  # a kernel's flat segment
        (0, 0xFFFFF, 0xC09B, (0, 0xFF7FFFFF, 0xC0FB)),
        (0, 0xBFFFF, 0xC0F3, (0, 0xBFFFFFFF, 0xC0F3)),  # it ends below anyway
        (0x12345, 0x123, 0x40F3, (0x12345, 0x123, 0x40F3)),
        (0x06C00000, 0xFFFFF, 0xC093, (0x06C00000, 0xF8BFFFFF, 0xC0F3)),
        (0x06C00123, 0xFFFFF, 0xC093, (0x06C00123, 0xF8BFEFFF, 0xC0F3)),  # a page's end
        (0xFF7FFFF0, 0xFFFFF, 0xC093, (0xFF7FFFF0, 0xF, 0xC0F3)),  # what is left, in bytes
        (0xFF700001, 0xFFFFF, 0xC093, (0xFF700001, 0xFFFFE, 0xC0F3)),
        (0xFF7FFFFF, 0, 0x4093, (0xFF7FFFFF, 0, 0x40F3)),
        (0xFF800000, 0xFFFFF, 0xC093, None),  # nothing is left
        (0xFFFFFFFF, 5, 0x4093, None),
        (0, 0xFFF, 0x4097, (0, 0xFFFFFFFF, 0x40F7)),  # expand-down: no valid offset
        (0, 0xFFF, 0xC097, (0, 0xFFFFFFFF, 0xC0F7)),
        (0, 0xFFFFF, 0xC09F, (0, 0xFF7FFFFF, 0xC0FF)),  # conforming code is no such segment
    ],
)  # fmt: skip
def test_how_a_segment_is_truncated(
    base: int, limit: int, rights: int, shadow: tuple[int, int, int] | None
) -> None:
    guest = take_apart(descriptor(base, limit, rights))
    assert guest[0] == base and guest[2] == rights
    assert shadow_of(guest, CEILING) == shadow


@pytest.mark.parametrize("cpl", range(4))
@pytest.mark.parametrize("rpl", range(4))
@pytest.mark.parametrize("dpl", range(4))
def test_privilege(world: World, dpl: int, rpl: int, cpl: int) -> None:
    """As the manual has it: the weaker of CPL and RPL counts; a stack's are all the same."""
    world.describe(0x30, descriptor(0, 0xFFFFF, 0xC093 | dpl << 5))
    world.describe(0x38, descriptor(0, 0xFFFFF, 0xC09F | dpl << 5))  # conforming code
    world.privilege(cpl)
    load = world.descriptors.load
    assert (load(0x30 | rpl, DS, cpl) is not None) == (max(rpl, cpl) <= dpl)
    assert (load(0x30 | rpl, SS, cpl) is not None) == (rpl == cpl == dpl)
    assert load(0x38 | rpl, ES, cpl) is not None
    found = world.descriptors.find(0x30)
    assert found is not None
    assert found.shadow[2] & 0x60 == 0x60, "it runs in ring 3"
    assert (found.dpl, found.for_all) == (dpl, dpl == 3)


UNSERVED = {
    "absent": descriptor(0, 0xFFFFF, DATA3 & ~ATTR_P),
    "never accessed": descriptor(0, 0xFFFFF, DATA3 & ~ATTR_ACCESSED),
    "empty": bytes(8),
    "an LDT": descriptor(LDT, 0xFFF, 0x82),
    "a call gate": descriptor(0, 0xFFFF, 0x8C),
    "above the ceiling": descriptor(CEILING, 0xFFF, 0x40F3),
    "execute-only code": descriptor(0, 0xFFFFF, 0xC0F9),
}


@pytest.mark.parametrize("name", UNSERVED)
@pytest.mark.parametrize("selector", [0x33, 0x37])
def test_what_is_not_served(world: World, name: str, selector: int) -> None:
    world.describe(selector, UNSERVED[name])
    assert world.descriptors.load(selector, DS, 3) is None
    world.describe(selector, FLAT)
    world.descriptors.forget()
    assert world.descriptors.load(selector, DS, 3) is not None


@pytest.mark.parametrize("selector", range(4))
def test_null_selectors_are_not_served(world: World, selector: int) -> None:
    world.describe(0, FLAT)
    assert world.descriptors.load(selector, DS, 3) is None
    assert not world.traced()


def test_the_first_entry_of_an_ldt_is_no_null_selector(world: World) -> None:
    world.describe(4, FLAT)
    assert wanted(world, 7).selector == 4


def test_cs_is_not_served(world: World) -> None:
    world.describe(0x30, descriptor(0, 0xFFFFF, 0xC0FB))
    assert world.descriptors.load(0x33, CS, 3) is None
    assert world.descriptors.load(0x33, DS, 3) is not None


@pytest.mark.parametrize(("limit", "served"), [(0x36, False), (0x37, True), (0xFFFF, True)])
def test_the_tables_limits_hold(world: World, limit: int, served: bool) -> None:
    world.ideal.gdtr_limit = limit
    world.ideal.set_segment(LDTR, 8, LDT, limit, 0x82)
    for selector in (0x33, 0x37):
        world.describe(selector, FLAT)
        assert (world.descriptors.load(selector, DS, 3) is not None) == served


@pytest.mark.parametrize("rights", [ATTR_UNUSABLE | 0x82, 2])
def test_without_an_ldt_there_is_nothing_in_it(world: World, rights: int) -> None:
    world.describe(0x34, FLAT)
    world.ideal.set_segment(LDTR, 0, LDT, 0xFFF, rights)
    assert world.descriptors.load(0x37, DS, 3) is None


def test_a_table_that_is_not_mapped(world: World) -> None:
    world.map(GDT >> 12, 0x10, 0)
    assert world.descriptors.load(0x33, DS, 3) is None


def test_a_table_that_is_not_in_ram(world: World) -> None:
    world.map(GDT >> 12, 0xA0)
    world.ram.set_frames(0xA0, 1, 0)
    assert world.descriptors.load(0x33, DS, 3) is None


def test_a_read_of_the_table_marks_its_page_accessed(world: World) -> None:
    world.describe(0x30, FLAT)
    world.map(GDT >> 12, GDT >> 12, 3)  # the supervisor's own, too
    wanted(world)
    assert world.buffer[TABLE + 4 * (GDT >> 12)] == 0x23


def test_a_descriptor_in_two_pages(world: World) -> None:
    world.ideal.gdtr_base = GDT + PAGE - 0x33
    world.map((GDT >> 12) + 1, 0x40)
    world.describe(0x30, descriptor(0x12345678, 0x9ABC, 0x40F3))
    found = wanted(world)
    assert found.guest == (0x12345678, 0x9ABC, 0x40F3)
    assert found.places == ((GDT + PAGE - 3, 3), (0x40000, 5))
    for linear in (GDT + PAGE - 3, GDT + PAGE + 4):
        wanted(world)
        world.guest_writes(linear, b"\0")
        assert len(world.descriptors) == 0


# --- what ends them -----------------------------------------------------------------------------


def test_it_is_derived_once(world: World) -> None:
    world.describe(0x30, FLAT)
    first = wanted(world)
    assert wanted(world, 0x30, ES) is first
    assert (world.descriptors.derived, len(world.descriptors)) == (1, 1)
    assert world.traced() == set(range(GDT + 0x30, GDT + 0x38))
    assert not world.lost


@pytest.mark.parametrize("offset", range(8))
def test_a_write_to_any_byte_ends_it(world: World, offset: int) -> None:
    for selector in (0x28, 0x30, 0x38):
        world.describe(selector, FLAT)
        wanted(world, selector | 3)
    world.guest_writes(GDT + 0x30 + offset, bytes([world.buffer[GDT + 0x30 + offset] ^ 1]))
    assert [gone.selector for gone in world.lost] == [0x30]
    assert world.descriptors.known(0x30) is None
    assert world.descriptors.known(0x28) is not None
    neighbours = set(range(GDT + 0x28, GDT + 0x40)) - set(range(GDT + 0x30, GDT + 0x38))
    assert world.traced() == neighbours


def test_the_next_one_is_the_new_one(world: World) -> None:
    world.describe(0x30, FLAT)
    wanted(world)
    world.guest_writes(GDT + 0x30, descriptor(0x5000, 0xFF, 0x40F3))
    assert wanted(world).guest == (0x5000, 0xFF, 0x40F3)


def test_the_engine_leaves_before_it_writes_there(world: World) -> None:
    """By any mapping: what is traced are physical bytes."""
    world.describe(0x30, FLAT)
    wanted(world)
    space = world.engine.new_space()
    world.engine.map_page(space, CODE, CODE, 4)
    world.engine.map_page(space, 0x700000, GDT, 2)
    world.engine.use_space(space)
    world.put(CODE, bytes.fromhex("c60531007000ff"))  # mov byte [0x700031], 0xff
    world.ideal.eip = CODE
    world.engine.run_direct(world.ideal, CEILING, 0, 10)
    assert world.engine.traced == 1


def test_lgdt_ends_the_gdts_lldt_the_ldts(world: World) -> None:
    for selector in (0x30, 0x34):
        world.describe(selector, FLAT)
        wanted(world, selector | 3)
    world.ideal.gdtr_limit -= 8
    world.descriptors.follow()
    assert [gone.selector for gone in world.lost] == [0x30]
    world.ideal.set_segment(LDTR, 8, LDT + 8, 0xFFF, 0x82)
    world.descriptors.follow()
    assert [gone.selector for gone in world.lost] == [0x30, 0x34]
    assert not world.traced()


def test_another_ldt(world: World) -> None:
    world.describe(0x34, FLAT)
    wanted(world, 0x37)
    world.ideal.set_segment(LDTR, 0x10, LDT + 0x800, 0xFF, 0x82)
    world.describe(0x34, descriptor(0x1000, 0xFF, 0x40F3))
    assert wanted(world, 0x37).guest[0] == 0x1000


@pytest.mark.parametrize("page", [None, GDT, LDT])
def test_a_table_whose_page_is_mapped_elsewhere(world: World, page: int | None) -> None:
    """The guest flushes all of its TLB, that page, or another one."""
    world.describe(0x30, FLAT)
    wanted(world)
    world.put(0x40030, descriptor(0x7000, 0xFF, 0x40F3))
    world.map(GDT >> 12, 0x40)
    world.descriptors.flushed(page)
    if page == LDT:
        assert not world.lost, "the TLB may still have it"
        world.descriptors.flushed()
    assert [gone.selector for gone in world.lost] == [0x30]
    assert not world.traced()
    assert wanted(world).guest[0] == 0x7000


def test_a_flush_that_changes_nothing(world: World) -> None:
    world.describe(0x30, FLAT)
    wanted(world)
    world.descriptors.flushed()
    world.descriptors.flushed(GDT)
    assert not world.lost


def test_a_page_that_is_not_accessed_any_more(world: World) -> None:
    """The processor would mark it again."""
    world.describe(0x30, FLAT)
    wanted(world)
    world.map(GDT >> 12, GDT >> 12, 7)
    world.descriptors.flushed()
    assert world.lost
    wanted(world)
    assert world.buffer[TABLE + 4 * (GDT >> 12)] & 0x20


def test_a_page_that_was_mapped_elsewhere_and_not_flushed(world: World) -> None:
    """The processor may use either: what is known stays, nothing new is derived there."""
    world.describe(0x28, FLAT)
    world.describe(0x30, FLAT)
    wanted(world, 0x2B)
    world.map(GDT >> 12, 0x40)
    assert world.descriptors.load(0x2B, DS, 3) is not None
    assert world.descriptors.load(0x33, DS, 3) is None


def test_what_somebody_else_has_untraced_is_traced_again(world: World) -> None:
    world.describe(0x30, FLAT)
    wanted(world)
    world.ram.trace_writes(GDT, PAGE, False)
    world.descriptors.retrace()
    assert world.traced() == set(range(GDT + 0x30, GDT + 0x38))


def test_tables_that_overlap(world: World) -> None:
    """One table's entry goes, and the other's at the same bytes is still traced."""
    world.describe(0x30, FLAT)
    world.ideal.set_segment(LDTR, 8, GDT, 0xFFF, 0x82)
    assert wanted(world, 0x33).guest == wanted(world, 0x37).guest
    world.ideal.set_segment(LDTR, 8, LDT, 0xFFF, 0x82)
    world.descriptors.follow()
    assert [gone.selector for gone in world.lost] == [0x34]
    assert world.traced() == set(range(GDT + 0x30, GDT + 0x38))


# --- against the processor ----------------------------------------------------------------------


def random_descriptor(dice: random.Random) -> bytes:
    """Most could be loaded; all kinds there are."""
    near = CEILING + dice.choice((-dice.getrandbits(21), dice.getrandbits(8) - 128))
    base = dice.choice((0, dice.getrandbits(20), dice.getrandbits(32), near))
    limit = dice.choice((0xFFFFF, dice.getrandbits(20), dice.getrandbits(8), 0))
    rights = dice.getrandbits(8) | dice.choice((0xC000, 0x4000, 0x8000, 0, 0xD000))
    if dice.random() < 0.7:
        rights |= 0x91 | dice.choice((0, 0x60))
    return descriptor(base & 0xFFFFFFFF, limit, rights)


def said(limit: int) -> int:
    """A limit as a descriptor can say it."""
    return limit if limit <= 0xFFFFF else (limit + 1 & -PAGE) - 1


@pytest.mark.parametrize("seed", range(4))
def test_random_tables_give_what_the_engine_gets_today(seed: int) -> None:
    """What is served, the ideal processor loads without a trace, and `load_direct` truncates alike.

    What is not has a reason that shows.
    """
    dice = random.Random(seed)
    seen: Counter[str] = Counter()
    for _ in range(WORLDS // 4):
        world = World(paging=dice.random() < 0.7)
        world.ideal.gdtr_base = GDT + dice.randrange(2 * PAGE)
        world.ideal.gdtr_limit = dice.choice((0xFFF, 0xFFF, dice.getrandbits(8)))
        limit = dice.choice((0xFFF, 0xFFF, dice.getrandbits(8)))
        world.ideal.set_segment(LDTR, 8, LDT + dice.randrange(PAGE), limit, 0x82)
        if world.paging:
            pages = [*range(GDT >> 12, (GDT >> 12) + 4), *range(LDT >> 12, (LDT >> 12) + 3)]
            for page, frame in zip(pages, dice.sample(range(0x40, 0x60), len(pages)), strict=True):
                world.map(page, frame, dice.choice((0x27, 0x27, 0x23, 0x63)))
        for selector in range(0, SELECTORS, 4):
            world.describe(selector, random_descriptor(dice))
        for _ in range(8):
            seen[one_load(world, dice)] += 1
    assert set(seen) == {"served", "faults", "is marked accessed", "has no part below"}
    assert seen["served"] > 0.2 * seen.total()


def one_load(world: World, dice: random.Random) -> str:
    """Derive a shadow, have both processors load it, and compare."""
    cpl, register = dice.choice((0, 3, 3, 1, 2)), dice.choice(list(NAMES))
    selector = dice.randrange(4, SELECTORS + 8)
    if dice.random() < 0.6:
        selector = selector & ~3 | cpl
    world.privilege(cpl)
    found = world.descriptors.load(selector, register, cpl)
    tables = slice(GDT, RAM_SIZE)
    before = world.buffer[tables]
    loads = world.load(register, selector)
    if not loads:
        assert found is None
        return "faults"
    changed = world.buffer[tables] != before
    world.engine.load_direct(world.ideal, CEILING, 0)
    _, base, limit, rights = world.engine.segment(register)
    mine = world.ideal.segment(register)
    if found is None:
        if changed:
            return "is marked accessed"
        assert not rights & ATTR_P, "there was no reason"
        return "has no part below"
    assert not changed, "a load that the guest could see"
    assert found.guest == mine[1:]
    assert found.shadow == (base, said(limit), rights)
    return "served"

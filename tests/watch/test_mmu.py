"""The memory map as it is shown, against the guest's tables and what the machine does."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import pytest
from IPython.lib.pretty import pretty
from patience import PATIENCE
from rich.console import Console
from watch_lab import ORIGIN, embedded, flat

from bt.interp.walk import PTE_P, PTE_U, PTE_W
from monitor import Machine
from monitor.lockstep.pair import digest
from monitor.vmm.shadow import HIDDEN_BASE
from monitor.watch import words
from monitor.watch.mmu_model import PAGE, GuestRange, MmuView, SegmentSide, ShadowRange
from monitor.watch.words import ABSENT, MONITOR, NARROWER, OPEN_BUS, SAME, STALE

POINTS = (100_000, 200_000, 300_100, 450_000)  # instructions of the embedded guest
TOP = 1 << 32


def at(count: int, mode: str = "translate") -> Machine:
    machine = embedded(mode)
    machine.run(max_instructions=count)
    return machine


def pages(ranges: Iterable[GuestRange | ShadowRange]) -> dict[int, GuestRange | ShadowRange]:
    """By linear page address."""
    return {each.linear + i * PAGE: each for each in ranges for i in range(each.pages)}


@pytest.fixture(scope="module")
def view() -> MmuView:
    return at(300_100).watch.mmu()


# --- the guest's side -----------------------------------------------------------------------


@pytest.mark.parametrize("count", POINTS)
def test_the_guests_tables(count: int) -> None:
    """Page for page what the processor's own walk says."""
    machine = at(count)
    cpu = machine.processor.ideal
    found = pages(machine.watch.mmu().guest)
    assert machine.watch.mmu().paging
    for la, each in found.items():
        entry = cpu.peek_entry(la)
        assert isinstance(each, GuestRange)
        assert cpu.peek_address(la) == each.physical + la - each.linear
        assert bool(entry & PTE_W) == each.writable
        assert bool(entry & PTE_U) == each.user
        assert entry & PTE_P
    sample = random.Random(count)
    for la in (sample.randrange(1 << 20) * PAGE for _ in range(2000)):
        assert la in found or cpu.peek_entry(la) < 0


def test_without_paging_every_page_is_its_own_frame() -> None:
    view = flat().watch.mmu()
    assert not view.paging
    (only,) = view.guest
    assert (only.linear, only.physical, only.end) == (0, 0, TOP)


def test_accessed_and_dirty_pages_are_counted(view: MmuView) -> None:
    assert sum(each.accessed for each in view.guest) > 0
    for each in view.guest:
        assert each.dirty <= each.accessed <= each.pages


# --- the shadow's side ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["translate", "trap"])
@pytest.mark.parametrize("count", POINTS)
def test_states(mode: str, count: int) -> None:
    """Each shadow page against the guest's tables, one by one."""
    machine = at(count, mode)
    view, cpu = machine.watch.mmu(), machine.processor.ideal
    assert view.shadows
    for space in view.shadows:
        for la, each in pages(space.ranges).items():
            assert isinstance(each, ShadowRange)
            entry = cpu.peek_entry(la)
            if each.state in (SAME, NARROWER):
                assert entry & ~0xFFF == each.physical + la - each.linear
                assert space.name == "kernel" or entry & PTE_U
                assert each.writable == (each.state == SAME and may_write(entry, space.name, view))
            elif each.state == ABSENT:
                assert entry >= 0
                assert la < HIDDEN_BASE
            else:
                assert (each.state == MONITOR) == (la >= HIDDEN_BASE)


def may_write(entry: int, name: str, view: MmuView) -> bool:
    return bool(entry & PTE_W) or (name == "kernel" and not view.cr0 & 0x10000)


def test_all_that_the_shadow_holds_is_shown() -> None:
    machine = at(300_100)
    processor = machine.processor
    held = processor.shadow.mappings()  # type: ignore[attr-defined]
    for space in machine.watch.mmu().shadows:
        shown = {la for la, each in pages(space.ranges).items()
                 if isinstance(each, ShadowRange) and each.state != ABSENT}
        assert shown == {la for la, _, _ in held[space.name]}


def first(view: MmuView, name: str, state: str) -> ShadowRange:
    return next(each for each in view.shadow(name).ranges if each.state == state)


def test_a_changed_entry_is_stale_until_it_is_flushed() -> None:
    """A shadow is a TLB: the guest rewrites its table, and nobody is told before INVLPG."""
    machine = at(300_100)
    la = first(machine.watch.mmu(), "user", SAME).linear
    directory = machine.registers["cr3"] & ~0xFFF
    table = int.from_bytes(machine.memory.read(directory + (la >> 22) * 4, 4), "little") & ~0xFFF
    entry_at = table + (la >> 12 & 0x3FF) * 4
    entry = machine.memory.read(entry_at, 4)
    machine.memory.write(entry_at, bytes(4))
    view = machine.watch.mmu()
    assert la not in pages(view.guest)
    state = pages(view.shadow("user").ranges)[la]
    assert isinstance(state, ShadowRange)
    assert state.state == STALE
    assert "still hold" in as_text(view)
    machine.processor.shadow.flush_page(la)  # type: ignore[attr-defined]
    assert la not in pages(machine.watch.mmu().shadow("user").ranges)
    machine.memory.write(entry_at, entry)
    back = pages(machine.watch.mmu().shadow("user").ranges)[la]
    assert isinstance(back, ShadowRange)
    assert back.state == ABSENT


def test_a_page_that_is_not_dirty_is_narrower() -> None:
    """The shadow withholds writing, so that the first write sets the dirty bit."""
    machine = at(300_100)
    narrow = first(machine.watch.mmu(), "user", NARROWER)
    assert machine.processor.ideal.peek_entry(narrow.linear) & PTE_W
    assert not narrow.writable


def test_the_open_bus() -> None:
    machine = flat(source="mov eax, [0x900000]; hlt")
    machine.run(max_instructions=1)
    bus = first(machine.watch.mmu(), "kernel", OPEN_BUS)
    assert (bus.linear, bus.pages) == (0x900000, 1)
    assert machine.registers["eax"] == 0xFFFFFFFF


def test_a_bare_machine_has_no_shadow() -> None:
    view = at(300_100, "bare").watch.mmu()
    assert view.shadows == view.hidden == ()
    assert view.hidden_base is None
    assert view.guest == at(300_100).watch.mmu().guest
    assert all(each.engine is None for each in view.segments)
    ElementTree.fromstring(view.svg())
    assert "shadow" not in as_text(view)


# --- segments and the hidden region --------------------------------------------------------


def test_truncated_segments() -> None:
    machine = flat(source="mov eax, 1; mov ebx, 2; cli; mov ecx, 3; hlt")
    machine.run(max_instructions=4)
    segments = {each.name: each for each in machine.watch.mmu().segments}
    for name in ("ss", "ds", "es", "fs"):
        side = segments[name].engine
        assert side is not None
        assert side.spans() == [(0, HIDDEN_BASE)]
        assert segments[name].guest.spans() == [(0, TOP)]
        assert segments[name].note == f"truncated below {HIDDEN_BASE:08x}"
    assert "flat" in segments["cs"].note
    assert "vCPU" in segments["gs"].note


SPANS = {
    "flat": (SegmentSide(8, 0, 0xFFFFFFFF, "", True), [(0, TOP)]),
    "small": (SegmentSide(8, 0x1000, 0xFFF, "", True), [(0x1000, 0x2000)]),
    "around the top": (
        SegmentSide(8, 0xFFFFF000, 0x1FFF, "", True), [(0xFFFFF000, TOP), (0, 0x1000)]
    ),
    "expand-down": (SegmentSide(8, 0, 0xFFF, "", True, True), [(0x1000, TOP)]),
    "expand-down, nothing": (SegmentSide(8, 0, 0xFFFFFFFF, "", True, True), []),
    "null": (SegmentSide(0, 0, 0xFFFF, "", False), []),
}


@pytest.mark.parametrize("name", SPANS)
def test_what_a_segment_reaches(name: str) -> None:
    side, spans = SPANS[name]
    assert side.spans() == spans


def test_the_hidden_region_has_no_gaps(view: MmuView) -> None:
    assert view.hidden[0].start == view.hidden_base == HIDDEN_BASE
    assert view.hidden[-1].end == TOP
    for part, after in zip(view.hidden[:-1], view.hidden[1:], strict=True):
        assert part.end == after.start
    mapped = {la for space in view.shadows for la, each in pages(space.ranges).items()
              if isinstance(each, ShadowRange) and each.state == MONITOR}
    named = {la for part in view.hidden if part.name != "not mapped"
             for la in range(part.start, part.end, PAGE)}
    assert mapped == named


# --- forms -----------------------------------------------------------------------------------


def as_text(view: MmuView) -> str:
    with open("/dev/null", "w") as nowhere:
        console = Console(width=160, record=True, file=nowhere)
        console.print(view)
    return console.export_text()


def test_as_text(view: MmuView) -> None:
    text = as_text(view)
    assert f"truncated below {HIDDEN_BASE:08x}" in text
    assert "1 narrower" in text
    for name in ("guest", "kernel", "user"):
        strip = next(line for line in text.splitlines()[3:] if line.startswith(name))
        assert len(strip.rstrip()) == 8 + 128


def test_as_json(view: MmuView) -> None:
    document = json.loads(json.dumps(view.as_dict()))
    assert document["cr3"] == view.cr3
    assert len(document["guest"]) == len(view.guest)


@pytest.mark.parametrize("count", [1, *POINTS])
def test_as_a_picture(count: int) -> None:
    view = at(count).watch.mmu()
    tree = ElementTree.fromstring(view.svg())
    height, width = float(tree.attrib["height"]), float(tree.attrib["width"])
    for element in tree.iter():
        if "y" in element.attrib:
            assert 0 <= float(element.attrib["y"]) < height
            assert 0 <= float(element.attrib["x"]) <= width
    titles = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}title")}
    assert any(title and "translation cache" in title for title in titles)


def test_in_a_notebook(view: MmuView) -> None:
    assert view._repr_svg_().startswith("<svg")
    assert pretty(view).startswith("MmuView: mode translate after ")


def test_every_state_has_a_meaning() -> None:
    assert set(words.STANDS) == set(words.STATES)


# --- watching changes nothing ------------------------------------------------------------------


def test_looking_between_steps_does_not_change_the_run() -> None:
    """Not even an accessed bit: the digest covers all of RAM."""
    watched, alone = embedded(), embedded()
    for _ in range(12):
        watched.run(max_instructions=25_000)
        watched.watch.mmu()
        alone.run(max_instructions=25_000)
    assert digest(watched) == digest(alone)
    assert watched.statistics()["exits"] == alone.statistics()["exits"]
    assert watched.statistics()["shadow"] == alone.statistics()["shadow"]


def test_the_place_of_the_program() -> None:
    """Code that runs out of the cache was fetched by nobody: only its data pages are filled."""
    machine = flat()
    machine.run(timeout=PATIENCE)
    found = pages(machine.watch.mmu().shadow("kernel").ranges)[ORIGIN]
    assert isinstance(found, ShadowRange)
    assert found.state == ABSENT


def test_the_range_that_holds_an_address(view: MmuView) -> None:
    kernel = view.shadow("kernel")
    for each in kernel.ranges:
        assert kernel.at(each.linear) is each
        assert kernel.at(each.end - 1) is each
    assert kernel.at(0x70000000) is None

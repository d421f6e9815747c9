"""The tables of the crossings, and the loads of `vp bench macro` behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import ours
from benchmarks.crossings import operations, program
from benchmarks.crossings.machine import Guest, OurGuest, QemuGuest
from benchmarks.crossings.operations import CROSSINGS, ENTRY, MACRO, USER, Operation
from benchmarks.crossings.race import FILLS, Cost, Counts, Race
from benchmarks.peers import qemu
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, seconds
from benchmarks.timing import BenchmarkError
from monitor.bench import macro
from monitor.bench.rows import BARE, TRANSLATE
from monitor.bench.stretches import BOOT, Journey
from monitor.guests import linux
from monitor.settings.machine import CPU

WITH_SYSENTER = "pentium2"
MODES = (ours.BARE, ours.TRANSLATE)
SHOWN = 0.05  # a kind of exits that one operation in twenty has is in the figure


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """Crossings; and but for `quick`, SYSENTER and the loads of `vp bench macro`."""
    if linux.missing():
        yield Section("Crossings of Linux", note=linux.missing())
        return
    initrd = program.write_initrd()
    race = Race((*CROSSINGS, *USER))
    section = Section("Crossings of Linux")
    excuse = run(race, plan, CPU, initrd, with_qemu=True)
    section.rows += crossings(race, plan.peers_only)
    section.note = "\n".join(filter(None, (excuse, _note(race))))
    yield section
    if not (plan.quick or plan.peers_only):
        yield _sysenter(plan, initrd, race)
        yield _macro(plan)


def run(race: Race, plan: BenchmarkPlan, cpu: str, initrd: Path, *, with_qemu: bool) -> str:
    """Let the machines race, made anew each time; why QEMU did not, if it did not."""
    excuse = ""
    for _ in range(plan.long_repeats):
        with ExitStack() as stack:
            guests: list[Guest] = []
            if not plan.peers_only:
                guests += [OurGuest(mode, cpu, initrd) for mode in MODES]
            if with_qemu and not excuse:
                try:
                    guests.append(QemuGuest(initrd))
                except BenchmarkError as error:
                    excuse = str(error)
            for guest in guests:
                stack.callback(guest.close)
            race.enter(guests, plan.placements)
    return excuse


# --- rows ---------------------------------------------------------------------------------------


def crossings(race: Race, peers_only: bool = False) -> Iterator[Row]:
    """The rows of a race; QEMU's are left out where it did not run."""
    with_qemu = qemu.NAME in race.boots
    for operation in race.operations[1:]:  # but nothing
        peer = race.cost(qemu.NAME, operation) if with_qemu else None
        if not peers_only:
            bare, translated = (race.cost(mode, operation) for mode in MODES)
            yield from of_operation(operation, bare, translated, peer)
            if operation in USER:
                yield _without_timer(race, operation, bare, translated)
        elif peer is not None:
            yield _times(operation.title, peer.seconds, peer.seconds, None)
    if not peers_only:
        bare_boot, boot = (race.boot(mode) for mode in MODES)
        name = f"boot, short line (aim: {operations.BOOT_AIM:g})"
        yield _seconds(name, boot, bare_boot, operations.BOOT_LIMIT)
        if with_qemu:
            yield _seconds(f"  boot: translate / {qemu.NAME}", boot, race.boot(qemu.NAME), None)


def of_operation(
    operation: Operation, bare: Cost, translated: Cost, peer: Cost | None
) -> Iterator[Row]:
    """Translated against bare, its exits, and against QEMU."""
    yield _times(operation.name, translated.seconds, bare.seconds, operation.limit)
    begin = f"  {operation.command}: "
    if peer is not None:
        compared = translated.seconds, peer.seconds, operation.qemu
        yield _times(f"{begin}translate / {qemu.NAME}", *compared)
        yield _times(f"{begin}bare / {qemu.NAME}", bare.seconds, peer.seconds, None)
    if operation in CROSSINGS:
        yield _exits(f"{begin}exits", translated, operation.exits)
        yield _fills(f"{begin}shadow fills", translated, operation.fills)


def _without_timer(race: Race, operation: Operation, bare: Cost, translated: Cost) -> Row:
    """User code itself: what the timer's interrupts cost more when translated is taken off."""
    of_timer = translated.interrupts * race.more_for_interrupt(ours.TRANSLATE, ours.BARE)
    name = f"  {operation.command}: without the timer"
    return _times(name, translated.seconds - of_timer, bare.seconds, None)


def _times(name: str, figure: float, baseline: float, limit: float | None) -> Row:
    return Row(name, microseconds(figure), microseconds(baseline), figure / baseline, limit)


def _seconds(name: str, figure: float, baseline: float, limit: float | None) -> Row:
    return Row(name, seconds(figure), seconds(baseline), figure / baseline, limit)


def _exits(name: str, cost: Cost, limit: int | None) -> Row:
    total = _of_one(sum(cost.exits.values()))
    return Row(name, by_kind(cost.exits) or "none", "", total, limit)


def _fills(name: str, cost: Cost, limit: int | None) -> Row:
    fills, flushes = _of_one(cost.exits.get(FILLS, 0.0)), _of_one(cost.flushes)
    return Row(name, f"{flushes:g} flushes", "", fills, limit)


def _of_one(number: float) -> float:
    """To a tenth: the rest is what a long run has and a short one has not.

    >>> _of_one(0.04), _of_one(-0.01), _of_one(7.96)
    (0.0, 0.0, 8.0)
    """
    return max(0.0, round(number, 1))


def by_kind(counts: Counts) -> str:
    """In words, most first, two in a line.

    >>> by_kind({"INT 0x80": 1.0004, "emulate": 7.01, "#PF": 0.001})
    '7 emulate, 1 INT 0x80'
    """
    shown = sorted(counts.items(), key=lambda each: -each[1])
    words = [f"{_of_one(number):g} {kind}" for kind, number in shown if number >= SHOWN]
    return ",\n".join(", ".join(words[at : at + 2]) for at in range(0, len(words), 2))


def microseconds(value: float) -> str:
    """A short time for people.

    >>> microseconds(0.0000015), microseconds(0.00123)
    ('1.5 us', '1230 us')
    """
    return f"{value * 1e6:.3g} us" if value < 1e-4 else f"{value * 1e6:.0f} us"


def _note(race: Race) -> str:
    lines = [
        "CPU time of one operation, translate against bare: a long run less a short one",
        "exits are without those of the timer's interrupts",
    ]
    if ours.TRANSLATE in race.boots:
        of_interrupt = by_kind(race.of_interrupt(ours.TRANSLATE)) or "no exits"
        more = microseconds(race.more_for_interrupt(ours.TRANSLATE, ours.BARE))
        lines.append(f"one of those: {of_interrupt}; {more} more than bare")
    if qemu.NAME in race.boots:
        lines.append(f"{qemu.version()}, -cpu {qemu.CPU}: CPU time of its process")
    return "\n".join(lines)


# --- the other tables ---------------------------------------------------------------------------


def _sysenter(plan: BenchmarkPlan, initrd: Path, first: Race) -> Section:
    """The kernel's entry on a processor with SYSENTER; QEMU had one in the first race."""
    race = Race((ENTRY,))
    run(race, plan, WITH_SYSENTER, initrd, with_qemu=False)
    section = Section(f"The vDSO's entry with SYSENTER (--cpu {WITH_SYSENTER})")
    peer = first.cost(qemu.NAME, ENTRY) if qemu.NAME in first.boots else None
    bare, translated = (race.cost(mode, ENTRY) for mode in MODES)
    section.rows += of_operation(ENTRY, bare, translated, peer)
    return section


def _macro(plan: BenchmarkPlan) -> Section:
    section = Section(
        f"Loads of vp bench macro, {macro.ROUNDS} rounds",
        note="translate against bare, the least time of each; both take turns load by load",
    )
    loads = macro.choose(list(MACRO))
    runs = [_journeys(loads) for _ in range(plan.long_repeats)]
    for number, (name, (limit, aim)) in enumerate(MACRO.items()):
        bare, translated = (min(run[number][mode] for run in runs) for mode in (0, 1))
        section.rows.append(_seconds(f"{name} (aim: {aim:g})", translated, bare, limit))
    return section


def _journeys(loads: Sequence[macro.Load]) -> list[tuple[float, float]]:
    """Seconds bare and translated, load by load."""
    text = macro.script(loads, macro.ROUNDS)
    journeys = [Journey(setup, text) for setup in (BARE, TRANSLATE)]
    for journey in journeys:
        journey.through(BOOT)
    found = []
    for load in loads:
        bare, translated = (journey.through(load.name) for journey in journeys)
        if bare.digest != translated.digest:
            raise BenchmarkError(f"{load.name}: the two modes printed different consoles")
        found.append((bare.seconds, translated.seconds))
    return found

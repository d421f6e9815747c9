"""Guests by name from the reset vector: bare, translated, and in Bochs.

The same images, and the same keys at the same cues; each runs until its screen, or its serial line,
shows what the row says. Bochs is looked at five times a second, as often as its display is drawn:
that is what it may have run on at each cue, and is charged with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks import ours
from benchmarks.peers import bochs
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, seconds
from benchmarks.timing import BenchmarkError, Measured
from benchmarks.worker import Job, Result
from monitor.guestbook import bringing
from monitor.guestbook.guest import Guest
from monitor.guestbook.rows import BY_NAME

BOCHS_LIMIT, TRANSLATE_LIMIT = 1.0, 1.5
OUR_LIMIT = 1800.0  # seconds on the wall


@dataclass(frozen=True)
class Way:
    """How far a guest is followed; where `ending` is given, up to there, with nothing typed.

    `once`: half a minute and more, which one measure is enough for.
    """

    title: str
    name: str
    ending: str = ""
    once: bool = False

    @property
    def guest(self) -> Guest:
        """Its row, up to the ending."""
        row = BY_NAME[self.name]
        return replace(row, steps=(), expect=self.ending) if self.ending else row


WAYS = (
    Way("GRUB's floppy to `ls`", "grub"),
    Way("GRUB's CD to `ls`", "grub-cd"),
    Way("iPXE to its prompt", "ipxe"),
    Way("Linux from ISOLINUX to its prompt", "isolinux", "/ # "),
    Way("memtest86+, tests 0 to 9 of a pass", "memtest", "[Bit fade test", once=True),
    Way("Debian's installer to its first question", "debian-installer", once=True),
)
NOTE = "memtest86+ is followed to its test 10, which waits for minutes of the guest's time"


def section(plan: BenchmarkPlan) -> Section:
    """The table; with `quick` GRUB's alone, and no Bochs."""
    table = Section("Guests by name from the reset vector", note=NOTE)
    for way in WAYS[: 2 if plan.quick else None]:
        lacking = bringing.missing(way.guest)
        if lacking:
            table.note += f"\n{way.title}: no {', '.join(lacking)}"
        else:
            table.rows += _rows(way, plan, table)
    return table


def _rows(way: Way, plan: BenchmarkPlan, table: Section) -> Iterator[Row]:
    guest = way.guest
    places = bringing.where(guest)
    peer = None
    if not plan.quick:
        try:
            peer = bochs.guest(guest, places, guest.expect)
        except BenchmarkError as error:
            table.note += f"\n{way.title}: {error}"
    if plan.peers_only:
        if peer is not None:
            yield Row(way.title, seconds(peer.seconds), seconds(peer.seconds), 1.0)
        return
    modes = (ours.BARE, ours.TRANSLATE)
    repeats = 1 if way.once else plan.long_repeats
    runs = [[run(guest, places, mode) for mode in modes] for _ in range(repeats)]
    bare, translated = (min(each, key=lambda one: one.seconds) for each in zip(*runs, strict=True))
    if bare.instructions != translated.instructions:
        raise BenchmarkError(f"{way.title}: the two modes ran different numbers of instructions")
    if peer is not None:
        yield against(f"{way.title}: bare / Bochs", bare, peer, BOCHS_LIMIT)
    yield against(f"{way.title}: translate / bare", translated, bare, TRANSLATE_LIMIT)


def run(guest: Guest, places: dict[str, str], mode: str) -> Result:
    """One of ours, up to what is expected. BenchmarkError: that did not come."""
    words, typing = tuple(guest.options(places)), tuple(guest.typed())
    job = Job(mode, 0, words=words, typing=typing, until=guest.expect, most=guest.most)
    result = ours.perform(job, OUR_LIMIT)
    if result.ending != "until":
        raise BenchmarkError(f"{guest.name}, {mode}: {result.ending}")
    return result


def against(name: str, run: Measured | Result, baseline: Measured | Result, limit: float) -> Row:
    """A ratio of two times, and the limit on it."""
    figures = seconds(run.seconds), seconds(baseline.seconds)
    return Row(name, *figures, run.seconds / baseline.seconds, limit)

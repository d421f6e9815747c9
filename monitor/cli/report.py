"""Statistics for people: rich tables of what Machine.statistics() counted, and how a run ended.

A section whose figures a mode does not have (a bare machine patches nothing) is left out, and
figures that this file has no words for are shown under their own names.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from monitor.writing.whole_console import WholeConsole, whole_console
from monitor.writing.whole_table import Beside, Table

if TYPE_CHECKING:
    from monitor import Machine

Statistics = Mapping[str, Any]

SECTIONS = {  # key in the statistics: title, heading of the names
    "by_kind": ("Instructions", "kind"),
    "exits": ("Exits", "reason"),
    "patches": ("Patches", "instruction"),
    "tc": ("Translation cache", ""),
    "shadow": ("Shadow page tables", ""),
    "devices": ("Devices", ""),
    "decoder": ("Decoder", ""),
}
SETTINGS = ("mode", "engine", "build", "clock")
FIGURES = ("instructions", "seconds", "mips", "guest_seconds", "memory_mb")
WRONG = "wrong_answers"
TEXT_WIDTH = 79


# --- the final report ------------------------------------------------------------------


def statistics_report(statistics: Statistics) -> RenderableType:
    """Every figure, in tables."""
    tables = [
        counts_table(title, heading, statistics[key])
        for key, (title, heading) in SECTIONS.items()
        if statistics.get(key)
    ]
    rest = _rest(statistics)
    if rest:
        tables.append(counts_table("Other figures", "", rest))
    if statistics.get(WRONG):
        tables.append(wrong_answers_table(statistics[WRONG]))
    return Group(headline(statistics), Beside(tables))


def headline(statistics: Statistics) -> Text:
    """Mode, instructions and speed in one line."""
    text = Text()
    for key in SETTINGS:
        if key in statistics:
            text.append(f"{statistics[key]} ", style="bold")
    return text.append(_figures(statistics))


def counts_table(title: str, heading: str, counts: Mapping[str, Any]) -> Table:
    """Names and counts; the names of a heading are a whole of 100%, and come biggest first."""
    table = Table(title=title, show_header=bool(heading))
    table.add_column(heading)
    table.add_column("count", justify="right")
    total = sum(counts.values()) if heading else 0
    if total:
        table.add_column("share", justify="right")
    names = sorted(counts, key=lambda name: -counts[name]) if heading else counts
    for name in names:
        share = [f"{counts[name] / total:.1%}"] if total else []
        table.add_row(_words(name), number(counts[name]), *share)
    return table


def wrong_answers_table(wrong: list[Mapping[str, Any]]) -> Table:
    """What critical instructions told the guest, and what a processor without a monitor would."""
    table = Table(title="Wrong answers")
    for name in ("instruction", "count", "first at", "got", "right is"):
        table.add_column(name, justify="left" if name == "instruction" else "right")
    for row in sorted(wrong, key=lambda row: -int(row["count"])):
        table.add_row(
            str(row["mnemonic"]),
            number(row["count"]),
            value(row["first_eip"]),
            value(row["got"]),
            value(row["want"]),
        )
    return table


def _rest(statistics: Statistics) -> dict[str, Any]:
    """Figures of no known section; those of a group get the group's name in front."""
    known = {*SECTIONS, *SETTINGS, *FIGURES, WRONG}
    rest: dict[str, Any] = {}
    for key, item in statistics.items():
        if key in known:
            continue
        if isinstance(item, Mapping):
            rest |= {f"{key} {name}": figure for name, figure in item.items() if _is_number(figure)}
        elif _is_number(item):
            rest[key] = item
    return rest


def _is_number(item: object) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def number(count: float | str) -> str:
    """1234567 as 1,234,567; fractions with three digits; words as they are."""
    if isinstance(count, str):
        return count
    return f"{count:,}" if isinstance(count, int) else f"{count:,.3f}"


def value(item: object) -> str:
    """A register's or an instruction's value: hexadecimal if it is a number."""
    return f"{item:08x}" if isinstance(item, int) else str(item)


def _words(name: str) -> str:
    return name.replace("_", " ")


# --- of this moment ---------------------------------------------------------------------


def _figures(statistics: Statistics) -> str:
    """Instructions, speed and, where known, the guest's own time."""
    seconds = float(statistics.get("seconds", 0.0))
    text = f"{number(statistics['instructions'])} instructions in {seconds:.2f} s"
    text += f", {statistics.get('mips', 0.0):.1f} MIPS"
    if "guest_seconds" in statistics:
        text += f", guest time {statistics['guest_seconds']:.2f} s"
    return text


class Running:
    """The statistics of a machine while it runs on another thread, with the time until now."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._begun = time.monotonic()
        self._last: Statistics = machine.statistics()

    def statistics(self) -> Statistics:
        """The figures of this moment."""
        with suppress(RuntimeError):  # a table grew while it was counted: then the last ones do
            self._last = self._machine.statistics()
        seconds = time.monotonic() - self._begun
        mips = self._last["instructions"] / seconds / 1e6 if seconds else 0.0
        return {**self._last, "seconds": seconds, "mips": mips}


# --- printing --------------------------------------------------------------------------


def as_text(statistics: Statistics) -> str:
    """The report as plain text, for a terminal in raw mode."""
    console = WholeConsole(width=TEXT_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(statistics_report(statistics))
    return capture.get()


def print_statistics(statistics: Statistics) -> None:
    """The report, on standard error."""
    console = whole_console(stderr=True)
    console.print()
    console.print(statistics_report(statistics))


def print_wrong_answers(statistics: Statistics) -> None:
    """What trap mode's witness has seen, on standard error; nothing in other modes."""
    if statistics.get(WRONG):
        Console(stderr=True, highlight=False).print(wrong_answers_table(statistics[WRONG]))


def closing_line(sentence: str, statistics: Statistics) -> str:
    """How the run ended, and what it was, in one line.

    >>> closing_line("the guest reset", {"instructions": 1234, "seconds": 0.5, "mode": "bare"})
    'vp: the guest reset; 1,234 instructions in 0.50 s, 0.0 MIPS, mode bare'
    """
    count, seconds = statistics["instructions"], statistics["seconds"]
    return (f"vp: {sentence}; {number(count)} instructions in {seconds:.2f} s, "
            f"{statistics.get('mips', 0.0):.1f} MIPS, mode {statistics['mode']}")  # fmt: skip


def print_end(line: str, where: str = "") -> None:
    """How the run ended, and where the guest was, on standard error."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(line)
    if where:
        console.print(where)

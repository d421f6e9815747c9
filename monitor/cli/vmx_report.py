"""What became of a .vmx file's settings, for people: two short tables on standard error.

A file may have hundreds of settings: those of one device are shown as `ethernet0.* (7)`, and
`--stats` has every one. The file's text is shown with its control characters taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.text import Text

from monitor.cli.pieces import plain_console
from monitor.vmware.vmx.machine import VmxMachine
from monitor.writing.whole_table import Table

SHOWN_NAMES = 12
SHOWN_ROWS = 25
SHOWN_CHARACTERS = 60
LINE = 300


def print_vmx(vmx: VmxMachine) -> None:
    """The report, on standard error."""
    console = plain_console(stderr=True)
    for line in remarks(vmx):
        console.print(line, soft_wrap=True)
    for table in tables(vmx):
        console.print(table)


def remarks(vmx: VmxMachine) -> list[Text]:
    """Which machine this is, and what to look at."""
    warnings = vmx.account.warnings
    title = _text(vmx.settings.display_name or "a virtual machine without a name")
    lines = [Text(f"{vmx.name}: ") + title]
    lines += [_text(f"{vmx.name}: {warning}", LINE) for warning in warnings[:SHOWN_ROWS]]
    if len(warnings) > SHOWN_ROWS:
        lines.append(Text(f"and {len(warnings) - SHOWN_ROWS} more warnings"))
    return lines


def tables(vmx: VmxMachine) -> list[Table]:
    """What is used, and what is ignored."""
    account = vmx.account
    found = [_table("Used", "what comes of it", account.used)] if account.used else []
    if account.ignored:
        found.append(_table("Ignored", "because", account.ignored))
    return found


def _table(title: str, heading: str, settings: Mapping[str, str]) -> Table:
    """Settings by what is said of them."""
    rows: dict[str, list[str]] = {}
    for name, said in settings.items():
        rows.setdefault(said, []).append(name)
    table = Table(title=title)
    table.add_column("settings")
    table.add_column(heading)
    for said, names in list(rows.items())[:SHOWN_ROWS]:
        table.add_row(Text(", ".join(str(_text(name)) for name in grouped(names))), _text(said))
    if len(rows) > SHOWN_ROWS:
        table.add_row(f"and {len(rows) - SHOWN_ROWS} more", "")
    return table


def grouped(names: Iterable[str]) -> list[str]:
    """Names that begin alike as one.

    >>> grouped(["a.x", "b.y", "a.z", "memory"])
    ['a.* (2)', 'b.y', 'memory']
    """
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(name.partition(".")[0], []).append(name)
    shown = [of[0] if len(of) == 1 else f"{stem}.* ({len(of)})" for stem, of in stems.items()]
    more = len(shown) - SHOWN_NAMES
    return shown if more <= 0 else [*shown[:SHOWN_NAMES], f"and {more} more"]


def _text(text: str, limit: int = SHOWN_CHARACTERS) -> Text:
    """The file's text: no markup, no control characters, not too long."""
    short = text if len(text) <= limit else text[:limit] + "..."
    return Text("".join(c if c.isprintable() else " " for c in short))

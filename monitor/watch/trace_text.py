"""A trace as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box

from monitor.watch.trace_model import BLOCK, DEVICE, EXIT, INSTRUCTION, INTERRUPT, TraceEvent
from monitor.writing.whole_table import Table

STYLE = {INSTRUCTION: "", BLOCK: "cyan", EXIT: "red", INTERRUPT: "bold yellow", DEVICE: "green"}


def trace_table(events: Sequence[TraceEvent], total: int) -> Table:
    """Events as a table; `total`: how many there are in all."""
    table = Table(keys=3, box=box.SIMPLE)
    table.add_column("instructions", justify="right")
    for name in ("ring", "EIP", "event", ""):
        table.add_column(name, no_wrap=True)
    for event in events:
        table.add_row(f"{event.count:,}", str(event.ring), f"{event.eip:08x}", event.kind,
                      event.text, style=STYLE[event.kind])
    if total > len(events):
        table.add_row("", "", "", "", f"and {total - len(events):,} more")
    return table

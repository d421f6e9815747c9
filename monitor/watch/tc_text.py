"""A `CacheView` as text: guest code on the left, the translation on the right, patches coloured."""

from __future__ import annotations

from itertools import zip_longest

from rich import box
from rich.console import Group, RenderableType
from rich.text import Text

from monitor.watch.palette import TEXT_STYLE
from monitor.watch.tc_model import BlockView, CacheView, GuestRow
from monitor.watch.words import BECAME, FALLS, KINDS
from monitor.writing.whole_table import Table

GUEST_WIDTH = 34
TRANSLATED_WIDTH = 44


def cache_text(view: CacheView) -> RenderableType:
    """Everything that is in the view."""
    return Group(_headline(view), _legend(view), *map(_block, view.blocks))


def summary_table(view: CacheView) -> Table:
    """One line for each block."""
    table = Table(keys=3, box=box.SIMPLE, title="Blocks")
    for name in ("hits", "guest", "in the cache", "guest instr.", "patched", "links in", "out"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("context")
    for block in view.blocks:
        table.add_row(
            _hits(block.hits), f"{block.eip:08x}", f"{block.start:08x}",
            str(len(block.instructions)), str(sum(row.patched for row in block.rows)),
            str(len(block.links_in)), str(len(block.links_out)), block.context,
        )
    return table


def _headline(view: CacheView) -> Text:
    text = Text("translation cache ", style="bold")
    text.append(f"after {view.count:,} guest instructions: {view.used:,} of {view.size:,} bytes, ")
    text.append(f"{view.total:,} blocks, {len(view.blocks):,} shown; ")
    text.append(f"emptied {view.flushes:,} times")
    return text


def _legend(view: CacheView) -> Text:
    counts = view.became()
    text = Text()
    for kind in KINDS:
        text.append(f"{kind} ", style=TEXT_STYLE[kind] or "none")
        text.append(f"{counts[kind]:,} {BECAME[kind]}   ", style="dim")
    return text


def _block(block: BlockView) -> RenderableType:
    table = Table(keys=2, glued=(3, 5, 6), box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("hits", justify="right", no_wrap=True, min_width=7)
    table.add_column("guest", no_wrap=True, min_width=8)
    table.add_column("", min_width=GUEST_WIDTH)
    table.add_column("became", no_wrap=True, min_width=7)
    table.add_column("cache", no_wrap=True, min_width=8)
    table.add_column("", min_width=TRANSLATED_WIDTH)
    table.add_column("")
    for row in block.rows:
        _add_row(table, row, row.eip in block.entries)
    return Group(Text(), _title(block), table)


def _title(block: BlockView) -> Text:
    text = Text(f"{block.eip:08x}", style="bold")
    text.append(f"  {block.context}, {block.size} bytes at physical {block.physical:08x}")
    text.append(f", translated at {block.start:08x}")
    if block.hits is not None:
        text.append(f", entered {block.hits:,} times", style="bold")
    if block.links_in:
        sources = sorted({link.source for link in block.links_in})
        text.append("\n          chained from " + _addresses(sources), style="cyan")
    if block.landings:
        text.append(f"\n          indirect branches find it: {', '.join(block.landings)} landing",
                    style="magenta")
    return text


def _addresses(addresses: list[int], most: int = 8) -> str:
    more = f" and {len(addresses) - most} more" if len(addresses) > most else ""
    return ", ".join(f"{address:08x}" for address in addresses[:most]) + more


def _add_row(table: Table, row: GuestRow, entry: bool) -> None:
    style = TEXT_STYLE[row.became]
    guest = Text(row.text, style=style)
    if entry:
        guest.append("  (an entry)", style="dim")
    left = [(_hits(row.hits), f"{row.eip:08x}", guest, Text(row.became, style=style))]
    if row.became == FALLS:
        left = [("", "", guest, Text())]
    right = [
        (f"{each.address:08x}", Text(each.text, style="dim" if each.cold and not style else style),
         Text(_note(each.note, each.counts), style="dim"))
        for each in row.translated
    ]
    for mine, its in zip_longest(left, right):
        table.add_row(*(mine or ("", "", "", "")), *(its or ("", "", "")))


def _note(note: str, counts: bool) -> str:
    return note or ("completes it" if counts else "")


def _hits(hits: int | None) -> str:
    return "" if hits is None else f"{hits:,}"

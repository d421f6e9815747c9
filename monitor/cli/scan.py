"""Find every sensitive instruction in a file, and say whether ring 3 traps it.

FILE is an ELF file, a Linux bzImage (the kernel inside is unpacked) or raw code. Each line has the
address, the bytes, the instruction, its class after Popek and Goldberg, its name in Robin and
Irvine's list of seventeen, and what ring 3 does with it. A linear sweep: data between functions
may look like code. What is compressed or an archive has no code to find, and is refused.

Exit status: 0 done, whatever was found; 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from monitor.cli import quantities
from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.scan_totals import Totals
from monitor.vmm.errors import UserError
from monitor.writing.progress import bar

if TYPE_CHECKING:
    from bt.scanner import Finding
    from monitor.loaders.images import Region

NAME = "scan"
HELP = "find every sensitive instruction in a binary"
EXAMPLES = (
    "vp scan guests/vmlinuz --summary",
    "vp scan guests/busybox --limit 20",
    "vp scan boot.bin --base 0x7c00 --bits 16 --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="ELF file, bzImage or raw code")
    parser.add_argument(
        "--base", type=_number, default=0, metavar="ADDR", help="address of raw code (default 0)"
    )
    parser.add_argument(
        "--bits", type=int, choices=(16, 32), default=32, help="width of raw code (default 32)"
    )
    parser.add_argument(
        "--limit", type=quantities.count, metavar="N",
        help="show at most N instructions; totals count all",
    )  # fmt: skip
    parser.add_argument("--summary", action="store_true", help="totals only")
    parser.add_argument(
        "--raw", action="store_true", help="it is raw code, whatever the file looks like"
    )
    add_json(parser, "the instructions and the totals")


def _number(text: str) -> int:
    """Decimal, or hexadecimal with 0x."""
    value = int(text, 0)
    if value < 0:
        raise ValueError(text)
    return value


_number.__name__ = "number"  # argparse's messages: "invalid number value"


def run(args: argparse.Namespace) -> int:
    from monitor.loaders.images import code_regions

    regions = code_regions(args.file, args.base, args.bits, raw=args.raw)
    if not regions:
        raise UserError(f"{args.file}: no code in it; give a file with executable parts")
    limit = 0 if args.summary else args.limit
    with JsonOutput(args.json) as json:
        silent = json.wanted or limit == 0 or not sys.stdout.isatty()
        found: Iterable[tuple[Region, Finding]] = _findings(regions, silent)
        if json.wanted:
            found = list(found)
            json.write(lambda: _document(regions, found, limit))
        if not json.alone:
            _print_text(regions, found, limit)
    return 0


def _document(
    regions: list[Region], found: Iterable[tuple[Region, Finding]], limit: int | None
) -> object:
    from monitor.cli.scan_json import document

    return document(regions, islice(found, limit), Totals.of(found))


def _findings(regions: list[Region], silent: bool) -> Iterator[tuple[Region, Finding]]:
    """All of them; with progress where nothing is printed meanwhile."""
    from bt.scanner import scan

    done = 0
    with bar("scanning", sum(len(region.code) for region in regions), silent) as shown:
        for region in regions:
            for finding in scan(region.code, region.address, region.bits):
                shown.reach(done + finding.address - region.address, region.name)
                yield region, finding
            done += len(region.code)


def _print_text(
    regions: list[Region], found: Iterable[tuple[Region, Finding]], limit: int | None
) -> None:
    """One line per instruction as it is found, in colour on a terminal; then the totals."""
    from monitor.cli.pieces import plain_console

    console = plain_console()
    totals = Totals()
    shown = hidden = 0
    title = ""
    for region, finding in found:
        totals.add(finding)
        if limit is not None and shown >= limit:
            hidden += 1
            continue
        shown += 1
        if region.name != title:
            title = region.name
            console.print(f"{title} at {region.address:#x}, {region.bits} bits", style="bold",
                          soft_wrap=True)  # fmt: skip
        colour = "green" if finding.traps_in_ring3 else "red"
        console.print(_line(finding), style=colour, soft_wrap=True)
    if hidden and limit:
        console.print(f"... and {hidden} more")
    size = sum(len(region.code) for region in regions)
    _print_totals(totals, size, len(regions))


def _line(finding: Finding) -> str:
    verdict = "traps" if finding.traps_in_ring3 else "does not trap"
    return (
        f"{finding.address:08x}  {finding.bytes.hex(' '):<24} {finding.text:<32} "
        f"{finding.sensitivity.value:<10} {finding.group or '-':<12} {verdict}"
    )


def _print_totals(totals: Totals, size: int, regions: int) -> None:
    from rich import box

    from monitor.cli.pieces import plain_console
    from monitor.writing.whole_table import Table

    titles = ("count", "instruction", "class", "Robin-Irvine", "traps")
    table = Table(*titles, "in ring 3 it", keys=2, box=box.SIMPLE)
    table.columns[0].justify = "right"
    for column in table.columns[:5]:
        column.no_wrap = True
    for (name, kind, group, traps, why), count in totals.rows.most_common():
        table.add_row(str(count), name, kind, group or "-", "yes" if traps else "no", why)
    console = plain_console()
    if totals.rows:
        console.print(table)
    by_class = totals.by_class()
    console.print(
        f"{size} bytes of code in {regions} {'region' if regions == 1 else 'regions'}: "
        f"{by_class['privileged']} privileged, {by_class['critical']} critical; "
        f"{totals.untrapped} that ring 3 does not trap"
    )

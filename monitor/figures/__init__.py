"""The notebooks' figures, each drawn by one call from the data that it shows.

    from monitor import figures

    figures.lines([figures.Line(sizes, cycles, BLUE, "REP OUTSB")], x="bytes", y="cycles", log="xy")

A call returns the figure, which a notebook shows where it stands last in a cell. What it looks like
is monitor/bench/figure_style.py's; names stand where there is room for them, so no caller says
where.
"""

from monitor.figures.bars import COST_PARTS, Pair, pairs, shares_and_parts, stacked
from monitor.figures.bytes_drawn import bit_rows, opcode_map, page_traces, patched, translation
from monitor.figures.lines import Line, lines
from monitor.figures.marks import by_mode, circles_and_discs, counts, heat
from monitor.figures.space_drawn import address_space, segments
from monitor.figures.time_drawn import (
    Burst,
    boot,
    conversation,
    levels,
    page_states,
    registers,
)

__all__ = [
    "COST_PARTS",
    "Burst",
    "Line",
    "Pair",
    "address_space",
    "bit_rows",
    "boot",
    "by_mode",
    "circles_and_discs",
    "conversation",
    "counts",
    "heat",
    "levels",
    "lines",
    "opcode_map",
    "page_states",
    "page_traces",
    "pairs",
    "patched",
    "registers",
    "segments",
    "shares_and_parts",
    "stacked",
    "translation",
]

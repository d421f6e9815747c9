"""Colours of what is shown, the same in text and in pictures.

The names of the text's colours are rich's; the pictures' are CSS hex colours on white. They were
chosen to be told apart by people who see no red or no green, too: they differ in lightness.
"""

from __future__ import annotations

from monitor.watch.tc_model import CHAIN, COPY, EXIT, FALLS, LOOKUP, STUB

TEXT_STYLE = {
    COPY: "",
    STUB: "yellow",
    EXIT: "bold red",
    CHAIN: "cyan",
    LOOKUP: "magenta",
    FALLS: "dim",
}

FILL = {  # behind the row
    COPY: "#f4f5f7",
    STUB: "#ffe9b8",
    EXIT: "#ffd0cc",
    CHAIN: "#d3e8fb",
    LOOKUP: "#e7d9f7",
    FALLS: "#ffffff",
}
STROKE = {  # its edge, its word, the ribbon
    COPY: "#b9bfc9",
    STUB: "#c98a00",
    EXIT: "#c0322b",
    CHAIN: "#2474b5",
    LOOKUP: "#7a45b0",
    FALLS: "#b9bfc9",
}
INK = "#1d2430"
FAINT = "#717b8a"
PAPER = "#ffffff"
RULE = "#d9dde3"

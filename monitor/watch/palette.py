"""Colours of what is shown, the same in text and in pictures.

The names of the text's colours are rich's; the pictures' are CSS hex colours on white. They were
chosen to be told apart by people who see no red or no green, too: they differ in lightness.
"""

from __future__ import annotations

from monitor.watch.words import (
    ABSENT,
    CHAIN,
    COPY,
    EXIT,
    FALLS,
    LOOKUP,
    MONITOR,
    NARROWER,
    OPEN_BUS,
    SAME,
    STALE,
    STUB,
)

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

STATE_STYLE = {
    SAME: "green",
    NARROWER: "yellow",
    STALE: "bold red",
    ABSENT: "dim",
    OPEN_BUS: "blue",
    MONITOR: "magenta",
}
STATE_FILL = {
    SAME: "#4caf82",
    NARROWER: "#f2b53c",
    STALE: "#d6403a",
    ABSENT: "#e6e9ee",
    OPEN_BUS: "#8fb6dd",
    MONITOR: "#a57fd0",
}
GUEST_FILL = {  # by (user, writable)
    (False, True): "#5b7ea6",
    (False, False): "#9db6d1",
    (True, True): "#3d9a8f",
    (True, False): "#9fd0c9",
}
GUEST_STYLE = {
    (False, True): "blue",
    (False, False): "bright_blue",
    (True, True): "cyan",
    (True, False): "bright_cyan",
}
GUEST_WORDS = {
    (False, True): "kernel, read and write",
    (False, False): "kernel, read only",
    (True, True): "user, read and write",
    (True, False): "user, read only",
}
CUT = "#d6403a"  # what truncation took from a segment
KEPT = "#7fa3c7"
SET_ASIDE = "#e6e9ee"  # a segment that the engine does not have now
RESERVED = "#a57fd0"  # the monitor's region

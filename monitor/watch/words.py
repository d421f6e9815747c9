"""The words for what a view shows: what an instruction became, how a shadow page stands."""

from __future__ import annotations

# What a guest instruction became. All but COPY are patches.
COPY = "copy"  # the same bytes
STUB = "stub"  # instructions that simulate it, or IN and OUT served in place
EXIT = "exit"  # an exit to the monitor, which emulates it
CHAIN = "chain"  # a direct branch: a jump that is chained to its target when first taken
LOOKUP = "lookup"  # an indirect branch: looks its target up in a table of landings
FALLS = "falls through"  # no instruction of the block: where it goes on after its last one
EMULATES = "exit: emulate"  # the note of an exit that is no chain
KINDS = (COPY, STUB, EXIT, CHAIN, LOOKUP)

BECAME = {
    COPY: "copied as it is",
    STUB: "simulated in the cache",
    EXIT: "leaves for the monitor",
    CHAIN: "direct branch",
    LOOKUP: "indirect branch, looked up",
}

# How a shadow page stands to the guest's tables as they are now
SAME = "same"
NARROWER = "narrower"
STALE = "stale"
ABSENT = "absent"
OPEN_BUS = "open bus"
MONITOR = "monitor"
STATES = (SAME, NARROWER, STALE, ABSENT, OPEN_BUS, MONITOR)

STANDS = {
    SAME: "the shadow has what the guest's tables say",
    NARROWER: "not writable yet: not dirty, or searched code",
    STALE: "the tables say something else by now, as a TLB may",
    ABSENT: "mapped by the guest, not filled in (yet)",
    OPEN_BUS: "nobody answers there: a page of ones",
    MONITOR: "the monitor's own, pinned",
}

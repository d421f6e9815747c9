"""What a crossing between guest code and its monitor needs to know, in plain memory.

A *crossing* is an exit of the engine, what the monitor does about it, and the way back. crossing.py
has the common ones; this is the memory that it shares with the monitor in Python, which fills it,
reads it between crossings, and in callbacks of devices amid them.
"""

from __future__ import annotations

from typing import Annotated, Any

from bt.interp.dialect import U8Ptr, U32Ptr, U64Ptr, i32, i64, state, u32, u64
from bt.interp.state import Space

# How the guest goes on (CrossingState.how)
HOW_UNDECIDED = 0  # by its posture
HOW_EMULATED = 1
HOW_DIRECT = 2
HOW_TRANSLATED = 3

# Where a run of crossings has stopped, for Python to go on
LEFT_NONE = 0
LEFT_LOOK = 1  # between two turns: interrupt, budget, somebody who wants to look
LEFT_TURN = 2  # the next turn is one for Python: nothing is translated there
LEFT_DIRECT = 3  # behind direct execution, the registers are back
LEFT_TRANSLATED = 4  # behind translated code, not rolled back yet
LEFT_STEPPED = 5  # behind a step of the ideal processor
LEFT_SIGNALS = 6  # within Crossing.run(): time to let Python handle signals

# What is known of a place in the cache where the engine has left before (CrossingState.places)
PLACE_KNOWN = 1
PLACE_EMULATE = 2  # its INT3 stands for an instruction to be emulated
PLACE_AFTER_STI = 4  # there is an interrupt shadow, if STI found IF clear

# What is known of a frame that was searched (CrossingState.frames)
FRAME_IS_CLEAN = 1  # executable, not writable
FRAME_IS_AUDITED = 2  # executable, and the engine stops before critical instructions

# Why the engine left (CrossingState.notes)
NOTE_EMULATE = 0
NOTE_FILL = 1
NOTE_TRACED = 2
NOTE_CRITICAL = 3
NOTE_INT = 0x100  # and the number
NOTE_VECTOR = 0x200  # and the exception's number
NOTES = 0x300

LATEST = 16  # notes that are kept with place and time
TARGETS = 0x8000  # lines of the table of blocks


@state
class CrossingState:
    """One virtual processor's."""

    # --- also asked and changed while a device serves an access --------------------------
    total: i64  # guest instructions completed
    end: i64  # the count at which the run must be back
    noticed: u32  # 1: come back behind this turn, the machine has something to do
    asked: u32  # 1: the monitor has, before the next turn
    in_engine: u32  # 1: translated code is running, which may use ports

    # --- set up ----------------------------------------------------------------------------
    user: Space  # what guest code at CPL 3 reaches, and at the others
    kernel: Space
    spaces: Any  # the two AddressSpace objects
    buffers: Any  # what the pointers below lead into
    ceiling: u32  # of guest segments; above it lies the monitor's region, the cache first
    cache_size: u32
    page: u32  # physical address of the vCPU pages
    hows: Annotated[list[u32], 8]  # by posture: HOW_*, and the context of translated code
    contexts: Annotated[list[u32], 8]
    views: Annotated[list[u32], 4]  # by context: where the vCPU pages are, linear,
    reserved: Annotated[list[u32], 4]  # the segment register that leads there,
    rings: Annotated[list[u32], 4]  # and 1 where guest code is at CPL 3
    held: U8Ptr  # by context, 1: the page of VSYS is read-only, as an interrupt waits
    eip_map: U32Ptr  # for each byte of the cache: the guest's EIP,
    undo_map: U8Ptr  # what a roll-back restores,
    places: U8Ptr  # PLACE_*
    frames: U8Ptr  # for each frame: FRAME_IS_*
    interest: U8Ptr  # for each linear page, 1: something depends on what it leads to,
    locals: u32  # and on how many of those that a CR3 load may change
    keys: U64Ptr  # blocks, by a hash: EIP, and its context + 1 in the high half
    starts: U32Ptr  # where their translations begin

    # --- the run of crossings under way ---------------------------------------------------
    how: u32
    context: u32
    start: u32
    resumed: u32  # 1: the engine has only let Python handle signals
    turns: u32
    reason: i32  # why the engine or the ideal processor has left last
    fpu_ip: u32  # before the engine ran

    # --- statistics -----------------------------------------------------------------------
    translated: i64  # guest instructions by how they ran
    direct: i64
    emulated: i64
    hits: u64  # turns that found their block in the table
    fills: u64
    flushes: u64
    hidden: u64  # accesses that met the monitor's region
    notes: U64Ptr  # by NOTE_*
    kept_notes: Any  # the buffer they are in
    noted: i64  # how many there were
    latest_why: Annotated[list[u32], 16]
    latest_eip: Annotated[list[u32], 16]
    latest_count: Annotated[list[i64], 16]

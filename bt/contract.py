"""The engine contract: what the monitor asks of whatever runs guest code deprivileged.

An *engine* runs ring-3 code in an address space, from a register state, until an exit. The monitor
has no engine-specific branches: it is written against `Engine`, `AddressSpace` and `FrameTable`.
tests/engine holds every engine of `bt.engine.ENGINES` to the words of this file.

    engine = ENGINES["interp"](ram, bus)
    space = engine.new_space()
    engine.map_page(space, 0x10000, 0x2000, PERM_EXEC)      # linear 10000 is frame 2, read, execute
    engine.use_space(space)
    reason = engine.run_direct(ideal, ceiling, count, budget)   # an EXIT_*, registers in `ideal`

Between runs the guest's registers are those of the *ideal* processor, always an `Interp`: engines
load from it and store into it. Addresses are *linear* (`la`) or *physical* (`pa`), both in bytes,
32 bits; a *frame* is a physical address >> 12. Counts are guest instructions completed.

What every engine guarantees:

* Code runs at CPL 3, EFLAGS.IF set, IOPL 0, with no descriptor tables: loading a segment register
  with anything but a null selector is an exception. It reaches nothing but what is mapped.
* Every exit is *precise*. EIP is between two instructions, and the instruction there has changed
  nothing: no register, no flag, no byte of memory. Two kinds of instruction may be in the middle: a
  REP string instruction, whose registers say how far it came, and one that saves or stores more
  than 8 bytes (PUSHA, ENTER, FNSAVE and their like), which may have written part of its operand,
  and does so again. Their other registers and flags are those from before.
* It may leave more often than asked (a whole page traced instead of a byte), never less.
* Nobody stops it from outside: run() ends with the budget, at an exit, or because a port access
  that it is serving sets `recheck`. So the budget bounds how long the monitor is deaf. A REP
  instruction costs 1 however long it takes, so a very long one leaves in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from bt.interp.state import (
    ACC_FETCH,
    ACC_USER,
    ACC_WRITE,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    MARK_COUNTS,
    MARK_ENTRY,
    MARK_LOOKUP,
    MARK_STUB,
    MARK_TRACE,
    PERM_EXEC,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PINNED,
    PERM_PRESENT,
    PERM_WRITE,
)

if TYPE_CHECKING:
    from bt.interp.run import Interp

__all__ = [
    "ACC_FETCH",
    "ACC_USER",
    "ACC_WRITE",
    "EXITS",
    "EXIT_BREAKPOINT",
    "EXIT_BUDGET",
    "EXIT_EXCEPTION",
    "EXIT_IO",
    "EXIT_SOFTINT",
    "MARK_COUNTS",
    "MARK_ENTRY",
    "MARK_LOOKUP",
    "MARK_STUB",
    "MARK_TRACE",
    "MAX_STOPS",
    "MAX_WATCHPOINTS",
    "PERM_EXEC",
    "PERM_GLOBAL",
    "PERM_LARGE",
    "PERM_PINNED",
    "PERM_PRESENT",
    "PERM_WRITE",
    "AddressSpace",
    "Bus",
    "Engine",
    "FrameTable",
    "Space",
]

#: Every way in which an engine leaves, and what holds then.
EXITS = {
    EXIT_BUDGET: "the budget is spent: exactly so many guest instructions have completed",
    EXIT_EXCEPTION: "the instruction at EIP faulted: `fault_vector`, `fault_error` (0 where the "
    "vector has none), `cr2` for a page fault unless `traced`; it has not completed, and there was "
    "budget for it",
    EXIT_SOFTINT: "INT n, INT3, INTO or INT1 at EIP: `exit_arg` is n; it has not completed",
    EXIT_BREAKPOINT: "EIP is at a stop, or at a critical instruction that is audited",
    EXIT_IO: "a port access set `recheck`: it has completed, EIP is behind it; or a REP "
    "instruction takes long: EIP is at it, its registers say how far it came, run again",
}

MAX_STOPS = 256  # what set_stops() takes
MAX_WATCHPOINTS = 16  # what set_watchpoints() takes


class Bus(Protocol):
    """Where port accesses go (while ports are open). What a callback raises, run() raises again.

    `size` is 1, 2 or 4 bytes. While a callback runs, the engine's `io_icount` is the count before
    the access.
    """

    def read_port(self, port: int, size: int) -> int:
        """IN: the value, of `size` bytes."""

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT."""


class FrameTable(Protocol):
    """Physical memory as an engine and the ideal processor share it, and what is asked of frames.

    `written`, `watch`, `audit`, `trace` and `forget_blocks` are not for use while an engine runs,
    but from a callback of its bus `written` and `take_trace` are.
    """

    def is_ram(self, pa: int) -> bool:
        """Is there guest RAM at this address? False for the monitor's own memory, too."""

    def bytes_at(self, pa: int, size: int) -> bytes:
        """What stands there, in one page."""

    def written(self, pa: int, size: int) -> None:
        """The monitor, or a device, changed these bytes: code in them is to be looked at anew.

        Whatever a processor itself writes, through whatever mapping, needs no such call.
        """

    def forget_blocks(self) -> None:
        """Look at all code anew."""

    def watch(self, pa: int, size: int, on: bool) -> None:
        """Trace writes to these bytes (in one page), or stop tracing them.

        A write of the engine to a traced byte is a page fault with `traced` set: error code 7
        (present, write, user), and nothing has changed. A write of the ideal processor goes
        through and is logged.
        """

    def is_watched(self, pa: int) -> bool:
        """Was tracing asked for this byte of RAM?"""

    def take_watch_log(self) -> list[tuple[int, int]] | None:
        """Where the ideal processor wrote to traced bytes since last time, and empty the log.

        Ranges that hold all of them, perhaps more: (physical address, bytes). None: in too many
        places to tell.
        """

    def trace(self, room: int) -> None:
        """Note each guest instruction that a processor begins, up to `room` until they are taken.

        In a translation cache those marked MARK_TRACE. Again where one that faulted, or a REP, is
        begun again. 0: stop. Looks at all code anew.
        """

    def take_trace(self) -> list[tuple[int, int, int, int, int]]:
        """What was noted, in order, and empty the notes.

        Place and root (TRACE_* of bt/interp/state.py), count, and the bytes of what is not in the
        cache: eight as a number with the first one lowest, and eight more.
        """

    def audit(self, frame: int, on: bool) -> None:
        """Stop before the instructions in this frame that show ring 3 the engine's own state.

        These are SLDT, STR, SGDT, SIDT, SMSW, LAR, LSL, VERR and VERW. Takes effect for code that
        was not looked at yet: `written` or `forget_blocks` for the rest.
        """


class AddressSpace(Protocol):
    """A set of mappings that belongs to one engine (`Engine.new_space`). Starts empty."""

    def flush(self, keep_global: bool = False) -> None:
        """Unmap all pages but those mapped PERM_PINNED; and PERM_GLOBAL ones if `keep_global`."""


Space = TypeVar("Space", bound=AddressSpace)


class Engine(Protocol[Space]):
    """What runs guest code in ring 3; see the module's words for what holds at every exit."""

    # --- what an exit tells -------------------------------------------------------------

    @property
    def eip(self) -> int:
        """EIP where the engine left; of translated code, an address of the cache."""

    @property
    def exit_reason(self) -> int:
        """What run() or step_past() returned last."""

    @property
    def exit_arg(self) -> int:
        """EXIT_SOFTINT: the number. EXIT_BREAKPOINT: the linear address."""

    @property
    def fault_vector(self) -> int:
        """EXIT_EXCEPTION: the vector (SDM vol. 3, table 6-1)."""

    @property
    def fault_error(self) -> int:
        """EXIT_EXCEPTION: the error code, ACC_* and bit 0 (present) for a page fault."""

    @property
    def cr2(self) -> int:
        """EXIT_EXCEPTION with a page fault that is not `traced`: the linear address."""

    @property
    def traced(self) -> int:
        """EXIT_EXCEPTION: 1 if it is a write to traced bytes."""

    @property
    def wp_fault(self) -> int:
        """EXIT_EXCEPTION: 1 if it is an access to watched bytes; the vector is that of #PF."""

    @property
    def io_icount(self) -> int:
        """While the bus serves a port access: guest instructions completed before it."""

    @property
    def stubs_done(self) -> int:
        """Instructions marked MARK_STUB that completed, since the engine was made."""

    @property
    def lookups(self) -> int:
        """Indirect JMPs marked MARK_LOOKUP that were begun, since the engine was made."""

    # --- what is asked of it ------------------------------------------------------------

    recheck: int
    """Set to 1 by a bus callback: leave with EXIT_IO as soon as the access has completed."""

    audit_all: int
    """1: stop before every critical instruction (the seventeen), in any frame."""

    cr0: int
    """For the witness, before step_past(): CR0 as SMSW shall show it. An engine that the host's own
    processor answers for may ignore it."""

    def memory(self) -> FrameTable:
        """The frames, for the calls that concern all of this engine's spaces."""

    # --- address spaces -----------------------------------------------------------------

    def new_space(self) -> Space:
        """An empty address space."""

    def use_space(self, space: Space) -> None:
        """Run in this space from now on."""

    def map_page(self, space: Space, la: int, pa: int, perm: int) -> None:
        """Map a linear page to a frame, readable; PERM_WRITE, PERM_EXEC. Replaces a mapping.

        PERM_GLOBAL and PERM_PINNED say what a flush leaves, PERM_LARGE that the page is a piece of
        a 4 MiB one. ValueError: there is no memory at `pa`.
        """

    def unmap_page(self, space: Space, la: int) -> None:
        """Unmap a page, pinned or not; nothing happens where none is mapped."""

    def unmap_frame(self, space: Space, frame: int) -> None:
        """Unmap every page of the space that leads to this frame."""

    def invalidate_shadow(self, space: Space, la: int) -> None:
        """INVLPG: unmap a page that is not pinned, global or not.

        If it is a piece of a large page, all pieces of that 4 MiB region go.
        """

    def mappings(self, space: Space) -> list[tuple[int, int, int]]:
        """Every page that is mapped: linear address, physical address, PERM_*. For who looks."""

    # --- running ------------------------------------------------------------------------

    def run_direct(self, source: Interp, ceiling: int, count: int, budget: int) -> int:
        """Run the guest of `source` as it is for at most `budget` instructions; an EXIT_*.

        Loaded from `source`: general registers, EIP, the flags that ring 3 holds (arithmetic, DF,
        NT, AC, ID), the x87 unit, the bits of CR0 that concern ring 3 (MP, EM, TS, NE, AM), and
        the descriptor caches, *truncated*: no offset reaches linear addresses from `ceiling` on,
        directly or by wrapping. A segment that has no part below is as good as null, an
        expand-down one has no valid offset. The same registers, EIP and flags go back into
        `source` whatever happens; its other flags and its descriptor caches stay as they were.
        Instructions are counted from `count`. All ports are closed.
        """

    def load_direct(self, source: Interp, ceiling: int, count: int) -> None:
        """The first part of run_direct(), for trap mode: the registers are in the engine."""

    def compress_rings(self) -> None:
        """After load_direct(): CS and SS carry RPL 3, as a guest kernel in ring 3 sees them."""

    def run(self, budget: int) -> int:
        """Run on from the state in the engine; an EXIT_*. 0: leave at once with EXIT_BUDGET.

        If it left before a stop, and EIP is still there, that stop is passed.
        """

    def step_past(self, watchpoints: bool = False) -> int:
        """Run one instruction from the state in the engine, though a stop or an audit is there.

        With `watchpoints`, though it may access watched bytes.
        """

    def give_registers(self, target: Interp) -> None:
        """The last part of run_direct(): registers, EIP and ring 3's flags into `target`."""

    def give_null_segments(self, target: Interp) -> int:
        """Null selectors that the guest loaded by itself into `target`; how many."""

    def segment(self, i: int) -> tuple[int, int, int, int]:
        """Selector, base, limit and rights of a segment register as the code had it that ran last.

        By its number (0 ES, CS, SS, DS, FS, GS); rights as Interp.segment() has them. For who
        looks.
        """

    def run_translated(
        self,
        source: Interp,
        eip: int,
        ceiling: int,
        count: int,
        budget: int,
        page: int,
        linear: int,
        reserved: int,
    ) -> int:
        """Run code of the translation cache at `eip` for the guest of `source`; an EXIT_*.

        As run_direct(), but CS is flat (base 0, limit 4 GiB), and segment register `reserved` (by
        its number) has base `linear` and reaches the vCPU pages and tables of bt/stubs.py, which
        the monitor has mapped there. In the pages themselves, at physical address `page`, the
        virtual IF, selectors and control registers of `source` are filled in. Ports are open if
        the CPL of `source` is 0. Registers and flags go back, IF as the code left the virtual
        one; EIP does not, it stands in `self.eip`.
        """

    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        """Show ring 3 a virtual machine of VMware's, if `backdoor` is not 0.

        CPUID tells of it, unless `tsc_khz` is 0: `tsc_khz` and `bus_khz`, and, if `served`, that
        VMCALL may be used. An access to port 5658 or 5659 is an exception even while ports are
        open. VMCALL, VMMCALL and RDPMC of VMware's counters are so in any case: the ideal processor
        runs them.
        """

    # --- counting -----------------------------------------------------------------------

    def icount(self) -> int:
        """Guest instructions completed."""

    def set_icount(self, count: int) -> None:
        """Count on from here; for step_past()."""

    def set_count_region(self, base: int, size: int) -> None:
        """In this linear region only marked instructions count and cost budget. Once."""

    def mark(self, address: int, marks: bytes) -> None:
        """A byte of MARK_* for each byte of the region from `address` on.

        That of an instruction's first byte is the instruction's. Before its code is looked at, or
        with `FrameTable.written`. A budget may end behind a marked instruction only.
        """

    def marks_at(self, address: int, size: int) -> bytes:
        """What mark() was told of these bytes of the region."""

    def count_entries(self) -> None:
        """MARK_ENTRY may be used from now on. It costs where it is used, and nowhere else."""

    def entries(self, address: int) -> int:
        """How often the instruction marked MARK_ENTRY at `address` was begun since it was marked.

        Also where it then faulted or left. 0 for what is not so marked.
        """

    def set_stops(self, addresses: list[int]) -> None:
        """Leave with EXIT_BREAKPOINT before the instructions at these linear addresses.

        ValueError: more than MAX_STOPS. They replace those of the last call.
        """

    def set_watchpoints(
        self, watchpoints: list[tuple[int, int, int]], spaces: list[Space]
    ) -> None:
        """Leave before an access to watched bytes: a page fault with `wp_fault` set.

        A watchpoint is (first, last, WP_* bits): linear addresses, and the accesses of interest;
        an engine leaves before any. `spaces` are all that it runs in. They replace those of the
        last call. ValueError: more than MAX_WATCHPOINTS.
        """

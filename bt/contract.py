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

* Code runs at CPL 3, EFLAGS.IF set, IOPL 0. It reaches nothing but what is mapped. Loading a
  segment register is an exception but for null selectors, and what `Traits.selectors` adds.
* Every exit is *precise*. EIP is between two instructions, and the instruction there has changed
  nothing: no register, no flag, no byte of memory. Two kinds of instruction may be in the middle: a
  REP string instruction, whose registers say how far it came, and one that saves or stores more
  than 8 bytes (PUSHA, ENTER, FNSAVE and their like), which may have written part of its operand,
  and does so again. Their other registers and flags are those from before.
* In a translation cache it leaves where something faults, at an INT3, and else only behind an
  instruction marked MARK_COUNTS (`mark`).
* A write to ROM (FRAME_ROM) changes nothing, whatever the mapping allows, and one to a frame that
  is clean (FRAME_CLEAN, `Ram.written_frames`) is noted: it completes, or leaves as a write to
  traced bytes does.
* It may leave more often than asked, never less: before a write anywhere in a page with a traced
  byte (`traced`), before an access anywhere in a page with a watched one (`wp_fault`), and before
  any instruction that it cannot do by itself, as #GP(0): an access to an open port, RDTSC. The
  monitor has the ideal processor do that instruction. Only a page fault that is neither `traced`
  nor `wp_fault` says that a page is missing, or a right to it.
* Of the x87 unit's pointers (last instruction, operand, opcode) it may give back zeros, unless an
  exception is pending.
* run() ends with the budget, at an exit, because a port access that it is serving sets `recheck`,
  or after stop(). A REP instruction costs 1 however long it takes, so a very long one leaves in
  between.

What only some can do is a property of the engine, `Traits`, known before one is made; what goes
with it stands in a protocol of its own: `PortEngine`, `AuditingEngine`, `InstrumentedEngine`,
`DescriptorEngine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
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
    EXIT_STOPPED,
    MARK_COUNTS,
    MARK_ENTRY,
    MARK_LOOKUP,
    MARK_RECORD,
    MARK_STUB,
    PERM_EXEC,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PINNED,
    PERM_PRESENT,
    PERM_WRITE,
    SLICE,
)

if TYPE_CHECKING:
    from bt.interp.interp import Interp
    from bt.models import Model

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
    "EXIT_STOPPED",
    "MARK_COUNTS",
    "MARK_ENTRY",
    "MARK_LOOKUP",
    "MARK_RECORD",
    "MARK_STUB",
    "MAX_STOPS",
    "MAX_WATCHPOINTS",
    "PERM_EXEC",
    "PERM_GLOBAL",
    "PERM_LARGE",
    "PERM_PINNED",
    "PERM_PRESENT",
    "PERM_WRITE",
    "SLICE",
    "AddressSpace",
    "AuditingEngine",
    "Bus",
    "DescriptorEngine",
    "Engine",
    "FrameTable",
    "InstrumentedEngine",
    "PortEngine",
    "Selectors",
    "Space",
    "StringBus",
    "Traits",
]

#: Every way in which an engine leaves, and what holds then.
EXITS = {
    EXIT_BUDGET: "the budget is spent: with exact counts, exactly so many guest instructions have "
    "completed, less what wait() took",
    EXIT_EXCEPTION: "the instruction at EIP faulted: `fault_vector`, `fault_error` (0 where the "
    "vector has none), `cr2` for a page fault unless `traced`; it has not completed, and with "
    "exact counts the budget had room for it",
    EXIT_SOFTINT: "INT n, INT3, INTO or INT1 at EIP: `exit_arg` is n; it has not completed",
    EXIT_BREAKPOINT: "EIP is at a stop, or at a critical instruction that is audited",
    EXIT_IO: "a port access set `recheck`: it has completed, EIP is behind it; or a REP "
    "instruction takes long: EIP is at it, its registers say how far it came, run again",
    EXIT_STOPPED: "stop() was called; the budget is not spent",
}

MAX_STOPS = 256  # what set_stops() takes
MAX_WATCHPOINTS = 16  # what set_watchpoints() takes


class Selectors(Enum):
    """What an engine keeps in the segment registers."""

    GUEST = "the guest's own; to load one that is not null is an exception"
    SHADOW = "the guest's own; those that set_descriptor() has told can be loaded"
    HOST = "selectors of the host's; code that could see them is never run directly"


@dataclass(frozen=True)
class Traits:
    """What an engine is like."""

    exact_counts: bool
    """icount() is how many guest instructions have completed, RDTSC shows it, and a budget ends
    behind exactly so many. Else icount() is an estimate that never goes back and grows by one at
    least in a run in which something has completed, or may have; and a budget is about how long to
    run: it may end earlier or later. Time cannot be counted in instructions then, nor machines be
    compared instruction by instruction."""

    selectors: Selectors
    """With SHADOW it is a `DescriptorEngine`."""

    serves_ports: bool
    """Accesses to open ports go to the bus: a `PortEngine`. Else they are exceptions."""

    audits: bool
    """It can stop before critical instructions: an `AuditingEngine`. Without, mode trap is out of
    its reach, and user code is translated."""

    traps_x87: bool
    """CR0.TS and CR0.EM of the guest make its x87, MMX and SSE instructions exceptions, and so do
    CR4.OSFXSR and CR4.OSXMMEXCPT where they are clear. Without, the ideal processor runs whatever
    has CR0.TS or CR0.EM set."""

    traces_bytes: bool
    """It leaves at traced and watched bytes, and not elsewhere in their pages."""

    instruments: bool
    """It notes and counts what it runs, for those who watch: an `InstrumentedEngine`."""

    @property
    def runs_directly(self) -> bool:
        """Can guest code run as it is (run_direct), and get right answers or an exit?"""
        return self.audits and self.selectors is not Selectors.HOST


class Bus(Protocol):
    """Where port accesses go (while ports are open). What a callback raises, run() raises again.

    `size` is 1, 2 or 4 bytes. While a callback runs, the engine's `io_icount` is the count before
    the access.
    """

    def read_port(self, port: int, size: int) -> int:
        """IN: the value, of `size` bytes."""

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT."""


class StringBus(Bus, Protocol):
    """One that may serve many elements of a REP INS or OUTS at once. An engine need not ask."""

    def read_ports(self, port: int, size: int, count: int) -> bytes:
        """At most `count` elements, if that is all that reading them so often would do, in time
        and everything else; none if not."""

    def write_ports(self, port: int, size: int, data: bytes) -> int:
        """The same for writing; how many elements were taken."""


class FrameTable(Protocol):
    """What an engine has to be told of physical frames.

    It holds for the ideal processor, too: an engine with page protections of its own passes the
    calls on to the `Ram` that both share, and follows them. Nothing here is for use while an engine
    runs, but from a callback of its bus `written` and `take_record` are.
    """

    def written(self, pa: int, size: int) -> None:
        """The monitor, or a device, changed these bytes: code in them is to be looked at anew.

        Whatever a processor itself writes, through whatever mapping, needs no such call.
        """

    def forget_blocks(self) -> None:
        """Look at all code anew."""

    def trace_writes(self, pa: int, size: int, on: bool) -> None:
        """Trace writes to these bytes (in one page), or stop tracing them.

        A write of the engine to a traced byte is a page fault with `traced` set: error code 7
        (present, write, user), and nothing has changed. A write of the ideal processor goes
        through and is logged (Ram.take_write_log).
        """

    def audit(self, frame: int, on: bool) -> None:
        """Stop before the instructions in this frame that show ring 3 the engine's own state.

        These are SLDT, STR, SGDT, SIDT, SMSW, LAR, LSL, VERR and VERW. Takes effect for code that
        was not looked at yet: `written` or `forget_blocks` for the rest. Nothing happens where
        `Traits.audits` is false.
        """

    def record(self, room: int) -> None:
        """Note each guest instruction that a processor begins, up to `room` until they are taken.

        In a translation cache those marked MARK_RECORD. Again where one that faulted, or a REP, is
        begun again. 0: stop. Looks at all code anew. Where `Traits.instruments` is false only the
        ideal processor's are noted.
        """

    def take_record(self) -> list[tuple[int, int, int, int, int]]:
        """What was noted, in order, and empty the notes.

        Place and root (TRACE_* of bt/interp/state.py), count, and the bytes of what is not in the
        cache: eight as a number with the first one lowest, and eight more.
        """


class AddressSpace(Protocol):
    """A set of mappings that belongs to one engine (`Engine.new_space`). Starts empty."""

    def flush(self, keep_global: bool = False) -> None:
        """Unmap all pages but those mapped PERM_PINNED; and PERM_GLOBAL ones if `keep_global`."""


Space = TypeVar("Space", bound=AddressSpace)


class Engine(Protocol[Space]):
    """What runs guest code in ring 3; see the module's words for what holds at every exit."""

    @property
    def traits(self) -> Traits:
        """What it is like; the same for all of its class."""

    # --- what an exit tells -------------------------------------------------------------

    @property
    def eip(self) -> int:
        """EIP where the engine left; of translated code, an address of the cache."""

    @property
    def exit_reason(self) -> int:
        """What the last run returned."""

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

        Only where `Traits.runs_directly`. 0: leave at once with EXIT_BUDGET. If the last run ended
        before a stop, and EIP is still there, that stop is passed.

        Loaded from `source`: general registers, EIP, the flags that ring 3 holds (arithmetic, DF,
        NT, AC, ID), the x87 unit, XMM registers and MXCSR, the bits of CR0 and CR4 that concern
        ring 3 (MP, EM, TS, NE, AM; OSFXSR, OSXMMEXCPT), and the descriptor caches, *truncated*: no
        offset reaches linear addresses from `ceiling` on, directly or by wrapping. A segment that
        has no part below is as good as null, an expand-down one has no valid offset. The same
        registers, EIP and flags go back into `source` whatever happens; its other flags and its
        descriptor caches stay as they were. Instructions are counted from `count`. All ports are
        closed.
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
        virtual IF, selectors and control registers of `source` are filled in, and how what `source`
        has in `reserved` can be reached through DS: SEGMENT_SHIFT, and bounds that let pass an
        operand that is within both its limit and the ceiling (bt/segment_access.py). Ports are open
        if the CPL of `source` is 0. Registers and flags go back, IF as the code left the virtual
        one; EIP does not, it stands in `self.eip`.
        """

    def stop(self) -> None:
        """Let the run that is under way leave with EXIT_STOPPED within a slice; else the next one.

        From any thread, and from a signal's handler; it waits for nothing. A request stays until a
        run has left with EXIT_STOPPED, which answers all there were. So none is lost that comes
        before a run begins or after it ended. A slice is about SLICE instructions; a run that ends
        otherwise within one need not look. A run that is to stop at once completes one instruction,
        unless its budget is 0 or it leaves before.
        """

    def give_null_segments(self, target: Interp) -> int:
        """Null selectors that the guest loaded by itself into `target`; how many."""

    def segment(self, i: int) -> tuple[int, int, int, int]:
        """Selector, base, limit and rights of a segment register as the code had it that ran last.

        By its number (0 ES, CS, SS, DS, FS, GS); rights as Interp.segment() has them. For who
        looks.
        """

    def set_model(self, model: Model) -> None:
        """Be a processor of this model, as the ideal one is: what it lacks raises #UD, CPUID tells.

        Before anything runs.
        """

    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        """Show ring 3 a virtual machine of VMware's, if `backdoor` is not 0.

        CPUID tells of it, unless `tsc_khz` is 0: `tsc_khz` and `bus_khz`, and, if `served`, that
        VMCALL may be used. An access to port 5658 or 5659 is an exception even while ports are
        open. VMCALL, VMMCALL and RDPMC of any counter are so in any case: the ideal processor runs
        them.
        """

    # --- counting, and where to stop ----------------------------------------------------

    def icount(self) -> int:
        """Guest instructions completed; `Traits.exact_counts` says how well it knows."""

    def set_count_region(self, base: int, size: int) -> None:
        """In this linear region only marked instructions count and cost budget. Once."""

    def mark(self, address: int, marks: bytes) -> None:
        """A byte of MARK_* for each byte of the region from `address` on.

        That of an instruction's first byte is the instruction's. Before its code is looked at, or
        with `FrameTable.written`.
        """

    def marks_at(self, address: int, size: int) -> bytes:
        """What mark() was told of these bytes of the region."""

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


class PortEngine(Engine[Space], Protocol[Space]):
    """`Traits.serves_ports`: what goes with an access to the bus from inside a run."""

    recheck: int
    """Set to 1 by a bus callback: leave with EXIT_IO as soon as the access has completed."""

    @property
    def io_icount(self) -> int:
        """While the bus serves a port access: guest instructions completed before it."""

    def wait(self, ticks: int) -> None:
        """From a callback of the bus: the access takes as long as `ticks` guest instructions.

        The TSC goes on by them, and run() leaves as many instructions earlier; EXIT_IO or
        EXIT_BUDGET right after the access if its budget held no more. Completed instructions are
        counted as ever.
        """


class AuditingEngine(Engine[Space], Protocol[Space]):
    """`Traits.audits`: it stops before critical instructions, which trap mode and its witness need.

    The parts of run_direct() are theirs alone, too.
    """

    audit_all: int
    """1: stop before every critical instruction (the seventeen), in any frame."""

    cr0: int
    """For the witness, before step_past(): CR0 as SMSW shall show it. An engine that the host's own
    processor answers for may ignore it."""

    def load_direct(self, source: Interp, ceiling: int, count: int) -> None:
        """The first part of run_direct(): the registers are in the engine."""

    def compress_rings(self) -> None:
        """After load_direct(): CS and SS carry RPL 3, as a guest kernel in ring 3 sees them."""

    def run(self, budget: int) -> int:
        """Run on from the state in the engine; an EXIT_*."""

    def step_past(self, watchpoints: bool = False) -> int:
        """Run one instruction from the state in the engine, though a stop or an audit is there.

        With `watchpoints`, though it may access watched bytes.
        """

    def give_registers(self, target: Interp) -> None:
        """The last part of run_direct(): registers, EIP and ring 3's flags into `target`."""

    def set_icount(self, count: int) -> None:
        """Count on from here; for step_past()."""


class InstrumentedEngine(Engine[Space], Protocol[Space]):
    """`Traits.instruments`: it counts what the marks ask for. See also FrameTable.record."""

    @property
    def stubs_done(self) -> int:
        """Instructions marked MARK_STUB that completed, since the engine was made."""

    @property
    def lookups(self) -> int:
        """Indirect JMPs marked MARK_LOOKUP that were begun, since the engine was made."""

    def count_entries(self) -> None:
        """MARK_ENTRY may be used from now on. It costs where it is used, and nowhere else."""

    def entries(self, address: int) -> int:
        """How often the instruction marked MARK_ENTRY at `address` was begun since it was marked.

        Also where it then faulted or left. 0 for what is not so marked.
        """


class DescriptorEngine(Engine[Space], Protocol[Space]):
    """`Selectors.SHADOW`: it loads segment registers by itself, from descriptors that it is given.

    MOV, POP, LDS and their like, as a processor at CPL 3 does it; what it was not given is #GP,
    #NP or #SS with the selector as error code, and changes nothing.
    """

    def set_descriptor(self, selector: int, segment: tuple[int, int, int] | None) -> None:
        """What a selector (its RPL aside) leads to from now on: base, limit, rights; None: nothing.

        For code that run_direct() runs for a guest at CPL 3. The segment is below the ceiling, its
        DPL is 3, its limit one that a descriptor can say. Registers that hold it stay as they are.
        """

    def loaded_segments(self) -> list[tuple[int, int]]:
        """Segment registers that the code of the last run has loaded, and with which selectors.

        But for null ones, of which give_null_segments() tells, to be asked afterwards: a register
        is here with what it held before, whose base and limit it keeps. One that was loaded with
        what it held anyway may be among them or not.
        """

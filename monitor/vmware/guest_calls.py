"""Where a machine's guest calls come in: between the processor, the commands and user space.

    processor   IN at 5658h ── access() ──> a command of the monitor, at once
                                   └─────>  of the host application: leave run(), serve()
                VMCALL ────────────────────────────────────────────> leave run(), serve()

What leaves run() is a world switch, as it was for VMware: out of the virtual processor's world to
the host application, and back.
"""

from __future__ import annotations

from bt.engine import Interp
from bt.interp.state import (
    BACKDOOR_OFF,
    BACKDOOR_OPEN,
    BACKDOOR_RESTRICTED,
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    EXIT_SHUTDOWN,
    IOPL,
)
from monitor.vmm.board import Board
from monitor.vmm.errors import CallbackFailed
from monitor.vmm.outcome import Outcome
from monitor.vmm.processor import Processor
from monitor.vmware.backdoor import Backdoor
from monitor.vmware.call import PORT, UNSUPPORTED, Call
from monitor.vmware.commands import Where
from monitor.vmware.exits import VmwareExit
from monitor.vmware.hypercalls import Hypercalls

FIELDS = (("eax", EAX), ("ebx", EBX), ("ecx", ECX), ("edx", EDX), ("esi", ESI), ("edi", EDI),
          ("ebp", EBP))  # fmt: skip


class GuestCalls:
    """One per machine."""

    def __init__(self, processor: Processor, board: Board) -> None:
        self.processor = processor
        self.board = board
        self.backdoor: Backdoor | None = None
        self.hypercalls = Hypercalls()
        self.forwarded = 0  # backdoor calls that the host application served
        self.reports: list[str] = []  # what the guest wants to be known; the commands bound it
        self._call: Call | None = None  # the one that has left run()
        board.guest_calls = self

    @property
    def on(self) -> bool:
        """Does the guest have any of these interfaces?"""
        return self.backdoor is not None or bool(self.hypercalls.mode)

    def configure(self, tsc_khz: int, bus_khz: int, served: bool) -> None:
        """Tell the processors what is on."""
        opening = BACKDOOR_OFF
        if not self.on:
            tsc_khz = bus_khz = 0
        if self.backdoor is not None:
            tsc_khz = tsc_khz if self.backdoor.host.cpuid else 0
            opening = BACKDOOR_RESTRICTED if self.backdoor.restricted else BACKDOOR_OPEN
        self.processor.set_vmware(
            opening, int(bool(self.hypercalls.mode)), int(served), tsc_khz, bus_khz
        )

    # --- the processor's side, inside run() ---------------------------------------------

    def access(self, cpu: Interp, port: int, size: int, out: int, value: int) -> int:
        """An access to one of the two ports. Low bandwidth: 1 if the host application shall serve
        it; high bandwidth: what INS reads."""
        backdoor = self.backdoor
        assert backdoor is not None
        call = call_of(cpu, size, bool(out))
        if port == PORT:
            self.board.tell("call", port, size, call.command)
            row = backdoor.command_of(call)
            if row is not None and backdoor.where(row) is Where.HOST:
                self._call = call
                return 1
            backdoor.low(call)
            store(cpu, call)
            return 0
        if size != 1:
            return UNSUPPORTED
        if out:
            backdoor.high_write(call, value)
        else:
            value = backdoor.high_read(call)
        self.board.tell("out" if out else "in", port, size, value)
        cpu.set_reg(EBX, call.ebx)
        return value

    def read_counter(self, index: int) -> int:
        """RDPMC of one of VMware's counters."""
        assert self.backdoor is not None
        self.board.tell("rdpmc", 0, 4, index)
        return self.backdoor.read_counter(index)

    # --- the machine's side, after run() ------------------------------------------------

    def serve(self) -> Outcome | None:
        """Serve the call that made the processor leave run(). Raises CallbackFailed."""
        return self.board.host.request("guest call", self._serve)

    def _serve(self) -> Outcome | None:
        call, self._call = self._call, None
        if call is None:
            self.board.tell("hypercall", 0, 4, self.processor.ideal.reg(EAX))
            return self._answer(self.hypercalls.forward(self.processor.ideal))
        assert self.backdoor is not None
        self.forwarded += 1
        self.backdoor.low(call)
        store(self.processor.ideal, call)
        return self._finish()

    def resume(self) -> Outcome | None:
        """Go on with the hypercall that the embedder's loop has answered, if there is one."""
        try:
            exit_ = self.hypercalls.take_answer()
            return None if exit_ is None else self._answer(exit_)
        except CallbackFailed as failure:
            return Outcome("callback", detail=str(failure))

    def forget(self) -> None:
        """There is another guest, or it begins again: nobody waits for an answer."""
        self._call = None
        self.hypercalls.waiting = None

    def _answer(self, exit_: VmwareExit | None) -> Outcome | None:
        if exit_ is None:
            return Outcome("vmware", detail="a hypercall waits for its answer")
        return self._finish(*self.hypercalls.store(self.processor.ideal, exit_))

    def _finish(self, vector: int = -1, error: int = 0, address: int = 0) -> Outcome | None:
        """Complete the instruction, or raise an exception at it."""
        if self.processor.answer_call(vector, error, address) == EXIT_SHUTDOWN:
            return Outcome("shutdown", detail="triple fault: the processor shut down")
        return None

    def statistics(self) -> dict[str, object]:
        """Backdoor calls by command, how many were forwarded, and hypercalls."""
        return {
            "calls": dict(self.backdoor.calls) if self.backdoor is not None else {},
            "forwarded": self.forwarded,
            "hypercalls": self.hypercalls.count,
            "reports": list(self.reports),
        }


def call_of(cpu: Interp, size: int, out: bool) -> Call:
    """The registers of the program that calls."""
    reg = cpu.reg
    return Call(
        reg(EAX), reg(EBX), reg(ECX), reg(EDX), reg(ESI), reg(EDI), reg(EBP),
        cpu.cpl, (cpu.eflags & IOPL) >> 12, size, out,
    )  # fmt: skip


def store(cpu: Interp, call: Call) -> None:
    """Give the registers back, all of EAX too, whatever the operand's width was."""
    for name, number in FIELDS:
        cpu.set_reg(number, getattr(call, name) & 0xFFFFFFFF)

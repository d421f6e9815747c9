"""Hypercalls: VMCALL and VMMCALL, forwarded to user space.

User space is a function that is given the exit structure, or the embedder's own loop: without a
function run() returns with kind "vmware", `machine.vmware.exit` is the structure, and the next
run() takes the answer from it.

    def answer(exit_):
        exit_.hcall.result = exit_.hcall.rbx + 1

    machine.enable(X86_VMWARE_HYPERCALL)
    machine.vmware.on_hypercall = answer
"""

from __future__ import annotations

from collections.abc import Callable

from bt.engine import Interp
from bt.interp.state import VEC_UD
from monitor.vmm.errors import CallbackFailed
from monitor.vmware.call import MAGIC
from monitor.vmware.callback import Caller
from monitor.vmware.exits import HCALL, REGISTERS, VmwareExit

# The vectors that a P6 raises as exceptions: no NMI, no coprocessor overrun, nothing reserved.
VECTORS = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18))

Handler = Callable[[VmwareExit], object]


class Hypercalls:
    """The policy of one machine."""

    def __init__(self) -> None:
        self.mode = ""  # "": off; "all"; "magic"
        self.server: Handler | None = None  # our own: calls with the magic are backdoor calls
        self.handler: Handler | None = None
        self.other_handler: Handler | None = None  # with "magic": of calls without it
        self.caller = Caller()
        self.waiting: VmwareExit | None = None  # for the embedder's own loop
        self.count = 0
        self._before = VmwareExit()

    def forward(self, cpu: Interp) -> VmwareExit | None:
        """A hypercall at the processor's EIP: its exit structure once user space has answered, or
        None, and `waiting`, when the embedder's loop shall. Raises CallbackFailed."""
        self.count += 1
        exit_ = exit_of(cpu)
        self._before = VmwareExit.from_buffer_copy(exit_)
        handler = self.handler
        if exit_.hcall.rax == MAGIC:
            handler = self.server or handler
        elif self.mode == "magic":
            handler = self.other_handler or _undefined
        handler = handler or self.server
        if handler is not None and handler is self.server:
            handler(exit_)
            return exit_
        if handler is None:
            self.waiting = exit_
            return None
        self.caller.call(handler, exit_)
        return exit_

    def take_answer(self) -> VmwareExit | None:
        """What the embedder's loop made of the exit it was given."""
        exit_, self.waiting = self.waiting, None
        return exit_

    def store(self, cpu: Interp, exit_: VmwareExit) -> tuple[int, int, int]:
        """Put the answer into the registers; vector, error code and address to raise, or -1."""
        call, before = exit_.hcall, self._before.hcall
        exception = call.exception
        for name, number in REGISTERS.items():
            value = getattr(call, name)
            if value != getattr(before, name):
                cpu.set_reg(number, value)
        if not exception.inject:
            cpu.set_reg(0, call.result)
            return -1, 0, 0
        if exception.vector not in VECTORS:
            raise CallbackFailed(
                f"the answer to a hypercall asked for vector {exception.vector}, "
                "which is no exception of this processor"
            )
        return exception.vector, exception.error_code, exception.address


def exit_of(cpu: Interp) -> VmwareExit:
    """The structure for the hypercall that the processor stands at."""
    exit_ = VmwareExit(type=HCALL)
    exit_.hcall.cpl = cpu.cpl
    for name, number in REGISTERS.items():
        setattr(exit_.hcall, name, cpu.reg(number))
    return exit_


def _undefined(exit_: VmwareExit) -> None:
    """Nobody takes calls of other hypervisors."""
    exit_.inject(VEC_UD)

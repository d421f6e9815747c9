"""The trapping processor: the guest's kernel as it is, in ring 3, and what traps is emulated.

This is trap-and-emulate, the way that Popek and Goldberg (1974) prove right for a processor on
which every sensitive instruction traps, and which x86 is not: see witness.py for what goes wrong.
Rings are compressed, so that the kernel's selectors carry RPL 3.
"""

from __future__ import annotations

from typing import Any, cast

from bt.contract import (
    ACC_FETCH,
    EXIT_BREAKPOINT,
    EXIT_EXCEPTION,
    EXIT_SOFTINT,
    AuditingEngine,
)
from bt.engine import Ram
from bt.interp.state import (
    EXIT_NONE,
    POSTURE_STRANGE,
    POSTURE_USER,
    POSTURE_USER_FLAGS,
    VEC_PF,
)
from monitor.vmm.board import Board
from monitor.vmm.memory import GuestMemory
from monitor.vmm.shadow import HIDDEN_BASE
from monitor.vmm.virtual import VirtualProcessor
from monitor.vmm.witness import Witness


class TrappingProcessor(VirtualProcessor):
    def __init__(
        self, ram: Ram, memory: GuestMemory, board: Board, engine: str = "interp"
    ) -> None:
        super().__init__(ram, memory, board, engine)
        self.audited = cast(AuditingEngine[Any], self.engine)
        self.audited.audit_all = 1
        self.ideal.ring_compression = 1
        self.witness = Witness(self.ideal, self.audited, memory)

    def advance(self, posture: int, budget: int) -> int:
        if posture == POSTURE_STRANGE:
            return self.run_emulated(budget)
        if posture in (POSTURE_USER, POSTURE_USER_FLAGS):
            return self.run_direct(budget)
        return self._run_deprivileged(budget)

    def _run_deprivileged(self, budget: int) -> int:
        """Guest ring 0 as it is, in ring 3, and a witness of every critical instruction."""
        engine = self.audited
        engine.use_space(self.shadow.kernel)
        engine.load_direct(self.ideal, HIDDEN_BASE, self.total)
        engine.compress_rings()
        reason = engine.run(budget)
        self.account("direct", engine.icount())
        engine.give_registers(self.ideal)
        if self.not_stopped(reason) == EXIT_NONE:
            return EXIT_NONE
        if reason == EXIT_BREAKPOINT:
            if self.at_stop():
                return EXIT_NONE
            return self._witness()
        if reason == EXIT_SOFTINT:
            return self.emulate(f"INT {engine.exit_arg:#x}")
        assert reason == EXIT_EXCEPTION, f"engine left direct execution with reason {reason}"
        fetch = engine.fault_vector == VEC_PF and engine.fault_error & ACC_FETCH
        if fetch and self.shadow.run_anything(engine.cr2):
            self.note("shadow fill", self.ideal.eip)
            return EXIT_NONE
        return self.engine_fault(user=False)

    def _witness(self) -> int:
        """A critical instruction: let ring 3 run it, and note what ring 0 would have seen."""
        engine = self.engine
        if not self.witness.step(self.total):
            if engine.exit_reason == EXIT_EXCEPTION and engine.fault_vector == VEC_PF:
                return self.engine_fault(user=False)  # its stack, perhaps: fill and try again
            return self.emulate("critical, traps")
        self.account("direct", self.engine.icount())
        if self.ideal.recheck:  # after IRET an NMI may come that waits
            self._noticed = 1
        self.note("critical, silent", self.ideal.eip)
        return EXIT_NONE

    def statistics(self) -> dict[str, object]:
        return super().statistics() | {"wrong_answers": self.witness.report()}

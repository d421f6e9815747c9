"""Trap mode's witness: what critical instructions get wrong when ring 0 code runs in ring 3.

The engine stops before each critical instruction. The witness lets the ideal processor do it first
(that is what bare hardware would give), puts everything back, then lets ring 3 do it, and compares.
Ring 3's result is what the guest goes on with: this mode shows that x86 is not virtualizable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bt.contract import EXIT_BUDGET, AuditingEngine
from bt.engine import Interp
from bt.interp.state import CR0_MP, CR0_NE, CR0_WP, CS, SS
from bt.lengths import locate
from monitor.vmm.memory import GuestMemory

NAMES = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
# What a host's operating system keeps in the real CR0, and no monitor changes for its guest.
HOST_CR0 = CR0_MP | CR0_NE | CR0_WP
WINDOW = 8  # bytes of memory compared: what a push, SGDT or SIDT may write


@dataclass
class WrongAnswer:
    """One kind of instruction that gave ring 3 something else than ring 0 would have seen."""

    mnemonic: str
    count: int
    first_eip: int
    got: str
    want: str


@dataclass
class Witness:
    ideal: Interp
    engine: AuditingEngine[Any]
    memory: GuestMemory
    wrong: dict[str, WrongAnswer] = field(default_factory=dict)

    def step(self, count: int) -> bool:
        """Run the critical instruction at the guest's EIP both ways. False: ring 3 traps on it."""
        ideal = self.ideal
        mnemonic = self._mnemonic(ideal.eip)
        windows = self._windows()
        ideal.set_icount(count)
        before = ideal.save_state()
        saved = [self.memory.read(at, WINDOW) for at in windows.values()]
        try:
            ideal.step_past()  # also where there is a breakpoint
            wanted = self._visible(windows)
            blocked_then = ideal.nmi_blocked  # IRET lets NMI through
        finally:  # a device of the embedder's may have raised
            ideal.put_back(before)
            for at, data in zip(windows.values(), saved, strict=True):
                self.memory.write(at, data)
        self.engine.set_icount(count)
        self.engine.cr0 |= HOST_CR0  # SMSW shows it; nothing else that is critical looks at it
        if self.engine.step_past(watchpoints=True) != EXIT_BUDGET:
            ideal.take_watchpoint()  # it has yet to be run
            return False
        self.engine.give_registers(ideal)
        self.engine.give_null_segments(ideal)
        ideal.nmi_blocked = blocked_then
        self._compare(mnemonic, self._visible(windows), wanted)
        return True

    def report(self) -> list[dict[str, object]]:
        return [vars(answer) for answer in sorted(self.wrong.values(), key=lambda a: -a.count)]

    def _visible(self, windows: dict[str, int]) -> dict[str, int]:
        """What a program could look at after the instruction."""
        cpu = self.ideal
        state = {name: int(cpu.reg(i)) for i, name in enumerate(NAMES)}
        state["eflags"] = int(cpu.flags()) & 0x3FFFFF
        for name, at in windows.items():
            state[name] = int.from_bytes(self.memory.read(at, WINDOW), "little")
        return state

    def _compare(self, mnemonic: str, got: dict[str, int], wanted: dict[str, int]) -> None:
        for name, value in wanted.items():
            if got[name] != value:
                known = self.wrong.get(mnemonic)
                if known is not None:
                    known.count += 1
                else:
                    both = (_shown(name, each, got[name] ^ value) for each in (got[name], value))
                    self.wrong[mnemonic] = WrongAnswer(mnemonic, 1, self._eip, *both)
                return

    def _mnemonic(self, eip: int) -> str:
        self._eip = int(eip)
        physical = self.ideal.peek_translation(eip)
        if physical < 0 or physical + 15 > self.memory.size:
            return "?"
        found = locate(self.memory.read(physical, 15))
        return found.row.mnemonic if found is not None and found.row is not None else "?"

    def _windows(self) -> dict[str, int]:
        """Memory the instruction may write, by name: physical addresses of eight bytes each."""
        ideal = self.ideal
        places = {"stack": ideal.segment(SS)[1] + ideal.reg(4) - WINDOW}
        code = ideal.peek_translation(ideal.segment(CS)[1] + ideal.eip & 0xFFFFFFFF)
        if 0 <= code < self.memory.size:
            operand = ideal.operand_linear(code)
            if operand >= 0:
                places["operand"] = operand
        windows = {}
        for name, linear in places.items():
            physical = ideal.peek_translation(linear & 0xFFFFFFFF)
            in_page = linear & 0xFFF <= 0x1000 - WINDOW
            if in_page and 0 <= physical <= self.memory.size - WINDOW:
                windows[name] = physical
        return windows


def _shown(name: str, value: int, differing: int) -> str:
    """A value for the report. Of the stack's window the doubleword just pushed is the upper one."""
    if name == "stack" and differing >> 32:
        value >>= 32
    return f"{name}={value:08x}"

"""`GuestCpu`: the interpreter behind the same door as the oracle's `HostCpu`.

    with HostCpu() as host:
        guest = GuestCpu(visible_descriptors(host))
        cases = form.generate(rng, 256)
        differ(form, cases, host.run_array(cases), guest.run_array(cases))

Two processors can stand behind it, in the world of guest_world.py:

* external: serves a monitor. Every exception leaves run(), pages are mapped by the embedder.
* bare: the whole machine. The same pages by page tables, exceptions through an IDT whose gates
  lead to one HLT per vector in ring 0; the result is read off the ring 0 stack.

A case ends as the oracle's do: a jump to the driver's `save`, where a HLT waits, which ring 3 may
not execute. So the end is #GP(0) at `save`, and everything else is the case's own exception.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from bt.engine import AddressSpace, Interp, Ram
from bt.hostcpu import driver
from bt.hostcpu import layout as at
from bt.hostcpu.gdt import Visible
from bt.hostcpu.host import NO_FAULT, RF, finish_code
from bt.interp.state import (
    CR0_AM,
    CR0_ET,
    CR0_MP,
    CR0_NE,
    CR0_PE,
    CR0_PG,
    CR0_WP,
    CR4_OSFXSR,
    CR4_OSXMMEXCPT,
    CS,
    DS,
    ES,
    EXIT_EXCEPTION,
    EXIT_HALT,
    EXIT_SOFTINT,
    FS,
    GS,
    LDTR,
    SS,
    TR,
    VEC_AC,
    VEC_DF,
    VEC_GP,
    VEC_PF,
    VEC_TS,
)
from bt.models import MODELS
from tests.instructions import guest_world as world

Array = Any

CR0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG
USER_FLAGS = 0x25_4DD5  # what ring 3 can change: ID, AC, NT, OF, DF, TF, SF, ZF, AF, PF, CF
FIXED_FLAGS = 0x202
BUDGET = 100_000  # no case runs that long

#: Vectors that push an error code (SDM volume 3, table 6-1).
WITH_ERROR = {VEC_DF, *range(VEC_TS, VEC_PF + 1), VEC_AC}

SEGMENTS = (CS, ES, SS, DS, FS, GS)  # in the order of the records
CASE = struct.Struct(f"<8I I I 6I 108s 16Q I I {at.SLOT}s {at.MAIN_SIZE}s {at.EDGE_SIZE}s 16x")
RESULT = struct.Struct(f"<8I I I 6I 108s 16Q I I 4I 16x {at.MAIN_SIZE}s {at.EDGE_SIZE}s")
assert CASE.size == at.CASE.itemsize
assert RESULT.size == at.RESULT.itemsize

# Two instructions of the embedder's own, each followed by INT 20h: FRSTOR and FNSAVE [CONTROL].
STUBS = 0xF00
LOAD_UNIT, SAVE_UNIT = at.DRIVER + STUBS, at.DRIVER + STUBS + 8
STUB_CODE = b"".join(
    b"\xdd" + modrm + at.CONTROL.to_bytes(4, "little") + b"\xcd\x20" for modrm in (b"\x25", b"\x35")
)

MAIN = world.DATA + at.MAIN_WINDOW - at.DATA
EDGE = world.DATA + at.EDGE_WINDOW - at.DATA
SLOT = world.CODE + at.CODE_OFFSET
UNIT_SIZE = 108

M64 = (1 << 64) - 1
PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))


class RunawayError(Exception):
    """A case left the interpreter in a way that no case may."""


@dataclass
class End:
    """How a case ended: the exception, and where."""

    vector: int
    error: int
    eip: int
    eflags: int
    esp: int
    cs: int
    ss: int


class GuestCpu:
    """The interpreter in the oracle's world."""

    def __init__(self, visible: list[Visible], bare: bool = False) -> None:
        self.bare = bare
        made = driver.build()
        self._ends = (made.save, made.save_vectors)
        self._known = world.segments(visible)
        self._memory = world.build(self._known, self._ends)
        stubs = world.DRIVER + STUBS
        self._memory[stubs : stubs + len(STUB_CODE)] = STUB_CODE
        self._ram = Ram(self._memory, world.RAM_SIZE, 1 << 16)
        self._cpu = Interp(self._ram, None, not bare)
        self._pristine = bytes(self._memory)
        self._set_up()

    def run_array(self, cases: Array) -> Array:
        """Run an array of layout.CASE; an array of layout.RESULT, as HostCpu.run_array gives it."""
        ready = cases.copy()
        finish_code(ready, *self._ends)
        source = ready.tobytes()
        out = bytearray(len(cases) * RESULT.size)
        for number in range(len(cases)):
            case = CASE.unpack_from(source, number * CASE.size)
            RESULT.pack_into(out, number * RESULT.size, *self._run(case))
        results = np.frombuffer(out, at.RESULT)
        if self._strays():
            raise RunawayError("a case wrote outside of the memory windows")
        return results

    # The processor

    def _set_up(self) -> None:
        cpu = self._cpu
        cpu.set_model(MODELS["pentium4"])
        cpu.cr0, cpu.cr3 = CR0, world.DIRECTORY
        cpu.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT
        cpu.gdtr_base, cpu.gdtr_limit = world.SUPERVISOR + world.GDT, world.GDT_LIMIT
        cpu.idtr_base = world.SUPERVISOR + world.IDT
        cpu.idtr_limit = 8 * world.VECTORS - 1
        cpu.set_segment(LDTR, world.SEL_LDT, world.SUPERVISOR + world.LDT, world.LDT_LIMIT, 0x82)
        cpu.set_segment(TR, world.SEL_TSS, world.SUPERVISOR + world.TSS, world.TSS_LIMIT, 0x8B)
        cpu.flush()
        if not self.bare:
            self._map()

    def _map(self) -> None:
        user, supervisor = AddressSpace(self._ram), AddressSpace(self._ram)
        for page in world.PAGES:
            self._cpu.map_page(supervisor, page.linear, page.frame, page.permissions)
            if page.user:
                self._cpu.map_page(user, page.linear, page.frame, page.permissions)
        self._cpu.use_spaces(user, supervisor)

    def _strays(self) -> bool:
        """Whether memory changed where no case may write; then make it good again."""
        outside = (
            (world.DATA, world.DATA + 0xF00),
            (world.DATA + 0x1100, world.DATA + 0x1F80),
            (world.READ_ONLY, world.READ_ONLY + at.PAGE),
            (world.GDT, world.GDT + 0x100),
        )
        dirty = False
        for first, last in outside:
            if self._memory[first:last] != self._pristine[first:last]:
                self._memory[first:last] = self._pristine[first:last]
                dirty = True
        return dirty

    def _select(self, selectors: tuple[int, ...]) -> None:
        for number, selector in zip(SEGMENTS, selectors, strict=True):
            segment = self._known[selector]
            self._cpu.set_segment(number, selector, segment.base, segment.limit, segment.attributes)

    # One case

    def _run(self, case: tuple[Any, ...]) -> tuple[Any, ...]:
        cpu, memory = self._cpu, self._memory
        unit, vectors, (mxcsr, length, code, main, edge) = case[16], case[17:33], case[33:]
        eip, selectors = case[9], case[10:16]
        if memory[SLOT : SLOT + at.SLOT] != code:
            memory[SLOT : SLOT + at.SLOT] = code
            self._ram.written(SLOT, at.SLOT)
        memory[MAIN : MAIN + at.MAIN_SIZE] = main
        memory[EDGE : EDGE + at.EDGE_SIZE] = edge
        self._unit(LOAD_UNIT, unit)
        for number in range(8):
            cpu.set_vector(number, vectors[2 * number] | vectors[2 * number + 1] << 64)
        cpu.mxcsr = mxcsr
        self._select(selectors)
        for number in range(8):
            cpu.set_reg(number, case[number])
        cpu.set_flags(case[8] & USER_FLAGS | FIXED_FLAGS)
        cpu.eip = eip
        end = self._until_end()
        regs = [cpu.reg(number) for number in range(8)]
        regs[4] = end.esp
        others = [cpu.segment(number)[0] for number in (ES, DS, FS, GS)]
        at_save = end.eip in self._ends and end.cs == at.SEL_CODE32
        fault: tuple[int, ...] = (1, end.vector, end.error, cpu.cr2 if end.vector == VEC_PF else 0)
        cs, eip_after = end.cs, end.eip
        if at_save and end.vector == VEC_GP and end.error == 0:
            fault, cs, eip_after = (0, NO_FAULT, 0, 0), selectors[0], eip + length
        saved = self._unit(SAVE_UNIT)
        vectors = [cpu.vector(number) >> half & M64 for number in range(8) for half in (0, 64)]
        return (
            *regs, end.eflags & ~RF, eip_after,
            cs, others[0], end.ss, others[1], others[2], others[3],
            saved, *vectors, cpu.mxcsr, *fault, 0,
            bytes(memory[MAIN : MAIN + at.MAIN_SIZE]), bytes(memory[EDGE : EDGE + at.EDGE_SIZE]),
        )  # fmt: skip

    def _unit(self, stub: int, image: bytes | None = None) -> bytes:
        """Load or save the x87 unit by an instruction of the processor's own."""
        cpu, memory = self._cpu, self._memory
        place = slice(world.CONTROL, world.CONTROL + UNIT_SIZE)
        if image is not None:
            memory[place] = image
        cpu.set_privilege(3)
        for number, selector in ((CS, at.SEL_CODE32), (DS, at.SEL_FLAT), (SS, at.SEL_FLAT)):
            known = self._known[selector]
            cpu.set_segment(number, selector, known.base, known.limit, known.attributes)
        cpu.set_flags(FIXED_FLAGS)
        cpu.eip = stub
        reason = cpu.run(BUDGET)
        if reason != (EXIT_HALT if self.bare else EXIT_SOFTINT):
            raise RunawayError(f"the x87 state did not load or save: exit {reason}")
        cpu.set_privilege(3)
        return bytes(memory[place])

    def _until_end(self) -> End:
        reason = self._cpu.run(BUDGET)
        if self.bare and reason == EXIT_HALT:
            return self._frame()
        if not self.bare and reason in (EXIT_EXCEPTION, EXIT_SOFTINT):
            return self._exit(reason)
        raise RunawayError(f"exit {reason} at {self._cpu.eip:#x}")

    def _exit(self, reason: int) -> End:
        """What an external processor tells; INT n goes where Linux's IDT would send it."""
        cpu = self._cpu
        vector, error, eip = cpu.fault_vector, cpu.fault_error, cpu.eip
        if reason == EXIT_SOFTINT:
            vector, error = cpu.exit_arg, 0
            if vector in world.CALLABLE:
                eip += self._int_length(eip)
            else:
                vector, error = VEC_GP, vector * 8 + 2
        return End(
            vector, error, eip, cpu.flags(), cpu.reg(4), cpu.segment(CS)[0], cpu.segment(SS)[0]
        )

    def _int_length(self, eip: int) -> int:
        """Bytes of the INT3, INTO or INT n at eip, prefixes included."""
        linear = eip + self._cpu.segment(CS)[1]
        place = world.CODE + linear - at.CODE_PAGE
        length = 1
        while self._memory[place] in PREFIXES:
            place += 1
            length += 1
        return length + (self._memory[place] == 0xCD)

    def _frame(self) -> End:
        """The frame that the gate pushed on the ring 0 stack (SDM volume 3, figure 6-4)."""
        cpu = self._cpu
        vector = (cpu.eip - world.SUPERVISOR - world.HANDLERS) // world.HANDLER_SIZE
        place = cpu.reg(4) - world.SUPERVISOR
        error = 0
        if vector in WITH_ERROR:
            (error,) = struct.unpack_from("<I", self._memory, place)
            place += 4
        eip, cs, eflags, esp, ss = struct.unpack_from("<5I", self._memory, place)
        return End(vector, error, eip, eflags, esp, cs & 0xFFFF, ss & 0xFFFF)


__all__ = ["GuestCpu", "RunawayError"]

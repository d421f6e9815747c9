"""A batch of worlds on our own processor: the interpreter alone, or a machine in any mode."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bt.engine import Interp, Ram
from bt.interp.state import CS, DS, ES, EXIT_IO, EXIT_SHUTDOWN, FS, GS, SS
from monitor import Machine
from tests.bochs import layout as at
from tests.bochs.kernel import ROM_BASE, kernel, low_part, rom
from tests.bochs.world import batch

MEMORY = at.MEMORY_MB << 20
#: Instructions of a world, its start and its end included; one that takes more is a runaway.
WORLD_BUDGET = 2_000
#: How often the interpreter may ask for the loop in a world: amid a long REP, or when exceptions
#: follow each other without an instruction. A world that does nothing else is a runaway, too.
PAUSES = 64
KERNEL_BUDGET = 1_000_000


class WorldError(Exception):
    """The kernel around the worlds did not come to its end."""


@dataclass
class Board:
    """The bus: port 80h asks for the loop, everything else is open."""

    cpu: Interp | None = None
    said: int = 0
    done: int = 0  # worlds
    rom: bytes = b""

    def read_port(self, port: int, size: int) -> int:
        return (1 << (8 * size)) - 1

    def write_port(self, port: int, size: int, value: int) -> None:
        if port == at.PORT and at.PORT_START <= value <= at.PORT_END:
            assert self.cpu is not None
            self.said = value
            self.done += value == at.PORT_DONE
            self.cpu.recheck = 1

    def read_memory(self, address: int, size: int) -> int:
        """The ROM that Bochs has at the top of memory; all else is open."""
        if address >= ROM_BASE:
            return int.from_bytes(self.rom[address - ROM_BASE :][:size], "little")
        return (1 << (8 * size)) - 1

    def write_memory(self, address: int, size: int, value: int) -> None:
        pass


class Bench:
    """The interpreter with the kernel and a batch of worlds in its memory."""

    def __init__(self, template: bytes, worlds: list[bytes]) -> None:
        self.memory = bytearray(MEMORY)
        _load(self.memory, template, worlds)
        self.board = Board(rom=rom(template, batch(worlds)))
        self.ram = Ram(self.memory, MEMORY, 4096)
        self.cpu = Interp(self.ram, self.board)
        self.board.cpu = self.cpu
        self.runaways: set[int] = set()
        self._pauses = 0
        self._before = b""  # the kernel as it was when the world started
        _restart(self.cpu)

    def run(self) -> None:
        """All worlds."""
        while self.board.said != at.PORT_END:
            in_world = self.board.said == at.PORT_START
            reason = self.cpu.run(WORLD_BUDGET if in_world else KERNEL_BUDGET)
            if in_world:
                self._leave_world(reason)
            elif reason != EXIT_IO:
                raise WorldError(f"exit {reason} at {self.cpu.eip:#x}, world {self.board.done}")
            elif self.board.said == at.PORT_START:
                self._before = bytes(self.memory[at.KERNEL : at.KERNEL_END])

    def _leave_world(self, reason: int) -> None:
        """The world is over: caught by the kernel, shut down, or a runaway. Or it pauses."""
        if self._runs_away(reason):
            self.runaways.add(self.board.done)
            self.memory[at.KERNEL : at.KERNEL_END] = self._before
            self.ram.forget_blocks()
            reason = EXIT_SHUTDOWN
        if reason == EXIT_SHUTDOWN:
            self.board.said = 0
            _restart(self.cpu)

    def _runs_away(self, reason: int) -> bool:
        paused = reason == EXIT_IO and self.board.said == at.PORT_START
        self._pauses = self._pauses + 1 if paused else 0
        if self._pauses > PAUSES:
            self._pauses = 0
            return True
        return reason not in (EXIT_IO, EXIT_SHUTDOWN) or self._kernel_is_damaged()

    def _kernel_is_damaged(self) -> bool:
        """Has the world written to the kernel, or to its low part?"""
        symbols = kernel().symbols
        for first, last in (("entry", "kernel_gdt"), ("out_at", "s_size")):
            start, end = symbols[first], symbols[last]
            before = self._before[start - at.KERNEL : end - at.KERNEL]
            if self.memory[start:end] != before:
                return True
        low = low_part()
        return self.memory[at.LOW : at.LOW + len(low)] != low


def run_bare(template: bytes, worlds: list[bytes]) -> tuple[bytes, set[int]]:
    """The records of all worlds, and the numbers of those that did not end by themselves.

    A runaway's record says that it shut down.
    """
    bench = Bench(template, worlds)
    bench.run()
    return _records(bench.memory), bench.runaways


def _load(memory: bytearray | memoryview, template: bytes, worlds: list[bytes]) -> None:
    image = kernel().image
    memory[at.KERNEL : at.KERNEL + len(image)] = image
    memory[at.TEMPLATE : at.TEMPLATE + len(template)] = template
    raw = batch(worlds)
    memory[at.WORLDS : at.WORLDS + len(raw)] = raw


def _restart(cpu: Interp) -> None:
    """What the ROM does on a PC: flat protected mode, at the kernel's entry."""
    cpu.reset()
    for segment in (ES, CS, SS, DS, FS, GS):
        code = segment == CS
        selector = at.KCODE if code else at.KDATA
        cpu.set_segment(segment, selector, 0, 0xFFFFFFFF, 0xC09B if code else 0xC093)
    cpu.cr0 = 0x11
    cpu.set_flags(0x2)
    cpu.gdtr_base, cpu.gdtr_limit = kernel().symbols["kernel_gdt"], 0x1F
    cpu.eip = kernel().symbols["entry"]


def _records(memory: bytearray | memoryview) -> bytes:
    end = at.OUTPUT
    while size := struct.unpack_from("<I", memory, end)[0]:
        end += size
    return bytes(memory[at.OUTPUT : end + 4])


def run_machine(template: bytes, worlds: list[bytes], mode: str) -> bytes:
    """The records of worlds that all end, from a machine in this mode."""
    machine = Machine(memory_mb=at.MEMORY_MB, mode=mode)
    memory = machine.memory.map()
    loaded = bytearray(at.OUTPUT)
    _load(loaded, template, worlds)
    memory[: at.OUTPUT] = memoryview(loaded)
    symbols = kernel().symbols
    budget = len(worlds) * (WORLD_BUDGET + KERNEL_BUDGET)
    while True:
        machine.load_flat(b"\0", at.WORLDS - 16, eip=symbols["entry"])
        machine.set_register("gdtr_base", symbols["kernel_gdt"])
        machine.set_register("gdtr_limit", 0x1F)
        outcome = machine.run(
            max_instructions=budget, until_address=symbols["next_world__finished"]
        )
        if outcome.kind != "shutdown":
            break
    if outcome.kind != "address":
        raise WorldError(f"{outcome.kind} at {machine.registers['eip']:#x}: {outcome.detail}")
    return _records(memory.data)

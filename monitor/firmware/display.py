"""A display adapter as its BIOS leaves it: 80 by 25 characters, with a font to draw them.

    board, processor, memory, roms          with the BIOS's memory filled (state.py)
    start_display(...)                      the VGA BIOS has run, and lies at C0000h

A kernel that is loaded without a BIOS finds a screen that shows what it writes, as with a loader
that came from a disk. The VGA BIOS itself does that (SeaBIOS's, found as for --bios), on the ideal
processor, before the guest's first instruction. It takes no time and is not counted: the guest's
life begins behind it. Where there is none, the adapter stays as after RESET#, and shows nothing
before the guest has programmed all of it.

What the VGA BIOS would keep in its own memory vanishes, as it is ROM here: its VBE functions find
no frame buffer. A guest that asks for those is started by a BIOS.
"""

from __future__ import annotations

from typing import Protocol

from bt.contract import EXIT_BUDGET, EXIT_IO
from bt.interp.state import CS
from monitor.embedding.roms import Roms
from monitor.embedding.starting import start_at
from monitor.firmware.rom_files import VGA_BIOS, find, open_rom
from monitor.loaders.plan import Memory
from monitor.loaders.start import StartState
from monitor.vmm.board import Board
from monitor.vmm.processor import Processor

VGA_PORT = 0x3C0
ROM_AT, INIT = 0xC0000, 3  # where it lies, and where in it its work begins
CALLER, STACK = 0x7C00, 0x7C00  # as a boot sector; what lies around is put back
# call C000:0003; mov ax, 3; int 10h: set mode 3; jmp $
CODE = bytes((0x9A, INIT, 0, 0x00, ROM_AT >> 12)) + bytes.fromhex("B8 03 00  CD 10  EB FE")
BACK = CALLER + len(CODE) - 2
ROOM = 0x1000  # bytes below the stack's top that may be written
SLICE, MOST = 20_000, 5_000_000  # instructions; SeaBIOS's needs 400,000


class ReadableMemory(Memory, Protocol):
    """RAM that can be looked at, too."""

    def read(self, address: int, size: int) -> bytes: ...


def start_display(
    board: Board, processor: Processor, memory: ReadableMemory, roms: Roms
) -> None:
    """Run the VGA BIOS, if there is an adapter, and none that is there already."""
    rom = find(VGA_BIOS[False])
    taken = any(ROM_AT in each for each in roms.ranges) or board.bus.memory_in(ROM_AT, 1)
    if rom is None or taken or board.bus.owner_of(VGA_PORT) is None:
        return
    roms.add(ROM_AT, open_rom(rom, "VGA BIOS").data)
    before, clock, accesses = processor.ideal.save_state(), board.clock.now(), dict(board.accesses)
    kept = memory.read(STACK - ROOM, 2 * ROOM)
    memory.write(CALLER, CODE)
    start = StartState(eip=CALLER, esp=STACK, protected=False)
    start_at(processor.ideal, start, memory.read)
    _run(processor)
    processor.ideal.load_state(before)
    memory.write(STACK - ROOM, kept)
    board.accesses.update(accesses)
    board.clock.resume_at(clock)
    processor.forget_code()


def _run(processor: Processor) -> None:
    """Until it comes back, or does something that no VGA BIOS does."""
    cpu = processor.ideal
    end = cpu.icount() + MOST
    while cpu.icount() < end and cpu.run(SLICE) in (EXIT_BUDGET, EXIT_IO):
        if cpu.eip == BACK and cpu.segment(CS)[0] == 0:
            return

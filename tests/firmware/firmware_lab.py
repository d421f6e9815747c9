"""Small guests that find the machine as a BIOS, or nobody, has left it."""

from __future__ import annotations

import struct

from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine, Outcome

REAL_ORIGIN = 0x7C00
ORIGIN = 0x100000
HEADER_SIZE = 32
DONE = "mov al, 0\n out 0xF4, al\n"


def real(source: str, mode: str = "bare", state: str = "bios", **options: int) -> Machine:
    """A machine about to run code in real mode, at 0000:7C00."""
    machine = Machine(memory_mb=4, mode=mode, **options)  # type: ignore[arg-type]
    code = assemble(source, REAL_ORIGIN, bits=16)
    machine.load_flat(code, REAL_ORIGIN, real_mode=True, firmware_state=state)
    return machine


def answers(source: str, **registers: int) -> dict[str, int]:
    """The registers after code in real mode that ends by itself."""
    machine = Machine(memory_mb=4, mode="bare")
    code = assemble(source + "\n mov byte ptr [0x7000], al\n" + DONE, REAL_ORIGIN, bits=16)
    machine.load_flat(code, REAL_ORIGIN, real_mode=True, registers=registers, firmware_state="bios")
    assert finish(machine).kind == "exit"
    left = machine.registers
    left["eax"] = left["eax"] & ~0xFF | machine.read_physical(0x7000, 1)[0]
    return left


def multiboot_image(source: str) -> bytes:
    """A Multiboot kernel with address fields, from 32-bit code that stands behind them."""
    code = assemble(source, ORIGIN + HEADER_SIZE)
    end = ORIGIN + HEADER_SIZE + len(code)
    flags = 1 << 16
    head = struct.pack("<3I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF)
    return head + struct.pack("<5I", ORIGIN, ORIGIN, end, end, ORIGIN + HEADER_SIZE) + code


def finish(machine: Machine) -> Outcome:
    """Run to the guest's own end."""
    return machine.run(max_instructions=1_000_000, timeout=PATIENCE)

"""The interpreter's x87 unit on the same cases as hostfpu.py: the same loop, as a 32-bit guest.

The cases lie in guest RAM from 1 MiB on, the loop at 4 KiB. Everything the loop does (FRSTOR,
the instruction, FNSAVE) is the interpreter's, so state and environment are tested along the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bt.engine import Interp, Ram
from bt.interp.state import CR0_NE, CR0_PE, EDI, ESI, ESP, EXIT_HALT
from tests.x87.hostfpu import Array

CODE = 0x1000
STACK = 0x80000
CASES = 0x100000
FLAT_CODE, FLAT_DATA = 0xC09B, 0xC093
LIMIT = 0xFFFFFFFF


class NoBus:
    """Nothing is connected."""

    def read_port(self, port: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write_port(self, port: int, size: int, value: int) -> None: ...

    def read_memory(self, address: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write_memory(self, address: int, size: int, value: int) -> None: ...


def flat_cpu(ram: bytearray, bus: Any = None) -> Any:
    """A processor in flat protected mode at ring 0, x87 on, errors by #MF."""
    cpu = Interp(Ram(ram, len(ram)), bus or NoBus())
    cpu.cr0 = CR0_PE | CR0_NE | 0x10
    for i in range(6):
        cpu.set_segment(i, 8 if i == 1 else 16, 0, LIMIT, FLAT_CODE if i == 1 else FLAT_DATA)
    cpu.set_reg(ESP, STACK)
    return cpu


def loop_code(code: bytes) -> bytes:
    """hostfpu's loop in 32-bit code, with HLT at its end."""
    body = (
        bytes.fromhex("ffb780010000 9d dd27 8b8790010000")  # push flags; popf; frstor; mov eax
        + code
        + bytes.fromhex("ddb700010000 9c 8f8788010000 898790010000")  # fnsave; pushf; pop; eax
        + bytes.fromhex("81c700020000 ffce")  # add edi, 512; dec esi
    )
    back = -(len(body) + 6)
    return body + b"\x0f\x85" + back.to_bytes(4, "little", signed=True) + b"\xf4"


def run(code: bytes, cases: Array) -> None:
    """Execute the instruction on every case, in place."""
    data = cases.view(np.uint8).reshape(-1)
    ram = bytearray((CASES + len(data) + 0xFFFF) & ~0xFFFF)
    loop = loop_code(code)
    ram[CODE : CODE + len(loop)] = loop
    ram[CASES : CASES + len(data)] = data.tobytes()
    cpu = flat_cpu(ram)
    cpu.eip = CODE
    cpu.set_reg(EDI, CASES)
    cpu.set_reg(ESI, len(cases))
    reason = cpu.run(20 * len(cases) + 100)
    if reason != EXIT_HALT:
        fault = (cpu.fault_vector, cpu.fault_error, hex(cpu.eip), cpu.reg(ESI))
        raise AssertionError(f"the loop ended with exit {reason}, fault {fault}")
    data[:] = np.frombuffer(ram, np.uint8, len(data), CASES)
    del cpu

"""A bare 32-bit guest whose exceptions all end in HLT: for directed tests of faults.

end = run(bytes.fromhex("d9e8"), cr0=TS)
end.vector      # 7: #NM; None if the code ran to its end
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bt.interp.state import CR0_NE, CR0_PE, EXIT_HALT
from tests.x87.guestfpu import flat_cpu

CODE = 0x1000
GDT = 0x3000
IDT = 0x4000
HANDLERS = 0x5000  # 16 bytes for each vector
DATA = 0x8000
SIZE = 0x100000
HLT = b"\xf4"
PROTECTED = CR0_PE | CR0_NE | 0x10


@dataclass
class End:
    """Where a run ended."""

    cpu: Any
    ram: bytearray
    reason: int
    vector: int | None = None
    error_frame: list[int] = field(default_factory=list)  # dwords from the stack's top

    def bytes_at(self, address: int, size: int) -> bytes:
        return bytes(self.ram[address : address + size])


def prepared(code: bytes, cr0: int = PROTECTED, data: bytes = b"") -> tuple[Any, bytearray]:
    """A processor at `code` (HLT is appended) with tables in place and `data` at DATA."""
    ram = bytearray(SIZE)
    ram[CODE : CODE + len(code) + 1] = code + HLT
    ram[DATA : DATA + len(data)] = data
    ram[GDT + 8 : GDT + 24] = bytes.fromhex("ffff0000009bcf00 ffff00000093cf00")
    for vector in range(32):
        handler = HANDLERS + 16 * vector
        ram[handler] = HLT[0]
        gate = handler.to_bytes(2, "little") + b"\x08\x00\x00\x8e\x00\x00"
        ram[IDT + 8 * vector : IDT + 8 * vector + 8] = gate
    cpu = flat_cpu(ram)
    cpu.cr0 = cr0
    cpu.gdtr_base, cpu.gdtr_limit = GDT, 0x17
    cpu.idtr_base, cpu.idtr_limit = IDT, 0xFF
    cpu.eip = CODE
    return cpu, ram


def finish(cpu: Any, ram: bytearray, budget: int = 1000) -> End:
    """Run on; tell a handler's HLT from the code's own."""
    end = End(cpu, ram, cpu.run(budget))
    if end.reason == EXIT_HALT and HANDLERS <= cpu.eip < HANDLERS + 16 * 32:
        end.vector = (cpu.eip - HANDLERS) >> 4
        top = cpu.reg(4)
        end.error_frame = [
            int.from_bytes(ram[at : at + 4], "little") for at in range(top, top + 16, 4)
        ]
    return end


def run(code: bytes, cr0: int = PROTECTED, data: bytes = b"") -> End:
    return finish(*prepared(code, cr0, data))

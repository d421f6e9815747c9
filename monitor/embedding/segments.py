"""Segment registers with the part that programs cannot see: base, limit and access rights.

    machine.segments["fs"]                            Segment(selector=0x18, base=0, ...)
    machine.segments["fs"] = Segment(0x33, 0x80000, 0xFFFF, 0x4093)

`rights` is laid out as in a VMCS (SDM vol. 3, table 25-2): bits 0 to 3 the type, 4 S, 5 and 6 DPL,
7 P, 12 AVL, 14 D/B, 15 G, 16 unusable. It is what LAR returns, shifted right by 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bt.interp.state import CR0_PE, CS, LDTR, TR, VM
from monitor.vmm.errors import UserError
from monitor.vmm.processor import Processor
from monitor.vmm.registers import SEGMENTS

NUMBERS = {**SEGMENTS, "ldtr": LDTR, "tr": TR}
RIGHTS = 0x1F0FF
GRANULAR = 0x8000
LONGEST_IN_BYTES = 0xFFFFF
LOW_TWELVE = 0xFFF


@dataclass(frozen=True)
class Segment:
    """One segment register. `base` is a linear address, `limit` the last offset, in bytes.

    UserError for what no descriptor could say: a limit beyond 0xFFFFF needs G (bit 15 of `rights`),
    and with G its low 12 bits are ones.
    """

    selector: int
    base: int
    limit: int
    rights: int

    def __post_init__(self) -> None:
        for name, bits in (("selector", 16), ("base", 32), ("limit", 32)):
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise UserError(f"{name} {value:#x} does not fit into {bits} bits")
        if self.rights & ~RIGHTS:
            raise UserError(f"rights {self.rights:#x}: bits other than {RIGHTS:#x} must be zero")
        granular = bool(self.rights & GRANULAR)
        if granular and self.limit & LOW_TWELVE != LOW_TWELVE:
            raise UserError(f"limit {self.limit:#x}: with G in the rights it ends in fff")
        if not granular and self.limit > LONGEST_IN_BYTES:
            raise UserError(f"limit {self.limit:#x}: more than 0xfffff needs G (0x8000) in rights")


class Segments(Mapping[str, Segment]):
    """The segment registers by name: es, cs, ss, ds, fs, gs, ldtr and tr.

    Assigning loads no descriptor and checks no privilege; set_register() is for selectors alone. In
    protected mode, assigning "cs" makes its RPL the CPL. UserError for another name.
    """

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    def __getitem__(self, name: str) -> Segment:
        self._processor.sync()
        return Segment(*map(int, self._processor.ideal.segment(_number(name))))

    def __setitem__(self, name: str, segment: Segment) -> None:
        self._processor.sync()
        cpu = self._processor.ideal
        number = _number(name)
        cpu.set_segment(number, segment.selector, segment.base, segment.limit, segment.rights)
        if number == CS and cpu.cr0 & CR0_PE and not cpu.flags() & VM:
            cpu.set_privilege(segment.selector & 3)
        self._processor.restarted()

    def __iter__(self) -> Iterator[str]:
        return iter(NUMBERS)

    def __len__(self) -> int:
        return len(NUMBERS)


def _number(name: str) -> int:
    if name not in NUMBERS:
        raise UserError(f"segment register {name!r}: choose one of {', '.join(NUMBERS)}")
    return NUMBERS[name]

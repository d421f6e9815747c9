"""A backdoor call as a command sees it: the caller's registers, and how it called.

    mov eax, 564D5868h      ; the magic: "VMXh"
    mov ecx, 10             ; the command, GETVERSION, in CX
    mov edx, 5658h          ; the port
    in  eax, dx             ; EAX 6, EBX the magic again, ECX the product

A handler reads and changes the attributes; when it returns, the processor has them. Registers are
32-bit numbers, masked when they are stored back.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = 0x564D5868
PORT = 0x5658  # low bandwidth: one IN or OUT is a whole call
HIGH_PORT = 0x5659  # high bandwidth: REP INSB and REP OUTSB
UNSUPPORTED = 0xFFFFFFFF  # in EAX: what an open port reads as


@dataclass(slots=True)
class Call:
    """One call. `size` is the operand's width in bytes, `out` tells OUT from IN. `iopl` is only
    asked by commands that the guest itself restricted to those with I/O privilege."""

    eax: int = MAGIC
    ebx: int = 0
    ecx: int = 0
    edx: int = PORT
    esi: int = 0
    edi: int = 0
    ebp: int = 0
    cpl: int = 0
    iopl: int = 0
    size: int = 4
    out: bool = False

    @property
    def command(self) -> int:
        """The command's number, in CX."""
        return self.ecx & 0xFFFF

    @property
    def subcommand(self) -> int:
        """The upper half of ECX, which some commands use."""
        return self.ecx >> 16 & 0xFFFF

    def refuse(self) -> None:
        """Unknown, unsupported or not allowed: all of EAX becomes -1 whatever the operand's width,
        for OUT as for IN, and nothing else changes (QEMU's vmport does the same). Without the magic
        nobody was called, and the port is an open one: IN reads ones, OUT goes nowhere."""
        if self.eax == MAGIC:
            self.eax = UNSUPPORTED
        elif not self.out:
            self.eax |= (1 << 8 * self.size) - 1

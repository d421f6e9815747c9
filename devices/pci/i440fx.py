"""Intel 82441FX (440FX PMC): the host bridge, 00:00.0, with the switches of shadow RAM.

Manual: 82441FX datasheet (290549), chapter 3.

    59h       PAM0   7:4 F0000-FFFFF
    5Ah-5Fh   PAM1-6 3:0 and 7:4: 16 KiB each, from C0000 to EFFFF
    72h       SMRAM  held: there is no system management mode
    93h       TRC    turbo and reset control: 2 from 0 to 1 resets, 1 says whether hard

A PAM field's bit 0 sends reads to DRAM and bit 1 writes; else they go to PCI, where the BIOS's ROM
is. A BIOS copies itself by switching writes on first, and reads when it is done.

DRB0 to DRB7 (60h to 67h) say how much RAM there is, in units of 8 MiB; here all of it is in row 0,
and no BIOS has to find out. The subsystem's numbers are not the datasheet's, which has none: they
are how SeaBIOS knows a virtual machine that has fw_cfg (devices/fw_cfg.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from devices.bus import Bus
from devices.pci.function import COMMAND_MASTER, COMMAND_MEMORY, PciFunction

PMCCFG, DRAMC, PAM, DRB, SMRAM, ERRCMD, ERRSTS, TRC = (
    0x50, 0x57, 0x59, 0x60, 0x72, 0x90, 0x91, 0x93,
)  # fmt: skip
PAMS, DRBS = 7, 8
READ_ENABLE, WRITE_ENABLE = 0x1, 0x2
PAM_WRITABLE = 0x77
PIECE = 0x4000
FIRST_PIECE, BIOS, END = 0xC0000, 0xF0000, 0x100000
ROW_UNIT = 8 << 20
D_OPEN, D_LCK, G_SMRAME, C_BASE_SEG = 0x40, 0x10, 0x08, 0x02
SMRAM_WRITABLE = 0x78
HARD, RESET_CPU = 0x02, 0x04


class I440Fx(PciFunction):
    """The function. `on_reset` is told whether the reset is a hard one."""

    name = "i440fx"
    vendor_id, device_id, revision = 0x8086, 0x1237, 0x02
    class_code = 0x060000
    subsystem = (0x1AF4, 0x1100)
    command = COMMAND_MEMORY | COMMAND_MASTER
    command_writable = 0x0140
    status = 0x0280
    wiring = (*PciFunction.wiring, "_on_reset", "_shadow")

    def __init__(
        self, bus: Bus, memory_bytes: int = 0, on_reset: Callable[[bool], None] | None = None
    ) -> None:
        super().__init__(bus, 0)
        self._on_reset = on_reset
        self._shadow = bytes(PAMS)  # as the machine was told
        self.define(0x0D, 1, 0, 0xF8)  # MLT
        self.define(PMCCFG, 2, 0x0000, 0xFFFF)
        self.define(0x52, 5, 0x0000_0000_00, 0xFFFFFFFFFF)  # DETURBO to DRT: timing
        self.define(DRAMC, 2, 0x1001, 0x7F3F)  # and DRAMT
        for at in range(PAM, PAM + PAMS):
            self.define(at, 1, 0, PAM_WRITABLE)
        rows = min(0xFF, memory_bytes // ROW_UNIT)
        for at in range(DRB, DRB + DRBS):
            self.define(at, 1, rows, 0xFF)
        self.define(0x68, 1, 0, 0xC0)  # FDHC: the hole at 512 KiB or 15 MiB, not made
        self.define(0x70, 2, 0x0000, 0xF8F8)  # MTT, CLT
        self.define(SMRAM, 1, C_BASE_SEG, SMRAM_WRITABLE)
        self.define(ERRCMD, 1, 0, 0xFF)
        self.define(ERRSTS, 1, 0, clears=0x13)
        self.define(TRC, 1, 0, HARD | RESET_CPU)

    def reset(self) -> None:
        super().reset()
        self._switch()

    def restored(self) -> None:
        super().restored()
        self._switch()

    def write_config(self, offset: int, size: int, value: int) -> None:
        smram, trc = self.config[SMRAM], self.config[TRC]
        super().write_config(offset, size, value)
        if smram & D_LCK:  # until the next reset
            self.config[SMRAM] = smram
        elif self.config[SMRAM] & D_LCK:
            self.config[SMRAM] &= ~D_OPEN
        self._switch()
        if self.config[TRC] & ~trc & RESET_CPU and self._on_reset is not None:
            self._on_reset(bool(self.config[TRC] & HARD))

    def _switch(self) -> None:
        """Tell the machine what the PAM registers have changed."""
        pam = bytes(self.config[PAM : PAM + PAMS])
        old, self._shadow = self._shadow, pam
        if pam == old:
            return
        for (first, end, was), (_, _, now) in zip(_fields(old), _fields(pam), strict=True):
            if was != now:
                self.bus.shadow(first, end, bool(now & READ_ENABLE), bool(now & WRITE_ENABLE))


def _fields(pam: bytes) -> Iterator[tuple[int, int, int]]:
    """First address, end and attributes of each piece that the registers speak of.

    >>> [hex(first) for first, end, bits in _fields(bytes.fromhex("30 00 00 02 00 00 10")) if bits]
    ['0xf0000', '0xd0000', '0xec000']
    """
    yield BIOS, END, pam[0] >> 4 & (READ_ENABLE | WRITE_ENABLE)
    for number, byte in enumerate(pam[1:]):
        for half in range(2):
            first = FIRST_PIECE + (2 * number + half) * PIECE
            yield first, first + PIECE, byte >> 4 * half & (READ_ENABLE | WRITE_ENABLE)

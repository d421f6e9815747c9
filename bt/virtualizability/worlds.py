"""The worlds: values of the privileged state, each a row.

`GUEST` is what a kernel believes, `MONITOR` what its processor holds after ring compression, and
`VARIANTS` are the guest's world with one piece of the privileged state changed. In 16-bit code the
guest is in real mode and the monitor runs it in virtual-8086 mode (SDM vol. 3, chapter 21).

    >>> MONITOR.cpl, MONITOR.interrupts, GUEST.cpl
    (3, True, 0)

Linear memory and the LDT are those of bt/hostcpu/layout.py, so that an experiment in ring 3 is the
same on the host's processor. Two LDT descriptors are *kernel segments*: the guest gave them DPL 0,
ring compression makes that 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bt.hostcpu import layout as at
from bt.interp.state import (
    CR0_ET,
    CR0_MP,
    CR0_NE,
    CR0_PE,
    CR0_PG,
    CR0_WP,
    CR4_MCE,
    CR4_PCE,
    CR4_TSD,
)

KERNEL_SEGMENTS = (at.SEG_WINDOW, at.SEG_CODE)

PAGED = CR0_PE | CR0_PG | CR0_ET
HOST_CR0 = CR0_MP | CR0_NE | CR0_WP  # what a host's operating system sets besides


@dataclass(frozen=True)
class World:
    """Privileged state. Numbers of tables and registers choose between two values: the guest's (0)
    and the monitor's (1)."""

    name: str
    cpl: int = 0  #: with the DPL of the code and stack segments, as the architecture wants it
    interrupts: bool = True
    iopl: int = 0
    gdtr: int = 0
    idtr: int = 0
    ldtr: int = 0
    tr: int = 0
    cr2: int = 0
    cr3: int = 0
    cr0: int = PAGED
    cr4: int = CR4_TSD
    kernel_dpl: int = 0  #: of the kernel segments in the LDT
    time: int = 0
    device: int = 0x5A  #: what ports and model-specific registers hold
    shift: int = 0  #: how far memory has been relocated
    v86: bool = False
    ports_open: bool = False  #: the I/O permission bitmap allows them

    @property
    def ring0(self) -> bool:
        """Does the kernel run in ring 0 in it?"""
        return self.cpl == 0


GUEST = World("guest")
GUEST_CLI = replace(GUEST, name="interrupt flag", interrupts=False)
MONITOR = World(
    "monitor",
    cpl=3,
    gdtr=1,
    idtr=1,
    ldtr=1,
    tr=1,
    cr2=0x1111_0000,
    cr3=1,
    cr0=PAGED | HOST_CR0,
    cr4=CR4_TSD | CR4_MCE,
    kernel_dpl=3,
    time=1 << 40,
    device=0xA5,
)
LENIENT = replace(MONITOR, name="lenient", iopl=3, cr4=CR4_PCE, ports_open=True)
#: As an operating system of today runs user code: RDTSC is allowed.
LINUX = replace(MONITOR, name="Linux", cr4=CR4_MCE)

VARIANTS = (
    replace(GUEST, name="CPL", cpl=3),
    GUEST_CLI,
    replace(GUEST, name="IOPL", iopl=3),
    replace(GUEST, name="GDTR", gdtr=1),
    replace(GUEST, name="IDTR", idtr=1),
    replace(GUEST, name="LDTR", ldtr=1),
    replace(GUEST, name="TR", tr=1),
    replace(GUEST, name="CR0", cr0=MONITOR.cr0),
    replace(GUEST, name="CR2 to CR4", cr2=MONITOR.cr2, cr3=1, cr4=MONITOR.cr4),
    replace(GUEST, name="descriptors", kernel_dpl=3),
    replace(GUEST, name="time", time=MONITOR.time),
    replace(GUEST, name="ports and MSRs", device=MONITOR.device),
    replace(GUEST, name="relocation", shift=0x20_0000),
)

REAL = World("real mode", cr0=CR0_ET, cr4=0)
REAL_CLI = replace(REAL, name="interrupt flag", interrupts=False)
REAL_LATER = replace(
    REAL, name="other resources", time=MONITOR.time, device=MONITOR.device, cr0=CR0_ET | CR0_MP
)
V86_IOPL0 = replace(MONITOR, name="V8086, IOPL 0", v86=True, cr0=CR0_PE | CR0_ET | HOST_CR0)
V86_IOPL3 = replace(V86_IOPL0, name="V8086, IOPL 3", iopl=3)
V86_LENIENT = replace(V86_IOPL3, name="lenient", cr4=CR4_PCE, ports_open=True)


@dataclass(frozen=True)
class Setting:
    """Who is compared with whom: `guests` are in ring 0, `monitor` and `lenient` in ring 3."""

    name: str
    bits: int
    guests: tuple[World, ...]
    monitor: World
    lenient: World
    variants: tuple[World, ...] = ()

    @property
    def worlds(self) -> tuple[World, ...]:
        """Every one once."""
        rows = (*self.guests, self.monitor, self.lenient, *self.variants)
        return tuple(dict.fromkeys(rows))


PROTECTED = Setting("ring 3", 32, (GUEST, GUEST_CLI), MONITOR, LENIENT, VARIANTS)
VIRTUAL_0 = Setting("V8086, IOPL 0", 16, (REAL, REAL_CLI), V86_IOPL0, V86_LENIENT, (REAL_LATER,))
VIRTUAL_3 = Setting("V8086, IOPL 3", 16, (REAL, REAL_CLI), V86_IOPL3, V86_LENIENT, (REAL_LATER,))
SETTINGS = (PROTECTED, VIRTUAL_0, VIRTUAL_3)

"""The vCPU page as a stub of one's own may use it: slots by name (bt/stubs.py says where they are).

| slot | holds | a stub may |
| --- | --- | --- |
| SAVE_EAX, SAVE_ECX, SAVE_ESI | what a register held, while the stub uses it | write |
| VSYS | the guest's IF in bit 9; the other bits mean nothing | write |
| STI_BEFORE | VSYS before the last STI | write |
| OWN | 64 doublewords for the stubs' own use, zeros at first (`own_memory`) | write |
| CR0, CR2, CR3, CR4 | the guest's control registers | read |
| ES_SELECTOR, ... GS_SELECTOR, LDTR_SELECTOR, TR_SELECTOR | the guest's selectors | read |
| GDTR_LIMIT, GDTR_BASE, IDTR_LIMIT, IDTR_BASE | where the guest's tables are | read |

They are written `gs:[NAME]` or `gs:[NAME + 4]`, whichever register is reserved. What may be read
only is filled in whenever translated code is entered, and taken back by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bt import vcpu_page
from monitor.vmm.errors import UserError
from monitor.vmm.memory import GuestMemory
from monitor.vmm.shadow import TC_BYTES

SELECTOR_NAMES = ("ES", "CS", "SS", "DS", "FS", "GS")
DOUBLEWORD = 4


@dataclass(frozen=True)
class Slot:
    """Where it is in the vCPU page, how many bytes it has, and whether stubs may write it."""

    offset: int
    size: int = DOUBLEWORD
    writable: bool = False


SLOTS = {
    "SAVE_EAX": Slot(vcpu_page.SAVE_EAX, writable=True),
    "SAVE_ECX": Slot(vcpu_page.SAVE_ECX, writable=True),
    "SAVE_ESI": Slot(vcpu_page.SAVE_ESI, writable=True),
    "VSYS": Slot(vcpu_page.VSYS, writable=True),
    "STI_BEFORE": Slot(vcpu_page.STI_BEFORE, writable=True),
    "OWN": Slot(vcpu_page.OWN, vcpu_page.OWN_BYTES, writable=True),
    **{f"CR{number}": Slot(vcpu_page.CONTROLS + 4 * number) for number in (0, 2, 3, 4)},
    **{
        f"{name}_SELECTOR": Slot(vcpu_page.SELECTORS + 4 * number)
        for number, name in enumerate(SELECTOR_NAMES)
    },
    "LDTR_SELECTOR": Slot(vcpu_page.LDTR_SELECTOR),
    "TR_SELECTOR": Slot(vcpu_page.TR_SELECTOR),
    "GDTR_LIMIT": Slot(vcpu_page.GDTR),
    "GDTR_BASE": Slot(vcpu_page.GDTR + 4),
    "IDTR_LIMIT": Slot(vcpu_page.IDTR),
    "IDTR_BASE": Slot(vcpu_page.IDTR + 4),
}


class HasOwn(Protocol):
    """A machine (`monitor.Machine`)."""

    mode: str
    memory: GuestMemory


def own_memory(machine: HasOwn) -> memoryview:
    """The doublewords of OWN, to be read and written between runs of a translating machine.

    UserError for another one, which has none.
    """
    if machine.mode != "translate":
        raise UserError(f"mode {machine.mode} has no stubs, and no OWN; translate has")
    memory = machine.memory
    start = memory.monitor + TC_BYTES + vcpu_page.OWN
    return memoryview(memory.buffer)[start : start + vcpu_page.OWN_BYTES].cast("I")

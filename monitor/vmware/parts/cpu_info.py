"""The virtual CPU: GET_VCPU_INFO, and the tables that SGDT, SIDT, SLDT and STR show.

The bits of GET_VCPU_INFO are those of backdoor_def.h; Linux' vmware.c asks for LEGACY_X2APIC_OK.
Which registers SIDT, SGDT and SLDT_STR use is not published: EAX keeps the magic, EBX and ECX carry
the values, a base before its limit and LDTR before TR.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.vmware.call import Call
from monitor.vmware.host import DescriptorTables, Host

# Bits of GET_VCPU_INFO. Bit 31, RESERVED, says that there is no such command: always clear.
SYNC_VTSCS = 1 << 1  # the TSCs of all virtual CPUs agree: there is but one
LEGACY_X2APIC_OK = 1 << 3  # an x2APIC without interrupt remapping
MMIO_HONORS_PAT = 1 << 4  # the guest's memory types count: there are no caches to speak of
RESERVED = 1 << 31


class CpuInfo:
    def __init__(self, host: Host) -> None:
        self.host = host

    def get_vcpu_info(self, call: Call) -> None:
        call.eax = SYNC_VTSCS | (LEGACY_X2APIC_OK if self.host.x2apic else 0)

    def sidt(self, call: Call) -> None:
        self._show(call, lambda tables: (tables.idt_base, tables.idt_limit))

    def sgdt(self, call: Call) -> None:
        self._show(call, lambda tables: (tables.gdt_base, tables.gdt_limit))

    def sldt_str(self, call: Call) -> None:
        self._show(call, lambda tables: (tables.ldt, tables.task))

    def _show(self, call: Call, pick: Callable[[DescriptorTables], tuple[int, int]]) -> None:
        if self.host.descriptor_tables is None:
            call.refuse()
            return
        call.ebx, call.ecx = pick(self.host.descriptor_tables())

"""The pseudo performance counters: RDPMC with an index that no processor has.

Names and numbers are open-vm-tools' (backdoor_def.h, BDOOR_PMC_*); what they count stands in
VMware's "Timekeeping in VMware Virtual Machines". They exist while the backdoor is on, at any CPL.

With counted instructions as the clock, the host's TSC and real time are made from that clock too: a
run that saw the host's own would not repeat.
"""

from __future__ import annotations

from monitor.vmware.host import Host
from monitor.vmware.parts.guest_time import SECOND_NS

HOST_TSC, REAL_NS, APPARENT_NS, PSEUDO_TSC = range(0x10000, 0x10004)
MASK = (1 << 64) - 1


def is_pseudo_counter(index: int) -> bool:
    """Is this index, in ECX of RDPMC, the backdoor's?"""
    return index | 3 == PSEUDO_TSC


class Counters:
    def __init__(self, host: Host) -> None:
        self.host = host

    def read(self, index: int) -> int:
        """EDX:EAX of an RDPMC with one of the four indices. Real time and apparent time are one,
        as the guest's timers never lag (guest_time.py)."""
        now = self.host.now()
        if index in (HOST_TSC, PSEUDO_TSC):
            now = now * self.host.tsc_hz // SECOND_NS
        return now & MASK

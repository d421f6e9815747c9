"""NESTING_CONTROL: a hypervisor in the guest keeps the backdoor from its own guests.

The operations are those of backdoor_def.h; that they come in EBX and their answer in EAX is not
published, but our choice. Restricted means what monitor_control.restrict_backdoor means in a .vmx
file: the backdoor needs the I/O privilege that any port needs. `Host.restricted` tells the
processors.
"""

from __future__ import annotations

from typing import ClassVar

from devices.shapes import FLAG, Fields
from monitor.vmware.call import Call
from monitor.vmware.host import Host

RESTRICT_BACKDOOR, OPEN_BACKDOOR, QUERY = range(3)


class Nesting:
    state: ClassVar[Fields] = {"restricted_by_guest": FLAG}

    def __init__(self, host: Host) -> None:
        self.host = host
        self.restricted_by_guest = False

    @property
    def restricted(self) -> bool:
        """Must a caller have I/O privilege?"""
        return self.restricted_by_guest or self.host.restrictions.restrict_backdoor

    def control(self, call: Call) -> None:
        """EAX: is the backdoor restricted after this? What the owner restricts stays so."""
        if call.ebx > QUERY:
            call.refuse()
            return
        if call.ebx != QUERY:
            self.restricted_by_guest = call.ebx == RESTRICT_BACKDOOR
            self.host.restricted(self.restricted)
        call.eax = int(self.restricted)

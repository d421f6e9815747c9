"""Which product this is, and which machine: GETVERSION and its like."""

from __future__ import annotations

from monitor.vmware.call import MAGIC, Call
from monitor.vmware.host import Host

VERSION = 6  # of the interface: the same since Workstation 5
PRODUCT = 4  # Workstation


class Product:
    """The part behind commands that only tell."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def get_version(self, call: Call) -> None:
        call.eax, call.ebx, call.ecx = VERSION, MAGIC, PRODUCT

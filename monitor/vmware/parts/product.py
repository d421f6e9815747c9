"""Which product this is, and which machine: GETVERSION and its like.

Registers as the tools read them: lib/vmCheck, checkvm and toolbox of open-vm-tools; GETUUID and
GETMEMSIZE also as QEMU's hw/i386/vmport.c.
"""

from __future__ import annotations

from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.host import Host

VERSION = 6  # of the interface: the same since Workstation 5
PRODUCT = 4  # Workstation


class Product:
    """The part behind commands that only tell."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def get_version(self, call: Call) -> None:
        if self.host.restrictions.get_version_disable:
            call.refuse()
        else:
            call.eax, call.ebx, call.ecx = VERSION, MAGIC, PRODUCT

    def get_hardware_version(self, call: Call) -> None:
        call.eax = self.host.hardware_version

    def get_uuid(self, call: Call) -> None:
        """The BIOS UUID's sixteen bytes, four to a register."""
        words = (int.from_bytes(self.host.uuid[at : at + 4], "little") for at in range(0, 16, 4))
        call.eax, call.ebx, call.ecx, call.edx = words

    def get_memory_size(self, call: Call) -> None:
        """In megabytes."""
        call.eax = self.host.memory_bytes >> 20

    def get_build_number(self, call: Call) -> None:
        call.eax = self.host.build_number

    def is_acpi_disabled(self, call: Call) -> None:
        call.eax = int(not self.host.acpi)

    def is_darwin(self, call: Call) -> None:
        """Was the machine made for macOS?"""
        call.eax = int(self.host.guest_os.startswith("darwin"))

    def secure_boot(self, call: Call) -> None:
        """BDOOR_SECUREBOOT_STATUS_DISABLED, which happens to be -1: no firmware of ours has it."""
        call.eax = UNSUPPORTED

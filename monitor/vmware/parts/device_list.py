"""Removable devices and disks: GETDEVICELISTELEMENT, TOGGLEDEVICE, GETDISKGEO.

Registers and the record as open-vm-tools use them (toolbox/toolboxcmd-devices.c,
lib/include/removable_device.h). GETDISKGEO's are not published: EBX the disk's number; EAX keeps
the magic, EBX cylinders, ECX heads, EDX sectors.
"""

from __future__ import annotations

from monitor.vmware.call import Call
from monitor.vmware.host import Host, RemovableDevice

NAME_BYTES = 32  # the last is always NUL
RECORD_BYTES = 40  # the name, uid, "connected" as a byte, and filling
CONNECT = 1 << 31


def record(device: RemovableDevice) -> bytes:
    """RD_Info."""
    name = device.name.encode("utf-8", "replace")[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0")
    uid = (device.uid & 0xFFFFFFFF).to_bytes(4, "little")
    return name + uid + int(device.connected).to_bytes(4, "little")


class DeviceList:
    def __init__(self, host: Host) -> None:
        self.host = host

    def _device(self, number: int) -> RemovableDevice | None:
        return self.host.devices[number] if number < len(self.host.devices) else None

    def get_element(self, call: Call) -> None:
        """EBX: device and offset; EAX 1 and four bytes of its record in EBX, or EAX 0."""
        device, offset = self._device(call.ebx >> 16 & 0xFFFF), call.ebx & 0xFFFF
        if device is None or offset > RECORD_BYTES - 4:
            call.eax = 0
            return
        call.eax, call.ebx = 1, int.from_bytes(record(device)[offset : offset + 4], "little")

    def toggle(self, call: Call) -> None:
        """EBX: device, and bit 31 to connect it; EAX: done?"""
        device, connect = self._device(call.ebx & 0xFFFF), bool(call.ebx & CONNECT)
        call.eax = int(device is not None and self._set(device, connect))

    def _set(self, device: RemovableDevice, connect: bool) -> bool:
        if self.host.restrictions.device_connectable_disable:
            return False
        if device.connected != connect:
            if not self.host.call_user(device.connect, connect):
                return False
            device.connected = connect
        return True

    def get_disk_geometry(self, call: Call) -> None:
        if call.ebx >= len(self.host.disks):
            call.refuse()
            return
        call.ebx, call.ecx, call.edx = self.host.disks[call.ebx]

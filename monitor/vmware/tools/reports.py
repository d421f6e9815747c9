"""What the tools tell of themselves and of their guest: version, capabilities, host name and so on.

Kinds and their numbers are those of SetGuestInfo (open-vm-tools: lib/include/guestInfo.h). What
comes as XDR or as a structure is kept as bytes.
"""

from __future__ import annotations

from typing import Any

from devices.shapes import Hex, Record, Table, Text, maybe
from monitor.vmware.host import Host
from monitor.vmware.tools.events import CapabilitySet, Events, Reported, VersionSet, kept
from monitor.vmware.tools.guestinfo import text_of

MAX_CAPABILITIES = 256
MAX_NAME = 128  # characters of a capability's name
UNMANAGED = 0x7FFFFFFF  # TOOLS_VERSION_UNMANAGED: the distribution looks after the tools

TEXTS = {
    1: "dns_name",
    4: "build_number",
    5: "os_name_full",
    6: "os_name",
    7: "uptime",
}
BINARIES = {
    2: "ip_address",
    3: "disk_free_space",
    8: "memory",
    9: "ip_address_v2",
    10: "ip_address_v3",
    11: "os_structured",
}


class Reports:
    """One machine's. Each kind keeps the last value only."""

    def __init__(self, host: Host, events: Events) -> None:
        self.host = host
        self.events = events
        self.version: str | None = None
        self.health: str | None = None
        self.capabilities: dict[str, str] = {}
        self.reported: dict[str, str | bytes] = {}

    shape = Record(
        {
            "version": maybe(Text(MAX_NAME)),
            "health": maybe(Text(1 << 16)),
            "capabilities": Table(Text(1 << 16), MAX_CAPABILITIES, MAX_NAME),
            "texts": Table(Text(1 << 16), 64),
            "binaries": Table(Hex(1 << 16), 64),
        }
    )

    def snapshot(self) -> dict[str, Any]:
        """By names."""
        return {
            "version": self.version,
            "health": self.health,
            "capabilities": dict(self.capabilities),
            "texts": {n: v for n, v in self.reported.items() if isinstance(v, str)},
            "binaries": {n: v.hex() for n, v in self.reported.items() if isinstance(v, bytes)},
        }

    def restore(self, saved: Any) -> None:
        """Know this. WrongField."""
        values = self.shape.check(saved)
        self.version, self.health = values["version"], values["health"]
        self.capabilities = values["capabilities"]
        self.reported = dict(values["texts"])
        self.reported |= {n: bytes.fromhex(v) for n, v in values["binaries"].items()}

    def report(self, kind: bytes, value: bytes) -> bool:
        """SetGuestInfo. False if there is no such kind."""
        number = _number(kind)
        if name := TEXTS.get(number):
            self.report_text(name, value)
        elif name := BINARIES.get(number):
            self._report(name, value)
        else:
            return False
        return True

    def report_text(self, name: str, value: bytes) -> None:
        self._report(name, text_of(value))

    def _report(self, name: str, value: str | bytes) -> None:
        self.reported[name] = value
        self.events.append(Reported(self.host.now(), name))

    def set_version(self, args: bytes) -> bool:
        """tools.set.version VERSION, tools.set.versiontype VERSION TYPE."""
        words = text_of(args).split()
        number = _number(words[0].encode("utf-8", "replace")) if words else -1
        if number < 0:
            return False
        self.version = version_name(number)
        self.events.append(VersionSet(self.host.now(), self.version))
        return True

    def capability(self, name: str, value: str) -> None:
        """tools.capability.NAME VALUE: more of them than any tools have are not kept."""
        name, value = name[:MAX_NAME], kept(value.strip())
        if name in self.capabilities or len(self.capabilities) < MAX_CAPABILITIES:
            self.capabilities[name] = value
            self.events.append(CapabilitySet(self.host.now(), name, value))


def version_name(number: int) -> str:
    """12352 is 12.2.0: five bits for each of the last two (vm_tools_version.h)."""
    if number == UNMANAGED:
        return "unmanaged"
    return f"{number >> 10}.{number >> 5 & 31}.{number & 31}"


def _number(text: bytes) -> int:
    """Decimal digits; -1 for anything else."""
    return int(text) if text.isdigit() and len(text) <= 10 else -1

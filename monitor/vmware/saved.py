"""VMware's guest interfaces in a checkpoint: what is on, and what each part keeps.

Functions of the embedder's (handlers, commands of its own, a screen) are not in it: whoever
restores the machine gives them again. Records (`tools.events`) are for whoever watched.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from devices.shapes import (
    COUNT,
    DWORD,
    FLAG,
    Among,
    Anything,
    Flag,
    Hex,
    Number,
    Record,
    Restoring,
    Shape,
    Table,
    Text,
    WrongField,
    exactly,
    give,
    maybe,
    named,
    some,
    take,
)
from monitor.settings.capabilities import HYPERCALL_MODES, X86_VMWARE_BACKDOOR, X86_VMWARE_HYPERCALL
from monitor.vmware.host import DiskGeometry, Host, RemovableDevice
from monitor.vmware.restrictions import Restrictions

if TYPE_CHECKING:
    from monitor.vmware.backdoor import Backdoor
    from monitor.vmware.guest_calls import GuestCalls
    from monitor.vmware.switches import Switches

SIMPLE = ("debug_output", "guest_time", "nesting", "pointer", "gui", "clipboard")
DEVICE = Record({"name": Text(1 << 12), "uid": DWORD, "connected": FLAG})
HOST: dict[str, Shape] = {
    "uuid": Hex(16),
    "allow": some(Text(64), 64),
    "forward": some(Text(64), 64),
    "cpuid": FLAG,
    "hardware_version": DWORD,
    "build_number": DWORD,
    "guest_os": Text(1 << 12),
    "acpi": FLAG,
    "bus_hz": DWORD,
    "x2apic": FLAG,
    "entropy_seed": Number(-(1 << 63), 1 << 63),
    "disks": some(exactly(DWORD, 3), 64),
    "devices": some(DEVICE, 256),
    "restrictions": Record(
        {
            item.name: Flag() if isinstance(item.default, bool) else COUNT
            for item in fields(Restrictions)
        }
    ),
}

# The parts' own restore() look at them.
PARTS: dict[str, Shape] = dict.fromkeys((*SIMPLE, "entropy", "tools", "messages"), Anything())
BACKDOOR = Record({"host": Record(HOST), "calls": Table(COUNT, 1 << 10), "parts": Record(PARTS)})
ALL = Record(
    {
        "backdoor": maybe(BACKDOOR),
        "hypercall_mode": Among(frozenset(("", *HYPERCALL_MODES))),
        "hypercalls_served": FLAG,
        "hypercalls": COUNT,
        "forwarded": COUNT,
        "reports": some(Text(1 << 12), 1 << 10),
    }
)


def snapshot(calls: GuestCalls, switches: Switches) -> dict[str, Any]:
    """By names. Between two instructions; none waits for its answer then."""
    return {
        "backdoor": None if calls.backdoor is None else _backdoor(calls.backdoor),
        "hypercall_mode": calls.hypercalls.mode,
        "hypercalls_served": switches.served,
        "hypercalls": calls.hypercalls.count,
        "forwarded": calls.forwarded,
        "reports": list(calls.reports),
    }


def _backdoor(backdoor: Backdoor) -> dict[str, Any]:
    parts = {name: take(getattr(backdoor, name), getattr(backdoor, name).state) for name in SIMPLE}
    parts["entropy"] = backdoor.entropy.dice.snapshot()  # type: ignore[assignment]
    parts["tools"] = backdoor.tools.snapshot()
    parts["messages"] = backdoor.messages.snapshot()
    return {"host": _host(backdoor.host), "calls": dict(backdoor.calls), "parts": parts}


def _host(host: Host) -> dict[str, Any]:
    return {
        "uuid": bytes(host.uuid).hex(),
        "allow": sorted(host.allow),
        "forward": sorted(host.forward),
        "cpuid": bool(host.cpuid),
        "hardware_version": host.hardware_version,
        "build_number": host.build_number,
        "guest_os": host.guest_os,
        "acpi": bool(host.acpi),
        "bus_hz": host.bus_hz,
        "x2apic": bool(host.x2apic),
        "entropy_seed": host.entropy_seed,
        "disks": [list(disk) for disk in host.disks],
        "devices": [
            {"name": each.name, "uid": each.uid, "connected": bool(each.connected)}
            for each in host.devices
        ],
        "restrictions": asdict(host.restrictions),
    }


def restore(calls: GuestCalls, switches: Switches, saved: Any) -> None:
    """Switch on what was on, and give each part its state. For a new machine. WrongField."""
    values = ALL.check(saved)
    backdoor = values["backdoor"]
    if backdoor is None:
        switches.enable(X86_VMWARE_BACKDOOR, False, {})
    else:
        switches.enable(X86_VMWARE_BACKDOOR, True, _options(backdoor["host"]))
    switches.enable(
        X86_VMWARE_HYPERCALL, values["hypercall_mode"], {"serve": values["hypercalls_served"]}
    )
    if backdoor is not None:
        assert calls.backdoor is not None
        _fill(calls.backdoor, backdoor)
    resume(calls, values)
    switches.enable(
        X86_VMWARE_HYPERCALL, values["hypercall_mode"], {"serve": values["hypercalls_served"]}
    )  # tells the processors


def revert(calls: GuestCalls, saved: Any) -> None:
    """Give the parts of the same machine an earlier state back."""
    values = ALL.check(saved)
    if calls.backdoor is not None and values["backdoor"] is not None:
        _fill(calls.backdoor, values["backdoor"])
    resume(calls, values)


def resume(calls: GuestCalls, values: dict[str, Any]) -> None:
    """The counts."""
    calls.hypercalls.count = values["hypercalls"]
    calls.forwarded = values["forwarded"]
    calls.reports[:] = values["reports"]


def _fill(backdoor: Backdoor, saved: dict[str, Any]) -> None:
    backdoor.calls = Counter(saved["calls"])
    parts = saved["parts"]
    for name in SIMPLE:
        part = getattr(backdoor, name)
        try:
            give(part, part.state, parts[name])
        except WrongField as error:
            raise WrongField(f"{name}: {error}") from None
    named("entropy", Restoring(backdoor.entropy.dice.restore), parts["entropy"])
    named("tools", Restoring(backdoor.tools.restore), parts["tools"])
    named("messages", Restoring(backdoor.messages.restore), parts["messages"])


def _options(host: dict[str, Any]) -> dict[str, Any]:
    """Fields of Host from those of the file."""
    return {
        **host,
        "uuid": bytes.fromhex(host["uuid"]),
        "allow": tuple(host["allow"]),
        "forward": tuple(host["forward"]),
        "disks": tuple(DiskGeometry(*disk) for disk in host["disks"]),
        "devices": tuple(RemovableDevice(**each) for each in host["devices"]),
        "restrictions": Restrictions(**host["restrictions"]),
    }

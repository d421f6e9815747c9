"""Settings of a .vmx file that change nothing here, by the reason why.

The names come from VMware's manuals and from files that its products write. `*` stands for
anything; names are compared in lower case, and the first pattern that fits counts.
"""

from __future__ import annotations

import re
from fnmatch import translate

UNKNOWN = "not known here"
NO_DEVICE = "there is no such device yet"

REASONS: dict[str, tuple[str, ...]] = {
    "the port needs no such setting": ("serial*", "parallel*"),
    "the sound card needs no such setting": ("sound*",),
    NO_DEVICE: (
        "scsi*", "ide*", "sata*", "nvme*", "disk.*", "disklib.*", "floppy*", "ethernet*",
        "vmxnet*", "vlance*", "usb*", "ehci*", "pcibridge*", "pciport*",
        "pcipassthru*", "chipset.*", "hpet*", "vmci*", "vsock*", "vtpm*", "keyboard*", "mouse.*",
        "vmmouse.*",
    ),
    "there is no display yet": (
        "svga*", "mks.*", "gui.*", "remotedisplay.*", "unity.*", "proxyapps.*", "vmotion.svga*",
    ),
    "there is no firmware yet": (
        "firmware*", "bios*", "efi*", "uefi*", "nvram*", "smbios*", "board-id*", "hw.model*",
        "serialnumber*", "acpi.*",
    ),
    "there are no shared folders": ("sharedfolder*", "hgfs.*"),
    "the machine has one 32-bit processor": (
        "numvcpus", "maxvcpus", "vcpu.*", "cpuid.*", "vhv.*", "vvtd.*", "vpmc.*", "numa.*",
        "guestcpus", "paevm", "featmask.*", "featurecompat.*",
    ),
    "a guest does not see how its monitor works": (
        "monitor.*", "monitor_control.*", "disable_acceleration", "sched.*", "mem.*",
        "mainmem.*", "memtrimrate", "memallowautoscaledown", "prefvmx.*", "priority.*",
        "timetracker.*", "vmotion.*", "migrate.*", "svmotion.*", "ft.*", "aiomgr.*",
    ),
    "there are no snapshots, recordings or suspended states": (
        "snapshot*", "checkpoint.*", "replay.*", "rollback.*", "suspend.*", "undopoint*",
    ),
    "nothing sets the guest's clock from outside": (
        "tools.synchronize.*", "time.synchronize.*", "rtc.*",
    ),
    "nothing installs the tools or runs scripts in the guest": (
        "tools.*", "toolsinstallmanager.*", "powertype.*", "autostart*",
        "guest.command*",
    ),
    "it is for people and other programs": (
        "config.version", "virtualhw.productcompatibility", "annotation", "extendedconfigfile",
        "guestosaltname", "guestos.*", "uuid.location", "uuid.action", "vc.uuid", "msg.*",
        "answer.msg.*", "cleanshutdown", "softpoweroff", "roamingvm.*", "policy.*", "gamemode.*",
        "log.*", "logging", "vmx.*", "vmxstats.*", "applianceview.*", "ctkenabled",
        "debugstub.*", "vm.*", "templatevm",
    ),
}  # fmt: skip

PATTERNS = [
    (re.compile("|".join(map(translate, names))), reason) for reason, names in REASONS.items()
]


def reason_for(name: str) -> str:
    """Why a setting changes nothing.

    >>> reason_for("ethernet0.present")
    'there is no such device yet'
    """
    lower = name.lower()
    return next((reason for pattern, reason in PATTERNS if pattern.match(lower)), UNKNOWN)

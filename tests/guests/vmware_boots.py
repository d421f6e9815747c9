"""Linux with Debian's open-vm-tools, on a machine with VMware's backdoor and on one without.

The dialogue is what the tools are asked, in one life that all tests look at. Values of guestinfo
are numbers in a row, so that no piece of a value is like another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from boots import BUSYBOX, GUESTS, KERNEL, QUICK, Boot, linux

from monitor import Machine
from monitor.vmware.tools.events import Event

VMTOOLS = GUESTS / "vmtools.cpio.gz"
FILES = (KERNEL, VMTOOLS, BUSYBOX)
LOUD = QUICK.replace(" quiet", "")  # the kernel's messages on the console

KIB = 1024
SIZES = (1, KIB, 60 * KIB)


class Tools(NamedTuple):
    """What the host knows of the tools in the guest."""

    version: str | None
    running: set[str]
    capabilities: dict[str, str]
    events: Iterable[Event]


def numbers(size: int) -> str:
    """What `numbers SIZE` prints in the guest."""
    return ".".join(map(str, range(1, 20000)))[:size]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def with_backdoor(load: Callable[[Machine], None]) -> Callable[[Machine], None]:
    def loaded(machine: Machine) -> None:
        machine.enable("X86_VMWARE_BACKDOOR")
        load(machine)

    return loaded


def get(name: str) -> str:
    """Read guestinfo: the value's digest, without the line end that the tool adds."""
    return f'vmware-rpctool "info-get guestinfo.{name}" | tr -d "\\n" | md5sum'


def put(name: str, size: int) -> str:
    return f'vmware-rpctool "info-set guestinfo.{name} $(numbers {size})"; echo $?'


SET_FROM_GUEST = tuple(
    step
    for size in SIZES
    for step in (
        (put(f"to{size}", size), r"^\n0$"),
        (get(f"to{size}"), f"^{md5(numbers(size))}  -$"),
    )
)
SET_BY_HOST = tuple((get(f"from{size}"), f"^{md5(numbers(size))}  -$") for size in SIZES)


def set_by_host(machine: Machine) -> None:
    for size in SIZES:
        machine.vmware.tools.guestinfo[f"from{size}"] = numbers(size)


def halt(machine: Machine) -> Tools:
    """Ask the tools to halt the guest. What they do about it will be in the events."""
    tools = machine.vmware.tools
    seen = Tools(tools.version, tools.running, dict(tools.capabilities), tools.events)
    tools.send("OS_Halt")
    return seen


def read_by_host(machine: Machine) -> dict[int, str]:
    return {size: machine.vmware.tools.guestinfo[f"to{size}"] for size in SIZES}


IDENTITY = (
    ("dmesg | grep -o 'Hypervisor detected.*'", r"^Hypervisor detected: VMware$"),
    ("vmware-checkvm", r"^VMware software version 6 \(good\)$"),
    ("vmware-checkvm -p", r"^Workstation$"),
    ("vmtoolsd --version", r"^VMware Tools daemon, version 12\.\d+\.\d+"),
)
FIGURES = {
    "hosttime": r"09 Sep 2001 01:46:\d\d",
    "speed": "200 MHz",
    "sessionid": "0x[0-9a-f]+",
    "balloon": "0 MB",
    "swap": "0 MB",
    "memlimit": "4294967295 MB",  # as on ESX: no limit
    "memres": "0 MB",
    "cpures": "0 MHz",
    "cpulimit": "4294967295 MHz",
    # These two fail: there is no host under this one to have them.
    "raw text host": "Failed to get stat: This value is not available on this host",
    "raw text resources": "Failed to get stat: This value is not available on this host",
}
STATISTICS = tuple(
    (f"vmware-toolbox-cmd stat {name}", rf"^{value}$")
    for name, value in FIGURES.items()
)
REQUESTS = (
    ('vmware-rpctool "info-set guestinfo.greeting Hello"', r"^$"),
    ('vmware-rpctool "info-get guestinfo.greeting"', r"^Hello$"),
    ("vmware-rpctool 'log hello from the guest'; echo $?", r"^\n0$"),
    ("vmware-rpctool 'info-get guestinfo.nothing'; echo $?", r"^No value found\n1$"),
    ("vmware-rpctool 'make coffee'; echo $?", r"^Unknown command\n1$"),
    ("vmtoolsd --cmd 'info-get guestinfo.to1'; echo $?", r"^1\n0$"),
    ("vmware-toolbox-cmd device list; echo $?", r"^0$"),
)
START = "vmtoolsd -b /tmp/pid"
DAEMON = (
    (START, r"^$"),
    ("sleep 60; kill -0 $(cat /tmp/pid) && echo up", r"^up$"),
    ("vmware-toolbox-cmd timesync status; echo $?", r"^Disabled\n69$"),
    ("date -s @999990000", r"^Sat Sep  8 23:00:00 UTC 2001$"),
    ("vmware-toolbox-cmd timesync enable", r"^Enabled$"),
    ("vmware-toolbox-cmd timesync status", r"^Enabled$"),
    ("sleep 3; date", r"^Sun Sep  9 01:4\d:\d\d UTC 2001$"),
    ("cat /var/log/*.log | grep -c -w critical", r"^0$"),
)
HALT = "sleep 30"

ON = Boot(
    "vmware",
    with_backdoor(linux(LOUD, VMTOOLS)),
    ends="stuck",
    start_time=10**9,
    dialogue=(
        *IDENTITY,
        *STATISTICS,
        ("numbers() { seq -s. 1 19999 | head -c $1; }; echo $?", r"^0$"),
        *SET_FROM_GUEST,
        *SET_BY_HOST,
        *REQUESTS,
        *DAEMON,
        (HALT, r"reboot: System halted$"),
    ),
    host=(
        (SET_BY_HOST[0][0], set_by_host),
        (START, read_by_host),
        (HALT, halt),
    ),
    files=FILES,
)

REFUSED = r"must be run inside a virtual machine"
OFF = replace(
    ON,
    name="vmware-off",
    load=linux(LOUD, VMTOOLS),
    ends="reset",
    dialogue=(
        ("dmesg | grep -ci -e vmware -e hypervisor", r"^0$"),
        ("vmware-checkvm; echo $?", rf"{REFUSED} on a VMware hypervisor product\.\n1$"),
        ("vmware-rpctool 'info-get guestinfo.x'; echo $?", rf"{REFUSED}(?s:.*)\n255$"),
        ("vmware-toolbox-cmd stat memory", REFUSED),
        ("vmtoolsd; echo $?", r"^1$"),
        ("reboot -f", "Restarting system"),
    ),
    host=(),
)

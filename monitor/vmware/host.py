"""What the commands know of their virtual machine and its host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from monitor.vmware.restrictions import Restrictions

# As VMware's, those of machines without a file start with "VM"; all of them have the same.
DEFAULT_UUID = b"VMVirtualPlatfor"

Result = TypeVar("Result")


class DescriptorTables(NamedTuple):
    """What SGDT, SIDT, SLDT and STR would store for the guest."""

    gdt_base: int
    gdt_limit: int
    idt_base: int
    idt_limit: int
    ldt: int
    task: int


class DiskGeometry(NamedTuple):
    """A disk as the firmware sees it."""

    cylinders: int
    heads: int
    sectors: int


@dataclass
class RemovableDevice:
    """A device that the guest may see, connect and disconnect. `connect` says whether it could."""

    name: str
    uid: int = 0
    connected: bool = True
    connect: Callable[[bool], bool] = lambda connected: True


class Keyboard(Protocol):
    """Whoever presses keys on the board's keyboard (devices/ps2_keyboard.py)."""

    @property
    def typed(self) -> Sized:
        """Strokes that wait for the guest to take them."""

    def press(self, key: str) -> None:
        """A key goes down, by its name in devices/scancodes.py."""

    def release(self, key: str) -> None:
        """It comes up."""


def _directly(function: Callable[..., Result], *args: Any) -> Result:
    return function(*args)


@dataclass
class Host:
    """One per machine. Times are those of the machine's clock, so that a run can repeat exactly:
    counted instructions (--clock icount), or real time (--clock host)."""

    memory_bytes: int
    tsc_hz: int
    start_time: int  #: seconds since 1970 at power-on
    now: Callable[[], int]  #: nanoseconds since power-on
    real_time: bool = False  #: the clock is the host's
    uuid: bytes = DEFAULT_UUID
    restrictions: Restrictions = field(default_factory=Restrictions)
    notice: Callable[[], None] = lambda: None  #: ask the machine's loop to look around soon
    put_char: Callable[[int], None] = lambda code: None  #: PUTCHR: one byte for the debug console
    power: Callable[[str], None] = lambda how: None  #: end the machine: "off", "reset", "crash"
    restricted: Callable[[bool], None] = lambda needs_privilege: None  #: tell the processors

    # How to call what the embedder gave (callback.py): it may raise, or never return.
    call_user: Callable[..., Any] = _directly

    # Which commands: disabled by default and allowed; the monitor's, yet forwarded to the host.
    allow: Collection[str] = ()
    forward: Collection[str] = ()

    # The machine that the guest is told of.
    cpuid: bool = True  #: hypervisor.cpuid.v0: CPUID tells of VMware
    hardware_version: int = 10  #: virtualHW.version
    build_number: int = 1
    guest_os: str = ""  #: guestOS, as a .vmx file names it
    acpi: bool = False
    bus_hz: int = 66_000_000  #: what a local APIC's timer would count
    x2apic: bool = False
    entropy_seed: int = 0  #: of GETENTROPY, unless the clock is the host's

    # What the machine has, or None and nothing where it has not.
    descriptor_tables: Callable[[], DescriptorTables] | None = None
    keyboard: Keyboard | None = None
    mouse_event: Callable[[], None] = lambda: None  #: the PS/2 mouse calls its driver
    screen_size: Callable[[], tuple[int, int]] = lambda: (0, 0)
    screenshot: Callable[[], bool] | None = None
    disks: Sequence[DiskGeometry] = ()
    devices: Sequence[RemovableDevice] = ()
    give: Callable[[str, Any], None] | None = None  #: input for the guest, by its source
    ask: Callable[[str, Callable[[], Any]], Any] = lambda source, question: question()
    repeated: Callable[[], bool] = lambda: False  #: what the guest does it has done before
    report: Callable[[str], None] = lambda line: None  #: for the machine's log

"""A .vmx file as a machine: what of it is used, what is ignored and why.

    vmx = VmxMachine(read_vmx("server.vmx"))
    vmx.settings.memory_mb, vmx.settings.restrictions.copy_disable
    vmx.account.used        {"memsize": "64 MiB of memory", ...}
    vmx.account.ignored     {"ethernet0.present": "there is no such device yet", ...}
    vmx.account.warnings    ["line 9: ...", ...]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.settings.did_you_mean import choose
from monitor.settings.drives import Drive
from monitor.settings.machine import CPUS, MAX_MEMORY_MB
from monitor.settings.printer_config import PrinterConfig
from monitor.settings.serial_config import SerialConfig
from monitor.vmware.restrictions import SETTINGS, Restrictions
from monitor.vmware.vmx.account import Account
from monitor.vmware.vmx.config_file import VmxFile, shown
from monitor.vmware.vmx.drives import drives_of
from monitor.vmware.vmx.serial import more_serial_of, printer_of, serial_of
from monitor.vmware.vmx.sound import card_of

DEFAULT_MEMORY_MB = 32  # what VMware gives a machine whose file does not say
MEMORY_STEP_MB = 4
MAX_ASKED_MB = 1 << 30
MAX_SIZE_LIMIT = 1 << 30
MAX_HARDWARE_VERSION = 0xFF
MAX_SECONDS = 0xFFFFFFFF
GUESTINFO = "guestinfo."
DRIVE_LETTERS = {"floppy": "a", "hdd": "c", "cdrom": "d", "ethernet0": "n"}
TOOLS_OPTIONS = {  # settings, and what the tools call them
    "tools.syncTime": "synctime",
    "toolScripts.afterPowerOn": "toolScripts.afterPowerOn",
    "toolScripts.afterResume": "toolScripts.afterResume",
    "toolScripts.beforePowerOff": "toolScripts.beforePowerOff",
    "toolScripts.beforeSuspend": "toolScripts.beforeSuspend",
}
BEHIND_THE_BACKDOOR = (
    *SETTINGS, *TOOLS_OPTIONS, "uuid.bios", "virtualHW.version", "machine.id", "hypervisor.cpuid.v0"
)  # fmt: skip
UUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class VmxSettings:
    """What a machine needs to know, as plain data. None: the file does not say."""

    display_name: str | None = None
    guest_os: str | None = None
    memory_mb: int = DEFAULT_MEMORY_MB
    cpu: str | None = None  #: the processor's model, by a name of ours
    serial: SerialConfig | None = None
    more_serial: Mapping[str, SerialConfig] = field(default_factory=dict)  #: by part
    printer: PrinterConfig | None = None
    sound_card: str | None = None
    drives: tuple[Drive, ...] = ()
    drive_settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: names, by plug
    start_time: int | None = None  #: seconds since 1970
    uuid: bytes | None = None
    hardware_version: int | None = None
    machine_id: str | None = None
    boot_order: tuple[str, ...] = ()
    bios: Path | None = None
    hypervisor_leaf: bool = True  #: CPUID leaf 0x40000000 tells of VMware
    restrictions: Restrictions = field(default_factory=Restrictions)
    tools_options: Mapping[str, bool] = field(default_factory=dict)
    guestinfo: Mapping[str, str] = field(default_factory=dict)  #: names without "guestinfo."

    def firmware_order(self) -> str | None:
        """The drives in letters of `monitor.settings.boot`; None: the file does not say."""
        letters = [DRIVE_LETTERS[name] for name in self.boot_order if name in DRIVE_LETTERS]
        return f"order={''.join(dict.fromkeys(letters))[:3]}" if letters else None

    def backdoor_options(self) -> dict[str, Any]:
        """What Machine.enable is told: fields of monitor.vmware.host.Host."""
        told = {
            "uuid": self.uuid,
            "hardware_version": self.hardware_version,
            "guest_os": self.guest_os,
        }
        options = {name: value for name, value in told.items() if value is not None}
        return {**options, "restrictions": self.restrictions, "cpuid": self.hypervisor_leaf}


class VmxMachine:
    """The settings of one file, and the account of what was done with each."""

    def __init__(self, file: VmxFile) -> None:
        self.account = account = Account(file)
        drives = drives_of(account)
        self.settings = VmxSettings(
            display_name=account.text("displayName"),
            guest_os=_guest_os(account),
            memory_mb=_memory(account),
            cpu=_cpu(account),
            serial=serial_of(account),
            more_serial=more_serial_of(account),
            printer=printer_of(account),
            sound_card=card_of(account),
            drives=tuple(drive for drive, _ in drives.values()),
            drive_settings={plug: names for plug, (_, names) in drives.items()},
            start_time=_start_time(account),
            uuid=_uuid(account),
            hardware_version=account.number(
                "virtualHW.version", 1, MAX_HARDWARE_VERSION, "virtual hardware version {}"
            ),
            machine_id=account.text("machine.id"),
            boot_order=_boot_order(account),
            bios=_bios(account),
            hypervisor_leaf=account.flag(
                "hypervisor.cpuid.v0", True, "whether CPUID tells of VMware"
            ),
            restrictions=_restrictions(account),
            tools_options={
                option: account.flag(name, False, "an option of the tools in the guest")
                for name, option in TOOLS_OPTIONS.items()
                if account.entry(name) is not None
            },
            guestinfo=_guestinfo(account),
        )
        account.text(".encoding", "the file's characters are {}")
        _look_for_a_suspended_state(account)
        account.finish()

    @property
    def name(self) -> str:
        """What messages call the file."""
        return self.account.file.name

    def override(self, option: str, *names: str) -> None:
        """An option of the command line beats settings of the file."""
        for name in names:
            entry = self.account.entry(name)
            if entry is not None and entry.name in self.account.used:
                self.account.override(entry, option)

    def override_backdoor(self, option: str) -> None:
        """Without a backdoor, nothing that is behind it counts."""
        told = [name for name in self.account.used if name.lower().startswith(GUESTINFO)]
        self.override(option, *BEHIND_THE_BACKDOOR, *told)

    def as_data(self) -> dict[str, Any]:
        """All of it, for `--stats`."""
        return {
            "file": self.name,
            "display_name": self.settings.display_name,
            "guest_os": self.settings.guest_os,
            "used": dict(self.account.used),
            "ignored": dict(self.account.ignored),
            "warnings": list(self.account.warnings),
        }


def _guest_os(account: Account) -> str | None:
    name = account.text("guestOS")
    entry = account.entry("guestOS")
    if entry is not None and name is not None and name.lower().endswith("-64"):
        problem = "needs a 64-bit processor; this machine has a 32-bit one"
        account.warn(entry, f"{shown(name)} {problem}")
    return name


def _memory(account: Account) -> int:
    entry = account.entry("memsize")
    if entry is None:
        return DEFAULT_MEMORY_MB
    asked = account.whole(entry, MEMORY_STEP_MB, MAX_ASKED_MB)
    given = min(asked // MEMORY_STEP_MB * MEMORY_STEP_MB, MAX_MEMORY_MB)
    if given != asked:
        limits = f"a multiple of {MEMORY_STEP_MB} up to {MAX_MEMORY_MB}"
        account.warn(entry, f"{asked} MiB of memory is not {limits}: {given} is used")
    account.use(entry, f"{given} MiB of memory")
    return given


def _cpu(account: Account) -> str | None:
    """VMware shows a guest the host's processor, and has no setting for another one."""
    entry = account.entry("vp.cpu")
    if entry is None:
        return None
    if entry.value not in CPUS:
        raise account.file.error(entry, f"{shown(entry.value)}: {choose(entry.value, CPUS)}")
    account.use(entry, f"the processor, a {entry.value}")
    return entry.value


def _start_time(account: Account) -> int | None:
    seconds = account.number("rtc.startTime", 0, MAX_SECONDS, "seconds since 1970 at power-on: {}")
    return seconds or None  # 0 is no time, as for VMware


def _uuid(account: Account) -> bytes | None:
    entry = account.entry("uuid.bios")
    if entry is None:
        return None
    digits = re.sub(r"[ -]", "", entry.value).lower()
    if not UUID.fullmatch(digits):
        raise account.file.error(entry, f"{shown(entry.value)}: write 32 hexadecimal digits")
    account.use(entry, "the machine's UUID")
    return bytes.fromhex(digits)


def _boot_order(account: Account) -> tuple[str, ...]:
    text = account.text("bios.bootOrder", "the firmware boots {}, in this order") or ""
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    entry = account.entry("bios.bootOrder")
    for name in names:
        if entry is not None and name not in DRIVE_LETTERS:
            known = ", ".join(DRIVE_LETTERS)
            account.warn(entry, f"{shown(name)} is no drive: choose from {known}")
    return names


def _bios(account: Account) -> Path | None:
    """The firmware's file, below the folder of the .vmx file, which may come from anywhere."""
    entry = account.entry("bios440.filename")
    if entry is None or not entry.value:
        return None
    folder = Path(account.file.name).resolve().parent
    path = folder / entry.value
    if "\\" in entry.value or folder not in path.resolve().parents:
        problem = "is not a file below the folder of the .vmx file; --bios names any"
        raise account.file.error(entry, f"{shown(entry.value)} {problem}")
    account.use(entry, f"the firmware is {path}")
    return path


def _restrictions(account: Account) -> Restrictions:
    values: dict[str, Any] = {}
    for name, item in SETTINGS.items():
        entry = account.entry(name)
        if entry is None:
            continue
        if isinstance(item.default, bool):
            values[item.name] = account.truth(entry)
        else:
            values[item.name] = account.whole(entry, 0, MAX_SIZE_LIMIT)
        denies = item.metadata["denies"]
        same = values[item.name] == item.default
        account.use(entry, "nothing is denied" if same else f"denied: {denies}")
    return Restrictions(**values)


def _guestinfo(account: Account) -> dict[str, str]:
    found = {}
    for name, entry in account.file.entries.items():
        if name.startswith(GUESTINFO) and name != GUESTINFO:
            found[entry.name[len(GUESTINFO) :]] = entry.value
            account.use(entry, "the guest can ask for it")
    return found


def _look_for_a_suspended_state(account: Account) -> None:
    state = account.entry("checkpoint.vmState")
    if state is not None and state.value:
        account.warn(state, "the machine was suspended; it starts afresh")

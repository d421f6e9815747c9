"""The backdoor's commands: one declarative table.

Numbers, names and who may call are those of open-vm-tools (lib/include/backdoor_def.h, up to 100),
the last two those of the Linux kernel (REPORTGUESTCRASH, arch/x86/include/asm/vmware.h) and of the
number between. Every published number has a row, those that are not supported too, so that a report
can name what a guest asked for. `handler` names a method of one of the parts that backdoor.py puts
together, as "part.method"; each takes the Call.

Who handles a command follows from what it needs. What depends on the virtual CPU and on time alone
is answered in the monitor: a world switch would cost more than the answer, and some of it (GETHZ,
the times) is asked in loops. What needs something that the host owns (a window's pointer and size,
the keyboard, devices and disks, the machine's identity and firmware, the host's random numbers, a
log file) goes to the host application. `Host.forward` sends a command there that the monitor would
have answered, so that the same call can be measured both ways.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from monitor.vmm.errors import UserError


class Who(Enum):
    """Who may call."""

    ANYONE = "any CPL"
    KERNEL = "CPL 0"
    NOBODY = "disabled by default"  # or for VMware's developers: a machine's owner may allow it
    UNUSED = "not in use"  # the number is taken, the command is gone


class Where(Enum):
    """Who handles: the monitor, without a world switch, or the host application after one."""

    MONITOR = "monitor"
    HOST = "host application"
    NOWHERE = "unsupported"


@dataclass(frozen=True)
class Command:
    """One row."""

    number: int
    name: str
    who: Who = Who.ANYONE
    where: Where = Where.NOWHERE
    handler: str = ""


ANYONE, KERNEL, NOBODY, UNUSED = Who.ANYONE, Who.KERNEL, Who.NOBODY, Who.UNUSED
MONITOR, HOST = Where.MONITOR, Where.HOST

ROWS = (
    Command(1, "GETMHZ", ANYONE, MONITOR, "guest_time.get_mhz"),
    Command(2, "APMFUNCTION", KERNEL),
    Command(3, "GETDISKGEO", ANYONE, HOST, "device_list.get_disk_geometry"),
    Command(4, "GETPTRLOCATION", ANYONE, HOST, "pointer.get_location"),
    Command(5, "SETPTRLOCATION", ANYONE, HOST, "pointer.set_location"),
    Command(6, "GETSELLENGTH", ANYONE, HOST, "clipboard.get_length"),
    Command(7, "GETNEXTPIECE", ANYONE, HOST, "clipboard.get_piece"),
    Command(8, "SETSELLENGTH", ANYONE, HOST, "clipboard.set_length"),
    Command(9, "SETNEXTPIECE", ANYONE, HOST, "clipboard.set_piece"),
    Command(10, "GETVERSION", ANYONE, MONITOR, "product.get_version"),
    Command(11, "GETDEVICELISTELEMENT", ANYONE, HOST, "device_list.get_element"),
    Command(12, "TOGGLEDEVICE", ANYONE, HOST, "device_list.toggle"),
    Command(13, "GETGUIOPTIONS", ANYONE, HOST, "gui.get_options"),
    Command(14, "SETGUIOPTIONS", ANYONE, HOST, "gui.set_options"),
    Command(15, "GETSCREENSIZE", ANYONE, HOST, "gui.get_screen_size"),
    Command(16, "MONITOR_CONTROL", NOBODY),
    Command(17, "GETHWVERSION", ANYONE, MONITOR, "product.get_hardware_version"),
    Command(18, "OSNOTFOUND", KERNEL),
    Command(19, "GETUUID", ANYONE, HOST, "product.get_uuid"),
    Command(20, "GETMEMSIZE", ANYONE, MONITOR, "product.get_memory_size"),
    Command(21, "HOSTCOPY", UNUSED),
    Command(22, "SERVICE_VM", UNUSED),
    Command(23, "GETTIME", ANYONE, MONITOR, "guest_time.get_time"),
    Command(24, "STOPCATCHUP", ANYONE, MONITOR, "guest_time.stop_catchup"),
    Command(25, "PUTCHR", NOBODY, HOST, "debug_output.put_char"),
    Command(26, "ENABLE_MSG", NOBODY),
    Command(27, "GOTO_TCL", UNUSED),
    Command(28, "INITPCIOPROM", KERNEL),
    Command(29, "INT13", UNUSED),
    Command(30, "MESSAGE", ANYONE, HOST, "messages.message"),
    Command(31, "SIDT", ANYONE, MONITOR, "cpu_info.sidt"),
    Command(32, "SGDT", ANYONE, MONITOR, "cpu_info.sgdt"),
    Command(33, "SLDT_STR", ANYONE, MONITOR, "cpu_info.sldt_str"),
    Command(34, "ISACPIDISABLED", ANYONE, MONITOR, "product.is_acpi_disabled"),
    Command(35, "TOE", UNUSED),
    Command(36, "ISMOUSEABSOLUTE", ANYONE, HOST, "pointer.is_absolute"),
    Command(37, "PATCH_SMBIOS_STRUCTS", KERNEL),
    Command(38, "MAPMEM", NOBODY),
    Command(39, "ABSPOINTER_DATA", ANYONE, HOST, "pointer.data"),
    Command(40, "ABSPOINTER_STATUS", ANYONE, HOST, "pointer.status"),
    Command(41, "ABSPOINTER_COMMAND", ANYONE, HOST, "pointer.command"),
    Command(42, "TIMER_SPONGE", UNUSED),
    Command(43, "PATCH_ACPI_TABLES", UNUSED),
    Command(44, "DEVEL_FAKEHARDWARE", UNUSED),
    Command(45, "GETHZ", ANYONE, MONITOR, "guest_time.get_hz"),
    Command(46, "GETTIMEFULL", ANYONE, MONITOR, "guest_time.get_time_full"),
    Command(47, "STATELOGGER", UNUSED),
    Command(48, "CHECKFORCEBIOSSETUP", KERNEL),
    Command(49, "LAZYTIMEREMULATION", KERNEL, MONITOR, "guest_time.lazy_timer_emulation"),
    Command(50, "BIOSBBS", KERNEL),
    Command(51, "VASSERT", UNUSED),
    Command(52, "ISGOSDARWIN", ANYONE, MONITOR, "product.is_darwin"),
    Command(53, "DEBUGEVENT", ANYONE, HOST, "debug_output.debug_event"),
    Command(54, "OSNOTMACOSXSERVER", KERNEL),
    Command(55, "GETTIMEFULL_WITH_LAG", ANYONE, MONITOR, "guest_time.get_time_full_with_lag"),
    Command(56, "ACPI_HOTPLUG_DEVICE", NOBODY),
    Command(57, "ACPI_HOTPLUG_MEMORY", NOBODY),
    Command(58, "ACPI_HOTPLUG_CBRET", NOBODY),
    Command(59, "GET_HOST_VIDEO_MODES", UNUSED),
    Command(60, "ACPI_HOTPLUG_CPU", NOBODY),
    Command(61, "USB_HOTPLUG_MOUSE", UNUSED),
    Command(62, "XPMODE", KERNEL),
    Command(63, "NESTING_CONTROL", ANYONE, MONITOR, "nesting.control"),
    Command(64, "FIRMWARE_INIT", KERNEL),
    Command(65, "FIRMWARE_ACPI_SERVICES", KERNEL),
    Command(66, "SENDPSHAREHINTS", UNUSED),
    Command(67, "ENABLE_USB_MOUSE", ANYONE),
    Command(68, "GET_VCPU_INFO", ANYONE, MONITOR, "cpu_info.get_vcpu_info"),
    Command(69, "EFI_SERIALCON_CONFIG", KERNEL),
    Command(70, "BUG328986", KERNEL),
    Command(71, "FIRMWARE_ERROR", KERNEL),
    Command(72, "VMK_INFO", ANYONE, HOST, "debug_output.vmk_info"),
    Command(73, "EFI_BOOT_CONFIG", KERNEL),
    Command(74, "GET_HW_MODEL", KERNEL),
    Command(75, "GET_SVGA_CAPABILITIES", KERNEL),
    Command(76, "GET_FORCE_X2APIC", KERNEL),
    Command(77, "SET_PCI_HOLE", KERNEL),
    Command(78, "GET_PCI_HOLE", KERNEL),
    Command(79, "GET_PCI_BAR", KERNEL),
    Command(80, "SHOULD_GENERATE_SYSTEMID", KERNEL),
    Command(81, "READ_DEBUG_FILE", NOBODY),
    Command(82, "SCREENSHOT", NOBODY, HOST, "gui.screenshot"),
    Command(83, "INJECT_KEY", NOBODY, HOST, "input_injection.inject_key"),
    Command(84, "INJECT_MOUSE", NOBODY, HOST, "input_injection.inject_mouse"),
    Command(85, "MKS_GUEST_STATS", KERNEL),
    Command(86, "ABSPOINTER_RESTRICT", ANYONE, HOST, "pointer.restrict"),
    Command(87, "GUEST_INTEGRITY", ANYONE),
    Command(88, "MKSTEST", NOBODY),
    Command(89, "SECUREBOOT", ANYONE, HOST, "product.secure_boot"),
    Command(90, "COPY_PHYSMEM", NOBODY),
    Command(91, "STEALCLOCK", KERNEL, MONITOR, "guest_time.steal_clock"),
    Command(92, "GUEST_PAGE_HINTS", KERNEL),
    Command(93, "FIRMWARE_UPDATE", KERNEL),
    Command(94, "FUZZER_HELPER", NOBODY),
    Command(95, "PUTCHR12", ANYONE, HOST, "debug_output.put_12_chars"),
    Command(96, "GMM", ANYONE),
    Command(97, "PRECISIONCLOCK", ANYONE, MONITOR, "guest_time.precision_clock"),
    Command(98, "COREDUMP_UNSYNC", NOBODY),
    Command(99, "APPLE_GPU_RES_SET", ANYONE),
    Command(100, "GETBUILDNUM", ANYONE, HOST, "product.get_build_number"),
    Command(101, "GETENTROPY", ANYONE, HOST, "entropy.get"),
    Command(102, "REPORTGUESTCRASH", ANYONE, HOST, "debug_output.report_guest_crash"),
)

COMMANDS: dict[int, Command] = {row.number: row for row in ROWS}
BY_NAME: dict[str, Command] = {row.name: row for row in ROWS}


def check_allowed(names: Collection[str]) -> None:
    """A machine's owner may allow what is disabled by default, if it is supported."""
    _check("allow", names, {row.name for row in ROWS if row.who is NOBODY and row.handler})


def check_forward(names: Collection[str]) -> None:
    """What the monitor could answer can be handed to the host application."""
    _check("forward", names, {row.name for row in ROWS if row.where is MONITOR})


def _check(what: str, names: Collection[str], known: set[str]) -> None:
    wrong = [repr(names)] if isinstance(names, str) else sorted(set(names) - known)
    if wrong:
        options = ", ".join(sorted(known))
        raise UserError(f"cannot {what} {', '.join(wrong)}: name some of {options}")

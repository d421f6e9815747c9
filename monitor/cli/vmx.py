"""`vp run NAME.vmx`: the machine that the file describes, and what the options say instead."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.display import parts_for_display, vga_of
from monitor.cli.drives import asked_drives
from monitor.cli.firmware import chipset_of, starts_firmware
from monitor.cli.ports import SERIAL, Ports, ports_of
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR
from monitor.settings.config import parse_names
from monitor.settings.drives import CDROM, CDROM_PLACE, Drive
from monitor.settings.machine import CPU, MEMORY_MB, Settings
from monitor.settings.serial_config import SerialConfig, parse_serial
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.vmware.tools.tools import Tools
    from monitor.vmware.vmx.machine import VmxMachine, VmxSettings

SUFFIX = ".vmx"
DEFAULT_SERIAL = "stdio"
SERIAL_SETTINGS = tuple(
    f"serial0.{part}" for part in ("present", "fileType", "fileName", "startConnected")
)


def open_vmx(path: Path | None) -> VmxMachine | None:
    """The file that was named, if one was."""
    if path is None:
        return None
    if path.suffix.lower() != SUFFIX:
        raise UserError(f"{path}: not a .vmx file; an image to run goes with an option (--kernel)")
    from monitor.vmware.vmx.config_file import read_vmx
    from monitor.vmware.vmx.machine import VmxMachine

    return VmxMachine(read_vmx(path))


def settings_of(args: Namespace, vmx: VmxMachine | None) -> Settings:
    """The machine: options beat the file, the file beats defaults."""
    memory_mb, start_time = MEMORY_MB, 0
    if vmx is not None:
        memory_mb, start_time = vmx.settings.memory_mb, vmx.settings.start_time or 0
    if args.memory is not None:
        memory_mb = args.memory
        if vmx is not None:
            vmx.override("--memory", "memsize")
    return Settings(
        memory_mb, args.mode, args.engine, args.clock, start_time, parse_names(args.without),
        cpu_of(args.cpu, vmx), chipset_of(args, vmx), vga_of(args, starts_firmware(args, vmx)),
        parts_of(args, vmx), drives_for(args, vmx),
    )  # fmt: skip


def drives_for(args: Namespace, vmx: VmxMachine | None) -> tuple[Drive, ...]:
    """The drives: those of options, and of the file at other plugs."""
    asked = asked_drives(args)
    if vmx is None:
        return asked
    plugs = {drive.plug for drive in asked}
    if {CDROM, CDROM_PLACE} & plugs:
        plugs |= {CDROM, CDROM_PLACE}
    for drive in vmx.settings.drives:
        if drive.plug in plugs:
            vmx.override(f"--{drive.plug}", *vmx.settings.drive_settings[drive.plug])
    return asked + tuple(drive for drive in vmx.settings.drives if drive.plug not in plugs)


def cpu_of(option: str | None, vmx: VmxMachine | None) -> str:
    """The processor's model: --cpu, or what the file says."""
    if option is not None:
        if vmx is not None:
            vmx.override("--cpu", "vp.cpu")
        return option
    return (vmx and vmx.settings.cpu) or CPU


def parts_of(args: Namespace, vmx: VmxMachine | None) -> list[str]:
    """What the machine has beside the chips that every one has."""
    asked = {"mouse": args.mouse, "apic": args.apic}
    parts = [part for part, on in asked.items() if on]
    return [*parts, *parts_for_display(args), *ports_for(args, vmx).parts]


def ports_for(args: Namespace, vmx: VmxMachine | None) -> Ports:
    """More ports and the sound card: those of options, and of the file where there are none."""
    ports = ports_of(args)
    if vmx is None:
        return ports
    from monitor.vmware.vmx import serial, sound

    for port, part in serial.PARTS.items():
        asked = part in ports.serial or (part == "parallel" and ports.printer is not None)
        if asked:
            option = f"--{SERIAL.get(part, part)}"
            vmx.override(option, *serial.settings_of(port))
        elif part in vmx.settings.more_serial:
            ports.serial[part] = vmx.settings.more_serial[part]
    ports.printer = ports.printer or vmx.settings.printer
    if args.soundcard is not None:
        vmx.override("--soundcard", *sound.SETTINGS)
    elif vmx.settings.sound_card is not None:
        ports.card = vmx.settings.sound_card
    return ports


def serial_of(option: str | None, vmx: VmxMachine | None) -> SerialConfig:
    """Where the serial console goes: --serial, or where the file says, or here."""
    if option is not None:
        if vmx is not None:
            vmx.override("--serial", *SERIAL_SETTINGS)
        return parse_serial(option)
    return (vmx and vmx.settings.serial) or parse_serial(DEFAULT_SERIAL)


def enable_backdoor(machine: Machine, vmx: VmxMachine, on: bool) -> None:
    """A VMware machine has the backdoor, unless an option says no."""
    if not on:
        machine.enable(X86_VMWARE_BACKDOOR, False)
        vmx.override_backdoor("--no-vmware-backdoor")
        return
    machine.enable(X86_VMWARE_BACKDOOR, True, **vmx.settings.backdoor_options())
    try:
        prepare_tools(machine.vmware.tools, vmx.settings)
    except UserError as error:
        raise UserError(f"{vmx.name}: {error}") from error


def prepare_tools(tools: Tools, settings: VmxSettings) -> None:
    """What the guest finds when it asks, and what its tools are told."""
    tools.machine_id = settings.machine_id
    tools.guestinfo.update(settings.guestinfo)
    for option, on in settings.tools_options.items():
        tools.set_option(option, "1" if on else "0")


def statistics_of(vmx: VmxMachine | None) -> dict[str, Any]:
    """What `--stats` tells of the file."""
    return {} if vmx is None else {"vmx": vmx.as_data()}

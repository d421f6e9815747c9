"""The serial ports of a .vmx file, serial0 to serial3, and its parallel port, parallel0.

The first serial port is the machine's console; the others are there if the file has them. What is
sent to a file is appended to it: nothing is lost that was there. Only files below the folder of the
.vmx file are written, since it may come from anywhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.settings.printer_config import PrinterConfig
from monitor.settings.serial_config import SerialConfig
from monitor.vmware.vmx.account import Account
from monitor.vmware.vmx.config_file import Entry, shown

PORT = re.compile(r"(serial|parallel)([0-9]+)\..*", re.DOTALL)
PORTS = {"serial0": "--serial", "serial1": "--serial2", "serial2": "--serial3",
         "serial3": "--serial4", "parallel0": "--parallel"}  # fmt: skip
PARTS = {"serial1": "com2", "serial2": "com3", "serial3": "com4", "parallel0": "parallel"}
SETTINGS = ("present", "fileType", "fileName", "startConnected")


def settings_of(port: str) -> tuple[str, ...]:
    """The names of what a port has in the file."""
    return tuple(f"{port}.{name}" for name in SETTINGS)


def serial_of(account: Account) -> SerialConfig | None:
    """Where the console goes; None if the file has nothing to say about it."""
    for name, entry in account.file.entries.items():
        port = PORT.fullmatch(name)
        if port and port[1] + port[2] not in PORTS:
            there = "serial0 to serial3" if port[1] == "serial" else "parallel0"
            account.ignore(entry, f"the machine has {there}")
    return _port(account, "serial0", "the serial console", usual="at its usual place")


def more_serial_of(account: Account) -> dict[str, SerialConfig]:
    """The other serial ports that the file has, by the names of the machine's parts."""
    found = {}
    for port, part in PARTS.items():
        if port.startswith("serial"):
            config = _port(account, port, f"the port {part.upper()}", usual="to nowhere")
            if config is not None or _present(account, port):
                found[part] = config or SerialConfig("null", option=PORTS[port])
    return found


def printer_of(account: Account) -> PrinterConfig | None:
    """Where the parallel port leads to; None: there is none, or no file for it."""
    config = _port(account, "parallel0", "the parallel port", usual="to nowhere")
    if config is None or config.path is None:
        return None
    return PrinterConfig(config.path, append=True)


def _present(account: Account, port: str) -> bool:
    present = account.entry(f"{port}.present")
    return present is not None and account.truth(present)


def _port(account: Account, port: str, what: str, usual: str) -> SerialConfig | None:
    present = account.entry(f"{port}.present")
    if present is None or not account.truth(present):
        for name, entry in account.file.entries.items():
            if name.startswith(f"{port}."):
                account.ignore(entry, f"{port}.present is not TRUE")
        return None
    kind = account.text(f"{port}.fileType", f"for {what}") or "device"
    connected = account.flag(f"{port}.startConnected", True, f"for {what}")
    config = _file(account, port, present, what) if kind.lower() == "file" else None
    if not connected:
        account.use(present, f"{what} is not connected")
        return SerialConfig("null", option=PORTS[port])
    if config is None:
        account.use(present, f"{what}, {usual}")
    else:
        account.use(present, f"{what}, appended to {config.path}")
    if kind.lower() not in ("file", "thinprint"):  # thinprint: the host's printer, on every machine
        problem = f"a port of type {shown(kind)} is not possible here; {_takes(port)}"
        account.warn(present, problem)
    return config


def _takes(port: str) -> str:
    return f"{PORTS[port]} takes files and " + ("commands" if port == "parallel0" else "sockets")


def _file(account: Account, port: str, present: Entry, what: str) -> SerialConfig | None:
    entry = account.entry(f"{port}.fileName")
    if entry is None or not entry.value:
        raise account.file.error(present, f"there is no {port}.fileName to say which file; add it")
    account.use(entry, f"for {what}")
    vmx = Path(account.file.name).resolve()
    path = vmx.parent / entry.value
    windows = "\\" in entry.value or ":" in entry.value
    if windows or not entry.value.isprintable() or not _may_write(path.resolve(), vmx):
        problem = "is not written: it is not a file below the folder of the .vmx file"
        account.warn(entry, f"{shown(entry.value)} {problem}; {PORTS[port]} file:NAME writes any")
        return None
    return SerialConfig("file", path, append=True, option=PORTS[port])


def _may_write(path: Path, vmx: Path) -> bool:
    return vmx.parent in path.parents and path != vmx

"""The serial ports of a .vmx file. The machine has the first one, which is its console.

A console that the file sends to another file is appended to it: nothing is lost that was there.
Only files below the folder of the .vmx file are written, since it may come from anywhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.settings.serial_config import SerialConfig
from monitor.vmware.vmx.account import Account
from monitor.vmware.vmx.config_file import Entry, shown

PORT = re.compile(r"serial([0-9]+)\..*", re.DOTALL)
OURS = "0"
PART = "for the serial console"


def serial_of(account: Account) -> SerialConfig | None:
    """Where the console goes; None if the file has nothing to say about it."""
    ports = {name: PORT.fullmatch(name) for name in account.file.entries}
    for name, port in ports.items():
        if port and port[1] != OURS:
            entry = account.file.entries[name]
            account.ignore(entry, "the machine has one serial port, serial0")
    present = account.entry("serial0.present")
    if present is None or not account.truth(present):
        for name, port in ports.items():
            if port and port[1] == OURS:
                account.ignore(account.file.entries[name], "serial0.present is not TRUE")
        return None
    return _first_port(account, present)


def _first_port(account: Account, present: Entry) -> SerialConfig | None:
    kind = account.text("serial0.fileType", PART) or "device"
    connected = account.flag("serial0.startConnected", True, PART)
    config = _file(account, present) if kind.lower() == "file" else None
    if not connected:
        account.use(present, "the serial console is not connected")
        return SerialConfig("null")
    if config is None:
        account.use(present, "the serial console, at its usual place")
    else:
        account.use(present, f"the serial console, appended to {config.path}")
    if kind.lower() not in ("file", "thinprint"):  # thinprint: the host's printer, on every machine
        account.warn(
            present,
            f"a port of type {shown(kind)} is not possible here; --serial takes files and sockets",
        )
    return config


def _file(account: Account, present: Entry) -> SerialConfig | None:
    entry = account.entry("serial0.fileName")
    if entry is None or not entry.value:
        raise account.file.error(present, "there is no serial0.fileName to say which file; add it")
    account.use(entry, PART)
    vmx = Path(account.file.name).resolve()
    path = vmx.parent / entry.value
    windows = "\\" in entry.value or ":" in entry.value
    if windows or not entry.value.isprintable() or not _may_write(path.resolve(), vmx):
        problem = "is not written: it is not a file below the folder of the .vmx file"
        account.warn(entry, f"{shown(entry.value)} {problem}; --serial file:NAME writes any")
        return None
    return SerialConfig("file", path, append=True)


def _may_write(path: Path, vmx: Path) -> bool:
    return vmx.parent in path.parents and path != vmx

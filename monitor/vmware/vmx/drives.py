"""The drives of a .vmx file: floppies, disks and CDs as images beside the file.

    floppy0.fileName = "dos.img"        ide0:0.fileName = "disk.img"
    ide1:0.deviceType = "cdrom-image"   ide0:0.mode = "persistent"

The machine has two floppy drives, and IDE at ide0:0 to ide1:1, whose ide1:0 may be a CD-ROM drive.
A disk keeps what the guest writes only with the mode "persistent", which VMware has without being
told, and then only below the folder of the .vmx file, which may come from anywhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.settings.drives import CDROM, CDROM_PLACE, Drive
from monitor.vmware.vmx.account import Account
from monitor.vmware.vmx.config_file import Entry, shown

PLACES = {"floppy0": "fda", "floppy1": "fdb", "ide0:0": "hda", "ide0:1": "hdb", "ide1:0": "hdc",
          "ide1:1": "hdd"}  # fmt: skip
UNIT = re.compile(r"(floppy[0-9]+|ide[0-9]+:[0-9]+)\..*", re.DOTALL)
PARTS = ("present", "fileName", "fileType", "deviceType", "mode", "startConnected")
CD_TYPES = ("cdrom-image", "cdrom-raw", "atapi-cdrom")


def drives_of(account: Account) -> dict[str, tuple[Drive, tuple[str, ...]]]:
    """By plug: a drive, and the names of the settings that it has from the file."""
    found = {}
    for unit, plug in PLACES.items():
        drive = _drive(account, unit, plug)
        if drive is not None:
            found[drive.plug] = drive, tuple(f"{unit}.{part}" for part in PARTS)
    for name, entry in account.file.entries.items():
        match = UNIT.fullmatch(name)
        if match and match[1] not in PLACES:
            account.ignore(entry, "the machine has floppy0, floppy1 and ide0:0 to ide1:1")
    return found


def _drive(account: Account, unit: str, plug: str) -> Drive | None:
    present = account.entry(f"{unit}.present")
    floppy = plug.startswith("fd")
    there = account.truth(present) if present is not None else False
    if present is None or not there:
        for name, entry in account.file.entries.items():
            if name.startswith(f"{unit}."):
                account.ignore(entry, f"{unit}.present is not TRUE")
        return None
    type_ = (account.text(f"{unit}.deviceType", "what the drive is") or "").lower()
    if not floppy and type_ in CD_TYPES:
        if plug != CDROM_PLACE:
            account.warn(present, "a CD-ROM drive is possible at ide1:0 only; --cdrom FILE has it")
            account.ignore(present, "a CD-ROM drive is at ide1:0")
            return None
        plug = CDROM
    source, persistent = _source(account, unit, plug)
    if source is None and plug not in (CDROM, "fda", "fdb"):
        account.ignore(present, "there is no image for it")
        return None
    account.use(present, f"the drive {plug}")
    return Drive(plug, source, persistent)


def _source(account: Account, unit: str, plug: str) -> tuple[str | None, bool]:
    """The image, if there is one that may be used, and whether it is written."""
    connected = account.flag(f"{unit}.startConnected", True, "whether something is in the drive")
    kind = account.text(f"{unit}.fileType", "where the floppy is") or "file"
    entry = account.entry(f"{unit}.fileName")
    mode = (account.text(f"{unit}.mode", "what becomes of what the guest writes") or "").lower()
    raw = (account.entry(f"{unit}.deviceType") or entry)
    real = kind.lower() == "device" or (raw is not None and raw.value.lower() == "cdrom-raw")
    if entry is None or not entry.value or not connected or real:
        if entry is not None and entry.value:
            account.use(entry, "nothing is in the drive")
        return None, False
    if entry.value.lower().endswith(".vmdk"):
        account.warn(entry, f"{shown(entry.value)} is no raw image, which --{plug} takes")
        return None, False
    return _image(account, entry, plug, mode.endswith("persistent") and "non" not in mode)


def _image(account: Account, entry: Entry, plug: str, persistent: bool) -> tuple[str | None, bool]:
    vmx = Path(account.file.name).resolve()
    path = vmx.parent / entry.value
    windows = "\\" in entry.value or (len(entry.value) > 1 and entry.value[1] == ":")
    if windows or not entry.value.isprintable():
        account.warn(entry, f"{shown(entry.value)} is no file here; --{plug} FILE names one")
        return None, False
    if persistent and plug != CDROM and vmx.parent not in path.resolve().parents:
        problem = "is not below the folder of the .vmx file, so what the guest writes is forgotten"
        account.warn(entry, f"{shown(entry.value)} {problem}; --{plug} FILE,persistent keeps it")
        persistent = False
    keeps = persistent and plug != CDROM
    account.use(entry, f"the image in {plug}" + (", written" if keeps else ""))
    return str(path), keeps

"""The root file system of the Linux guest: busybox, its applets, and a short /init.

The kernel unpacks the archive into RAM and runs /init as its first process (the kernel's
Documentation/filesystems/ramfs-rootfs-initramfs.rst).
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from types import MappingProxyType

from monitor.loaders import cpio

READY = "VP-GUEST-READY"

# `setsid cttyhack` gives the shell a controlling terminal, so Ctrl-C reaches what it runs.
# Without ACPI a PC cannot switch itself off, so the end of the shell reboots: with `reboot=k` the
# kernel asks the keyboard controller for a reset, which a monitor takes as the end.
INIT = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
export HOME=/ TERM=vt100
cd /
echo {READY}
setsid cttyhack sh
reboot -f
"""

FOLDERS = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "var")
LINKS = {"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin"}
# Numbers from the kernel's Documentation/admin-guide/devices.txt.
DEVICES = {
    "dev/console": cpio.character_device(5, 1),
    "dev/null": cpio.character_device(1, 3, 0o666),
    "dev/tty": cpio.character_device(5, 0, 0o666),
    "dev/ttyS0": cpio.character_device(4, 64),
}


def applets(busybox: bytes) -> list[str]:
    """The names busybox answers to, read from the table inside it.

    The table is sorted, NUL-separated, starts with "[" and "[[" and ends with an empty name.
    Reading it instead of running `busybox --list` works on any host.
    """
    start = busybox.find(b"\0[\0[[\0")
    if start < 0:
        raise ValueError("this busybox holds no table of applets")
    end = busybox.index(b"\0\0", start + 1)
    return busybox[start + 1 : end].decode().split("\0")


def build(busybox: bytes, added: Mapping[str, cpio.Entry] = MappingProxyType({})) -> bytes:
    """The compressed archive; the same busybox always gives the same bytes."""
    entries = {name: cpio.folder() for name in FOLDERS}
    entries.update({name: cpio.link(target) for name, target in LINKS.items()})
    entries.update({f"bin/{name}": cpio.link("busybox") for name in applets(busybox)})
    entries.update(DEVICES)
    entries["bin/busybox"] = cpio.program(busybox)
    entries["init"] = cpio.program(INIT.encode())
    entries.update(added)
    return gzip.compress(cpio.archive(entries), mtime=0)

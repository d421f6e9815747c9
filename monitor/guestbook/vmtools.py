"""Debian's open-vm-tools as an archive that goes behind the busybox initramfs.

The programs, the plugins of vmtoolsd that work without other services, what is in
/etc/vmware-tools, and every library that these need, found by following DT_NEEDED. Busybox and
/init are those of initramfs.py, which takes in what is ADDED here.

Nothing is installed and no maintainer script runs: apt says which packages belong together, and
only files are taken from them.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterable
from pathlib import Path

from monitor.guestbook.apt import Apt, AptError, Package
from monitor.guestbook.elf_needed import needed
from monitor.loaders import cpio

PACKAGE = "open-vm-tools"

PROGRAMS = ("vmtoolsd", "vmware-checkvm", "vmware-rpctool", "vmware-toolbox-cmd")
LIBRARIES = "usr/lib/i386-linux-gnu"
# The others want what is not here: VGAuth (vix), vSockets (gdp, guestStore), a DRM driver
# (resolutionKMS), shared folders, quiesced snapshots, cloud-init.
PLUGINS = tuple(
    f"{LIBRARIES}/open-vm-tools/plugins/vmsvc/lib{name}.so"
    for name in ("appInfo", "guestInfo", "powerOps", "timeSync")
)
OPENED = (f"{LIBRARIES}/libguestStoreClient.so.0",)  # by vmtoolsd as it runs, with dlopen
MESSAGES = "usr/share/open-vm-tools/messages/en"
CONFIGURATION = "etc/vmware-tools"

# What else a guest with tools has: vmtoolsd's powerOps plugin runs /sbin/shutdown, which busybox
# lacks, glib asks for the user's name, and tools.conf wants a log file.
SHUTDOWN = """#!/bin/sh
case "$1" in
-r) exec reboot -f ;;
*) exec halt -f ;;
esac
"""
ADDED = {
    "bin/shutdown": cpio.program(SHUTDOWN.encode()),
    "etc/passwd": cpio.plain(b"root:x:0:0:root:/root:/bin/sh\n"),
    "etc/group": cpio.plain(b"root:x:0:\n"),
    "var/log": cpio.folder(),
}


class Tree:
    """Packages unpacked into one folder, and which of them each file came from."""

    def __init__(self, apt: Apt, folder: Path) -> None:
        self.apt = apt
        self.folder = folder
        self.owners: dict[str, Package] = {}  # by the file's place below the folder
        self.libraries: dict[str, str] = {}  # by the name that DT_NEEDED has

    def unpack(self, packages: list[Package]) -> None:
        for package, archive in zip(packages, self.apt.download(*packages), strict=True):
            self.apt.extract(archive, self.folder / package.name)
            for path in sorted((self.folder / package.name).rglob("*")):
                if path.is_file():
                    self._file(package, path)

    def _file(self, package: Package, path: Path) -> None:
        place = str(path.relative_to(self.folder / package.name))
        self.owners[place] = package
        if path.parent.name in ("lib", "i386-linux-gnu"):
            self.libraries.setdefault(path.name, place)

    def read(self, place: str) -> bytes:
        return (self.folder / self.owners[place].name / place).read_bytes()

    def below(self, *folders: str) -> list[str]:
        return [place for place in self.owners if place.startswith(folders)]

    def with_libraries(self, places: Iterable[str]) -> list[str]:
        """The files, and every library that they need, directly or not."""
        found = list(places)
        for place in found:
            for name in sorted(needed(self.read(place))):
                if name not in self.libraries:
                    raise AptError(f"{place} needs {name}, which no package of apt's choice brings")
                if self.libraries[name] not in found:
                    found.append(self.libraries[name])
        return found


def fetch(apt: Apt) -> tuple[bytes, list[Package]]:
    """The compressed archive, and the packages that its files come from."""
    packages = [package for package in apt.resolve(PACKAGE).values()
                if package.name == PACKAGE or package.name.startswith("lib")]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=apt.cache) as folder:
        tree = Tree(apt, Path(folder))
        tree.unpack(packages)
        programs = [f"usr/bin/{name}" for name in PROGRAMS]
        places = tree.with_libraries(
            [*programs, *PLUGINS, *OPENED, *tree.below(CONFIGURATION, MESSAGES)]
        )
        entries = {_name(place): cpio.program(tree.read(place)) for place in places}
    entries.update({name: cpio.folder() for name in _folders(entries)})
    used = {tree.owners[place] for place in places}
    return gzip.compress(cpio.archive(entries), mtime=0), sorted(used, key=lambda p: p.name)


def _name(place: str) -> str:
    """Where a file goes: libraries are looked for in /lib, programs in /bin."""
    path = Path(place)
    if path.match("usr/bin/*"):
        return f"bin/{path.name}"
    return f"lib/{path.name}" if path.parent.name == "i386-linux-gnu" else place


def _folders(names: Iterable[str]) -> set[str]:
    return {str(folder) for name in names for folder in Path(name).parents[:-1]}

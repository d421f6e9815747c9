"""Files of guests, out of Debian's packages: `make guests` and `vp guest fetch`.

Fills a folder (monitor/settings/guest_places.py; guests/ is ignored by git) with what Debian ships

    vmlinuz              Linux 6.1 for a 686 without PAE, from the package linux-image-686 names
    vmlinuz-pae          the same with PAE, from the package linux-image-686-pae names
    busybox              a static i386 busybox, from busybox-static
    tools.cpio.gz        open-vm-tools and its libraries (vmtools.py)
    memtest86+.bin       a memory test, started as a kernel is, from memtest86+
    ipxe.lkrn            a network boot loader, started as a kernel is, from ipxe
    ipxe.iso             the same as a CD
    seabios/             firmware of 128 and 256 KiB, and VGA BIOSes, from seabios
    grub-rescue/         a floppy and a CD with GRUB, from grub-rescue-pc
    memtest86+.iso       the memory test as a CD, from memtest86+
    isolinux/            the boot loader for CDs made by tests, from isolinux and syslinux-common
    debian-installer/    kernel and initramfs of Debian's installer, from its package
    initramfs.cpio.gz    made here from busybox (initramfs.py)
    vmtools.cpio.gz      made here: the initramfs, and behind it the tools
    manifest.json        which packages and versions each came from, with its SHA-256

What is there and as the manifest says is not fetched again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from monitor.guestbook import initramfs, vmtools
from monitor.guestbook.apt import Apt, AptError, Package

__all__ = ["BUILT", "FETCHED", "AptError", "fetch"]

KERNELS = {"vmlinuz": "linux-image-686", "vmlinuz-pae": "linux-image-686-pae"}
BUSYBOX, TOOLS, MANIFEST = "busybox", "tools.cpio.gz", "manifest.json"
SYSLINUX = "usr/lib/syslinux/modules/bios"
INSTALLER = "debian-installer-12-netboot-i386"
INSTALLER_FILES = "usr/lib/debian-installer/images/12/i386/text/debian-installer/i386"
# Where it goes, its package, and where it is in there; kernels and tools have their own ways.
FILES = {
    "busybox": ("busybox-static", "bin/busybox"),
    "memtest86+.bin": ("memtest86+", "boot/memtest86+ia32.bin"),
    "memtest86+.iso": ("memtest86+", "usr/lib/memtest86+/memtest86+ia32.iso"),
    "ipxe.lkrn": ("ipxe", "boot/ipxe.lkrn"),
    "ipxe.iso": ("ipxe", "usr/lib/ipxe/ipxe.iso"),
    "seabios/bios.bin": ("seabios", "usr/share/seabios/bios.bin"),
    "seabios/bios-256k.bin": ("seabios", "usr/share/seabios/bios-256k.bin"),
    "seabios/vgabios-stdvga.bin": ("seabios", "usr/share/seabios/vgabios-stdvga.bin"),
    "seabios/vgabios-isavga.bin": ("seabios", "usr/share/seabios/vgabios-isavga.bin"),
    "grub-rescue/floppy.img": ("grub-rescue-pc", "usr/lib/grub-rescue/grub-rescue-floppy.img"),
    "grub-rescue/cdrom.iso": ("grub-rescue-pc", "usr/lib/grub-rescue/grub-rescue-cdrom.iso"),
    "isolinux/isolinux.bin": ("isolinux", "usr/lib/ISOLINUX/isolinux.bin"),
    "isolinux/ldlinux.c32": ("syslinux-common", f"{SYSLINUX}/ldlinux.c32"),
    "isolinux/libcom32.c32": ("syslinux-common", f"{SYSLINUX}/libcom32.c32"),
    "isolinux/libutil.c32": ("syslinux-common", f"{SYSLINUX}/libutil.c32"),
    "isolinux/menu.c32": ("syslinux-common", f"{SYSLINUX}/menu.c32"),
    "debian-installer/linux": (INSTALLER, f"{INSTALLER_FILES}/linux"),
    "debian-installer/initrd.gz": (INSTALLER, f"{INSTALLER_FILES}/initrd.gz"),
}
FETCHED = (*KERNELS, TOOLS, *FILES)
#: Made here, and what they are made from.
BUILT = {"initramfs.cpio.gz": (BUSYBOX,), "vmtools.cpio.gz": (BUSYBOX, TOOLS)}

Manifest = dict[str, dict[str, str]]
Say = Callable[[str], None]


def fetch(
    folder: Path, say: Say, names: Iterable[str] = FETCHED, *, refresh: bool = False,
    apt: Apt | None = None,
) -> None:
    """Bring these files into the folder, the fetched and the built. AptError, OSError."""
    wanted = [name for each in names for name in BUILT.get(each, (each,))]
    manifest = recorded(folder)
    missing = [name for name in FETCHED if name in wanted and (refresh or name not in manifest)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        manifest |= _bring(folder, apt or Apt(folder / ".cache", "i386"), missing, say)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    for name in wanted:
        row = manifest[name]
        say(f"{folder.name}/{name}  {row['from']}\n  sha256 {row['sha256']}")
    for name, sources in BUILT.items():
        if set(sources) <= {*wanted}:
            _build(folder, name, say)


def sha256(path: Path) -> str:
    """The file's digest, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded(folder: Path) -> Manifest:
    """What an earlier run left here, as far as it is still whole."""
    try:
        manifest: Manifest = json.loads((folder / MANIFEST).read_text())
        return {name: row for name, row in manifest.items() if _is_whole(folder / name, row)}
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return {}


def _is_whole(path: Path, row: Mapping[str, str]) -> bool:
    return path.is_file() and sha256(path) == row["sha256"] and "from" in row


def _bring(folder: Path, apt: Apt, names: list[str], say: Say) -> Manifest:
    """Fetch the packages of these files; where each file came from."""
    say("reading Debian's package lists for i386")
    apt.update()
    origins: dict[str, str] = {}
    by_package: dict[str, dict[str, str]] = {}
    for name in names:
        if name in KERNELS:
            package = kernel_package(apt, KERNELS[name])
            origins |= _take(folder, apt, package, {name: "boot/vmlinuz-*"}, say)
        elif name == TOOLS:
            origins[name] = _take_tools(folder, apt, say)
        else:
            package_name, pattern = FILES[name]
            by_package.setdefault(package_name, {})[name] = pattern
    for package_name, files in by_package.items():
        origins |= _take(folder, apt, apt.resolve(package_name)[package_name], files, say)
    if BUSYBOX in origins:
        (folder / BUSYBOX).chmod(0o755)
    return {
        name: {"from": origin, "sha256": sha256(folder / name)} for name, origin in origins.items()
    }


def kernel_package(apt: Apt, name: str) -> Package:
    """The kernel that a meta package stands for today."""
    packages = apt.resolve(name).values()
    return next(each for each in packages if re.match(r"linux-image-\d+\.", each.name))


def _take(
    folder: Path, apt: Apt, package: Package, files: Mapping[str, str], say: Say
) -> dict[str, str]:
    """Put files of a package, by pattern, where they go; where each came from."""
    say(f"fetching {package}")
    [archive] = apt.download(package)
    with tempfile.TemporaryDirectory(dir=apt.cache) as unpacked:
        apt.extract(archive, Path(unpacked))
        for name, pattern in files.items():
            [found] = Path(unpacked).glob(pattern)
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(found, folder / name)
    return dict.fromkeys(files, str(package))


def _take_tools(folder: Path, apt: Apt, say: Say) -> str:
    """The archive of open-vm-tools; a line naming every package that something came from."""
    say(f"fetching {vmtools.PACKAGE} and its libraries")
    archive, packages = vmtools.fetch(apt)
    (folder / TOOLS).write_bytes(archive)
    return ", ".join(map(str, packages))


def _build(folder: Path, name: str, say: Say) -> None:
    """Make an initramfs anew: a moment's work, and never older than its recipe.

    The kernel unpacks archives that stand one behind the other, each compressed by itself
    (Documentation/driver-api/early-userspace/buffer-format.rst).
    """
    busybox = (folder / BUSYBOX).read_bytes()
    made_from = "busybox"
    if TOOLS in BUILT[name]:
        made_from = "busybox and the tools"
        image = initramfs.build(busybox, vmtools.ADDED) + (folder / TOOLS).read_bytes()
    else:
        image = initramfs.build(busybox)
    (folder / name).write_bytes(image)
    say(f"{folder.name}/{name}  built here from {made_from}\n  sha256 {sha256(folder / name)}")

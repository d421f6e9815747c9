"""`make guests`: Debian's own Linux kernel, busybox, open-vm-tools, firmware, and boot media.

Fills guests/ (ignored by git) with what Debian ships

    vmlinuz              Linux 6.1 for a 686 without PAE, from the package linux-image-686 names
    busybox              a static i386 busybox, from busybox-static
    tools.cpio.gz        open-vm-tools and its libraries (tools/vmtools.py)
    memtest86+.bin       a memory test, started as a kernel is, from memtest86+
    ipxe.lkrn            a network boot loader, started as a kernel is, from ipxe
    seabios/             firmware of 128 and 256 KiB, and VGA BIOSes, from seabios
    grub-rescue/         a floppy and a CD with GRUB, from grub-rescue-pc
    memtest86+.iso       the memory test as a CD, from memtest86+
    isolinux/            the boot loader for CDs made by tests, from isolinux and syslinux-common
    initramfs.cpio.gz    made here from busybox (tools/initramfs.py)
    vmtools.cpio.gz      made here: the initramfs, and behind it the tools
    manifest.json        which packages and versions each came from, with its SHA-256

Repeating it does nothing while the files are as the manifest says; `--refresh` asks apt again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import initramfs, vmtools  # noqa: E402  (the path above makes it importable)
from tools.apt import Apt, AptError, Package  # noqa: E402

GUESTS = ROOT / "guests"
KERNEL, BUSYBOX, TOOLS = GUESTS / "vmlinuz", GUESTS / "busybox", GUESTS / "tools.cpio.gz"
SYSLINUX = "usr/lib/syslinux/modules/bios"
# Where it goes in guests/, its package, and where it is in there; the kernel's package and the
# tools have their own ways.
FILES = {
    "busybox": ("busybox-static", "bin/busybox"),
    "memtest86+.bin": ("memtest86+", "boot/memtest86+ia32.bin"),
    "memtest86+.iso": ("memtest86+", "usr/lib/memtest86+/memtest86+ia32.iso"),
    "ipxe.lkrn": ("ipxe", "boot/ipxe.lkrn"),
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
}
FETCHED = (KERNEL.name, TOOLS.name, *FILES)
MANIFEST = GUESTS / "manifest.json"

Manifest = dict[str, dict[str, str]]


def sha256(path: Path) -> str:
    """The file's digest, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded() -> Manifest:
    """What an earlier run left here, if every file of it is still whole."""
    try:
        manifest: Manifest = json.loads(MANIFEST.read_text())
        whole = all(sha256(GUESTS / name) == manifest[name]["sha256"] for name in FETCHED)
    except (OSError, ValueError, LookupError):
        return {}
    return manifest if whole else {}


def kernel_package(apt: Apt) -> Package:
    """The kernel that the meta package linux-image-686 stands for today."""
    packages = apt.resolve("linux-image-686").values()
    return next(each for each in packages if re.match(r"linux-image-\d+\.", each.name))


def take(apt: Apt, package: Package, files: Mapping[str, str]) -> dict[str, str]:
    """Put files of a package, by pattern, where they go; where each came from."""
    print(f"fetching {package}", flush=True)
    [archive] = apt.download(package)
    with tempfile.TemporaryDirectory(dir=apt.cache) as unpacked:
        apt.extract(archive, Path(unpacked))
        for name, pattern in files.items():
            [found] = Path(unpacked).glob(pattern)
            (GUESTS / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(found, GUESTS / name)
    return dict.fromkeys(files, str(package))


def take_tools(apt: Apt) -> str:
    """The archive of open-vm-tools; a line naming every package that something came from."""
    print(f"fetching {vmtools.PACKAGE} and its libraries", flush=True)
    archive, packages = vmtools.fetch(apt)
    TOOLS.write_bytes(archive)
    return ", ".join(map(str, packages))


def fetch() -> Manifest:
    """Fetch all packages, and say where each file came from."""
    apt = Apt(GUESTS / ".cache", "i386")
    print("reading Debian's package lists for i386", flush=True)
    apt.update()
    origins = take(apt, kernel_package(apt), {KERNEL.name: "boot/vmlinuz-*"})
    origins[TOOLS.name] = take_tools(apt)
    by_package: dict[str, dict[str, str]] = {}
    for name, (package, pattern) in FILES.items():
        by_package.setdefault(package, {})[name] = pattern
    for package, files in by_package.items():
        origins |= take(apt, apt.resolve(package)[package], files)
    BUSYBOX.chmod(0o755)
    return {
        name: {"from": origin, "sha256": sha256(GUESTS / name)} for name, origin in origins.items()
    }


def build_initramfs() -> None:
    """Make both initramfs anew: a moment's work, and never older than their recipe.

    The kernel unpacks archives that stand one behind the other, each compressed by itself
    (Documentation/driver-api/early-userspace/buffer-format.rst).
    """
    busybox = BUSYBOX.read_bytes()
    for image, made_from, contents in (
        (GUESTS / "initramfs.cpio.gz", "busybox", initramfs.build(busybox)),
        (GUESTS / "vmtools.cpio.gz", "busybox and the tools",
         initramfs.build(busybox, vmtools.ADDED) + TOOLS.read_bytes()),
    ):  # fmt: skip
        image.write_bytes(contents)
        print(f"guests/{image.name}  built here from {made_from}\n  sha256 {sha256(image)}")


def main() -> int:
    """Do what the command line asks; 0 when guests/ is filled, 1 when it could not be."""
    parser = argparse.ArgumentParser(description="Fetch the real guests into guests/.")
    parser.add_argument("--refresh", action="store_true", help="ask apt again")
    refresh = parser.parse_args().refresh
    manifest = {} if refresh else recorded()
    if not manifest:
        GUESTS.mkdir(exist_ok=True)
        try:
            manifest = fetch()
        except AptError as error:
            print(f"make guests: {error}", file=sys.stderr)
            return 1
        MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")
    for name, row in manifest.items():
        print(f"guests/{name}  {row['from']}\n  sha256 {row['sha256']}")
    build_initramfs()
    return 0


if __name__ == "__main__":
    sys.exit(main())

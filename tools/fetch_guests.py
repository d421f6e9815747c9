"""`make guests`: Debian's own Linux kernel and busybox, as Debian ships them.

Fills guests/ (ignored by git) with

    vmlinuz              Linux 6.1 for a 686 without PAE, from the package linux-image-686 names
    busybox              a static i386 busybox, from busybox-static
    initramfs.cpio.gz    made here from busybox (tools/initramfs.py)
    manifest.json        which package and version each came from, with its SHA-256

Repeating it does nothing while the files are as the manifest says; `--refresh` asks apt again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import initramfs  # noqa: E402  (the path above makes it importable)
from tools.apt import Apt, AptError, Package  # noqa: E402

GUESTS = ROOT / "guests"
MANIFEST = GUESTS / "manifest.json"

Manifest = dict[str, dict[str, str]]


def sha256(path: Path) -> str:
    """The file's digest, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recorded() -> Manifest:
    """What an earlier run left here, if every file of it is still whole."""
    try:
        manifest: Manifest = json.loads(MANIFEST.read_text())
        whole = all(sha256(GUESTS / name) == row["sha256"] for name, row in manifest.items())
    except (OSError, ValueError):
        return {}
    return manifest if whole else {}


def kernel_package(apt: Apt) -> Package:
    """The kernel that the meta package linux-image-686 stands for today."""
    names = apt.candidate("linux-image-686").depends
    return apt.candidate(next(name for name in names if name.startswith("linux-image-")))


def take(apt: Apt, package: Package, pattern: str, target: Path) -> str:
    """Put one file of a package at the target; a line saying where it came from."""
    print(f"fetching {package.name} {package.version}", flush=True)
    archive = apt.download(package)
    with tempfile.TemporaryDirectory(dir=apt.cache) as unpacked:
        apt.extract(archive, Path(unpacked))
        [found] = Path(unpacked).glob(pattern)
        shutil.copyfile(found, target)
    return f"{package.name} {package.version}"


def fetch() -> Manifest:
    """Fetch both packages, and say where each file came from."""
    apt = Apt(GUESTS / ".cache", "i386")
    print("reading Debian's package lists for i386", flush=True)
    apt.update()
    kernel, busybox = GUESTS / "vmlinuz", GUESTS / "busybox"
    origins = {
        kernel: take(apt, kernel_package(apt), "boot/vmlinuz-*", kernel),
        busybox: take(apt, apt.candidate("busybox-static"), "bin/busybox", busybox),
    }
    busybox.chmod(0o755)
    return {path.name: {"from": origin, "sha256": sha256(path)} for path, origin in origins.items()}


def build_initramfs() -> None:
    """Make the initramfs anew: a moment's work, and never older than its recipe."""
    image = GUESTS / "initramfs.cpio.gz"
    image.write_bytes(initramfs.build((GUESTS / "busybox").read_bytes()))
    print(f"guests/{image.name}  built here from busybox\n  sha256 {sha256(image)}")


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

"""Bochs, Debian's package: a build with the debugger in it, and quoted as that.

Started on a script that continues at once. It boots either a floppy with the integer mix, which
ends through Bochs' shutdown port, or a CD with Linux (isolinux), which is stopped when the guest's
serial line says it is ready.

Debian's build has only displays that need somewhere to draw; the text one is given a terminal.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks import images
from benchmarks.timing import BenchmarkError, Measured, measure_on_terminal

NAME = "Bochs 2.7, Debian's debugger build"
SHARED = Path("/usr/share/bochs")
VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")
NEEDED = "Debian: apt install bochs bochs-term bochsbios vgabios"

CONFIGURATION = """\
display_library: term
sound: driver=dummy
cpu: model=p2_klamath, count=1, ips=100000000
clock: sync=none, time0=946684800
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={vga_bios}
{drive}
com1: enabled=1, mode=file, dev={serial}
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def integer_mix(rounds: int) -> Measured:
    """Run so many rounds; the output is the checksum."""
    floppy = images.boot_floppy(images.integer_mix(rounds))
    drive = f"floppya: 1_44={floppy}, status=inserted\nboot: floppy"
    return _run("intmix", drive, 64, "")


def linux(kernel: Path, initrd: Path, append: str, ready: str) -> Measured:
    """Boot Linux on 128 MiB until it prints `ready` on its console."""
    cd = _linux_cd(kernel, initrd, append)
    drive = f"ata0-master: type=cdrom, path={cd}, status=inserted\nboot: cdrom"
    return _run("linux", drive, 128, ready)


def floppy(image: Path, memory: int, ready: str) -> Measured:
    """Boot a floppy of 720 KiB until it says `ready` on the serial line."""
    drive = f"floppya: 720k={image}, status=inserted\nboot: floppy"
    return _run("floppy", drive, memory, ready)


def _run(name: str, drive: str, memory: int, ending: str) -> Measured:
    if shutil.which("bochs") is None or not VGA_BIOS.exists():
        raise BenchmarkError(f"Bochs is not installed ({NEEDED})")
    folder = images.OUT / f"bochs-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    serial, configuration, go = folder / "serial", folder / "bochsrc", folder / "go"
    serial.unlink(missing_ok=True)
    go.write_text("c\n")
    bios = SHARED / "BIOS-bochs-legacy"
    configuration.write_text(
        CONFIGURATION.format(
            memory=memory,
            bios=bios,
            vga_bios=VGA_BIOS,
            drive=drive,
            serial=serial,
            log=folder / "log",
        )
    )

    def finished() -> bool:
        return bool(ending) and ending in _text(serial)

    done = measure_on_terminal(["bochs", "-q", "-f", configuration, "-rc", go], finished)
    if not _text(serial):
        raise BenchmarkError(f"the guest under Bochs printed nothing; {folder / 'log'} says why")
    return replace(done, output=_text(serial), status=0)


def _text(serial: Path) -> str:
    return serial.read_text(errors="replace") if serial.exists() else ""


def _linux_cd(kernel: Path, initrd: Path, append: str) -> Path:
    """A CD that isolinux boots straight into the kernel."""
    boot = Path("/usr/lib/ISOLINUX/isolinux.bin")
    loader = Path("/usr/lib/syslinux/modules/bios/ldlinux.c32")
    if not (boot.exists() and loader.exists() and shutil.which("xorriso")):
        raise BenchmarkError("no isolinux (Debian: apt install isolinux syslinux-common xorriso)")
    folder, target = images.OUT / "linux-cd", images.OUT / "linux.iso"
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in ((boot, boot.name), (loader, loader.name), (kernel, "vmlinuz")):
        shutil.copyfile(source, folder / name)
    shutil.copyfile(initrd, folder / "initrd.gz")
    (folder / "isolinux.cfg").write_text(
        f"default linux\nprompt 0\nlabel linux\nkernel vmlinuz\nappend initrd=initrd.gz {append}\n"
    )
    make = ["xorriso", "-as", "mkisofs", "-quiet", "-o", str(target)]
    el_torito = ["-b", boot.name, "-c", "boot.cat", "-no-emul-boot"]
    images.tool([*make, *el_torito, "-boot-load-size", "4", "-boot-info-table", str(folder)])
    return target

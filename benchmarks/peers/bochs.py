"""Bochs, Debian's package: a build with the debugger in it, and quoted as that.

Started on a script that continues at once. It boots either a floppy with the integer mix, which
ends through Bochs' shutdown port, or a CD with Linux (isolinux), which is stopped when the guest's
serial line says it is ready. A guest of monitor/guestbook/rows.py is stopped when its screen or its
serial line shows what it should; its keys are typed on Bochs' display (bochs_display.py).

Debian's build has only displays that need somewhere to draw; the text one has a terminal.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import images
from benchmarks.peers.bochs_display import ENVIRONMENT, Display
from benchmarks.timing import BenchmarkError, Measured, measure_on_terminal
from monitor.cli.parser import build_parser
from monitor.guestbook.guest import Guest

NAME = "Bochs 2.7, Debian's debugger build"
SHARED = Path("/usr/share/bochs")
VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")
NEEDED = "Debian: apt install bochs bochs-term bochsbios vgabios"
FLOPPY_SIZE = 2880 * 512
LIMIT = 1800.0  # seconds on the wall

CONFIGURATION = """\
display_library: term
sound: driver=dummy
cpu: model={model}, count=1, ips=100000000
clock: sync={sync}, time0=946684800
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


def guest(row: Guest, places: Mapping[str, str], ending: str) -> Measured:
    """Boot a guest by name, its files where `places` says, and type what its row types."""
    args = build_parser().parse_args(["run", *row.options(places)])
    steps = [(step.after, step.text) for step in row.steps if step.option == "--keys"]
    if args.cdrom is not None:
        drive = f"ata0-master: type=cdrom, path={args.cdrom}, status=inserted\nboot: cdrom"
    else:
        drive = f"floppya: 1_44={_whole(Path(args.fda))}, status=inserted\nboot: floppy"
    model = "p3_katmai" if args.cpu == "pentium3" else "p2_klamath"
    return _run(row.name, drive, args.memory, ending, steps, model, on_screen=row.screen)


def _whole(image: Path) -> Path:
    """The floppy with all its sectors: a file that is shorter is none for Bochs."""
    images.OUT.mkdir(parents=True, exist_ok=True)
    path = images.OUT / f"whole-{image.name}"
    path.write_bytes(image.read_bytes().ljust(FLOPPY_SIZE, b"\0"))
    return path


def _run(
    name: str, drive: str, memory: int, ending: str, steps: Sequence[tuple[str, str]] = (),
    model: str = "p2_klamath", *, on_screen: bool = False,
) -> Measured:  # fmt: skip
    """With keys to be typed, the guest's time is not to run ahead of the typist's."""
    if shutil.which("bochs") is None or not VGA_BIOS.exists():
        raise BenchmarkError(f"Bochs is not installed ({NEEDED})")
    folder = images.OUT / f"bochs-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    serial, configuration, go = folder / "serial", folder / "bochsrc", folder / "go"
    serial.unlink(missing_ok=True)
    go.write_text("c\n")
    bios = SHARED / "BIOS-bochs-legacy"
    sync = "slowdown" if steps else "none"
    configuration.write_text(
        CONFIGURATION.format(
            model=model,
            sync=sync,
            memory=memory,
            bios=bios,
            vga_bios=VGA_BIOS,
            drive=drive,
            serial=serial,
            log=folder / "log",
        )
    )
    display = Display(steps) if on_screen else None

    def finished(output: bytes) -> bool:
        if display is not None:
            return display.shows(output, ending)
        return bool(ending) and ending in _text(serial)

    command: list[str | Path] = ["bochs", "-q", "-f", configuration, "-rc", go]
    done = measure_on_terminal(command, finished, LIMIT, ENVIRONMENT)
    seen = _text(serial) if display is None else display.text
    if display is not None:
        display.close()
    if not seen or (on_screen and ending not in seen):
        raise BenchmarkError(f"{name} under Bochs did not get there; {folder / 'log'} says why")
    return replace(done, output=seen, status=0)


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

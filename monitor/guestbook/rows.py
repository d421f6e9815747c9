"""The guests. Adding one is adding a row; `vp guest` and tests/guestbook read them.

What a guest types and shows is what its authors made it show; nothing in this program knows one of
them by name.
"""

from __future__ import annotations

from monitor.guestbook.guest import Guest, Step
from monitor.guests.linux import QUICK

FREEDOS = "freedos722.img"
FLOPPY, GRUB_CD = "grub-rescue/floppy.img", "grub-rescue/cdrom.iso"
LINUX_CD, INSTALLER_CD = "isolinux/linux.iso", "debian-installer/text.iso"

GUESTS = (
    Guest(
        "linux", "Linux 6.1 with busybox, on its serial console",
        ("vmlinuz", "initramfs.cpio.gz"), "GPL-2.0",
        f'--kernel {{vmlinuz}} --initrd {{initramfs.cpio.gz}} --append "{QUICK}"',
        (Step("/ # ", "seq 1 100 | awk '{s+=$1} END{print s}'\n", "--type"),),
        expect="5050", most="6e9", screen=False, long=True,
    ),
    Guest(
        "freedos", "FreeDOS with NASM and small programs, from a floppy",
        (FREEDOS,), "GPL-2.0 and others, free to copy",
        f"--fda {{{FREEDOS}}} --memory 16 --serial null",
        (
            Step("A:\\>", "dir\n"),
            Step("46,080 bytes free", "hello\n"),
            Step("Hello, World!", "nasm hello.asm -o a.com\na\n"),
            Step("Hello, World!", "primes /n:200 /p:b.txt\ntype b.txt\n"),
            Step("193,  197,  199", "pi\n"),
        ),
        # The last of 9305 digits.
        expect="2823608963208068222468012248", most="1.5e9",
    ),
    Guest(
        "grub", "GRUB's rescue floppy",
        (FLOPPY,), "GPL-3.0-or-later",
        f"--fda {{{FLOPPY}}} --memory 32 --serial null",
        (Step("GNU GRUB", "c"), Step("grub>", "ls\n")),
        expect="(fd0)", most="6e8",
    ),
    Guest(
        "grub-cd", "GRUB's rescue CD",
        (GRUB_CD,), "GPL-3.0-or-later",
        f"--cdrom {{{GRUB_CD}}} --memory 32 --serial null",
        (Step("GNU GRUB", "c"), Step("grub>", "ls\n")),
        expect="(cd) (cd,msdos1)", most="6e8",
    ),
    Guest(
        "memtest", "memtest86+, a pass over 16 MiB of memory, from a CD",
        ("memtest86+.iso",), "GPL-2.0",
        "--cdrom {memtest86+.iso} --memory 16 --serial null",
        expect="Pass:  1 ", most="6e10", also=("Errors: 0",), long=True,
    ),
    Guest(
        "isolinux", "Linux 6.1 with busybox, from a CD that ISOLINUX boots",
        (LINUX_CD,), "GPL-2.0",
        f"--cdrom {{{LINUX_CD}}} --memory 64",
        (Step("/ # ", "seq 1 100 | awk '{s+=$1} END{print s}'\n", "--type"),),
        expect="5050", most="4e9", screen=False, long=True,
    ),
    Guest(
        "ipxe", "iPXE, which boots from networks, to its prompt",
        ("ipxe.iso",), "GPL-2.0",
        "--cdrom {ipxe.iso} --cpu pentium3 --memory 32 --serial null",
        (Step("Ctrl-B", "\\<ctrl-b>"),),
        expect="iPXE>", most="2e9",
    ),
    Guest(
        "debian-installer", "Debian's installer, to its first question, from a CD",
        (INSTALLER_CD,), "GPL-2.0 and others, free to copy",
        f"--cdrom {{{INSTALLER_CD}}} --memory 768 --serial null",
        expect="Choose the language", most="1.2e10", long=True,
    ),
)  # fmt: skip
BY_NAME = {guest.name: guest for guest in GUESTS}

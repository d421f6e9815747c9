"""Where a guest's files are, what is missing, and getting it.

A boot CD is made here, from files that were fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from monitor.firmware import rom_files
from monitor.guestbook import fetching, isolinux_cd
from monitor.guestbook.guest import Guest
from monitor.guestbook.rows import GUESTS, INSTALLER_CD, LINUX_CD
from monitor.guests.linux import QUICK
from monitor.settings import guest_places as places
from monitor.settings.config import KINDS
from monitor.settings.did_you_mean import choose
from monitor.vmm.errors import UserError

FIRMWARE = ("seabios/bios.bin", "seabios/vgabios-stdvga.bin")
LOADER, MODULE = "isolinux/isolinux.bin", "isolinux/ldlinux.c32"


class BootCd(NamedTuple):
    """What is on one: files by the names that they have in guests/, and Linux's command line."""

    kernel: str
    initrd: str
    append: str

    @property
    def parts(self) -> tuple[str, ...]:
        """What it is made from."""
        return LOADER, MODULE, self.kernel, self.initrd


TEXT_SCREEN = (
    "vga=normal fb=false nomodeset noapic nolapic acpi=off mitigations=off cryptomgr.notests"
)
CDS = {
    LINUX_CD: BootCd("vmlinuz", "initramfs.cpio.gz", QUICK),
    INSTALLER_CD: BootCd("debian-installer/linux", "debian-installer/initrd.gz", TEXT_SCREEN),
}


def named(name: str) -> Guest:
    """The row of this name. UserError: there is none."""
    by_name = {guest.name: guest for guest in GUESTS}
    if name not in by_name:
        raise UserError(f"there is no guest {name!r}: {choose(name, by_name)}")
    return by_name[name]


def missing(guest: Guest) -> list[str]:
    """Its files that are not here. A CD is here if it can be made."""
    wanted = [part for name in guest.files for part in _parts(name)]
    lacking = [name for name in wanted if places.find(name) is None]
    if _boots(guest):
        lacking += [name for name in FIRMWARE if rom_files.find(Path(name).name) is None]
    return lacking


def check(guest: Guest) -> None:
    """UserError: something is missing. The text says what to do about it."""
    lacking = missing(guest)
    if not lacking:
        return
    names = ", ".join(lacking)
    known = (*fetching.FETCHED, *fetching.BUILT)
    foreign = [name for name in lacking if name not in known]
    if foreign:
        raise UserError(f"guest {guest.name} needs {names}, which no package has: put it into "
                        f"{places.HERE}/ or {places.goal()}/")  # fmt: skip
    raise UserError(f"guest {guest.name} needs {names}: `vp guest fetch {guest.name}` gets that")


def where(guest: Guest) -> dict[str, str]:
    """Its files' paths; a CD is made if it is not there, or older than a part. UserError."""
    check(guest)
    return {name: str(_cd(name) if name in CDS else places.find(name)) for name in guest.files}


def fetch(guests: list[Guest], say: Callable[[str], None], refresh: bool = False) -> None:
    """Get what packages have of these guests' files. UserError: it cannot be got."""
    names = [name for guest in guests for name in _fetchable(guest)]
    try:
        fetching.fetch(places.goal(), say, dict.fromkeys(names), refresh=refresh)
    except fetching.AptError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"{places.goal()}: cannot write there ({why})") from None


def write_cd(path: Path, cd: BootCd, part: Callable[[str], Path]) -> None:
    """Make one; `part` says where its files are."""
    loader, module, kernel, initrd = map(part, cd.parts)
    isolinux_cd.write(path, loader=loader, module=module, kernel=kernel, initrd=initrd,
                      append=cd.append)  # fmt: skip


def _cd(name: str) -> Path:
    path = places.find(name)
    parts = [found for part in CDS[name].parts if (found := places.find(part)) is not None]
    if path is None or any(part.stat().st_mtime > path.stat().st_mtime for part in parts):
        path = path or places.goal() / name
        write_cd(path, CDS[name], dict(zip(CDS[name].parts, parts, strict=True)).__getitem__)
    return path


def _parts(name: str) -> tuple[str, ...]:
    return CDS[name].parts if name in CDS else (name,)


def _fetchable(guest: Guest) -> list[str]:
    wanted = [part for name in guest.files for part in _parts(name)]
    known = (*fetching.FETCHED, *fetching.BUILT)
    if _boots(guest):
        wanted += FIRMWARE
    return [name for name in wanted if name in known]


def _boots(guest: Guest) -> bool:
    """Does it begin with a BIOS?"""
    return not {f"--{kind}" for kind in KINDS} & {*guest.machine.split()}

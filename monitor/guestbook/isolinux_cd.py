"""A CD that ISOLINUX boots straight into a Linux kernel, written with pycdlib.

    write(Path("linux.iso"), loader=..., module=..., kernel=..., initrd=..., append="quiet")

ISOLINUX is started by El Torito without emulation (El Torito Bootable CD-ROM Format Specification
1.0), of which the BIOS loads the first four sectors; what else it needs to know of itself is in a
boot information table that the CD's writer puts there (syslinux's documentation, isolinux.txt). It
looks for its module and its configuration at the top of the CD, by names of ISO 9660 level 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from monitor.vmm.errors import UserError
from monitor.writing.whole_file import whole_file

LOADER, CATALOG = "/ISOLINUX.BIN;1", "/BOOT.CAT;1"
SECTORS_LOADED = 4  # of 512 bytes
CONFIGURATION = """\
default linux
prompt 0
label linux
kernel vmlinuz
append initrd=initrd.gz {append}
"""


def write(path: Path, *, loader: Path, module: Path, kernel: Path, initrd: Path,
          append: str) -> None:  # fmt: skip
    """Make one. UserError: there is no pycdlib, or the file cannot be written."""
    try:
        from pycdlib import PyCdlib
    except ImportError:
        raise UserError(
            "a boot CD is made with the package pycdlib: pip install 'virtual-platform[guests]'"
        ) from None
    files: Mapping[str, bytes] = {
        LOADER: loader.read_bytes(),
        "/LDLINUX.C32;1": module.read_bytes(),
        "/ISOLINUX.CFG;1": CONFIGURATION.format(append=append).encode(),
        "/VMLINUZ.;1": kernel.read_bytes(),
        "/INITRD.GZ;1": initrd.read_bytes(),
    }
    cd = PyCdlib()
    cd.new(vol_ident="BOOT")
    for name, data in files.items():
        cd.add_fp(BytesIO(data), len(data), name)
    cd.add_eltorito(LOADER, bootcatfile=CATALOG, boot_load_size=SECTORS_LOADED,
                    media_name="noemul", boot_info_table=True)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_file(path) as file:
            cd.write_fp(file)
    except OSError as error:
        raise UserError(f"{path}: cannot write the CD ({error.strerror or error})") from error
    finally:
        cd.close()

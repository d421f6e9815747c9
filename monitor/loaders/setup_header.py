"""The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").

Fields were added over the years; each is valid from the protocol version that the table in
boot.rst gives, and has a stated default before it. We take 2.02 and later: older kernels want
their command line in another place.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from monitor.errors import UserError
from monitor.loaders.plan import PAGE, align_up
from monitor.loaders.source import Image

SETUP_SECTS = 0x1F1
SYSSIZE = 0x1F4
BOOT_FLAG = 0x1FE
JUMP_OFFSET = 0x201  # displacement of the jump at 0x200: it lands behind the header
MAGIC = 0x202
VERSION = 0x206
LOADFLAGS = 0x211
CODE32_START = 0x214
INITRD_ADDR_MAX = 0x22C
KERNEL_ALIGNMENT = 0x230
RELOCATABLE = 0x234
XLOADFLAGS = 0x236
CMDLINE_SIZE = 0x238
PAYLOAD = 0x248
PREF_ADDRESS = 0x258
INIT_SIZE = 0x260

LOADED_HIGH = 1  # loadflags: the protected-mode part goes to 0x100000
KERNEL_64 = 1  # xloadflags
OLDEST = 0x0202
HEADER_MAX = 0x290  # struct setup_header ends here in boot_params


@dataclass(frozen=True)
class SetupHeader:
    """What the loader needs to know of a kernel. Addresses are physical."""

    version: int
    setup_size: int  # bytes of the real-mode part
    code_size: int  # bytes of the protected-mode part
    end: int  # offset behind the header
    load_address: int
    initrd_addr_max: int
    kernel_alignment: int
    relocatable: bool
    cmdline_size: int
    pref_address: int
    init_size: int
    payload: tuple[int, int]  # offset from the protected-mode part, length; (0, 0): unknown

    @property
    def runtime_start(self) -> int:
        """Where the kernel decompresses itself to: a relocatable one to where it was loaded, but
        never below the address it was configured for; any other one to exactly that."""
        if not self.relocatable:
            return self.pref_address
        return max(align_up(self.load_address, self.kernel_alignment), self.pref_address)


def parse(image: Image) -> SetupHeader:
    """Read and check a setup header; UserError when this is no kernel that we can start."""
    data = image.data
    check_signature(image)
    version = _word(data, VERSION)
    if version < OLDEST:
        raise UserError(
            f"{image.name}: boot protocol {version >> 8}.{version & 0xFF:02} is older than 2.02; "
            "use a newer kernel"
        )
    if not data[LOADFLAGS] & LOADED_HIGH:
        raise UserError(f"{image.name}: this is a zImage, loaded low; build the kernel as bzImage")
    end = MAGIC + data[JUMP_OFFSET]
    setup_size = ((data[SETUP_SECTS] or 4) + 1) * 512
    if len(data) <= setup_size or len(data) < end:
        raise UserError(
            f"{image.name}: truncated in the setup part ({len(data)} of more than {setup_size} "
            "bytes); copy the kernel again"
        )
    fields = _Fields(data, version, min(end, HEADER_MAX))
    if fields.get("<H", XLOADFLAGS, 0x20C, 0) & KERNEL_64:
        raise UserError(
            f"{image.name}: this is a 64-bit kernel and the machine is a 32-bit PC; use an i386 "
            "one (Debian: linux-image-686)"
        )
    header = fields.header(setup_size, len(data) - setup_size)
    if header.code_size > len(data) - setup_size:
        raise UserError(
            f"{image.name}: truncated ({len(data)} bytes, the header says "
            f"{setup_size + header.code_size}); copy the kernel again"
        )
    return header


def check_signature(image: Image) -> None:
    """Is it a bzImage at all? Says what it looks like if not."""
    data = image.data
    if data[:4] == b"\x7fELF":
        raise UserError(
            f"{image.name}: an ELF file, not a Linux bzImage; use arch/x86/boot/bzImage, or load "
            "it as ELF or Multiboot"
        )
    if len(data) >= BOOT_FLAG + 2 and _word(data, BOOT_FLAG) != 0xAA55:
        raise UserError(
            f"{image.name}: not a Linux kernel (no 0xAA55 at 0x1FE); give a bzImage such as "
            "/boot/vmlinuz"
        )
    if len(data) >= MAGIC + 4 and data[MAGIC : MAGIC + 4] != b"HdrS":
        raise UserError(
            f"{image.name}: a boot sector, but not a Linux kernel (no 'HdrS' at 0x202); give a "
            "bzImage such as /boot/vmlinuz"
        )
    if len(data) < LOADFLAGS + 1:
        raise UserError(
            f"{image.name}: {len(data)} bytes are too few for a Linux kernel; give a whole bzImage"
        )


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


class _Fields:
    """The header's fields; one that the version or the length leaves out has its default."""

    def __init__(self, data: bytes, version: int, end: int) -> None:
        self.data = data
        self.version = version
        self.end = end

    def get(self, form: str, offset: int, since: int, default: int) -> int:
        if self.version < since or offset + struct.calcsize(form) > self.end:
            return default
        return int(struct.unpack_from(form, self.data, offset)[0])

    def header(self, setup_size: int, rest: int) -> SetupHeader:
        address = self.get("<I", CODE32_START, 0x200, 0x100000)
        # Before 2.04 syssize had 16 bits only, and boot.rst says not to trust it.
        code_size = self.get("<I", SYSSIZE, 0x204, 0) * 16
        alignment = self.get("<I", KERNEL_ALIGNMENT, 0x205, PAGE)
        return SetupHeader(
            version=self.version,
            setup_size=setup_size,
            code_size=code_size or rest,
            end=self.end,
            load_address=address,
            initrd_addr_max=self.get("<I", INITRD_ADDR_MAX, 0x203, 0x37FFFFFF),
            kernel_alignment=alignment or PAGE,
            relocatable=self.get("<B", RELOCATABLE, 0x205, 0) != 0,
            cmdline_size=self.get("<I", CMDLINE_SIZE, 0x206, 255),
            pref_address=self.get("<Q", PREF_ADDRESS, 0x20A, address),
            init_size=self.get("<I", INIT_SIZE, 0x20A, 0),
            payload=(self.get("<I", PAYLOAD, 0x208, 0), self.get("<I", PAYLOAD + 4, 0x208, 0)),
        )

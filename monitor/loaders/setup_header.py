"""The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").

Fields were added over the years; each is valid from the protocol version that the table in
boot.rst gives, and has a stated default before it. A field of zero has that default as well:

    setup_sects       4         syssize, version < 2.04   not to be trusted: all of the file
    code32_start      0x100000  or 0x10000, where the part goes; and no 32-bit entry is named
    initrd_addr_max   0x37FFFFFF         cmdline_size     255
    kernel_alignment  4096               pref_address     where it was loaded

`syssize` counts paragraphs of 16 bytes, the last of which the file need not fill.

Before the header there was the boot sector alone, and a kernel without the magic is a zImage of
that time. It has no more than setup_sects and syssize to know it by, so these must fit the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from monitor.loaders.packed import refuse_packed
from monitor.loaders.plan import PAGE, align_up
from monitor.loaders.source import Image
from monitor.vmm.errors import UserError

SETUP_SECTS = 0x1F1
SYSSIZE = 0x1F4
BOOT_FLAG = 0x1FE
JUMP_OFFSET = 0x201  # displacement of the jump at 0x200: it lands behind the header
MAGIC = 0x202
VERSION = 0x206
TYPE_OF_LOADER = 0x210
LOADFLAGS = 0x211
CODE32_START = 0x214
RAMDISK = 0x218  # its address; its size behind it
CMD_LINE_PTR = 0x228
INITRD_ADDR_MAX = 0x22C
KERNEL_ALIGNMENT = 0x230
RELOCATABLE = 0x234
XLOADFLAGS = 0x236
CMDLINE_SIZE = 0x238
PAYLOAD = 0x248
PREF_ADDRESS = 0x258
INIT_SIZE = 0x260

LOADED_HIGH = 1  # loadflags: the protected-mode part goes to 0x100000, not to 0x10000
HIGH_ADDRESS, LOW_ADDRESS = 0x100000, 0x10000
KERNEL_64 = 1  # xloadflags
LOADER_UNDEFINED = 0xFF  # type_of_loader: one without an assigned number
COMMAND_LINE_POINTER = 0x0202  # the version since which a command line may lie anywhere
PARAGRAPH = 16
SECTOR = 512
DEFAULT_SETUP_SECTS = 4
INITRD_ADDR_MAX_DEFAULT = 0x37FFFFFF
CMDLINE_SIZE_DEFAULT = 255
HEADER_MAX = 0x290  # struct setup_header ends here in boot_params


@dataclass(frozen=True)
class SetupHeader:
    """What the loader needs to know of a kernel. Addresses are physical."""

    version: int  # 0: from before the header
    high: bool  # the protected-mode part goes above 1 MiB
    entry32: bool  # may it be entered there, by a loader that did the setup part's work?
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
    setup_size = ((data[SETUP_SECTS] or DEFAULT_SETUP_SECTS) + 1) * SECTOR
    if not has_header(data):
        return _from_before_the_header(image, setup_size)
    end = MAGIC + data[JUMP_OFFSET]
    if len(data) <= setup_size or len(data) < end:
        raise UserError(
            f"{image.name}: truncated in the setup part ({len(data)} of more than {setup_size} "
            "bytes); copy the kernel again"
        )
    fields = _Fields(data, _word(data, VERSION), min(end, HEADER_MAX))
    if fields.get("<H", XLOADFLAGS, 0x20C, 0) & KERNEL_64:
        raise UserError(
            f"{image.name}: this is a 64-bit kernel and the machine is a 32-bit PC; use an i386 "
            "one (Debian: linux-image-686)"
        )
    return fields.header(setup_size, _code_size(image, setup_size, fields))


def has_header(data: bytes) -> bool:
    """Is there a setup header, of protocol 2.00 or later?"""
    return data[MAGIC : MAGIC + 4] == b"HdrS"


def check_signature(image: Image) -> None:
    """Is it a kernel at all? Says what it looks like if not."""
    data = image.data
    if data[:4] == b"\x7fELF":
        raise UserError(
            f"{image.name}: an ELF file, not a Linux bzImage; use arch/x86/boot/bzImage, or load "
            "it as ELF or Multiboot"
        )
    signed = data[BOOT_FLAG : BOOT_FLAG + 2] == b"\x55\xaa"
    if not signed:
        refuse_packed(image)
    if len(data) >= BOOT_FLAG + 2 and not signed:
        raise UserError(
            f"{image.name}: not a Linux kernel (no 0xAA55 at 0x1FE); give a bzImage such as "
            "/boot/vmlinuz"
        )
    if len(data) < LOADFLAGS + 1:
        raise UserError(
            f"{image.name}: {len(data)} bytes are too few for a Linux kernel; give a whole bzImage"
        )


def _from_before_the_header(image: Image, setup_size: int) -> SetupHeader:
    """A kernel that is known by its boot sector alone, if its sizes are true."""
    size = _word(image.data, SYSSIZE) * PARAGRAPH
    rest = len(image.data) - setup_size
    # Such files were filled up to whole sectors, for they were written to floppy disks.
    if not (image.data[SETUP_SECTS] and size and size - PARAGRAPH < rest < size + SECTOR):
        raise UserError(
            f"{image.name}: a boot sector, but not a Linux kernel (no 'HdrS' at 0x202); give a "
            "bzImage such as /boot/vmlinuz"
        )
    return _Fields(image.data, 0, BOOT_FLAG + 2).header(setup_size, min(size, rest))


def _code_size(image: Image, setup_size: int, fields: _Fields) -> int:
    """Bytes of the protected-mode part: what the header says, as far as the file goes."""
    rest = len(image.data) - setup_size
    size = fields.get("<I", SYSSIZE, 0x204, 0) * PARAGRAPH
    if not fields.get("<B", LOADFLAGS, 0x200, 0) & LOADED_HIGH:
        size = fields.get("<H", SYSSIZE, 0x200, 0) * PARAGRAPH  # enough for low memory
    if size - rest >= PARAGRAPH:
        raise UserError(
            f"{image.name}: truncated ({len(image.data)} bytes, the header says "
            f"{setup_size + size}); copy the kernel again"
        )
    return min(size, rest) or rest


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

    def header(self, setup_size: int, code_size: int) -> SetupHeader:
        high = bool(self.get("<B", LOADFLAGS, 0x200, 0) & LOADED_HIGH)
        start = self.get("<I", CODE32_START, 0x200, 0)
        # What is loaded low moves itself down and names that address, not the one it is loaded at.
        address = (start or HIGH_ADDRESS) if high else LOW_ADDRESS
        return SetupHeader(
            version=self.version,
            high=high,
            entry32=high and start != 0 and self.version >= COMMAND_LINE_POINTER,
            setup_size=setup_size,
            code_size=code_size,
            end=self.end,
            load_address=address,
            initrd_addr_max=self.get("<I", INITRD_ADDR_MAX, 0x203, 0) or INITRD_ADDR_MAX_DEFAULT,
            kernel_alignment=self.get("<I", KERNEL_ALIGNMENT, 0x205, 0) or PAGE,
            relocatable=self.get("<B", RELOCATABLE, 0x205, 0) != 0,
            cmdline_size=self.get("<I", CMDLINE_SIZE, 0x206, 0) or CMDLINE_SIZE_DEFAULT,
            pref_address=self.get("<Q", PREF_ADDRESS, 0x20A, 0) or address,
            init_size=self.get("<I", INIT_SIZE, 0x20A, 0),
            payload=(self.get("<I", PAYLOAD, 0x208, 0), self.get("<I", PAYLOAD + 4, 0x208, 0)),
        )

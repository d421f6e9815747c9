"""Linux kernels entered at 16 bits: "Running the Kernel" of the Linux/x86 boot protocol.

The setup part runs in real mode, asks the BIOS what there is, and goes to protected mode itself.
That is for kernels which have no 32-bit entry, or whose setup part must not be left out:

    code32_start 0       the protected-mode part is data to the setup part (iPXE)
    zImage               loaded low, and moved by the setup part
    before 2.02          the command line has a place of its own in the real-mode segment
    no header at all     zImages of before 1.3.73, and memtest86+ up to 5

The real-mode segment, at 0x10000, or at 0x90000 for all but the first of these:

    0000    boot sector and setup part, entered at segment + 0x20
    8000    its stack and heap
    E000    command line (9800 in the segment at 0x90000, whose upper part is the BIOS's)
"""

from __future__ import annotations

import struct

from monitor.loaders.linux_parts import encode_command_line, place_initrd, place_kernel
from monitor.loaders.plan import LoadPlan
from monitor.loaders.setup_header import (
    CMD_LINE_PTR,
    COMMAND_LINE_POINTER,
    LOADER_UNDEFINED,
    LOADFLAGS,
    RAMDISK,
    TYPE_OF_LOADER,
    SetupHeader,
)
from monitor.loaders.source import Image
from monitor.loaders.start import StartState
from monitor.vmm.errors import UserError

LOW_BASE, HIGH_BASE = 0x10000, 0x90000
LOW_HEAP_END, HIGH_HEAP_END = 0xE000, 0x9800
LOW_END, HIGH_END = 0x10000, 0xA000  # what of the segment may be used
CODE_MAX = 0x8000
ENTRY_PARAGRAPHS = 0x20

COMMAND_LINE_MAGIC, COMMAND_LINE_OFFSET = 0x20, 0x22  # before 2.02
MAGIC = 0xA33F
CAN_USE_HEAP = 0x80  # loadflags
SETUP_MOVE_SIZE = 0x212
HEAP_END_POINTER = 0x224


def start(
    plan: LoadPlan, image: Image, header: SetupHeader, disk: Image | None, cmdline: str
) -> StartState:
    """Plan a start at the setup part's entry."""
    if header.setup_size > CODE_MAX:
        raise UserError(
            f"{image.name}: a setup part of {header.setup_size} bytes, and {CODE_MAX} are the "
            "most; copy the kernel again"
        )
    if disk is not None and not header.version:
        raise UserError(
            f"{image.name}: a kernel from before boot protocol 2.00, which takes no initrd; leave "
            "it out"
        )
    movable = header.high and header.version >= COMMAND_LINE_POINTER
    base = LOW_BASE if movable else HIGH_BASE
    heap_end, end = (LOW_HEAP_END, LOW_END) if movable else (HIGH_HEAP_END, HIGH_END)
    text = encode_command_line(image, header, cmdline, end - heap_end)
    plan.put("kernel command line", base + heap_end, text)
    place_kernel(plan, image, header)
    ramdisk = (0, 0) if disk is None else place_initrd(plan, disk, header)
    code = real_mode_part(image, header, base + heap_end, heap_end, len(text), ramdisk)
    plan.put(f"{image.name}'s setup part", base, code, heap_end)
    segment = base >> 4
    return StartState(
        eip=0,
        esp=heap_end,
        registers=dict.fromkeys(("ds", "es", "fs", "gs", "ss"), segment)
        | {"cs": segment + ENTRY_PARAGRAPHS},
        protected=False,
        code_selector=segment + ENTRY_PARAGRAPHS,
        data_selector=segment,
    )


def real_mode_part(
    image: Image,
    header: SetupHeader,
    command_line: int,
    heap_end: int,
    text_size: int,
    ramdisk: tuple[int, int],
) -> bytes:
    """Boot sector and setup part, with the fields that the kernel's version lets a loader set."""
    code = bytearray(image.data[: header.setup_size])
    if header.version:
        code[TYPE_OF_LOADER] = LOADER_UNDEFINED
        struct.pack_into("<II", code, RAMDISK, *ramdisk)
    if header.version >= 0x0201:
        struct.pack_into("<H", code, HEAP_END_POINTER, heap_end - 0x200)
        code[LOADFLAGS] |= CAN_USE_HEAP
    if header.version >= COMMAND_LINE_POINTER:
        struct.pack_into("<I", code, CMD_LINE_PTR, command_line)
        return bytes(code)
    struct.pack_into("<HH", code, COMMAND_LINE_MAGIC, MAGIC, heap_end)
    if header.version:
        struct.pack_into("<H", code, SETUP_MOVE_SIZE, heap_end + text_size)
    return bytes(code)

"""Linux kernels: the Linux/x86 boot protocol (Documentation/arch/x86/boot.rst), 32-bit entry.

A bzImage is a boot sector and a real-mode setup part, `(setup_sects + 1) * 512` bytes, then the
protected-mode kernel. The setup header sits at 0x1F1 of the file; setup_header.py reads it. A
loader that enters at 32 bits does the setup part's work itself (one whose kernel has no such entry
leaves it to that part: linux16.py):

    0x010000  boot_params, the "zero page": screen, memory map, the setup header copied in
    0x011000  command line
    0x09F000  flat GDT: 0x10 code, 0x18 data
    0x100000  protected-mode kernel (code32_start), entered with ESI = boot_params,
              EBP = EDI = EBX = 0, interrupts and paging off
    high      initrd, as high as initrd_addr_max and RAM allow

The kernel decompresses itself to `runtime_start` and needs `init_size` bytes there before it
reads the memory map, so no initrd may lie there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from monitor.loaders import gdt, linux16
from monitor.loaders.linux_parts import encode_command_line, place_initrd, place_kernel
from monitor.loaders.memory_map import memory_map
from monitor.loaders.plan import HOLE_END, PAGE, LoadPlan, Memory, Reserved
from monitor.loaders.setup_header import (
    CMD_LINE_PTR,
    CODE32_START,
    LOADER_UNDEFINED,
    RAMDISK,
    TYPE_OF_LOADER,
    SetupHeader,
    parse,
)
from monitor.loaders.source import Image, Source, open_image
from monitor.loaders.start import StartState

BOOT_PARAMS = 0x10000
COMMAND_LINE = 0x11000
STACK_TOP = 0x90000

# Offsets in boot_params (Documentation/arch/x86/zero-page.rst)
BP_SCREEN_INFO = 0x000
BP_EXT_MEM_K = 0x002
BP_ALT_MEM_K = 0x1E0
BP_E820_ENTRIES = 0x1E8
BP_SETUP_HEADER = 0x1F1  # what setup_header.py names, at the same offsets as in the file
BP_E820_TABLE = 0x2D0


def load(
    memory: Memory,
    kernel: Source,
    initrd: Source | None = None,
    cmdline: str = "",
    reserved: Sequence[Reserved] = (),
) -> StartState:
    """Load a bzImage, its command line and perhaps an initrd, beside what is `reserved`."""
    image = open_image(kernel, "kernel")
    header = parse(image)
    disk = None if initrd is None else open_image(initrd, "initrd")
    plan = LoadPlan(memory.size, reserved)
    enter = start32 if header.entry32 else linux16.start
    start = enter(plan, image, header, disk, cmdline)
    plan.commit(memory)
    return start


def start32(
    plan: LoadPlan, image: Image, header: SetupHeader, disk: Image | None, cmdline: str
) -> StartState:
    """Plan a start at the 32-bit entry."""
    table = gdt.put(plan)
    text = encode_command_line(image, header, cmdline, STACK_TOP - COMMAND_LINE - PAGE)
    plan.put("kernel command line", COMMAND_LINE, text)
    place_kernel(plan, image, header)
    ramdisk = (0, 0) if disk is None else place_initrd(plan, disk, header)
    plan.put("boot_params", BOOT_PARAMS, boot_params(image, header, plan.memory_size, ramdisk))
    return StartState(
        eip=header.load_address,
        esp=STACK_TOP,
        registers={"esi": BOOT_PARAMS},
        code_selector=gdt.CODE_SELECTOR,
        data_selector=gdt.DATA_SELECTOR,
        gdt=table,
    )


def boot_params(
    image: Image, header: SetupHeader, memory_size: int, ramdisk: tuple[int, int]
) -> bytes:
    """The zero page."""
    page = bytearray(PAGE)
    above = (memory_size - HOLE_END) >> 10  # KiB above 1 MiB
    page[BP_SCREEN_INFO : BP_SCREEN_INFO + 18] = screen_info()
    struct.pack_into("<H", page, BP_EXT_MEM_K, min(above, 0xFFFF))
    struct.pack_into("<I", page, BP_ALT_MEM_K, above)
    fields = image.data[BP_SETUP_HEADER : header.end]
    page[BP_SETUP_HEADER : header.end] = fields
    page[TYPE_OF_LOADER] = LOADER_UNDEFINED
    struct.pack_into("<I", page, CODE32_START, header.load_address)
    struct.pack_into("<II", page, RAMDISK, *ramdisk)
    struct.pack_into("<I", page, CMD_LINE_PTR, COMMAND_LINE)
    entries = memory_map(memory_size)
    page[BP_E820_ENTRIES] = len(entries)
    for number, entry in enumerate(entries):
        struct.pack_into("<QQI", page, BP_E820_TABLE + 20 * number, *entry)
    return bytes(page)


def screen_info() -> bytes:
    """struct screen_info: an 80 by 25 colour text screen, cursor at the top left.

    x, y, ext_mem_k (filled in elsewhere), page, mode, columns, unused, EGA memory and switches,
    unused, lines, is VGA, scan lines of a character.
    """
    return struct.pack("<BBHHBBHHHBBH", 0, 0, 0, 0, 3, 80, 0, 0, 0, 25, 1, 16)

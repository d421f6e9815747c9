"""Multiboot 1 kernels (the Multiboot Specification, version 0.6.96).

The header lies in the first 8 KiB of the file, 4-byte aligned:

    0x1BADB002, flags, checksum (the three add up to 0)
    with flags bit 16: header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr

Without bit 16 the file must be ELF. The kernel starts in flat protected mode with
EAX = 0x2BADB002 and EBX = the information structure (multiboot_info.py). Modules go to page
boundaries above the kernel.

A kernel that asks for a video mode (flags bit 2) is started all the same: the information
structure says by its flags 11 and 12 that there is none.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.loaders import elf, elf_file, gdt
from monitor.loaders.multiboot_info import put_information
from monitor.loaders.packed import refuse_packed
from monitor.loaders.plan import HOLE_END, PAGE, LoadPlan, Memory, Reserved, mib, more_memory
from monitor.loaders.source import Image, Source, open_image
from monitor.loaders.start import StartState
from monitor.vmm.errors import UserError

HEADER_MAGIC = 0x1BADB002
LOADER_MAGIC = 0x2BADB002
SEARCH = 8192
ADDRESS_FIELDS = 1 << 16
KNOWN = 0b111  # page-aligned modules, memory information, video mode
MANDATORY = 0xFFFF  # flags a loader must know or refuse
STACK_TOP = 0x90000


@dataclass(frozen=True)
class Header:
    """A Multiboot header; the addresses count only with the ADDRESS_FIELDS flag."""

    offset: int
    flags: int
    header_addr: int = 0
    load_addr: int = 0
    load_end_addr: int = 0
    bss_end_addr: int = 0
    entry_addr: int = 0


def load(
    memory: Memory,
    kernel: Source,
    cmdline: str = "",
    modules: Sequence[tuple[str, Source]] = (),
    reserved: Sequence[Reserved] = (),
) -> StartState:
    """Load a kernel, its command line and its modules: pairs of a string and an image."""
    image = open_image(kernel, "kernel")
    header = find_header(image)
    plan = LoadPlan(memory.size, reserved)
    entry = put_kernel(plan, image, header)
    table = gdt.put(plan)
    placed = [(name, *put_module(plan, name, source)) for name, source in modules]
    info = put_information(plan, cmdline, placed)
    plan.commit(memory)
    return StartState(
        eip=entry,
        esp=STACK_TOP,
        registers={"eax": LOADER_MAGIC, "ebx": info},
        code_selector=gdt.CODE_SELECTOR,
        data_selector=gdt.DATA_SELECTOR,
        gdt=table,
    )


def find_header(image: Image) -> Header:
    """Search for the header and check its flags."""
    data = image.data[:SEARCH]
    for offset in range(0, len(data) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<3I", data, offset)
        if magic == HEADER_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            break
    else:
        refuse_packed(image)
        raise UserError(
            f"{image.name}: no Multiboot header in its first {SEARCH} bytes; give a Multiboot 1 "
            "kernel"
        )
    unknown = flags & MANDATORY & ~KNOWN
    if unknown:
        raise UserError(
            f"{image.name}: its Multiboot header requires features that no specification defines "
            f"(flags {unknown:#x}); clear them"
        )
    if not flags & ADDRESS_FIELDS:
        return Header(offset, flags)
    if offset + 32 > len(data):
        raise UserError(f"{image.name}: truncated in the Multiboot header; build the file again")
    return Header(offset, flags, *struct.unpack_from("<5I", data, offset + 12))


def put_kernel(plan: LoadPlan, image: Image, header: Header) -> int:
    """Plan the kernel's memory; returns its entry point."""
    if header.flags & ADDRESS_FIELDS:
        data, size = text_and_data(image, header)
        plan.put(image.name, header.load_addr, data, size)
        return header.entry_addr
    if image.data[:4] != elf_file.MAGIC:
        raise UserError(
            f"{image.name}: a Multiboot kernel without load addresses (flags bit 16) must be an "
            "ELF file; add them or link it as ELF"
        )
    file = elf_file.parse(image)
    elf.put_segments(plan, file)
    return file.physical_entry


def text_and_data(image: Image, header: Header) -> tuple[bytes, int]:
    """By the address fields: the bytes for load_addr, and how much memory with .bss."""
    start = header.offset - (header.header_addr - header.load_addr)
    end = len(image.data)
    if header.load_end_addr:
        end = start + header.load_end_addr - header.load_addr
    size = max(end - start, (header.bss_end_addr or header.load_addr) - header.load_addr)
    if start < 0 or start > header.offset or end <= start:
        raise UserError(
            f"{image.name}: the addresses in its Multiboot header contradict each other; correct "
            "header_addr, load_addr and load_end_addr"
        )
    if end > len(image.data):
        raise UserError(
            f"{image.name}: truncated ({len(image.data)} bytes, its Multiboot header says {end}); "
            "copy or build the file again"
        )
    return image.data[start:end], size


def put_module(plan: LoadPlan, name: str, source: Source) -> tuple[int, int]:
    """Plan a module above everything else, or else where there is room: its start and end."""
    image = open_image(source, f"module {name!r}")
    above = max([HOLE_END, *(piece.end for piece in plan.pieces)])
    start = -(-above // PAGE) * PAGE
    if start + len(image.data) > plan.memory_size:
        below = plan.highest_room(len(image.data), plan.memory_size)
        if below is not None:
            plan.put(image.name, below, image.data)
            return below, below + len(image.data)
        raise UserError(
            f"{image.name}: the module ({mib(len(image.data))}) does not fit into the machine's "
            f"{mib(plan.memory_size)} of memory behind the kernel; "
            f"{more_memory(start + len(image.data))}"
        )
    plan.put(image.name, start, image.data)
    return start, start + len(image.data)

"""What both entries of a Linux kernel need: command line, protected-mode part, initrd."""

from __future__ import annotations

from monitor.loaders.plan import PAGE, LoadPlan, mib, more_memory
from monitor.loaders.setup_header import SetupHeader
from monitor.loaders.source import Image
from monitor.vmm.errors import UserError


def encode_command_line(image: Image, header: SetupHeader, cmdline: str, room: int) -> bytes:
    """The command line with its terminating zero, in `room` bytes."""
    if "\0" in cmdline:
        raise UserError("the kernel command line has a NUL character in it; take it out")
    text = cmdline.encode("utf-8", "surrogateescape")
    limit = min(header.cmdline_size, room - 1)
    if len(text) > limit:
        raise UserError(
            f"the command line has {len(text)} bytes and {image.name} takes at most {limit}; "
            "shorten it"
        )
    return text + b"\0"


def place_kernel(plan: LoadPlan, image: Image, header: SetupHeader) -> None:
    """The protected-mode kernel, and the memory it decompresses itself into."""
    code = image.data[header.setup_size : header.setup_size + header.code_size]
    start = header.runtime_start
    end = max(start + header.init_size, header.load_address + len(code))
    if end > plan.memory_size:
        raise UserError(
            f"{image.name}: the kernel needs memory up to {end:#x} while it starts and the "
            f"machine has {mib(plan.memory_size)}; {more_memory(end)}"
        )
    plan.put(image.name, header.load_address, code)
    rest = max(start, header.load_address + len(code))
    plan.reserve(f"{image.name}'s working memory", rest, end - rest)


def place_initrd(plan: LoadPlan, disk: Image, header: SetupHeader) -> tuple[int, int]:
    """Put the initrd as high as kernel and RAM allow: its address and size."""
    size = len(disk.data)
    address = plan.highest_room(size, header.initrd_addr_max + 1)
    if address is None:
        taken = max(piece.end for piece in plan.pieces)
        if taken + size > header.initrd_addr_max:
            raise UserError(
                f"{disk.name}: the initrd ({mib(size)}) does not fit below "
                f"{header.initrd_addr_max:#x}, the kernel's limit; give a smaller one"
            )
        raise UserError(
            f"{disk.name}: the initrd ({mib(size)}) does not fit into the machine's "
            f"{mib(plan.memory_size)} of memory beside the kernel; "
            f"{more_memory(taken + size + PAGE)}"
        )
    plan.put(disk.name, address, disk.data)
    return address, size

"""Small memories and images for the loaders' tests."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.vmm.errors import UserError

MIB = 1 << 20
VMLINUZ = Path(__file__).parents[2] / "guests" / "vmlinuz"
BUSYBOX = VMLINUZ.with_name("busybox")
needs_kernel = pytest.mark.skipif(not VMLINUZ.exists(), reason="no guests/vmlinuz: `make guests`")
needs_busybox = pytest.mark.skipif(not BUSYBOX.exists(), reason="no guests/busybox: `make guests`")


class FakeMemory:
    """As small as the contract; counts the writes."""

    def __init__(self, size: int = 4 * MIB) -> None:
        self.size = size
        self.data = bytearray(b"\xcc") * size
        self.writes = 0

    def read(self, address: int, size: int) -> bytes:
        assert address >= 0 and address + size <= self.size
        return bytes(self.data[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        assert address >= 0 and address + len(data) <= self.size
        self.data[address : address + len(data)] = data
        self.writes += 1

    def word(self, address: int) -> int:
        return int.from_bytes(self.data[address : address + 4], "little")

    def string(self, address: int) -> str:
        return self.data[address : self.data.index(0, address)].decode()


def refused(load: Callable[..., object], memory: FakeMemory, *args: object, **kw: object) -> str:
    """The message of the UserError that this load must end with, memory untouched."""
    with pytest.raises(UserError) as caught:
        load(memory, *args, **kw)
    message = str(caught.value)
    assert "\n" not in message and len(message) > 20
    assert ";" in message  # what is wrong; what to do
    assert caught.value.status == 2
    assert memory.writes == 0
    return message


def bzimage(
    code: bytes = b"\x90\xf4" * 2048,
    *,
    version: int = 0x020F,
    loadflags: int = 1,
    code32_start: int = 0x100000,
    initrd_addr_max: int = 0x7FFFFFFF,
    relocatable: int = 1,
    xloadflags: int = 0,
    cmdline_size: int = 2047,
    payload: tuple[int, int] = (0, 0),
    pref_address: int = 0x200000,
    init_size: int = 0x100000,
) -> bytes:
    """A kernel with a header and no more: four setup sectors, then `code`."""
    image = bytearray(5 * 512)
    image[0x1F1] = 4
    struct.pack_into("<I", image, 0x1F4, -(-len(code) // 16))
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    image[0x200:0x206] = b"\xeb\x6aHdrS"
    struct.pack_into("<H", image, 0x206, version)
    image[0x211] = loadflags
    struct.pack_into("<I", image, 0x214, code32_start)
    struct.pack_into("<IIBBHI", image, 0x22C, initrd_addr_max, 0x10000, relocatable, 16,
                     xloadflags, cmdline_size)  # fmt: skip
    struct.pack_into("<II", image, 0x248, *payload)
    struct.pack_into("<QI", image, 0x258, pref_address, init_size)
    return bytes(image) + code + bytes(-len(code) % 16)


def elf(
    segments: list[tuple[int, int, bytes, int]],
    entry: int,
    *,
    kind: int = 2,
    machine: int = 3,
    elf_class: int = 1,
    order: int = 1,
    flags: int = 5,
) -> bytes:
    """An executable of (vaddr, paddr, bytes, size in memory) segments and no sections."""
    offset = 52 + 32 * len(segments)
    headers = body = b""
    for vaddr, paddr, data, size in segments:
        at = offset + len(body)
        headers += struct.pack("<8I", 1, at, vaddr, paddr, len(data), size, flags, 4096)
        body += data
    head = b"\x7fELF" + bytes((elf_class, order, 1)) + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, entry, 52, 0, 0, 52, 32,
                        len(segments), 40, 0, 0)  # fmt: skip
    return head + headers + body


def multiboot_header(flags: int, *addresses: int) -> bytes:
    fields = (0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF, *addresses)
    return struct.pack(f"<{len(fields)}I", *fields)

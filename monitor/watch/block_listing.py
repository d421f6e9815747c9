"""A translated block for people: the guest's code, and what stands for it in the cache.

    guest block at c0101000, translation at ff800040, 2 bytes to 14
      c0101000  cli
    ->
      ff800040  c0101000  mov      dword ptr gs:[0x1000], 0

The middle column is the guest instruction that a line of the translation belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator

import capstone

from bt.cache import TranslatedBlock, TranslationCache
from monitor.vmm.processor import Processor
from monitor.vmm.translating import TranslatingProcessor


def block_here(processor: Processor) -> list[str]:
    """The block at the guest's EIP; a processor that translates nothing, or not there, has none."""
    if not isinstance(processor, TranslatingProcessor):
        return []
    block = processor.block_here()
    if block is None:
        return []
    return list_block(block, processor.ram.bytes_at(block.pa, block.length), processor.cache)


def list_block(block: TranslatedBlock, guest: bytes, cache: TranslationCache) -> list[str]:
    """Both sides of a block; `guest` are its bytes in the guest's memory."""
    size = block.end - block.start
    code = bytes(cache.memory[block.start - cache.base : block.end - cache.base])
    title = f"guest block at {block.eip:08x}, translation at {block.start:08x}"
    lines = [f"{title}, {block.length} bytes to {size}"]
    lines += [f"  {at:08x}  {text}" for at, text in _disassembled(guest, block.eip)]
    lines.append("->")
    for at, text in _disassembled(code, block.start):
        place = cache.guest_place(at)[0]
        lines.append(f"  {at:08x}  {place:08x}  {text}")
    return lines


def _disassembled(code: bytes, address: int) -> Iterator[tuple[int, str]]:
    text = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    for at, _, name, operands in text.disasm_lite(code, address):
        yield at, f"{name:8} {operands}".rstrip()

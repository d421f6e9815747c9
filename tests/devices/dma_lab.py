"""A DMA channel as drivers program it."""

from __future__ import annotations

from typing import Any

#: Address, count and page by channel.
REGISTERS = {0: (0x00, 0x01, 0x87), 1: (0x02, 0x03, 0x83), 2: (0x04, 0x05, 0x81),
             3: (0x06, 0x07, 0x82), 5: (0xC4, 0xC6, 0x8B), 6: (0xC8, 0xCA, 0x89),
             7: (0xCC, 0xCE, 0x8A)}  # fmt: skip


def program(board: Any, number: int, mode: int, address: int, transfers: int) -> None:
    """One of DMA2 takes the address in words, and counts them."""
    base, shift = (0xC0, 1) if number & 4 else (0x00, 0)
    at, count, page = REGISTERS[number]
    board.outb(base + (10 << shift), 4 | number & 3)
    board.outb(base + (12 << shift), 0)
    board.outb(base + (11 << shift), mode | number & 3)
    board.outb(at, address >> shift & 0xFF, address >> shift >> 8 & 0xFF)
    board.outb(page, address >> 16)
    board.outb(count, transfers - 1 & 0xFF, transfers - 1 >> 8)
    board.outb(base + (10 << shift), number & 3)

"""Pieces of assembly that guests of several folders need."""

from __future__ import annotations


def controllers(icw4: int = 1) -> str:
    """Initialise both interrupt controllers, vectors from 0x20; ICW4 is 3 for automatic EOI."""
    words = ((0x20, 0x11), (0xA0, 0x11), (0x21, 0x20), (0xA1, 0x28), (0x21, 4), (0xA1, 2),
             (0x21, icw4), (0xA1, icw4))  # fmt: skip
    return "".join(f"\n mov al, {value:#x}\n out {port:#x}, al" for port, value in words) + "\n"

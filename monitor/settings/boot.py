"""From what a PC's firmware shall boot, as `--boot` says it.

    dca, order=dca          CD, then disk, then floppy (a, c, d, and n for the network)
    order=c,menu=on         and let whoever sits there choose with Esc

The words are QEMU's (QEMU's manual, -boot). What is not named comes last, in the firmware's order.

>>> parse_boot("order=dc,menu=on")
BootConfig(order='dc', menu=True)
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.vmm.errors import UserError

DRIVES = "acdn"
DEFAULT_ORDER = "acd"
WORDS = {"on": True, "off": False}


@dataclass(frozen=True)
class BootConfig:
    """`order` is letters of DRIVES, each at most once, three at most; and is there a menu?"""

    order: str = DEFAULT_ORDER
    menu: bool = False


def parse_boot(text: str) -> BootConfig:
    """What `--boot` says; nothing is the default. UserError."""
    order, menu = DEFAULT_ORDER, False
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = "order", part
        if key == "order":
            order = _order(text, value)
        elif key == "menu" and value in WORDS:
            menu = WORDS[value]
        else:
            raise UserError(f"--boot {text}: write it as order=dca or order=dca,menu=on")
    return BootConfig(order, menu)


def _order(text: str, letters: str) -> str:
    if not letters or len(letters) > 3 or len(set(letters)) < len(letters):
        raise UserError(f"--boot {text}: name one to three drives, each once, as order=dca")
    for letter in letters:
        if letter not in DRIVES:
            raise UserError(
                f"--boot {text}: no drive {letter!r}: a is the floppy, c the disk, d the CD, "
                "n the network"
            )
    return letters

"""The embedded guest: a small operating system of our own, assembled when first asked for.

Its sources are the ``.asm`` files beside this one; ``embedded.asm`` gives the reading order.
The image is flat: copy it to ``load_address`` and start at ``entry`` in 32-bit protected mode
with flat segments, paging and interrupts off, ESP of no importance, 4 MiB of RAM or more. It is
a Multiboot 1 image too. It needs an 8259A pair, an 8254, a 16550A at 0x3f8 and a debug-exit port
at 0xf4, to which it writes 0 when every check was right and 1 when one was wrong.

What it prints (lines end with CR LF) does not depend on when the timer ticks: the two processes
take turns at the console. How many instructions it runs does, a little: about 550,000 at 8 ns an
instruction, of which 430,000 are in ring 3; a faster processor spins longer for its two ticks.

QEMU's TCG (7.2) checks neither segment limits nor null selectors on data accesses: there
``null-segment``, ``segment-limit`` and ``segment-read-only`` are wrong, and rightly reported.

>>> guest = embedded_image()
>>> hex(guest.load_address), guest.entry == guest.symbols["image_start"]
('0x100000', True)
>>> guest.expected_console[-1]
'embedded guest: 150 checks, 0 wrong'
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from monitor.guests.assembler import assemble

LOAD_ADDRESS = 0x100000


@dataclass(frozen=True)
class EmbeddedGuest:
    """The assembled image, where it goes, and what it prints on a processor that is right."""

    image: bytes
    load_address: int
    entry: int
    symbols: dict[str, int]
    expected_console: tuple[str, ...]

    def text_at(self, label: str) -> bytes:
        """The bytes of the image from a label on."""
        return self.image[self.symbols[label] - self.load_address :]


@lru_cache(maxsize=1)
def embedded_image() -> EmbeddedGuest:
    """Assemble the embedded guest; the result is kept in memory for the next caller."""
    assembly = assemble(_read_source, "embedded.asm", LOAD_ADDRESS)
    return EmbeddedGuest(
        image=assembly.image,
        load_address=LOAD_ADDRESS,
        entry=assembly.symbols["image_start"],
        symbols=assembly.symbols,
        expected_console=tuple(_read_source("embedded.expected.txt").splitlines()),
    )


def _read_source(name: str) -> str:
    return files("monitor.guests").joinpath(name).read_text(encoding="utf-8")

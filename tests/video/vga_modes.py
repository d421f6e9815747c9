"""The standard modes as register values: IBM VGA Technical Reference, "Video modes", tables.

The BIOS's own names: a mode's number in hexadecimal. `MODE_X` is 320 x 240 in four planes, which no
BIOS sets: mode 13h without chain 4, 480 lines (Abrash, Black Book, chapter 47).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Mode:
    """Values for Miscellaneous Output and the four controllers."""

    misc: int
    sequencer: tuple[int, ...]
    crtc: tuple[int, ...]
    graphics: tuple[int, ...]
    attribute: tuple[int, ...]

    def writes(self) -> Iterator[tuple[int, int, int]]:
        """Ports, sizes and values, in the order in which a BIOS sets them; size 0: read it."""
        base = 0x3D0 if self.misc & 1 else 0x3B0
        yield 0x3C2, 1, self.misc
        for index, value in enumerate(self.sequencer):
            yield 0x3C4, 2, value << 8 | index
        yield base + 4, 2, 0x11  # protects no longer
        for index, value in enumerate(self.crtc):
            yield base + 4, 2, value << 8 | index
        for index, value in enumerate(self.graphics):
            yield 0x3CE, 2, value << 8 | index
        yield base + 10, 0, 0
        for index, value in enumerate(self.attribute):
            yield 0x3C0, 1, index
            yield 0x3C0, 1, value
        yield 0x3C0, 1, 0x20

    def but(self, **changes: dict[int, int]) -> Mode:
        """The same with other values: crtc={0x09: 0x47}."""
        changed = {}
        for name, values in changes.items():
            registers = list(getattr(self, name))
            for index, value in values.items():
                registers[index] = value
            changed[name] = tuple(registers)
        return replace(self, **changed)


def _bytes(text: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(text))


_EGA_PALETTE = "0001020304051407 38393A3B3C3D3E3F"
_PLAIN_PALETTE = "0001020304050607 08090A0B0C0D0E0F"

TEXT_80x25 = Mode(
    0x67,
    _bytes("03 00 03 00 02"),
    _bytes("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF"),
    _bytes("00 00 00 00 00 10 0E 00 FF"),
    _bytes(_EGA_PALETTE + "0C 00 0F 08 00"),
)
TEXT_80x50 = TEXT_80x25.but(crtc={0x09: 0x47, 0x0A: 0x06, 0x0B: 0x07})
TEXT_40x25 = Mode(
    0x67,
    _bytes("03 08 03 00 02"),
    _bytes("2D 27 28 90 2B A0 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 14 1F 96 B9 A3 FF"),
    TEXT_80x25.graphics,
    TEXT_80x25.attribute,
)
TEXT_MONO = Mode(  # mode 7
    0x66,
    _bytes("03 00 03 00 02"),
    _bytes("5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 0D 96 B9 A3 FF"),
    _bytes("00 00 00 00 00 10 0A 00 FF"),
    _bytes("0008080808080808 1018181818181818 0E 00 0F 08 00"),
)
MODE_13 = Mode(
    0x63,
    _bytes("03 01 0F 00 0E"),
    _bytes("5F 4F 50 82 54 80 BF 1F 00 41 00 00 00 00 00 00 9C 8E 8F 28 40 96 B9 A3 FF"),
    _bytes("00 00 00 00 00 40 05 0F FF"),
    _bytes(_PLAIN_PALETTE + "41 00 0F 00 00"),
)
MODE_X = Mode(
    0xE3,
    _bytes("03 01 0F 00 06"),
    _bytes("5F 4F 50 82 54 80 0D 3E 00 41 00 00 00 00 00 00 EA AC DF 28 00 E7 06 E3 FF"),
    MODE_13.graphics,
    MODE_13.attribute,
)
MODE_12 = Mode(
    0xE3,
    _bytes("03 01 0F 00 06"),
    _bytes("5F 4F 50 82 54 80 0B 3E 00 40 00 00 00 00 00 00 EA 8C DF 28 00 E7 04 E3 FF"),
    _bytes("00 00 00 00 00 00 05 0F FF"),
    _bytes(_EGA_PALETTE + "01 00 0F 00 00"),
)
MODE_4 = Mode(
    0x63,
    _bytes("03 09 03 00 02"),
    _bytes("2D 27 28 90 2B 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 14 00 96 B9 A2 FF"),
    _bytes("00 00 00 00 00 30 0F 00 FF"),
    _bytes("0013151702040607 1011121314151617 01 00 03 00 00"),
)
MODE_6 = Mode(
    0x63,
    _bytes("03 01 01 00 06"),
    _bytes("5F 4F 50 82 54 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 28 00 96 B9 C2 FF"),
    _bytes("00 00 00 00 00 00 0D 00 FF"),
    _bytes("0017171717171717 1717171717171717 01 00 01 00 00"),
)
ALL = {name: each for name, each in globals().items() if isinstance(each, Mode)}

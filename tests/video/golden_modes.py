"""What the guests of bios_guests.py draw, by formula: the golden images in golden/.

    python golden_modes.py          # writes golden/*.png anew

Nothing of the program under test is in here: a picture follows from the definition of what is drawn
and from what the documents say of how a mode looks. The files are for people, who want to see what
a mode shows; that they equal the formulas is tested, as is that a screen equals the files.

A picture of a graphics mode is made of blocks, each of one colour, with a line of dots from the
upper left corner down. That of a text mode has every character in a font of its own, on the second
page of the text; the first has something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]
FOLDER = Path(__file__).with_name("golden")

#: The PC's 16 colours: IBM VGA Technical Reference, "Color registers", as BIOSes set them.
SIXTEEN = np.array([
    (0, 0, 0), (0, 0, 170), (0, 170, 0), (0, 170, 170), (170, 0, 0), (170, 0, 170), (170, 85, 0),
    (170, 170, 170), (85, 85, 85), (85, 85, 255), (85, 255, 85), (85, 255, 255), (255, 85, 85),
    (255, 85, 255), (255, 255, 85), (255, 255, 255),
], np.uint8)  # fmt: skip
FOUR = SIXTEEN[[0, 11, 13, 15]]  # the CGA's, as mode 4 begins: cyan, magenta, white, bright
TWO = SIXTEEN[[0, 15]]
#: 256 colours of six bits, all different, of the guest's own.
PALETTE = np.array([(i & 63, i * 5 + 9 & 63, i * 11 + i // 64 & 63) for i in range(256)], np.uint8)
RGB = (PALETTE << 2 | PALETTE >> 4).astype(np.uint8)


def font(height: int) -> Picture:
    """256 characters: their code, turned by one bit in each line."""
    code, line = np.indices((256, height))
    turned = code << line % 8
    return (turned & 0xFF | turned >> 8).astype(np.uint8)


@dataclass(frozen=True)
class Blocks:
    """A graphics mode: a block's value is (column * across + row * down) mod 2^bits."""

    width: int
    height: int
    bits: int
    across: int = 1
    down: int = 3
    size: int = 16

    def values(self) -> npt.NDArray[np.int64]:
        """The value of each pixel, with the line of dots, which are all ones."""
        y, x = np.indices((self.height, self.width)) // self.size
        mask = (1 << self.bits) - 1
        values = x * self.across + y * self.down & mask
        along = np.arange(min(self.height, self.width))
        values[along, along] = mask
        return values


ACROSS, DOWN = 0x0A0B0D07, 0x03151D2B
PLANAR = {"0d": (320, 200), "0e": (640, 200), "10": (640, 350), "12": (640, 480)}
VBE = {(640, 480): {8: 0x101, 15: 0x110, 16: 0x111, 24: 0x112, 32: 0x142},
       (800, 600): {8: 0x103, 15: 0x113, 16: 0x114, 24: 0x115, 32: 0x143},
       (1024, 768): {8: 0x105, 15: 0x116, 16: 0x117, 24: 0x118, 32: 0x144}}  # fmt: skip
TEXT = {"text-80x25": (80, 25, 16), "text-80x50": (80, 50, 8), "text-40x25": (40, 25, 16)}
INDEXED: dict[str, tuple[Blocks, Picture]] = {
    "mode-13": (Blocks(320, 200, 8, 5, 17, 10), RGB),
    "mode-x": (Blocks(320, 240, 8, 5, 17, 12), RGB),
    "mode-04": (Blocks(320, 200, 2), FOUR),
    "mode-06": (Blocks(640, 200, 1, 1, 1), TWO),
    "mode-11": (Blocks(640, 480, 1, 1, 1), TWO),
} | {f"mode-{name}": (Blocks(*size, 4), SIXTEEN) for name, size in PLANAR.items()}


def vbe_blocks(width: int, height: int, depth: int) -> Blocks:
    """What is drawn in a mode of VBE's. With 15 bits, the highest of 16 means nothing."""
    return Blocks(width, height, 16 if depth == 15 else depth, ACROSS, DOWN, 32)


def linear(values: npt.NDArray[np.int64], depth: int) -> Picture:
    """Pixels of a mode of VBE's: red above green above blue."""
    if depth == 8:
        return RGB[values]
    red, green = {15: (5, 5), 16: (5, 6), 24: (8, 8), 32: (8, 8)}[depth]
    blue = red
    channels = []
    for shift, bits in ((green + blue, red), (blue, green), (0, blue)):
        value = values >> shift & (1 << bits) - 1
        channels.append(value << 8 - bits | value >> 2 * bits - 8 if bits < 8 else value)
    return np.stack(channels, axis=2).astype(np.uint8)


def characters(columns: int, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Codes and attributes, by row and column."""
    n = np.arange(rows * columns).reshape(rows, columns)
    return n & 0xFF, n // 8 + 1 & 0xFF


def text(columns: int, rows: int, height: int) -> Picture:
    """A text of characters 9 dots wide; blinking is off, so a ground has 16 colours.

    The ninth dot is the ground's, but for codes C0 to DF, where it is the eighth's again.
    """
    code, attribute = (np.repeat(np.repeat(each, height, axis=0), 9, axis=1)
                       for each in characters(columns, rows))  # fmt: skip
    y, x = np.indices(code.shape)
    dot = x % 9
    ink = font(height)[code, y % height] >> (7 - np.minimum(dot, 7)) & 1
    ink &= (dot < 8) | (code >> 5 == 6)
    return SIXTEEN[np.where(ink, attribute & 15, attribute >> 4)]


def golden(name: str) -> Picture:
    """The picture with this name."""
    if name in TEXT:
        return text(*TEXT[name])
    if name in INDEXED:
        blocks, colours = INDEXED[name]
        return colours[blocks.values()]
    width, height, depth = map(int, name.removeprefix("vbe-").split("x"))
    return linear(vbe_blocks(width, height, depth).values(), depth)


VBE_NAMES = tuple(f"vbe-{width}x{height}x{depth}"
                  for (width, height), depths in VBE.items() for depth in depths)  # fmt: skip
NAMES = (*TEXT, *INDEXED, *VBE_NAMES)


def read(name: str) -> Picture:
    """The picture in the file."""
    with Image.open(FOLDER / f"{name}.png") as image:
        return np.asarray(image.convert("RGB"))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        picture = golden(name)
        image = Image.fromarray(picture)
        if len(np.unique(picture.reshape(-1, 3), axis=0)) <= 256:
            image = image.quantize(256, dither=Image.Dither.NONE)
            assert (np.asarray(image.convert("RGB")) == picture).all()
        image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()

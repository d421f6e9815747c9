"""Every standard mode, drawn by a guest, equals a golden image.

The golden images are made here, from what the guest is told to draw and the documents' words for
how that looks, a formula for each pixel; nothing of monitor/screen is in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from vga_modes import (
    MODE_4,
    MODE_6,
    MODE_12,
    MODE_13,
    MODE_X,
    TEXT_MONO,
    Mode,
    TEXT_40x25,
    TEXT_80x25,
    TEXT_80x50,
)
from video_lab import DATA, FRAME_BUFFER, MODES, outs, palette, run, setting, vbe_mode

from monitor import Machine

Picture = npt.NDArray[np.uint8]

#: 256 colours of six bits, all different.
COLOURS = np.array([(i & 63, i * 5 + 9 & 63, i * 11 + i // 64 & 63) for i in range(256)], np.uint8)
RGB = (COLOURS << 2 | COLOURS >> 4).astype(np.uint8)
FONT = np.array([[c * 37 + line * 59 ^ c >> 1 for line in range(32)] for c in range(256)]).astype(
    np.uint8
)
FONT_AT = DATA + 0x1000


def png(machine: Machine, path: Path) -> Picture:
    """The screen by way of a file."""
    machine.screenshot(path / "screen.png")
    with Image.open(path / "screen.png") as image:
        assert image.format == "PNG"
        found = np.asarray(image)
    assert (found == machine.screen.array).all()
    return found


def same(found: Picture, wanted: Picture) -> None:
    assert found.shape == wanted.shape
    differ = np.argwhere((found != wanted).any(axis=2))
    assert len(differ) == 0, f"{len(differ)} pixels differ, the first at {differ[0]}"


# --- text -----------------------------------------------------------------------------------------

LOAD_FONT = (
    outs(((0x3C4, 2, 0x0402), (0x3C4, 2, 0x0604), (0x3CE, 2, 0x0005), (0x3CE, 2, 0x0406)))
    + f"mov esi, {FONT_AT:#x}; mov edi, 0xa0000; mov ecx, 0x2000; cld; rep movsb\n"
)
DRAW_TEXT = """
    mov edi, {first}; mov ebx, 0; cld
next:
    mov eax, ebx; imul eax, 5; shr eax, 3; shl eax, 8; mov al, bl; stosw
    inc ebx; cmp ebx, {cells}; jb next
"""


def golden_text(
    columns: int, rows: int, height: int, width: int, colours: tuple[int, ...], cursor: range,
    cursor_at: int, now: int, line_dots: int, hertz: int,
) -> Picture:  # fmt: skip
    """80 or 40 columns of a font of ours, a pixel at a time."""
    frame = now * hertz // 10**9 // (line_dots * 449)
    y, x = np.indices((rows * height, columns * width))
    n = y // height * columns + x // width
    character, attribute = n & 0xFF, n * 5 // 8 & 0xFF
    dot = x % width
    bits = FONT[character, y % height] >> (7 - np.minimum(dot, 7)) & 1
    bits &= (dot < 8) | (character >= 0xC0) & (character < 0xE0)
    ink, ground = attribute & 15, attribute >> 4 & 7
    seen = np.where((attribute & 0x80 != 0) & (frame // 16 % 2 == 1), ground, ink)
    pixels = np.where(bits, seen, ground)
    if frame // 8 % 2 == 0:
        here = (n == cursor_at) & (y % height >= cursor.start) & (y % height < cursor.stop)
        pixels = np.where(here, ink, pixels)
    return RGB[np.array(colours)[pixels]]


@pytest.mark.parametrize("run_mode", MODES)
@pytest.mark.parametrize(
    ("mode", "columns", "rows", "height", "cursor"),
    [(TEXT_80x25, 80, 25, 16, range(13, 15)), (TEXT_80x50, 80, 50, 8, range(6, 8)),
     (TEXT_40x25, 40, 25, 16, range(13, 15))],
    ids=("80x25", "80x50", "40x25"),
)  # fmt: skip
def test_text(
    mode: Mode, columns: int, rows: int, height: int, cursor: range, run_mode: str, tmp_path: Path
) -> None:
    at = columns * 3 + 7
    source = (palette(COLOURS) + setting(mode) + LOAD_FONT + setting(mode)
              + outs(((0x3D4, 2, 0x000E), (0x3D4, 2, at << 8 & 0xFF00 | 0x0F)))
              + DRAW_TEXT.format(first=0xB8000, cells=columns * rows))  # fmt: skip
    data = COLOURS.tobytes().ljust(0x1000, b"\0") + FONT.tobytes()
    machine = run(run_mode, source, data)
    hertz, dots = (28_322_000, 900) if columns == 80 else (14_161_000, 9 * 0x32)
    wanted = golden_text(columns, rows, height, 9, mode.attribute[:16], cursor, at,
                         machine.clock.now(), dots, hertz)  # fmt: skip
    same(png(machine, tmp_path), wanted)
    assert machine.screen.size == (9 * columns, height * rows)
    text = machine.screen.lines
    assert len(text) == rows
    assert text[0][0x41 - 0x40 :][:0x1F] == "☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
    assert machine.board.accesses["memory_writes"] == 0x2000, "the font, and no character"


@pytest.mark.parametrize("run_mode", MODES)
def test_mono_text_is_at_b0000(run_mode: str) -> None:
    machine = run(run_mode, setting(TEXT_MONO) + DRAW_TEXT.format(first=0xB0000, cells=0x60))
    assert machine.screen.text.endswith('!"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNO\n'
                                        "PQRSTUVWXYZ[\\]^_")  # fmt: skip


# --- graphics -------------------------------------------------------------------------------------


def drawn(run_mode: str, mode: Mode, source: str) -> Machine:
    return run(run_mode, palette(COLOURS) + setting(mode) + source, COLOURS.tobytes())


@pytest.mark.parametrize("run_mode", MODES)
def test_mode_13(run_mode: str, tmp_path: Path) -> None:
    machine = drawn(run_mode, MODE_13, """
        mov edi, 0xa0000; xor ebx, ebx; cld
    row:
        mov eax, ebx; mov ecx, 320
    pixel:
        stosb; inc eax; loop pixel
        add ebx, 3; cmp ebx, 600; jb row
    """)  # fmt: skip
    y, x = np.indices((200, 320))
    same(png(machine, tmp_path), RGB[x + 3 * y & 0xFF])
    assert machine.board.accesses["memory_writes"] == 0


PLANES = """
    mov ebp, 1                                  # the plane, as a bit
plane:
    mov dx, 0x3c4; mov eax, ebp; shl eax, 8; or al, 2; out dx, ax
    mov edi, 0xa0000; xor ebx, ebx
row:
    xor ecx, ecx
column:
    lea eax, [ecx+2*ecx]; lea esi, [ebp+ebx]; imul esi, ebp; add eax, esi; mov [edi], al
    inc edi; inc ecx; cmp ecx, 80; jb column
    inc ebx; cmp ebx, {rows}; jb row
    shl ebp, 1; cmp ebp, 16; jb plane
"""


def planes_of(rows: int) -> Picture:
    """What PLANES writes: by line, byte and plane."""
    y, x, plane = np.indices((rows, 80, 4))
    bit = 1 << plane
    return (3 * x + (bit + y) * bit & 0xFF).astype(np.uint8)


@pytest.mark.parametrize("run_mode", MODES)
def test_mode_12(run_mode: str, tmp_path: Path) -> None:
    """Planes one by one, then a line of dots in write mode 2."""
    machine = drawn(run_mode, MODE_12, PLANES.format(rows=12) + """
        mov dx, 0x3c4; mov ax, 0x0f02; out dx, ax
        mov dx, 0x3ce; mov ax, 0x0205; out dx, ax
        mov edi, 0xa0000 + 400*80; mov ebx, 0x80; mov ecx, 15
    dot:
        mov ah, bl; mov al, 8; out dx, ax; mov al, [edi]; mov [edi], cl
        add edi, 81; ror bl, 1; loop dot
    """)  # fmt: skip
    bits = np.unpackbits(planes_of(12), axis=1).reshape(12, 640, 4)
    # unpackbits along the bytes puts a byte's bits behind each other
    wanted = np.zeros((480, 640), np.int64)
    wanted[:12] = sum(bits[..., plane].astype(int) << plane for plane in range(4))
    for i in range(15):
        wanted[400 + i, 8 * i + i % 8] = 15 - i
    same(png(machine, tmp_path), RGB[np.array(MODE_12.attribute[:16])[wanted]])


@pytest.mark.parametrize("run_mode", MODES)
def test_mode_x(run_mode: str, tmp_path: Path) -> None:
    machine = drawn(run_mode, MODE_X, PLANES.format(rows=12))
    wanted = np.zeros((240, 320), np.uint8)
    wanted[:12] = planes_of(12).reshape(12, 320)
    same(png(machine, tmp_path), RGB[wanted])


@pytest.mark.parametrize("run_mode", MODES)
def test_four_colours_of_the_cga(run_mode: str, tmp_path: Path) -> None:
    machine = drawn(run_mode, MODE_4, """
        mov edi, 0xb8000; xor eax, eax; mov ecx, 0x4000; cld
    next:
        stosb; add eax, 7; loop next
    """)  # fmt: skip
    y, x = np.indices((200, 320))
    at = y % 2 * 0x2000 + y // 2 * 80 + x // 4
    pixels = (7 * at & 0xFF) >> (6 - 2 * (x % 4)) & 3
    same(png(machine, tmp_path), RGB[np.array(MODE_4.attribute[:16])[pixels]])
    assert machine.board.accesses["memory_writes"] == 0


@pytest.mark.parametrize("run_mode", MODES)
def test_two_colours_of_the_cga(run_mode: str, tmp_path: Path) -> None:
    machine = drawn(run_mode, MODE_6, """
        mov ebp, 0xb8000
    bank:
        mov edi, ebp; mov eax, ebp; mov ecx, 800; cld
        shr eax, 13
    next:
        stosb; add eax, 7; loop next
        add ebp, 0x2000; cmp ebp, 0xbc000; jb bank
    """)  # fmt: skip
    y, x = np.indices((200, 640))
    at = y // 2 * 80 + x // 8
    values = np.where(at < 800, ((0xB8000 >> 13) + y % 2 + 7 * at) & 0xFF, 0)
    pixels = values >> (7 - x % 8) & 1
    same(png(machine, tmp_path), RGB[np.array(MODE_6.attribute[:16])[pixels]])


# --- VBE ------------------------------------------------------------------------------------------

STEP = 0x01030507


def golden_linear(width: int, height: int, bpp: int) -> Picture:
    """Double words that count by STEP, as pixels."""
    size = (bpp + 7) // 8
    words = np.arange(width * height * size // 4, dtype=np.uint32) * np.uint32(STEP)
    data = words.view(np.uint8).reshape(height, width, size).astype(np.int64)
    if bpp == 8:
        return RGB[data[..., 0]]
    if bpp >= 24:
        return data[..., [2, 1, 0]].astype(np.uint8)
    value, green = data[..., 0] | data[..., 1] << 8, bpp - 10
    channels = (value >> 5 + green & 31, value >> 5 & (1 << green) - 1, value & 31)
    scaled = [c << 8 - n | c >> 2 * n - 8 for c, n in zip(channels, (5, green, 5), strict=True)]
    return np.stack(scaled, axis=2).astype(np.uint8)


def check_vbe(run_mode: str, width: int, height: int, bpp: int, path: Path) -> None:
    words = width * height * ((bpp + 7) // 8) // 4
    source = palette(COLOURS) + vbe_mode(width, height, bpp) + f"""
        mov edi, {FRAME_BUFFER:#x}; xor eax, eax; mov ecx, {words}; cld
    next:
        stosd; add eax, {STEP:#x}; loop next
    """
    machine = run(run_mode, source, COLOURS.tobytes())
    same(png(machine, path), golden_linear(width, height, bpp))
    assert machine.board.accesses["memory_writes"] == 0


@pytest.mark.parametrize("run_mode", MODES)
@pytest.mark.parametrize("bpp", [8, 15, 16, 24, 32])
@pytest.mark.parametrize("size", ["320x200", pytest.param("640x480", marks=pytest.mark.slow),
                                  pytest.param("800x600", marks=pytest.mark.slow),
                                  pytest.param("1024x768", marks=pytest.mark.slow)])  # fmt: skip
def test_vbe(size: str, bpp: int, run_mode: str, tmp_path: Path) -> None:
    check_vbe(run_mode, *map(int, size.split("x")), bpp, tmp_path)


@pytest.mark.parametrize("run_mode", MODES)
def test_banks_of_vbe(run_mode: str, tmp_path: Path) -> None:
    """The same picture, 64 KiB at a time."""
    source = palette(COLOURS) + setting(MODE_12) + vbe_mode(320, 480, 8, 1) + f"""
        xor eax, eax; xor ebx, ebx; cld
    bank:
        push eax
        mov dx, 0x1ce; mov ax, 5; out dx, ax; inc dx; mov ax, bx; out dx, ax
        pop eax; mov edi, 0xa0000; mov ecx, 0x4000
    next:
        stosd; add eax, {STEP:#x}; loop next
        inc ebx; cmp ebx, 3; jb bank
    """
    machine = run(run_mode, source, COLOURS.tobytes())
    same(png(machine, tmp_path), golden_linear(320, 480, 8))


@pytest.mark.parametrize("run_mode", MODES)
def test_a_wide_screen_of_vbe_is_shown_from_its_offset(run_mode: str) -> None:
    registers: Any = ((6, 512), (8, 100), (9, 50))
    source = palette(COLOURS) + vbe_mode(320, 200, 8) + outs(
        each for index, value in registers for each in ((0x1CE, 2, index), (0x1CF, 2, value))
    ) + f"""
        mov edi, {FRAME_BUFFER:#x}; xor eax, eax; mov ecx, {512 * 300 // 4}; cld
    next:
        stosd; add eax, {STEP:#x}; loop next
    """  # fmt: skip
    machine = run(run_mode, source, COLOURS.tobytes())
    whole = golden_linear(512, 300, 8)
    same(machine.screen.array, whole[50:250, 100:420])

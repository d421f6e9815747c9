"""Guests in 16 bits that set modes by the VGA BIOS and draw what golden_modes.py has.

SeaBIOS starts a floppy disk once, and what lies at 0000:7C00 then is each guest in turn: its code,
and behind it, at 1000:0000, a font and the palette.

    text       INT 10h, 00h sets the mode, 1110h the font, 1003h bright grounds, 05h the page
    graphics   INT 10h, 00h sets the mode, 1012h the palette; the guest writes to its window, in
               mode X and with planes by the registers
    VBE        INT 10h, 4F01h tells where the frame buffer is, 4F02h sets the mode; ES gets a limit
               of 4 GiB in a moment of protected mode ("unreal mode")
"""

from __future__ import annotations

from functools import cache

import pytest
from golden_modes import ACROSS, DOWN, INDEXED, PALETTE, TEXT, VBE, font
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.checkpoint.snapshot import Snapshot
from monitor.firmware.rom_files import find

START = 0x7C00
DATA = 0x10000
PALETTE_AT = 0x4000  # behind DATA, after a font
FILES = ("bios.bin", "vgabios-stdvga.bin")
SET_PALETTE = f"""
    mov ax, 0x1000; mov es, ax; mov dx, {PALETTE_AT:#x}
    xor bx, bx; mov cx, 256; mov ax, 0x1012; int 0x10
"""
HALT = "\ncli\nhlt\n"


needs_bios = pytest.mark.skipif(
    any(find(name) is None for name in FILES),
    reason="no SeaBIOS and VGA BIOS: Debian's package seabios, or `make guests`",
)


@cache
def booted() -> Snapshot:
    """A machine that SeaBIOS has started from its floppy, before the first instruction there."""
    disk = bytes(510) + b"\x55\xaa" + bytes(737280 - 512)
    machine = Machine(memory_mb=16, mode="bare", chipset="i440fx", vga="std", drives={"fda": disk})
    machine.load_bios(find(FILES[0]), vgabios=find(FILES[1]), boot="order=a")
    outcome = machine.run(until_address=START, timeout=PATIENCE)
    assert outcome.kind == "address", outcome
    machine.storage["fda"].change(disk)
    return machine.snapshot()


def run(mode: str, source: str) -> Machine:
    """A guest, until it halts."""
    machine = Machine.restore(booted(), mode=mode, drives={"fda": bytes(737280)})
    code = assemble(source + HALT, START, bits=16)
    assert len(code) <= 510
    machine.write_physical(START, code)
    machine.write_physical(DATA + PALETTE_AT, PALETTE.tobytes())
    for height, at in ((16, 0), (8, 0x2000)):
        machine.write_physical(DATA + at, font(height).tobytes())
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    return machine


def guest(name: str) -> str:
    """The source of the guest that draws this picture."""
    if name in TEXT:
        return text(*TEXT[name])
    if name in INDEXED:
        return graphics(name)
    width, height, depth = map(int, name.removeprefix("vbe-").split("x"))
    return vbe(width, height, depth)


def text(columns: int, rows: int, height: int) -> str:
    """All characters on the second page, which the BIOS's data area says where it begins."""
    mode, at = 1 if columns == 40 else 3, 0 if height == 16 else 0x2000
    return f"""
        mov ax, {mode}; int 0x10
        mov ax, 0x1000; mov es, ax; mov bp, {at:#x}
        mov ax, 0x1110; mov bh, {height}; mov bl, 0; mov cx, 256; xor dx, dx; int 0x10
        mov ax, 0x1003; xor bx, bx; int 0x10
        mov ah, 1; mov cx, 0x2000; int 0x10
        mov ax, 0x0501; int 0x10
        mov ax, 0xb800; mov es, ax; xor di, di
        mov ax, 0x4e58; mov cx, 0x4000; cld; rep stosw
        xor ax, ax; mov ds, ax; mov di, [0x44e]
        xor bx, bx
    next:
        mov ax, bx; shr ax, 3; inc ax; mov ah, al; mov al, bl; stosw
        inc bx; cmp bx, {columns * rows}; jb next
    """


def graphics(name: str) -> str:
    """Blocks in a mode of the VGA's or the CGA's."""
    blocks, _ = INDEXED[name]
    kind = name.removeprefix("mode-")
    source = f"mov ax, {0x13 if kind == 'x' else int(kind, 16):#x}; int 0x10\n"
    values = vars(blocks) | {"mask": (1 << blocks.bits) - 1, "bytes": blocks.width // 8}
    if kind == "13":
        return source + SET_PALETTE + DRAW_PIXELS.format(**values, segment=0xA000, put=PUT_13)
    if kind == "x":
        pixels = DRAW_PIXELS.format(**values, segment=0xA000, put=PUT_X)
        return source + SET_PALETTE + UNCHAIN + pixels
    if kind == "04":
        return source + DRAW_PIXELS.format(**values, segment=0xB800, put=PUT_04)
    return source + (DRAW_06 if kind == "06" else DRAW_PLANES).format(**values)


# For each pixel, CX across and DX down, its value in AL to `put`, which may use BX, DI and AH.
DRAW_PIXELS = """
    mov ax, {segment:#x}; mov es, ax
    xor dx, dx
row:
    xor cx, cx
pixel:
    push dx
    mov ax, cx; xor dx, dx; mov bx, {size}; div bx; imul si, ax, {across}
    pop ax
    push ax
    xor dx, dx; div bx; imul ax, ax, {down}; add ax, si; and ax, {mask}
    pop dx
    cmp cx, dx
    jne put
    mov al, {mask}
put:
    {put}
    inc cx; cmp cx, {width}; jb pixel
    inc dx; cmp dx, {height}; jb row
"""
PUT_13 = "mov di, dx; imul di, di, 320; add di, cx; mov es:[di], al"

# Two banks of lines; the leftmost pixel of a byte is its highest.
PUT_04 = """
    mov di, dx; shr di, 1; imul di, di, 80
    test dl, 1
    jz even
    add di, 0x2000
even:
    mov bx, cx; shr bx, 2; add di, bx
    mov bx, cx; not bx; and bx, 3; shl bx, 1
    push cx; mov cx, bx; shl al, cl; pop cx
    or es:[di], al
"""

# The same, a byte at a time: eight pixels of one block, but for the line of dots.
DRAW_06 = """
    mov ax, 0xb800; mov es, ax
    xor dx, dx
row:
    xor cx, cx
column:
    mov ax, cx; shr ax, 1; mov bx, dx; shr bx, 4; add ax, bx; and al, 1; neg al
    mov si, dx; shr si, 3; cmp si, cx
    jne put
    push cx; mov cl, dl; and cl, 7; mov ah, 0x80; shr ah, cl; pop cx
    or al, ah
put:
    mov di, dx; shr di, 1; imul di, di, 80; add di, cx
    mov bx, dx; and bx, 1; shl bx, 13; add di, bx
    mov es:[di], al
    inc cx; cmp cx, {bytes}; jb column
    inc dx; cmp dx, {height}; jb row
"""

# Chain 4 off, byte mode, 480 lines of which each is shown twice.
UNCHAIN = """
    mov dx, 0x3c4; mov ax, 0x0604; out dx, ax
    mov ax, 0x0100; out dx, ax
    mov dx, 0x3c2; mov al, 0xe3; out dx, al
    mov dx, 0x3c4; mov ax, 0x0300; out dx, ax
    mov dx, 0x3d4; mov al, 0x11; out dx, al; inc dx; in al, dx; and al, 0x7f; out dx, al; dec dx
    lea si, [registers]; mov cx, 10; cld
    push ds; push cs; pop ds
rows:
    lodsw; out dx, ax; loop rows
    pop ds
    jmp drawing
registers:
    .word 0x0d06, 0x3e07, 0x4109, 0xea10, 0xac11, 0xdf12, 0x0014, 0xe715, 0x0616, 0xe317
drawing:
"""
# Blocks are 12 dots wide, so the four that share an address have one colour, but for the line.
PUT_X = """
    mov di, dx; imul di, di, 80; mov bx, cx; shr bx, 2; add di, bx
    mov bx, cx; xor bx, dx; test bx, 0xfffc
    mov ah, 0x0f
    jnz four
    mov ah, 1; push cx; and cl, 3; shl ah, cl; pop cx
    jmp write
four:
    test cl, 3
    jnz written
write:
    push ax; push dx
    cmp ah, [last]
    je same
    mov [last], ah
    mov al, 2; mov dx, 0x3c4; out dx, ax
same:
    pop dx; pop ax
    mov es:[di], al
    jmp written
last:
    .byte 0
written:
"""

# All planes by Set/Reset, 16 pixels of one block at a time; then the line's dot by the bit mask.
DRAW_PLANES = """
    mov ax, 0xa000; mov es, ax; cld
    mov dx, 0x3ce; mov ax, 0x0f01; out dx, ax
    xor bx, bx; xor di, di
row:
    xor cx, cx
column:
    mov si, cx; shr si, 1; imul si, si, {across}
    mov ax, bx; shr ax, 4; imul ax, ax, {down}; add ax, si; and ax, {mask}
    mov ah, al; mov al, 0; out dx, ax
    stosw
    add cx, 2; cmp cx, {bytes}; jb column
    mov ah, {mask}; mov al, 0; out dx, ax
    mov cl, bl; and cl, 7; mov ah, 0x80; shr ah, cl; mov al, 8; out dx, ax
    mov si, bx; shr si, 3; add si, di; sub si, {bytes}
    mov al, es:[si]; mov es:[si], al
    mov ax, 0xff08; out dx, ax
    inc bx; cmp bx, {height}; jb row
"""


def vbe(width: int, height: int, depth: int) -> str:
    """Blocks of 32 dots in the linear frame buffer."""
    size = (depth + 7) // 8
    return f"""
        xor ax, ax; mov ds, ax; mov es, ax
        mov di, 0x8000; mov cx, {VBE[width, height][depth]:#x}; mov ax, 0x4f01; int 0x10
        cmp ax, 0x4f
        jne wrong
        cmp byte ptr [0x8019], {depth}
        jne wrong
        mov bx, {0x4000 | VBE[width, height][depth]:#x}; mov ax, 0x4f02; int 0x10
        cmp ax, 0x4f
        jne wrong
        {SET_PALETTE if depth == 8 else ""}
        cli
        lgdt [table]
        mov eax, cr0; inc ax; mov cr0, eax
        mov bx, 8; mov es, bx
        dec ax; mov cr0, eax
        mov edi, [0x8028]; cld
        xor edx, edx
    row:
        movzx eax, word ptr [0x8010]
        push edi
        xor ecx, ecx
    pixel:
        mov eax, ecx; shr eax, 5; imul eax, eax, {ACROSS:#x}
        mov ebx, edx; shr ebx, 5; imul ebx, ebx, {DOWN:#x}; add eax, ebx
        cmp ecx, edx
        jne put
        or eax, -1
    put:
        {PUT[size]}
        inc ecx; cmp ecx, {width}; jb pixel
        pop edi
        movzx eax, word ptr [0x8010]; add edi, eax
        inc edx; cmp edx, {height}; jb row
    wrong:
        cli
        hlt
    table:
        .word 15
        .long flat - 8
    flat:
        .long 0x0000ffff, 0x008f9300
    """


PUT = {1: "mov es:[edi], al; inc edi", 2: "mov es:[edi], ax; add edi, 2",
       3: "mov es:[edi], ax; shr eax, 16; mov es:[edi+2], al; add edi, 3",
       4: "mov es:[edi], eax; add edi, 4"}  # fmt: skip

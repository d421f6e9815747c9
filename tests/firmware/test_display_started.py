"""A guest that is loaded without a BIOS finds the display as the VGA BIOS leaves it."""

from __future__ import annotations

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.firmware.display import ROM_AT
from monitor.firmware.rom_files import VGA_BIOS, find

ROM = find(VGA_BIOS[False])
needs_rom = pytest.mark.skipif(ROM is None, reason="no VGA BIOS: make guests")
modes = pytest.mark.parametrize("mode", ["bare", "translate"])
BASE = 0x8000
# `Hi` in white at the top left; then by INT 10h, at the cursor; and how often IRQ 0 came: never
SOURCE = """
    mov ax, 0xB800
    mov es, ax
    mov word ptr es:[0], 0x0F48
    mov word ptr es:[2], 0x0F69
    mov ax, 0x0E21
    int 0x10
    cli
    hlt
"""


def guest(mode: str, vga: str = "std") -> Machine:
    machine = Machine(memory_mb=2, mode=mode, vga=vga)
    code = assemble(SOURCE, BASE, bits=16)
    machine.load_flat(code, BASE, esp=0x7000, real_mode=True, firmware_state="bios")
    return machine


@needs_rom
@modes
def test_text_is_seen(mode: str) -> None:
    machine = guest(mode)
    assert machine.instructions == 0 and machine.clock.now() == 0
    assert not any(machine.board.accesses.values())
    assert machine.read_physical(0x7C00, 16) == bytes(16)
    assert machine.read_physical(0x449, 3) == bytes((3, 80, 0))
    assert machine.run(max_instructions=100_000).kind == "stuck"
    assert machine.screen.text.splitlines()[0] in ("!i", "Hi!")
    picture = machine.screen.array
    assert picture.shape[:2] == (400, 720) and picture[:16, :18].any()
    assert not picture[16:].any()


@needs_rom
def test_the_guests_life_is_the_same_in_both_modes() -> None:
    lives = []
    for mode in ("bare", "translate"):
        machine = guest(mode)
        machine.run(max_instructions=100_000)
        seen = machine.read_physical(0, 0x8000), machine.screen.array.tobytes()
        lives.append((machine.instructions, machine.registers, machine.clock.now(), seen))
    assert lives[0] == lives[1]


@needs_rom
def test_what_has_a_rom_there_keeps_it() -> None:
    machine = Machine(memory_mb=2, mode="bare", vga="std")
    own = b"\x55\xaa\x01\xcb" + bytes(508)
    machine.roms.add(ROM_AT, own)
    code = assemble("hlt", BASE, bits=16)
    machine.load_flat(code, BASE, real_mode=True, firmware_state="bios")
    assert machine.read_physical(ROM_AT, 512) == own
    machine.load_flat(code, BASE, real_mode=True, firmware_state="bios")  # once more is no error


def test_without_a_display_there_is_no_rom() -> None:
    assert guest("bare", vga="none").roms.ranges == ()

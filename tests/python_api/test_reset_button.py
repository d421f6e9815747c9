"""Firmware, the reset vector, and the reset button: Machine.load_rom, Machine.reset."""

from __future__ import annotations

from pathlib import Path

import pytest
from api_lab import ESP, MODES, ORIGIN, asm, modes
from patience import PATIENCE

from monitor import Machine
from monitor.vmm.errors import UserError

BIOS = 0x10000  # bytes
RESET_VECTOR = BIOS - 16
ENTRY = 0xE05B  # where a PC's BIOS has always begun

# With a directory of 4 MiB pages at EAX.
PAGING_ON = """
    mov  cr3, eax
    mov  eax, cr4
    or   eax, 0x10
    mov  cr4, eax
    mov  eax, cr0
    or   eax, 0x80000000
    mov  cr0, eax
"""


def bios(main: str, size: int = BIOS) -> bytes:
    """An image with a far jump at the reset vector, as every PC's."""
    image = bytearray(b"\xf4" * size)
    code = asm(main, ENTRY, bits=16)
    image[size - BIOS + ENTRY : size - BIOS + ENTRY + len(code)] = code
    jump = b"\xea" + ENTRY.to_bytes(2, "little") + (0xF000).to_bytes(2, "little")
    image[size - 16 : size - 11] = jump
    return bytes(image)


SAYS = "mov al, 0x42; out 0xe9, al; mov ax, cs; mov bx, ax; mov eax, cr0; xor cx, cx; out 0xf4, al"


@modes
@pytest.mark.parametrize("size", [BIOS, 2 * BIOS, 4 * BIOS])
def test_the_first_instruction_is_at_the_reset_vector(mode: str, size: int) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_rom(bios(SAYS, size))
    first = machine.segments["cs"]
    assert (first.selector, first.base, machine.registers["eip"]) == (0xF000, 0xFFFF0000, 0xFFF0)
    assert machine.read_memory(0xFFFFFFF0, 5) == bytes.fromhex("ea 5be0 00f0")
    assert machine.run(timeout=PATIENCE).kind == "exit"
    assert machine.debug_console == b"B"
    assert machine.registers["ebx"] == 0xF000 and machine.segments["cs"].base == 0xF0000
    assert machine.instructions == 8


@modes
def test_all_modes_come_out_the_same(mode: str) -> None:
    """Into protected mode, out of ROM at its low place, its high one, and by paging."""
    code = """
        cli
        lgdt cs:[0xff00]
        mov  eax, cr0
        or   al, 1
        mov  cr0, eax
        .byte 0x66, 0xea
        .long 0xf1000
        .word 8
    """
    flat = asm(f"""
        mov  ax, 0x10
        mov  ds, ax
        mov  es, ax
        mov  ss, ax
        mov  esp, 0x90000
        mov  eax, 0xf1800
        call eax
        mov  eax, 0xffff1800                # where the monitor lives, in the engine
        call eax
        mov  dword ptr [0x200000], 0x83     # 4 MiB pages: the first, and the last one at 400000
        mov  dword ptr [0x200004], 0xffc00083
        mov  eax, 0x200000
        {PAGING_ON}
        mov  eax, 0x7f1800                  # FFFF1800 by another name
        call eax
        mov  dword ptr [0x7f1800], 0
        mov  ebx, [0x7ffff0]
        mov  dword ptr [0xf1800], 0
        mov  al, 1
        out  0xf4, al
    """, 0xF1000)
    routine = asm("mov ecx, 100; again: inc edi; pushfd; popfd; loop again; ret", 0xF1800)
    image = bytearray(bios(code))
    image[0x1000 : 0x1000 + len(flat)] = flat
    image[0x1800 : 0x1800 + len(routine)] = routine
    image[0xFF00:0xFF06] = bytes.fromhex("1700 10ff0f00")
    image[0xFF10:0xFF28] = bytes(8) + bytes.fromhex("ffff0000009acf00 ffff00000092cf00")
    lives = []
    for each in ("bare", mode):
        machine = Machine(memory_mb=4, mode=each)
        machine.load_rom(bytes(image))
        outcome = machine.run(timeout=PATIENCE, max_instructions=100_000)
        lives.append((outcome, machine.registers, machine.instructions))
        assert machine.read_physical(0xF0000, BIOS) == image
    assert lives[0] == lives[1]
    outcome, registers, _ = lives[0]
    assert (outcome.kind, outcome.status) == ("exit", 3)
    assert registers["edi"] & 0xFFFF == 300
    assert registers["ebx"] == int.from_bytes(image[-16:-12], "little")


@modes
def test_writes_at_the_top_vanish(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    image = bios("hlt")
    machine.roms.add_firmware(image)
    machine.load_flat(asm("mov eax, [0xfffffff0]; mov dword ptr [0xfffffff0], 5;"
                          "mov ebx, [0xfffffff0]; mov ecx, [0xfffeffff]; hlt"), ORIGIN)  # fmt: skip
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    values = machine.registers
    assert values["eax"] == values["ebx"] == int.from_bytes(image[-16:-12], "little")
    assert values["ecx"] == 0xF4F4F4FF, "the byte in front of it is nobody's"
    assert machine.read_physical(0xF0000, BIOS) == image


@modes
def test_the_reset_button(mode: str) -> None:
    """After the guest has ended the machine, and in the middle of protected mode."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_rom(bios("mov al, 0x41; out 0xe9, al; mov al, 0xfe; out 0x64, al; hlt"))
    for times in range(1, 4):
        assert machine.run(timeout=PATIENCE).kind == "reset"
        assert machine.debug_console == b"A" * times
        machine.reset()
    machine.load_flat(asm("mov eax, 0x1234; mov cr2, eax; lidt [eax]; mov al, 0xaa;"
                          "out 0x21, al; out 0xa1, al; spin: jmp spin"), ORIGIN)  # fmt: skip
    machine.run(max_instructions=1000)
    machine.write_physical(0x5000, b"stays")
    machine.reset()
    assert machine.registers["cr2"] == 0 and machine.system_registers["idtr_base"] == 0
    assert machine.board.pc.pic.snapshot() == Machine(memory_mb=4).board.pc.pic.snapshot()
    assert machine.run(timeout=PATIENCE).kind == "reset"
    assert machine.read_physical(0x5000, 5) == b"stays"


@modes
def test_without_firmware_there_is_nothing(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.reset()
    assert machine.registers["eip"] == 0xFFF0
    assert machine.run(timeout=PATIENCE, max_instructions=1000).kind in ("shutdown", "instructions")


def test_firmware_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bios.bin"
    file.write_bytes(bios(SAYS))
    machine = Machine(memory_mb=4)
    machine.load_rom(file)
    assert machine.run(timeout=PATIENCE).kind == "exit"
    with pytest.raises(UserError, match=r"none\.bin"):
        machine.load_rom(tmp_path / "none.bin")


def test_firmware_that_cannot_be() -> None:
    machine = Machine(memory_mb=4)
    with pytest.raises(UserError, match="no more than 393216 fit below 1 MiB"):
        machine.load_rom(bytes(0x60001))
    machine.devices.plug_memory(0xFFFF8000, 16)
    with pytest.raises(UserError, match="top of 4 GiB"):
        machine.load_rom(bios("hlt"))
    other = Machine(memory_mb=4)
    other.load_rom(bios("hlt"))
    with pytest.raises(UserError, match="65536 bytes is there already"):
        other.load_rom(bios("hlt", 2 * BIOS))
    with pytest.raises(UserError, match="a ROM is at 0xffff0000 to 0xffffffff"):
        other.devices.plug_memory(0xFFFFF000, 16)
    other.load_rom(bios(SAYS))
    assert other.run(timeout=PATIENCE).kind == "exit"


def test_a_short_image_ends_at_the_top() -> None:
    machine = Machine(memory_mb=4)
    code = asm("mov al, 0x43; out 0xe9, al; out 0xf4, al", 0, bits=16)
    machine.load_rom(code + bytes(16 - len(code)))
    assert machine.run(timeout=PATIENCE).kind == "exit" and machine.debug_console == b"C"
    assert machine.read_physical(0xFFFE0, 16) == b"\xff" * 16


# --- A20 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("paging", [False, True])
def test_a_closed_a20_gate_is_the_same_in_every_mode(mode: str, paging: bool) -> None:
    """Shadow mappings lead where the processor's own do."""
    machine = Machine(memory_mb=4, mode=mode)
    enter = f"""
        mov  dword ptr [0x220000], 0x83
        mov  eax, 0x220000
        {PAGING_ON}
    """
    machine.load_flat(asm(f"""
        {enter if paging else ""}
        mov  dword ptr [0x345678], 1
        mov  al, 0xdd                       # A20 off
        out  0x64, al
        mov  dword ptr [0x345678], 2
        mov  ebx, [0x345678]
        mov  al, 0xdf
        out  0x64, al
        mov  ecx, [0x345678]
        mov  edx, [0x245678]
        hlt
    """, 0x10000), 0x10000, esp=ESP)  # fmt: skip
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    values = machine.registers
    assert (values["ebx"], values["ecx"], values["edx"]) == (2, 1, 2)

"""SeaBIOS, as Debian ships it, from the reset vector to the end of what there is to boot."""

from __future__ import annotations

from functools import cache

import pytest
from bios_lab import MODES, said, seabios
from patience import PATIENCE

from monitor import Machine

IMAGES = ("bios.bin", "bios-256k.bin")
STEP = 100_000
MOST = 8_000_000
SEEN = (b"SeaBIOS (version ", b"Found QEMU fw_cfg", b"Found 3 PCI devices", b"PIIX3/PIIX4 init",
        b"Using pmtimer, ioport 0xb008", b"Found 1 serial ports", b"PS2 keyboard initialized",
        b"Booting from Hard Disk", b"No bootable device.")  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.guest,
    pytest.mark.skipif(
        seabios(IMAGES[0]) is None or seabios(IMAGES[1]) is None,
        reason="no SeaBIOS: Debian's package seabios, or `make guests`",
    ),
]
modes = pytest.mark.parametrize("mode", MODES)
images = pytest.mark.parametrize("image", IMAGES)


def started(mode: str, image: str, boot: str = "") -> Machine:
    machine = Machine(memory_mb=32, mode=mode, chipset="i440fx")
    machine.load_bios(seabios(image), boot=boot)
    return machine


@cache
def life(mode: str, image: str) -> tuple[Machine, list[object]]:
    """To the end, with what there was to see on the way."""
    machine = started(mode, image)
    seen: list[object] = []
    while SEEN[-1] not in said(machine) and machine.instructions < MOST:
        machine.run(max_instructions=STEP, timeout=PATIENCE)
        seen.append((machine.registers, machine.clock.now(), len(said(machine))))
    return machine, seen


@modes
@images
def test_it_finds_the_board_and_nothing_to_boot(mode: str, image: str) -> None:
    machine, _ = life(mode, image)
    log = said(machine)
    places = [log.find(text) for text in SEEN]
    assert -1 not in places and places == sorted(places), log.decode("latin-1")


@images
def test_bare_and_translated_are_the_same_life(image: str) -> None:
    (bare, one), (translated, other) = (life(mode, image) for mode in MODES)
    assert one == other and said(bare) == said(translated)
    kinds = translated.statistics()["by_kind"]
    assert kinds["translated"] > kinds["emulated"] / 2, kinds


@modes
def test_it_leaves_itself_in_shadow_ram(mode: str) -> None:
    """Its F segment is RAM that nobody writes any more, and holds the tables it has made."""
    machine, _ = life(mode, IMAGES[0])
    assert machine.physical_map.shadowed(0xF0000) == (True, False)
    segment = machine.read_physical(0xF0000, 0x10000)
    assert all(table in segment for table in (b"RSD PTR ", b"_SM_", b"_MP_", b"$PIR"))


@modes
def test_it_looks_at_the_boot_order(mode: str) -> None:
    """Without drives its order cannot be seen; that it reads it can."""
    machine = started(mode, IMAGES[0], "order=dca")
    index, read = [0], {}

    def port(kind: str, number: int, size: int, value: int) -> None:
        if kind == "out" and number == 0x70:
            index[0] = value & 0x7F
        elif kind == "in" and number == 0x71:
            read[index[0]] = value

    machine.hooks.on_port(range(0x70, 0x72), port)
    while b"No bootable device" not in said(machine) and machine.instructions < MOST:
        machine.run(max_instructions=STEP, timeout=PATIENCE)
    assert (read[0x3D], read[0x38]) == (0x23, 0x10)


@modes
def test_an_option_rom_is_run(mode: str) -> None:
    """Whatever it says at port 402h is in the log."""
    say = b"".join(b"\xb0%c\xee" % byte for byte in b"\n*ROM*\n")
    jump, pnp = b"\xeb\x3e", b"\x00\x00"  # over the header, which has no Plug and Play part
    head = (b"\x55\xaa\x01" + jump).ljust(0x1A, b"\0") + pnp
    rom = bytearray((head.ljust(0x43, b"\0") + b"\xba\x02\x04" + say).ljust(512, b"\xcb"))
    rom[-1] = -sum(rom[:-1]) & 0xFF
    machine = Machine(memory_mb=32, mode=mode, chipset="i440fx")
    machine.load_bios(seabios(IMAGES[0]), option_roms=[bytes(rom)])
    while b"handle_19" not in said(machine) and machine.instructions < MOST:
        machine.run(max_instructions=STEP, timeout=PATIENCE)
    assert b"*ROM*" in said(machine)


@modes
def test_a_checkpoint_on_the_way_goes_on_in_the_other_mode(mode: str) -> None:
    whole, _ = life(mode, IMAGES[0])
    machine = started(mode, IMAGES[0])
    machine.run(max_instructions=700_000, timeout=PATIENCE)
    begun = len(said(machine))
    other = Machine.restore(machine.snapshot(), mode=MODES[mode == "bare"])
    other.run(max_instructions=whole.instructions - 700_000, timeout=PATIENCE)
    assert said(other) == said(whole)[begun:]
    assert other.registers == whole.registers


@modes
def test_a_reset_starts_it_again(mode: str) -> None:
    """The keyboard controller resets the processor; SeaBIOS finds out, and resets the board."""
    machine = started(mode, IMAGES[0])
    machine.run(max_instructions=700_000, timeout=PATIENCE)
    once = said(machine).count(b"Relocating init")
    assert once == 1
    machine.board.bus.write_port(0x64, 1, 0xFE)
    machine.run(max_instructions=700_000, timeout=PATIENCE)
    assert said(machine).count(b"Relocating init") == 2
    assert b"In resume" in said(machine)

"""A fire in mode 13h: the frame buffer is RAM to its guest, so that no pixel costs an exit."""

from __future__ import annotations

import numpy as np
import pytest
from bios_guests import FILES, needs_bios
from patience import PATIENCE
from video_lab import MODES

from benchmarks import images
from monitor import Machine
from monitor.firmware.rom_files import find
from monitor.guests import fire

PIXELS = 320 * 198
SCREEN, RAM = 0xA0000, 0x400000
FOR_EVER = 1_000_000
FRAME = 900_000  # instructions, a little more than one needs
AROUND = 40  # accesses to ports in a frame: ends of interrupts, mostly


def frames_of(machine: Machine) -> int:
    return int.from_bytes(machine.read_physical(fire.FRAMES, 4), "little")


@needs_bios
@pytest.mark.guest
@pytest.mark.parametrize("mode", MODES)
def test_a_frame_costs_no_access_for_a_pixel(mode: str) -> None:
    machine = Machine(memory_mb=8, mode=mode, chipset="i440fx", vga="std",
                      drives={"fda": fire.floppy()})  # fmt: skip
    machine.load_bios(find(FILES[0]), vgabios=find(FILES[1]), boot="order=a")
    assert machine.run(until_address=fire.ORIGIN, timeout=PATIENCE).kind == "address"
    machine.run(max_instructions=4 * FRAME, timeout=PATIENCE)
    before, frames, first = dict(machine.board.accesses), frames_of(machine), machine.screen.array
    assert frames > 0
    machine.run(max_instructions=20 * FRAME, timeout=PATIENCE)
    frames = frames_of(machine) - frames
    now = machine.board.accesses
    assert frames >= 15
    assert now["memory_reads"] == before["memory_reads"]
    assert now["memory_writes"] == before["memory_writes"]
    ports = sum(now[name] - before[name] for name in ("port_reads", "port_writes"))
    assert ports <= AROUND * frames
    check_picture(machine.screen.array, first)


def check_picture(picture: np.ndarray, before: np.ndarray) -> None:
    """It burns: hot below, black above, nothing blue without red, and never the same."""
    assert picture.shape == (200, 320, 3)
    red = picture[..., 0].astype(int)
    assert red[195:].mean() > red[150:170].mean() > red[:100].mean()
    assert (picture[..., 2] <= picture[..., 1]).all() and (picture[..., 1] <= red).all()
    assert (picture != before).any(axis=2).mean() > 0.05


@pytest.mark.parametrize("mode", MODES)
def test_drawing_costs_what_it_costs_in_ram(mode: str) -> None:
    """In 32 bits, with paging: the same run at A0000 and in RAM, exit by exit."""
    exits = []
    for place in (SCREEN, RAM):
        machine = Machine(memory_mb=16, mode=mode, vga="std")
        settings = {"ROUNDS": FOR_EVER, "PAGING": 1, "PLACE": place}
        machine.load_multiboot(images.assembly("fire", settings), firmware_state="raw")
        machine.run(max_instructions=4 * FRAME)
        statistics = machine.statistics()
        exits.append((statistics.get("exits"), statistics["by_kind"], statistics["devices"]))
    assert exits[0] == exits[1]
    assert sum((exits[0][0] or {}).values()) < PIXELS // 100

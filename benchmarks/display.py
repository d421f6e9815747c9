"""The frame buffer as RAM: a fire in mode 13h, against the same guest that draws into plain RAM.

    instructions a second     drawing at A0000 and at 4 MiB
    frames a second           with the picture taken after each, as a window would
    exits a frame             of the engine's, in mode translate
    shown in a window         with each drawn in one (monitor/host/window), where pygame-ce is there

and a fire in 16 bits from a floppy disk (monitor/guests/fire.py), looked at in the same way, where
SeaBIOS is there to start it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from benchmarks import images, ours
from benchmarks.alternate import least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, per_second
from monitor import Machine
from monitor.firmware.rom_files import BIOS, VGA_BIOS, find
from monitor.guests import fire

SLICE = 20_000_000
FRAME = 830_000  # instructions, about
SCREEN, RAM = 0xA0000, 0x400000
COUNTER = 0x300000  # fire.asm: FRAMES
RATIO_LIMIT = 1.1
LEAST_FRAMES = 30.0  # a second
EXITS_LIMIT = 10.0  # a frame has 63,360 pixels; these are the timer's


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("A fire in mode 13h, against the same in RAM")
    for mode in (ours.BARE, ours.TRANSLATE):
        section.rows += list(_rows(plan, mode))
    yield section
    yield _from_floppy(plan)


def _from_floppy(plan: BenchmarkPlan) -> Section:
    section = Section("A fire in mode 13h from a floppy disk, in 16-bit code")
    if find(BIOS) is None or find(VGA_BIOS[True]) is None:
        section.note = "no SeaBIOS: `make guests` fetches it"
        return section
    for mode in (ours.BARE, ours.TRANSLATE):
        machine = Machine(memory_mb=8, mode=mode, chipset="i440fx", vga="std",
                          drives={"fda": fire.floppy()})  # fmt: skip
        machine.load_bios(boot="order=a")
        machine.run(until_address=fire.ORIGIN)
        machine.run(max_instructions=10 * FRAME)
        section.rows.append(_looked_at(plan, mode, machine, fire.FRAMES)[0])
        if find_spec("pygame") is not None:
            section.rows.append(_in_a_window(plan, machine))
    return section


def _in_a_window(plan: BenchmarkPlan, machine: Machine) -> Row:
    """Frames a second, each drawn in a window; without a screen, in SDL's own that shows nothing.

    The window's time is that of the loop below, so that each frame is drawn once.
    """
    from monitor.host.window.toolkit import DRIVER, Toolkit
    from monitor.host.window.window import Window

    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault(DRIVER, "dummy")
    now = [0.0]
    toolkit = Toolkit(repeats=False)
    with Window(machine, toolkit, clock=lambda: now[0]) as window:

        def show() -> None:
            now[0] += 1
            window.look()

        name = f"  shown in a window, by SDL's {toolkit.driver}"
        return _looked_at(plan, name, machine, fire.FRAMES, show)[0]


def _fire(mode: str, place: int) -> Machine:
    machine = Machine(memory_mb=ours.MEMORY_MB, mode=mode, vga="std")
    settings = {"ROUNDS": ours.FOR_EVER, "PAGING": 1, "PLACE": place}
    machine.load_multiboot(images.assembly("fire", settings), firmware_state="raw")
    return machine


def _rows(plan: BenchmarkPlan, mode: str) -> Iterator[Row]:
    times = least(plan, SLICE, *(partial(_fire, mode, place) for place in (SCREEN, RAM)))
    figures = per_second(SLICE / times[0]), per_second(SLICE / times[1])
    yield Row(mode, *figures, times[0] / times[1], RATIO_LIMIT)
    machine = _fire(mode, SCREEN)
    machine.run(max_instructions=SLICE)
    exits = _exits(machine)
    row, frames = _looked_at(plan, "  frames a second, each looked at", machine, COUNTER)
    yield row
    if mode == ours.TRANSLATE:
        each = (_exits(machine) - exits) / frames
        yield Row("  exits a frame", f"{each:.1f}", "", each, EXITS_LIMIT)


def _looked_at(
    plan: BenchmarkPlan, name: str, machine: Machine, counter: int,
    look: Callable[[], object] | None = None,
) -> tuple[Row, int]:  # fmt: skip
    """Frames a second, with the screen drawn as often as a window would; and how many they were."""
    look = look or machine.screen.dirty
    frames = _frames(machine, counter)
    begun = time.process_time()
    for _ in range(30 * plan.repeats):
        machine.run(max_instructions=FRAME)
        look()
    spent = time.process_time() - begun
    frames = _frames(machine, counter) - frames
    rate = frames / spent
    row = Row(name, f"{rate:.0f}", f"{LEAST_FRAMES:.0f}", rate / LEAST_FRAMES, 1.0, at_least=True)
    return row, frames


def _frames(machine: Machine, counter: int) -> int:
    return int.from_bytes(machine.read_physical(counter, 4), "little")


def _exits(machine: Machine) -> int:
    return sum(machine.statistics().get("exits", {}).values())

"""A machine with all parts, and a guest that writes anything to their ports: the modes agree."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from test_bounded import MOST, lines

from bt.assembler import assemble
from devices.bus import Bus
from devices.clock import ManualClock
from devices.pc import build_pc
from monitor import Machine
from monitor.settings.machine import PARTS

PORTS = (*range(0x40, 0x44), 0x60, 0x60, 0x61, 0x64, 0x64, *range(0x278, 0x27B),
         *range(0x2E8, 0x2F0), *range(0x2F8, 0x300), *range(0x378, 0x37B),
         *range(0x3E8, 0x3F0), *range(0x3F8, 0x400))  # fmt: skip
OFTEN = (0xD4, 0xF4, 0xEB, 0xF3, 0xF0, 0xA8, 0xAE, 0x60, 0x47, 0xB6, 3, 0x0D, 0x0C, 0x1C)

# Does what a table says: for each entry write AL to DX, or read it, until one is 0.
GUEST = """
    mov  esi, 0x200000
again:
    movzx edx, word ptr [esi]
    mov  al, [esi + 2]
    test edx, edx
    jz   done
    cmp  byte ptr [esi + 3], 0
    je   reading
    out  dx, al
    jmp  next
reading:
    in   al, dx
    add  ebx, eax
    rol  ebx, 3
next:
    add  esi, 4
    jmp  again
done:
    cli
    hlt
"""


def table(seed: int, entries: int) -> bytes:
    dice = random.Random(seed)
    found = bytearray()
    for _ in range(entries):
        value = dice.choice((dice.choice(OFTEN), dice.getrandbits(8)))
        port = dice.choice(PORTS)
        if port == 0x64 and value >= 0xD0 and value not in (0xD4, 0xD2, 0xD3):
            value = 0xD4  # no reset, no A20
        found += bytes((port & 0xFF, port >> 8, value, dice.random() < 0.6))
    return bytes(found) + bytes(4)


def life(mode: str, seed: int, entries: int) -> tuple[object, ...]:
    machine = Machine(memory_mb=8, mode=mode, parts=PARTS)
    heard: list[tuple[int, bytes]] = []
    machine.devices["speaker"].on_samples = lambda first, samples: heard.append(
        (first, np.asarray(samples).tobytes())
    )
    machine.load_flat(assemble(GUEST, 0x100000), 0x100000, esp=0x90000)
    machine.write_physical(0x200000, table(seed, entries))
    dice = random.Random(seed)
    while machine.run(max_instructions=5_000).kind == "instructions":
        machine.mouse.move(dice.randrange(-300, 300), dice.randrange(-300, 300))
        machine.mouse.click(dice.choice(("left", "side")))
        machine.keys.press(dice.choice("abc"))
        machine.type("x") if machine.keys.waiting < 20 else None
        machine.cables[dice.choice(("com1", "com2", "com3", "com4"))].send(b"hello")
        saved = machine.snapshot()
        assert len(json.dumps(machine.board.snapshot())) < 60_000
    again = Machine.restore(saved, mode="bare" if mode == "translate" else "translate")
    assert again.board.snapshot() == again.board.snapshot()
    outputs = [cable.output.digest() for cable in machine.cables.values()]
    return machine.registers, machine.clock.now(), machine.board.snapshot(), outputs, heard


@pytest.mark.parametrize("seed", range(2))
def test_modes_agree(seed: int) -> None:
    assert life("bare", seed, 4_000) == life("translate", seed, 4_000)


@pytest.mark.parametrize("seed", range(3))
def test_no_call_of_the_mouse_is_long(seed: int) -> None:
    dice = random.Random(seed)
    clock = ManualClock()
    bus = Bus(clock)
    pc = build_pc(bus)
    mouse = pc.kbc.plug_mouse()
    worst = 0
    for _ in range(1500):
        port, value = dice.choice((0x60, 0x64)), dice.choice((dice.choice(OFTEN), 0x20, 0x80))
        worst = max(worst, lines(bus.write_port, port, 1, value))
        worst = max(worst, lines(bus.read_port, 0x60, 1))
        mouse.move(dice.randrange(-9999, 9999), 5, 3, dice.getrandbits(5))
        clock.advance(dice.choice((0, 60_000, 10**9)))
        worst = max(worst, lines(bus.run_due))
    assert worst < MOST

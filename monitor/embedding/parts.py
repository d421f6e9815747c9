"""What a machine has beside the chips that every one has, by the names in `Settings.parts`.

    machine = Machine(parts=["mouse", "com2", "parallel"])
    machine.cables["com2"].send(b"hello")                    the other end of its cable
    machine.cables["parallel"].listeners.append(printer)     called with what is printed
    machine.devices["com2"]                                  the chip itself
    machine.devices["speaker"].on_samples = listener         called with the speaker's samples
    machine.devices["sb16"].player, .fm                      the same of a Sound Blaster 16

They are soldered in, in the order of that list, and a checkpoint says which there were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from devices.parallel import ParallelPort
from devices.uart16550 import Uart16550
from monitor.embedding.apics import add_apics
from monitor.host.serial_line import SerialLine
from monitor.settings.machine import PARTS
from monitor.vmm.board import Board

COM = {"com2": (0x2F8, 3), "com3": (0x3E8, 4), "com4": (0x2E8, 3)}  # first port, interrupt line


def plug_in(
    parts: Collection[str], board: Board, on_news: Callable[[], None], cpu: str
) -> dict[str, SerialLine]:
    """Put these in; the host's ends of the cables that they bring. `cpu` is the model's name."""
    cables = {}
    for name in PARTS:
        if name not in parts:
            continue
        if name == "mouse":
            board.pc.kbc.plug_mouse()
        elif name == "speaker":
            _speaker(board)
        elif name == "apic":
            add_apics(board, cpu)
        elif name == "sb16":
            _sound_card(board)
        else:
            cables[name] = board.cables[name] = line = SerialLine(on_news)
            _port(name, board, line)
    return cables


def _speaker(board: Board) -> None:
    from devices.sound.speaker import Speaker  # with numpy

    board.devices.add("speaker", Speaker(board.pc.pit, board.pc.port61))


def _sound_card(board: Board) -> None:
    from devices.sound.sb16 import SoundBlaster16

    board.devices.add("sb16", SoundBlaster16(board.bus, board.pc.dma))


def _port(name: str, board: Board, line: SerialLine) -> None:
    send = partial(board.send_out, name)
    if name == "parallel":
        board.devices.add(name, ParallelPort(board.bus, send))
        return
    base, irq = COM[name]
    uart = Uart16550(board.bus, base, irq, send)
    board.devices.add(name, uart)
    board.real_inputs.connect(name, uart.receive, line)

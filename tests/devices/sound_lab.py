"""A board with a Sound Blaster 16, and somebody who listens."""

from __future__ import annotations

from typing import Any

import numpy as np
from dma_lab import REGISTERS, program

from devices.clock import NS_PER_SECOND as SECOND
from devices.dma import PlainMemory
from devices.sound.samples import RATE
from devices.sound.sb16 import SoundBlaster16

BASE = 0x220
RESET, DATA, COMMAND, STATUS, ACK16 = 0x226, 0x22A, 0x22C, 0x22E, 0x22F
MEMORY = 0x100000
AUTO, SINGLE, READ, WRITE = 0x10, 0x40, 0x08, 0x04


class Lab:
    """A board, its card, and what was heard of it by track."""

    def __init__(self, board: Any, listens: bool = True) -> None:
        self.board = board
        board.bus.memory.behind = PlainMemory(MEMORY)
        self.memory = board.bus.memory.behind.bytes
        self.card = SoundBlaster16(board.bus, board.pc.dma)
        board.devices.add("sb16", self.card)
        board.init_pics()
        board.outb(0xD6, 0xC0)
        board.outb(0xD4, 0x00)
        self.tracks = {"voice": self.card.player, "fm": self.card.fm}
        self.heard: dict[str, list[tuple[int, Any]]] = {name: [] for name in self.tracks}
        for name, source in self.tracks.items():
            if listens:
                source.track.on_samples = lambda first, samples, name=name: self.heard[name].append(
                    (first, samples)
                )

    def wake(self) -> None:
        """A reset, as drivers do it."""
        self.board.outb(RESET, 1)
        self.board.advance(4_000)
        self.board.outb(RESET, 0)
        self.board.advance(200_000)
        assert self.board.inb(STATUS) & 0x80
        assert self.board.inb(DATA) == 0xAA

    def command(self, *values: int) -> None:
        for value in values:
            assert not self.board.inb(COMMAND) & 0x80
            self.board.outb(COMMAND, value)

    def ask(self, *values: int) -> int:
        self.command(*values)
        return self.answer()

    def answer(self) -> int:
        assert self.board.inb(STATUS) & 0x80
        return self.board.inb(DATA)

    def mix(self, register: int, value: int | None = None) -> int:
        """Write a register of the mixer, or read it."""
        self.board.outb(0x224, register)
        if value is not None:
            self.board.outb(0x225, value)
        return self.board.inb(0x225)

    def loud(self) -> None:
        """0 dB."""
        for register in range(0x30, 0x36):
            self.mix(register, 0xF8)

    def dma(self, number: int, mode: int, address: int, transfers: int) -> None:
        """As a driver programs a channel; those of DMA2 count words."""
        program(self.board, number, mode, address, transfers)

    def count(self, number: int) -> int:
        """What is left on a channel, as drivers read it."""
        self.board.outb(0xD8 if number & 4 else 0x0C, 0)
        port = REGISTERS[number][1]
        return self.board.inb(port) | self.board.inb(port) << 8

    def put(self, address: int, samples: Any, kind: str) -> None:
        data = np.frombuffer(np.asarray(samples).astype(kind).tobytes(), np.uint8)
        self.memory[address : address + len(data)] = data

    def opl(self, register: int, value: int) -> None:
        """As programs for an OPL3 do; the bank is bit 8."""
        port = 0x220 + (register >> 8) * 2
        self.board.outb(port, register & 0xFF)
        self.board.outb(port + 1, value)

    def listen(self, name: str) -> Any:
        """All of a track so far, from time 0 on."""
        source = self.tracks[name]
        source.render()
        sound = np.zeros((source.samples, 2), np.int64)
        for first, samples in self.heard[name]:
            sound[first : first + len(samples)] = samples
        return sound

    def pending(self) -> int:
        return self.mix(0x82) & 7


def pitch(sound: Any, rate: float = RATE) -> float:
    """The strongest frequency, between the bins of the spectrum."""
    windowed = (sound - sound.mean()) * np.hanning(len(sound))
    spectrum = np.log(np.abs(np.fft.rfft(windowed)) + 1e-9)
    at = int(spectrum[1:-1].argmax()) + 1
    below, here, above = spectrum[at - 1 : at + 2]
    between = (below - above) / (below - 2 * here + above) / 2
    return float((at + between) * rate / len(sound))


__all__ = ["SECOND", "Lab", "pitch"]

"""A driver's side of the keyboard controller, for tests."""

from __future__ import annotations

from typing import Any

from devices.i8042 import BYTE_NS

DATA, COMMAND = 0x60, 0x64
OBF, AUX = 0x01, 0x20
ACK = 0xFA


def command(board: Any, value: int, *arguments: int) -> None:
    """To the controller."""
    board.outb(COMMAND, value)
    for argument in arguments:
        board.outb(DATA, argument)


def drain(board: Any, nanoseconds: int = BYTE_NS) -> list[tuple[str, int]]:
    """Everything that arrives by itself: from whom, and the byte."""
    received = []
    while True:
        board.advance(nanoseconds)
        status = board.inb(COMMAND)
        if not status & OBF:
            return received
        received.append(("mouse" if status & AUX else "keyboard", board.inb(DATA)))


def of(who: str, received: list[tuple[str, int]]) -> bytes:
    """What one of the two has sent."""
    return bytes(byte for name, byte in received if name == who)


def keyboard(board: Any, *values: int) -> bytes:
    """Bytes for the keyboard, and all that it answers."""
    answers = b""
    for value in values:
        board.outb(DATA, value)
        answers += of("keyboard", drain(board))
    return answers


def mouse(board: Any, *values: int) -> bytes:
    """Bytes for the mouse, and all that it answers."""
    answers = b""
    for value in values:
        command(board, 0xD4, value)
        answers += of("mouse", drain(board))
    return answers

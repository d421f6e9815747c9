"""The DMA controllers, as the 8237A's datasheet and the PC/AT's wiring have them."""

from __future__ import annotations

from typing import Any

import pytest
from dma_lab import program

from devices.dma import Memory, PlainMemory
from devices.i8237 import I8237Pair

SIZE = 0x40000
AUTO, DOWN, WRITE, READ, SINGLE = 0x10, 0x20, 0x04, 0x08, 0x40


@pytest.fixture
def memory(board: Any) -> Any:
    """Guest memory, and channel 4 as a BIOS leaves it."""
    board.bus.memory.behind = PlainMemory(SIZE)
    board.outb(0xD6, 0xC0)
    board.outb(0xD4, 0x00)
    return board.bus.memory.behind.bytes


def word(board: Any, port: int, clear: int = 0x0C) -> int:
    board.outb(clear, 0)
    return board.inb(port) | board.inb(port) << 8


def line(board: Any, number: int = 2, on_ready: Any = lambda: None) -> Any:
    return board.pc.dma.line(number, on_ready)


def test_bytes_go_to_memory_and_the_last_one_says_so(board: Any, memory: Any) -> None:
    program(board, 2, SINGLE | WRITE, 0x1F000, 6)
    fdc = line(board)
    assert fdc.store(b"four") == (4, False)
    assert (word(board, 0x04), word(board, 0x05)) == (0xF004, 1)
    assert board.inb(0x08) & 0x0F == 0
    assert fdc.store(b"ful!") == (2, True)
    assert bytes(memory[0x1F000:0x1F008]) == b"fourfu\0\0"
    assert board.inb(0x08) == 0x04 and board.inb(0x08) == 0, "reading the status clears TC"
    assert (word(board, 0x04), word(board, 0x05)) == (0xF006, 0xFFFF)
    assert fdc.store(b"more") == (0, False), "TC masks the channel"


def test_bytes_come_out_of_memory(board: Any, memory: Any) -> None:
    memory[0x20000:0x20004] = list(b"data")
    program(board, 3, SINGLE | READ, 0x20000, 4)
    assert line(board, 3).fetch(3) == (b"dat", False)
    assert line(board, 3).fetch(3) == (b"a", True)


def test_downwards(board: Any, memory: Any) -> None:
    program(board, 2, WRITE | DOWN, 0x1003, 4)
    assert line(board).store(b"stop") == (4, True)
    assert bytes(memory[0x1000:0x1004]) == b"pots"
    program(board, 2, READ | DOWN, 0x1003, 4)
    assert line(board).fetch(4) == (b"stop", True)
    assert word(board, 0x04) == 0x0FFF


@pytest.mark.parametrize("down", [False, True])
def test_the_address_does_not_carry_into_the_page(board: Any, memory: Any, down: bool) -> None:
    first = 0x10001 if down else 0x1FFFE
    program(board, 2, WRITE | (DOWN if down else 0), first, 4)
    assert line(board).store(b"wrap") == (4, True)
    want = {0x10001: 119, 0x10000: 114, 0x1FFFF: 97, 0x1FFFE: 112}  # w r a p
    if not down:
        want = {0x1FFFE: 119, 0x1FFFF: 114, 0x10000: 97, 0x10001: 112}
    assert {at: int(memory[at]) for at in want} == want
    assert not memory[0x20000:0x20004].any() and not memory[0xFFFC:0x10000].any()


def test_autoinitialise(board: Any, memory: Any) -> None:
    program(board, 2, WRITE | AUTO, 0x3000, 2)
    fdc = line(board)
    assert [fdc.store(b"ab"), fdc.store(b"c"), fdc.store(b"d")] == [
        (2, True), (1, False), (1, True),
    ]  # fmt: skip
    assert bytes(memory[0x3000:0x3003]) == b"cd\0"
    assert (word(board, 0x04), word(board, 0x05)) == (0x3000, 1)


def test_words_go_by_the_second_controller(board: Any, memory: Any) -> None:
    program(board, 5, WRITE, 0x3FFFC, 4)
    memory[0x20000] = 7
    assert line(board, 5).store(b"abcdefg") == (6, False), "no half words"
    assert bytes(memory[0x3FFFC:0x40000]) == b"abcd"
    assert bytes(memory[0x20000:0x20002]) == b"ef", "128 KiB is where a page ends"
    board.outb(0x8B, 0x03)
    assert board.pc.dma.channel(5)._pieces(2)[0][0] == 0x20002, "page bit 0 is the address's"
    assert board.inb(0x8B) == 3


def test_a_verify_transfer_counts_and_moves_nothing(board: Any, memory: Any) -> None:
    program(board, 2, SINGLE, 0x1000, 4)
    assert line(board).store(b"data") == (4, True)
    assert not memory.any()
    program(board, 2, WRITE, 0x1000, 4)
    assert line(board).fetch(4) == (b"\xff" * 4, True), "the device asks for the other direction"


@pytest.mark.parametrize(
    "shut",
    [
        (0x0A, 0x06), (0x0F, 0x04), (0x08, 0x04), (0xD4, 0x04), (0xD6, 0x00), (0xD0, 0x04),
        (0x0D, 0x00), (0xDA, 0x00), (0xDE, 0x01), (0x0B, 0xC6),
    ],
)  # fmt: skip
def test_what_shuts_a_channel(board: Any, memory: Any, shut: tuple[int, int]) -> None:
    program(board, 2, WRITE, 0x1000, 4)
    fdc = line(board)
    assert fdc.ready
    board.outb(*shut)
    assert not fdc.ready and fdc.store(b"data") == (0, False) and fdc.fetch(4) == (b"", False)
    assert not memory.any()


def test_a_device_that_waits_is_told(board: Any, memory: Any) -> None:
    told = []
    fdc = line(board, on_ready=lambda: told.append(fdc.store(b"late")))
    board.outb(0x0A, 6)
    fdc.request(True)
    assert board.inb(0x08) == 0x40, "the request shows"
    program(board, 2, WRITE, 0x1000, 4)
    assert told == [(4, True)] and bytes(memory[0x1000:0x1004]) == b"late"
    fdc.request(False)
    board.outb(0x0E, 0)
    assert len(told) == 1


def test_the_flip_flop_and_the_masks(board: Any) -> None:
    board.outb(0x0C, 0)
    board.outb(0x04, 0x34, 0x12)
    board.outb(0x04, 0x78)  # the low byte again
    board.outb(0x0C, 0)
    assert [board.inb(0x04), board.inb(0x04)] == [0x78, 0x12]
    board.outb(0x0F, 0x0A)
    assert [each.masked for each in board.pc.dma.dma1.channels] == [False, True, False, True]
    board.outb(0x0E, 0)
    assert not any(each.masked for each in board.pc.dma.dma1.channels)
    board.outb(0x09, 0x05)
    assert board.inb(0x08) == 0x20, "a request by software"
    board.outb(0x0D, 0)
    assert board.inb(0x08) == 0 and board.inb(0x0D) == 0
    assert all(each.masked for each in board.pc.dma.dma1.channels)


def test_every_page_register_is_one_byte_of_its_own(board: Any) -> None:
    for port in range(0x81, 0x90):
        board.outb(port, port ^ 0x5A)
    assert [board.inb(port) for port in range(0x81, 0x90)] == [
        port ^ 0x5A for port in range(0x81, 0x90)
    ]


def test_no_memory_is_none(board: Any) -> None:
    """On a board without memory the transfer happens, and nothing comes of it."""
    assert isinstance(board.bus.memory, Memory) and isinstance(board.pc.dma, I8237Pair)
    board.outb(0xD6, 0xC0)
    board.outb(0xD4, 0x00)
    program(board, 2, READ, 0x1000, 4)
    assert line(board).fetch(9) == (b"\xff" * 4, True)

"""Port 0x92, the A20 line, and the debug ports."""

import pytest


def test_the_a20_gate_has_two_handles_and_the_last_one_counts(board):
    """HIMEM shuts by the keyboard controller what SeaBIOS has opened by port 92h."""
    board.outb(0x92, 0x02)
    board.outb(0x64, 0xD1)
    board.outb(0x60, 0xDD)
    assert board.a20 == [False] and not board.pc.a20.enabled
    board.outb(0x92, 0x02)
    board.outb(0x64, 0xDD)
    board.outb(0x64, 0xDF)
    board.outb(0x92, 0x00)
    assert board.a20 == [False, True, False, True, False]


def test_both_ports_show_the_a20_gate(board):
    def shown():
        board.outb(0x64, 0xD0)
        board.advance(1_000_000)
        return board.inb(0x60) >> 1 & 1, board.inb(0x92) >> 1 & 1

    assert shown() == (1, 1)
    board.outb(0x92, 0x00)
    assert shown() == (0, 0)
    board.outb(0x64, 0xDF)
    assert shown() == (1, 1)
    board.outb(0x64, 0xDD)
    for _, chip in board.devices.items():
        chip.reset()
    assert shown() == (1, 1)


def test_port_92_resets_on_the_rising_bit_only(board):
    board.outb(0x92, 0x01)
    board.outb(0x92, 0x01)
    assert board.resets == 1
    board.outb(0x92, 0x02)
    board.outb(0x92, 0x03)
    assert board.resets == 2
    assert board.inb(0x92) == 0x03


@pytest.mark.parametrize("size, code, status", [(1, 0, 1), (1, 0x10, 0x21), (4, 0x12345, 0x2468B)])
def test_debug_exit(board, size, code, status):
    board.bus.write_port(0xF4, size, code)
    assert board.exits == [status]


def test_debug_exit_only_listens_at_its_first_port(board):
    board.outb(0xF5, 3)
    assert board.exits == []
    assert board.bus.read_port(0xF4, 4) == 0xFFFFFFFF


def test_debug_console(board):
    for byte in b"guest\n":
        board.outb(0xE9, byte)
    assert board.debug == b"guest\n"
    assert board.inb(0xE9) == 0xE9


def test_post_port_remembers(board):
    board.outb(0x80, 0x42)
    assert board.inb(0x80) == 0x42
    assert board.pc.post.code == 0x42

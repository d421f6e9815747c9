"""8259A pair, from the datasheet."""

import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.i8259 import I8259Pair

IRR, ISR = 0x0A, 0x0B


@pytest.fixture
def pic(board):
    board.init_pics()
    return board


def isr(board, port=0x20):
    board.outb(port, ISR)
    return board.inb(port)


def irr(board, port=0x20):
    board.outb(port, IRR)
    return board.inb(port)


def raise_lines(board, *lines):
    for line in lines:
        board.bus.irq(line).raise_()


def test_linux_probe_reads_back_the_mask(board):
    """probe_8259A: mask the slave, write ~(1 << cascade) to the master, read it back."""
    board.outb(0xA1, 0xFF)
    board.outb(0x21, 0xFB)
    assert board.inb(0x21) == 0xFB
    assert board.inb(0xA1) == 0xFF


def test_linux_init_then_timer_then_serial(board):
    board.init_pics(0xFB & ~1 & ~0x10, 0xFF)
    raise_lines(board, 4, 0)
    assert board.bus.intr
    assert board.pc.pic.acknowledge() == 0x30
    # mask_and_ack_8259A: mask it, then a specific EOI
    board.outb(0x21, board.inb(0x21) | 1)
    board.outb(0x20, 0x60)
    assert board.bus.intr
    assert board.pc.pic.acknowledge() == 0x34
    board.outb(0x20, 0x64)
    assert not board.bus.intr
    assert isr(board) == 0


def test_nothing_interrupts_before_initialisation(board):
    raise_lines(board, 0, 8)
    board.outb(0x21, 0)
    assert not board.bus.intr
    board.outb(0x20, 0x11)
    board.outb(0x21, 0x30, 0x04)
    raise_lines(board, 1)
    assert not board.bus.intr
    board.outb(0x21, 0x01)
    assert board.bus.intr  # the edge came after ICW1
    assert board.take() == 0x31


@pytest.mark.parametrize(
    "icw1, data, vector",
    [
        (0x10, (0x40, 0x04), 0x43),  # cascade, no ICW4
        (0x12, (0x48,), 0x4B),  # single, no ICW4
        (0x13, (0x50, 0x01), 0x53),  # single, ICW4
        (0x11, (0x5F, 0x04, 0x01), 0x5B),  # the low bits of ICW2 are the line's
    ],
)
def test_initialisation_sequences(board, icw1, data, vector):
    board.outb(0x20, icw1)
    board.outb(0x21, *data)
    assert board.inb(0x21) == 0  # ICW1 cleared the mask
    board.outb(0x21, 0xF7)
    assert board.inb(0x21) == 0xF7
    raise_lines(board, 3)
    assert board.pc.pic.acknowledge() == vector


def test_icw1_clears_edges_and_service(pic):
    raise_lines(pic, 3, 5)
    pic.pc.pic.acknowledge()
    pic.init_pics()
    assert (irr(pic), isr(pic)) == (0, 0)
    raise_lines(pic, 5)  # no edge: the line never fell
    assert not pic.bus.intr
    pic.bus.irq(5).pulse()
    assert pic.take() == 0x35


def test_priorities_fully_nested(pic):
    raise_lines(pic, 5)
    assert pic.pc.pic.acknowledge() == 0x35
    raise_lines(pic, 6)
    assert not pic.bus.intr
    raise_lines(pic, 3)
    assert pic.bus.intr
    assert pic.pc.pic.acknowledge() == 0x33
    assert isr(pic) == 0x28
    pic.outb(0x20, 0x20)  # ends 3
    assert isr(pic) == 0x20 and not pic.bus.intr
    pic.outb(0x20, 0x20)  # ends 5
    assert pic.pc.pic.acknowledge() == 0x36


def test_edge_latches_once(pic):
    line = pic.bus.irq(5)
    line.raise_()
    line.raise_()
    assert irr(pic) == 0x20
    assert pic.take() == 0x35
    assert not pic.bus.intr and irr(pic) == 0
    line.lower()
    line.raise_()
    assert pic.take() == 0x35


def test_masked_requests_stay_pending(pic):
    pic.outb(0x21, 0x20)
    raise_lines(pic, 5)
    assert not pic.bus.intr and irr(pic) == 0x20
    pic.outb(0x21, 0)
    assert pic.bus.intr


def test_a_request_that_falls_before_inta_is_spurious_7(pic):
    line = pic.bus.irq(3)
    line.raise_()
    assert pic.bus.intr
    line.lower()
    assert not pic.bus.intr
    assert pic.pc.pic.acknowledge() == 0x37
    assert isr(pic) == 0


def test_spurious_15_leaves_the_cascade_in_service(pic):
    line = pic.bus.irq(11)
    line.raise_()
    assert irr(pic) == 0x04
    # the slave's request vanishes between the two INTA cycles
    master = pic.pc.pic.master
    assert master.acknowledge() == 2
    line.lower()
    assert pic.pc.pic._acknowledge_slave() == 0x3F
    assert isr(pic) == 0x04 and isr(pic, 0xA0) == 0


def test_cascade(pic):
    raise_lines(pic, 8, 12)
    assert irr(pic) == 0x04 and irr(pic, 0xA0) == 0x11
    assert pic.pc.pic.acknowledge() == 0x38
    assert isr(pic) == 0x04 and isr(pic, 0xA0) == 0x01
    assert not pic.bus.intr  # 12 is below 8
    pic.outb(0xA0, 0x20)
    assert not pic.bus.intr  # the master still serves its line 2
    pic.outb(0x20, 0x20)
    assert pic.take() == 0x3C
    assert not pic.bus.intr


def test_irq2_of_the_bus_is_irq9(pic):
    raise_lines(pic, 2)
    assert pic.take() == 0x39


def test_slave_stays_out_when_the_ids_do_not_match(pic):
    pic.outb(0xA0, 0x11)
    pic.outb(0xA1, 0x38, 0x05, 0x01)
    raise_lines(pic, 8)
    assert pic.pc.pic.acknowledge() == 0xFF


def test_special_fully_nested_lets_the_slave_interrupt_itself(pic):
    pic.outb(0x20, 0x11)
    pic.outb(0x21, 0x30, 0x04, 0x11)
    raise_lines(pic, 12)
    assert pic.pc.pic.acknowledge() == 0x3C
    raise_lines(pic, 8)
    assert pic.bus.intr
    assert pic.pc.pic.acknowledge() == 0x38


def test_automatic_eoi_on_both_chips(pic):
    pic.outb(0x20, 0x11)
    pic.outb(0x21, 0x30, 0x04, 0x03)
    pic.outb(0xA0, 0x11)
    pic.outb(0xA1, 0x38, 0x02, 0x03)
    raise_lines(pic, 14, 10, 1)
    # the slave's INT must make a second edge though it never ran out of requests
    assert [pic.pc.pic.acknowledge() for _ in range(3)] == [0x31, 0x3A, 0x3E]
    assert not pic.bus.intr and isr(pic) == 0 and isr(pic, 0xA0) == 0


def test_rotation_in_automatic_eoi(pic):
    pic.outb(0x20, 0x11)
    pic.outb(0x21, 0x30, 0x04, 0x03)
    pic.outb(0x20, 0x80)
    raise_lines(pic, 0, 1)
    assert pic.pc.pic.acknowledge() == 0x30
    pic.bus.irq(0).pulse()
    assert pic.pc.pic.acknowledge() == 0x31  # 0 is the lowest now
    assert pic.pc.pic.acknowledge() == 0x30
    pic.outb(0x20, 0x00)  # rotation off again
    assert pic.pc.pic.master.rotate_in_aeoi is False


def test_rotate_on_non_specific_eoi(pic):
    raise_lines(pic, 4)
    pic.pc.pic.acknowledge()
    pic.outb(0x20, 0xA0)
    assert isr(pic) == 0
    raise_lines(pic, 3, 5)
    assert pic.take() == 0x35  # 4 is lowest, so 5 is highest
    assert pic.take() == 0x33


def test_set_priority_and_rotate_on_specific_eoi(pic):
    pic.outb(0x20, 0xC0 | 5)  # 5 lowest: 6 7 0 1 ...
    raise_lines(pic, 0, 7, 5)
    assert pic.pc.pic.acknowledge() == 0x37
    pic.outb(0x20, 0xE0 | 7)  # ends 7 and makes it the lowest
    assert pic.take() == 0x30
    assert pic.take() == 0x35


def test_specific_eoi_and_the_no_operation(pic):
    raise_lines(pic, 2 + 1, 6)
    pic.pc.pic.acknowledge()
    pic.outb(0x20, 0x40)  # OCW2 010 does nothing
    pic.outb(0x20, 0x66)  # EOI of a line that is not served
    assert isr(pic) == 0x08
    pic.outb(0x20, 0x63)
    assert isr(pic) == 0


def test_special_mask_mode(pic):
    raise_lines(pic, 3)
    pic.pc.pic.acknowledge()
    raise_lines(pic, 6)
    assert not pic.bus.intr
    pic.outb(0x21, 0x08)
    assert not pic.bus.intr
    pic.outb(0x20, 0x68)  # ESMM SMM
    assert pic.bus.intr
    assert pic.pc.pic.acknowledge() == 0x36
    pic.outb(0x20, 0x20)  # a non-specific EOI passes over the masked line 3
    assert isr(pic) == 0x08
    pic.outb(0x20, 0x48)
    pic.outb(0x20, 0x20)
    assert isr(pic) == 0


def test_poll_is_an_acknowledge(pic):
    raise_lines(pic, 5)
    pic.outb(0x20, 0x0C)
    assert pic.inb(0x20) == 0x85
    assert isr(pic) == 0x20 and not pic.bus.intr
    pic.outb(0x20, 0x0C)
    assert pic.inb(0x20) == 0  # nothing that may interrupt 5
    assert pic.inb(0x20) == 0x20  # and the poll is over: ISR again


def test_level_triggered_lines_through_elcr(pic):
    pic.outb(0x4D0, 0xFF)
    pic.outb(0x4D1, 0xFF)
    assert (pic.inb(0x4D0), pic.inb(0x4D1)) == (0xF8, 0xDE)
    line = pic.bus.irq(11)
    line.raise_()
    assert pic.take() == 0x3B
    assert pic.bus.intr  # still high, so again
    assert pic.take() == 0x3B
    line.lower()
    assert not pic.bus.intr


def test_level_triggered_by_ltim(pic):
    pic.outb(0x20, 0x19)
    pic.outb(0x21, 0x30, 0x04, 0x01)
    raise_lines(pic, 1)
    assert pic.take() == 0x31
    assert pic.take() == 0x31


def test_switching_a_line_to_level_follows_its_pin(pic):
    raise_lines(pic, 5)
    assert pic.take() == 0x35
    assert irr(pic) == 0
    pic.outb(0x4D0, 0x20)
    assert pic.bus.intr and irr(pic) == 0x20


def test_the_processor_is_told_every_change():
    seen = []
    bus = Bus(ManualClock())
    bus.on_intr = seen.append
    pic = I8259Pair(bus)
    for port, value in ((0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1)):
        bus.write_port(port, 1, value)
    bus.irq(1).raise_()
    pic.acknowledge()
    assert seen == [True, False]


def test_highest_priority_against_a_plain_loop(board):
    """The bit trick against the definition: walk from the line after the lowest."""
    chip = board.pc.pic.master
    for chip.lowest in range(8):
        order = [(chip.lowest + 1 + i) % 8 for i in range(8)]
        for lines in range(1, 256):
            assert chip._highest(lines) == next(i for i in order if lines >> i & 1)


@pytest.mark.parametrize(
    ("masks", "serving", "line", "would"),
    [
        ((0x00, 0x00), None, 0, True),
        ((0x00, 0x00), None, 8, True),
        ((0x01, 0x00), None, 0, False),
        ((0x00, 0x01), None, 8, False),
        ((0x04, 0x00), None, 8, False),  # the cascade is masked
        ((0x00, 0x00), 4, 0, True),  # of higher priority than what is in service
        ((0x00, 0x00), 0, 4, False),
        ((0x00, 0x00), 0, 8, False),
        ((0x00, 0x02), None, 2, False),  # IRQ2 of an AT bus is IRQ9
        ((0x00, 0x00), None, 2, True),
    ],
)
def test_what_a_line_would_do_if_it_rose(board, masks, serving, line, would):
    board.init_pics(*masks)
    if serving is not None:
        raise_lines(board, serving)
        board.pc.pic.acknowledge()
        assert not board.bus.intr
    assert board.pc.pic.would_interrupt(line) == would
    assert not board.bus.intr, "asking changes nothing"
    raise_lines(board, line)
    assert board.bus.intr == would


def test_a_line_does_nothing_before_initialisation(board):
    assert not board.pc.pic.would_interrupt(0)

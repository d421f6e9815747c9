"""16550A, from the datasheet, and the way the Linux 8250 driver finds and drives it."""

import pytest

BASE = 0x3F8
DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(BASE, BASE + 8)
FCR, DLL, DLM = IIR, DATA, IER
OUT2 = 0x08


@pytest.fixture
def port(board):
    """Interrupts connected, FIFOs on with a trigger of 8, 115200 baud, 8N1."""
    board.init_pics()
    board.outb(LCR, 0x83)
    board.outb(DLL, 1)
    board.outb(DLM, 0)
    board.outb(LCR, 0x03)
    board.outb(FCR, 0x81)
    board.outb(MCR, 0x0B)
    return board


def test_power_on(board):
    assert board.inb(IER) == 0
    assert board.inb(IIR) == 0x01
    assert board.inb(LCR) == 0 and board.inb(MCR) == 0
    assert board.inb(LSR) == 0x60
    assert board.inb(MSR) == 0xB0


def test_a_guest_that_never_waits_loses_nothing(board):
    text = bytes(range(256)) * 4
    for byte in text:
        board.outb(DATA, byte)
    assert board.serial == text
    assert board.inb(LSR) & 0x60 == 0x60


def test_divisor_latch_hides_data_and_ier(board):
    board.outb(LCR, 0x80)
    board.outb(DLL, 0x34)
    board.outb(DLM, 0x12)
    assert (board.inb(DLL), board.inb(DLM)) == (0x34, 0x12)
    board.outb(LCR, 0x03)
    assert board.inb(IER) == 0
    assert board.serial == b""
    assert board.pc.uart.divisor == 0x1234


def test_linux_autoconfig(board):
    """autoconfig(): IER bits, loopback of the modem lines, FIFO detection, scratch."""
    board.outb(IER, 0)
    board.outb(0x80, 0)
    assert board.inb(IER) & 0x0F == 0
    board.outb(IER, 0xFF)
    assert board.inb(IER) == 0x0F  # no sleep, no XScale unit enable
    board.outb(IER, 0)

    board.outb(MCR, 0x10 | 0x0A)
    assert board.inb(MSR) & 0xF0 == 0x90
    board.outb(MCR, 0)

    board.outb(LCR, 0xBF)
    board.outb(FCR, 0)
    board.outb(LCR, 0)
    board.outb(FCR, 0x01)
    assert board.inb(IIR) >> 6 == 3  # 16550A
    board.outb(LCR, 0x80)
    assert board.inb(FCR) != 0  # no EFR at register 2
    board.outb(LCR, 0xBF)
    assert board.inb(FCR) != 0
    board.outb(LCR, 0)
    # size_fifo and the 64 byte FIFO of a 16750
    board.outb(FCR, 0x01)
    assert board.inb(IIR) >> 5 == 6
    board.outb(LCR, 0x80)
    board.outb(FCR, 0x21)
    assert board.inb(IIR) >> 5 == 6
    board.outb(LCR, 0)

    for value in (0xA5, 0x5A):
        board.outb(SCR, value)
        assert board.inb(SCR) == value


def test_linux_irq_autodetection(board):
    """autoconfig_irq(): every interrupt on, one byte out; IRQ4 and no other rises."""
    board.init_pics()
    board.outb(MCR, 0)
    board.outb(MCR, 0x0B)
    board.outb(IER, 0x0F)
    for register in (LSR, DATA, IIR, MSR):
        board.inb(register)
    board.outb(DATA, 0xFF)
    assert board.bus.intr and board.take() == 0x34
    board.outb(MCR, 0)
    board.outb(IER, 0)
    assert not board.bus.intr


def test_linux_thre_test_finds_no_bug(port):
    """serial8250_do_startup: enabling THRI must interrupt each time, as must TEMT."""
    for _ in range(2):
        port.outb(IER, 0x02)
        assert port.inb(IIR) & 0x0F == 0x02
        port.outb(IER, 0)
    assert port.inb(LSR) & 0x40


def test_out2_gates_the_interrupt(port):
    port.outb(MCR, 0x03)
    port.outb(IER, 0x02)
    assert not port.bus.intr
    port.outb(MCR, 0x03 | OUT2)
    assert port.bus.intr
    port.outb(MCR, 0x13 | OUT2)  # in loopback the pin is off
    assert not port.bus.intr


def test_thre_interrupt(port):
    port.outb(IER, 0x02)
    assert port.take() == 0x34
    assert port.inb(IIR) == 0xC2
    assert port.inb(IIR) == 0xC1  # reading it took it away
    assert not port.bus.intr
    port.outb(DATA, 0x41)
    assert port.take() == 0x34  # empty again: a new edge
    port.outb(DATA, 0x42)
    assert port.take() == 0x34
    assert port.inb(IIR) == 0xC2
    port.outb(IER, 0x02)  # already enabled: nothing new
    assert port.inb(IIR) == 0xC1


def test_reading_iir_for_another_cause_leaves_thre_pending(port):
    port.pc.uart.receive(b"12345678")
    port.outb(IER, 0x03)
    assert port.inb(IIR) == 0xC4
    for _ in range(8):
        port.inb(DATA)
    assert port.inb(IIR) == 0xC2


def test_receive_without_fifo(board):
    board.init_pics()
    board.outb(MCR, OUT2)
    board.outb(IER, 0x01)
    board.pc.uart.receive(b"hello")
    received = b""
    while board.bus.intr:  # one character for each interrupt, as a simple handler does
        assert board.take() == 0x34
        assert board.inb(IIR) == 0x04
        received += bytes((board.inb(DATA),))
    assert received == b"hello"
    assert board.inb(LSR) == 0x60


def test_a_handler_that_reads_one_byte_per_interrupt_gets_all_with_fifo(port):
    port.outb(FCR, 0x01)
    port.outb(IER, 0x01)
    port.pc.uart.receive(bytes(range(40)))
    received = bytearray()
    while port.bus.intr:
        assert port.take() == 0x34
        received.append(port.inb(DATA))
    assert received == bytes(range(40))


def test_the_host_keeps_what_does_not_fit(port):
    text = bytes(range(100))
    port.pc.uart.receive(text)
    assert len(port.pc.uart.receiver) == 16 and len(port.pc.uart.waiting) == 84
    received = bytearray()
    while port.inb(LSR) & 1:
        received.append(port.inb(DATA))
    assert received == text
    assert port.inb(LSR) & 0x02 == 0  # never an overrun
    assert port.inb(DATA) == 0


@pytest.mark.parametrize("bits, trigger", [(0, 1), (1, 4), (2, 8), (3, 14)])
def test_trigger_levels(port, bits, trigger):
    port.outb(FCR, bits << 6 | 1)
    port.outb(IER, 0x01)
    port.pc.uart.receive(b"x" * (trigger - 1))
    assert port.inb(IIR) == 0xC1
    port.pc.uart.receive(b"x")
    assert port.inb(IIR) == 0xC4
    port.inb(DATA)
    assert port.inb(IIR) == 0xC1


def test_receive_timeout_after_four_characters(port):
    port.outb(IER, 0x01)
    port.pc.uart.receive(b"abc")
    four = 4 * 10 * 16 * 10**9 // 1843200  # 8N1 at 115200
    port.advance(four - 100)
    assert not port.bus.intr
    port.advance(200)
    assert port.take() == 0x34
    assert port.inb(IIR) == 0xCC
    assert port.inb(DATA) == ord("a")
    assert port.inb(IIR) == 0xC1  # reading RBR took it away
    port.advance(four + 100)
    assert port.inb(IIR) == 0xCC  # and silence brings it back
    port.inb(DATA)
    port.inb(DATA)
    assert port.bus.next_deadline() is None


def test_no_timer_without_the_receive_interrupt(port):
    port.pc.uart.receive(b"abc")
    assert port.bus.next_deadline() is None
    port.advance(10**9)
    port.outb(IER, 0x01)  # silent for long: at once
    assert port.inb(IIR) == 0xCC


def test_a_new_character_restarts_the_timeout(port):
    port.outb(IER, 0x01)
    port.pc.uart.receive(b"a")
    port.advance(300_000)
    port.pc.uart.receive(b"b")
    port.advance(300_000)
    assert port.inb(IIR) == 0xC1
    port.advance(100_000)
    assert port.inb(IIR) == 0xCC


def test_fifo_reset_and_switch(port):
    port.pc.uart.receive(b"abcd")
    port.outb(FCR, 0x83)
    assert port.inb(LSR) & 1 == 0
    port.pc.uart.receive(b"e")
    port.outb(FCR, 0)  # switching the FIFOs empties them
    assert port.inb(LSR) & 1 == 0
    assert port.inb(IIR) == 0x01


def test_fcr_bits_only_count_with_the_enable_bit(port):
    port.outb(FCR, 0xC1)
    port.outb(FCR, 0x00)
    port.outb(FCR, 0x40)
    assert port.pc.uart.trigger == 14 and not port.pc.uart.fifo_enabled


def test_loopback(port):
    port.outb(MCR, 0x10)
    port.pc.uart.receive(b"host")  # the cable is cut
    port.serial.clear()
    for byte in b"guest":
        port.outb(DATA, byte)
    assert port.serial == b""
    assert bytes(port.inb(DATA) for _ in range(5)) == b"guest"
    assert port.inb(LSR) == 0x60
    port.outb(MCR, 0x0B)
    assert bytes(port.inb(DATA) for _ in range(4)) == b"host"


@pytest.mark.parametrize("mcr, msr", [(1, 0x20), (2, 0x10), (4, 0x40), (8, 0x80), (15, 0xF0)])
def test_loopback_of_modem_lines(board, mcr, msr):
    board.outb(MCR, 0x10 | mcr)
    assert board.inb(MSR) & 0xF0 == msr


def test_modem_status_changes(port):
    port.outb(MCR, 0x10)
    assert port.inb(MSR) == 0x0B  # CTS, DSR and DCD went away
    assert port.inb(MSR) == 0x00
    port.outb(MCR, 0x14)
    assert port.inb(MSR) == 0x40  # RI rising is no event
    port.outb(MCR, 0x10)
    assert port.inb(MSR) == 0x04  # its trailing edge is
    port.outb(IER, 0x08)
    port.outb(MCR, 0x08 | 0x03)
    assert port.inb(IIR) == 0xC0
    assert port.take() == 0x34
    assert port.inb(MSR) == 0xBB
    assert port.inb(IIR) == 0xC1


def test_overrun_in_loopback_is_the_most_urgent_interrupt(port):
    port.outb(MCR, 0x10)
    port.outb(IER, 0x0F)
    for byte in range(17):
        port.outb(DATA, byte)
    assert port.inb(IIR) == 0xC6
    assert port.inb(LSR) == 0x63
    assert port.inb(LSR) == 0x61
    assert port.inb(IIR) == 0xC4
    assert [port.inb(DATA) for _ in range(16)] == list(range(16))  # the 17th is lost
    assert port.inb(IIR) == 0xC2
    assert port.inb(IIR) == 0xC0
    port.inb(MSR)
    assert port.inb(IIR) == 0xC1


def test_overrun_without_fifo_keeps_the_newest(board):
    board.outb(MCR, 0x10)
    board.outb(DATA, 1)
    board.outb(DATA, 2)
    assert board.inb(LSR) == 0x63
    assert board.inb(DATA) == 2


def test_status_registers_are_read_only(board):
    board.outb(LSR, 0xFF)
    board.outb(MSR, 0xFF)
    assert (board.inb(LSR), board.inb(MSR)) == (0x60, 0xB0)


def test_character_time_follows_the_programmed_line(board):
    board.outb(LCR, 0x80)
    board.outb(DLL, 12)  # 9600 baud
    board.outb(LCR, 0x1F)  # 8 data bits, parity, 2 stop bits
    assert board.pc.uart.character_ns() == 12 * 16 * 12 * 10**9 // 1843200
    board.outb(LCR, 0x00)  # 5N1
    assert board.pc.uart.character_ns() == 7 * 16 * 12 * 10**9 // 1843200

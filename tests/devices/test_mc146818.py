"""MC146818 and CMOS, from the datasheet, and the way Linux reads the time."""

import calendar

import pytest

SECOND = 10**9
# 1999-12-31 23:59:50 UTC, a Friday
EVE = calendar.timegm((1999, 12, 31, 23, 59, 50))
PF, AF, UF, IRQF = 0x40, 0x20, 0x10, 0x80
PIE, AIE, UIE = 0x40, 0x20, 0x10


@pytest.fixture
def rtc(make_board):
    board = make_board(start_time=EVE, memory_bytes=128 << 20)
    board.init_pics()
    return board


def read(board, register):
    board.outb(0x70, register)
    return board.inb(0x71)


def write(board, register, value):
    board.outb(0x70, register)
    board.outb(0x71, value)


def time(board):
    """hour, minute, second, weekday, day, month, year as stored."""
    return tuple(read(board, register) for register in (4, 2, 0, 6, 7, 8, 9))


def test_start_time_in_bcd(rtc):
    assert time(rtc) == (0x23, 0x59, 0x50, 6, 0x31, 0x12, 0x99)
    assert read(rtc, 0x32) == 0x19
    assert read(rtc, 0x0D) == 0x80


def test_time_passes_with_the_machines_clock(rtc):
    rtc.advance(9 * SECOND)
    assert time(rtc) == (0x23, 0x59, 0x59, 6, 0x31, 0x12, 0x99)
    rtc.advance(SECOND - 1)
    assert time(rtc)[:3] == (0x23, 0x59, 0x59)
    rtc.advance(1)
    assert time(rtc) == (0, 0, 0, 7, 1, 1, 0)
    rtc.advance(59 * 86400 * SECOND)
    assert time(rtc) == (0, 0, 0, 3, 0x29, 2, 0)  # 2000 is a leap year, and a Tuesday


def test_nothing_ticks_unless_asked(rtc):
    assert rtc.bus.next_deadline() is None


def test_linux_reads_the_time_between_updates(rtc):
    """mc146818_get_time: wait for UIP to fall, read all, UIP must still be clear."""
    rtc.advance(SECOND - 1_000_000)
    waited = 0
    while read(rtc, 0x0A) & 0x80:
        rtc.advance(100_000)
        waited += 1
    assert waited == 10
    assert time(rtc)[2] == 0x51
    assert read(rtc, 0x0A) & 0x80 == 0


def test_uip_rises_244_us_and_the_update_before_the_change(rtc):
    rtc.advance(SECOND - 2_228_001)
    assert read(rtc, 0x0A) & 0x80 == 0
    rtc.advance(1)
    assert read(rtc, 0x0A) & 0x80
    write(rtc, 0x0B, 0x82)  # SET holds it down
    assert read(rtc, 0x0A) & 0x80 == 0


@pytest.mark.parametrize(
    "register_b, hours",
    [(0x02, 0x23), (0x06, 23), (0x00, 0x91), (0x04, 0x8B)],
)
def test_formats(rtc, register_b, hours):
    """The chip converts nothing: write the time in the new format, as the datasheet asks."""
    write(rtc, 0x0B, register_b | 0x80)
    write(rtc, 4, hours)
    for register, value in ((2, 59), (0, 58)):
        write(rtc, register, value if register_b & 4 else int(str(value), 16))
    for register, value in ((6, 6), (7, 31), (8, 12), (9, 99)):
        write(rtc, register, value if register_b & 4 else int(str(value), 16))
    write(rtc, 0x0B, register_b)
    assert read(rtc, 4) == hours
    rtc.advance(2 * SECOND)
    midnight = 0 if register_b & 2 else (12 if register_b & 4 else 0x12)
    assert time(rtc) == (midnight, 0, 0, 7, 1, 1, 0)
    rtc.advance(12 * 3600 * SECOND)
    noon = (12 if register_b & 4 else 0x12) | (0 if register_b & 2 else 0x80)
    assert read(rtc, 4) == noon


def test_set_holds_the_time_and_keeps_the_phase(rtc):
    rtc.advance(SECOND // 4)
    write(rtc, 0x0B, 0x82)
    rtc.advance(10 * SECOND)
    assert read(rtc, 0) == 0x50
    write(rtc, 0, 0x10)
    write(rtc, 0x0B, 0x02)
    assert read(rtc, 0) == 0x10
    rtc.advance(SECOND * 3 // 4)
    assert read(rtc, 0) == 0x11


def test_divider_reset_starts_half_a_second_before_the_update(rtc):
    write(rtc, 0x0A, 0x76)
    rtc.advance(7 * SECOND)
    assert read(rtc, 0) == 0x50
    write(rtc, 0x0A, 0x26)
    rtc.advance(SECOND // 2 - 1)
    assert read(rtc, 0) == 0x50
    rtc.advance(1)
    assert read(rtc, 0) == 0x51


def test_garbage_in_the_time_keeps_counting(rtc):
    for register in (0, 2, 4, 6, 7, 8, 9):
        write(rtc, register, 0xFF)
    assert read(rtc, 8) == 0xFF
    rtc.advance(3 * SECOND)
    assert read(rtc, 8) != 0xFF
    for register in (0, 2, 4, 6, 7, 8, 9):
        write(rtc, register, 0)
    rtc.advance(SECOND)
    assert time(rtc)[2] == 1


def test_update_interrupt(rtc):
    read(rtc, 0x0C)
    write(rtc, 0x0B, 0x02 | UIE)
    assert rtc.bus.next_deadline() == SECOND
    rtc.advance(SECOND)
    assert rtc.take() == 0x38
    assert rtc.bus.next_deadline() is None  # nothing more until C is read
    assert read(rtc, 0x0C) == IRQF | PF | UF  # the divider goes on at 1024 Hz
    assert read(rtc, 0x0C) == 0
    rtc.advance(SECOND)
    assert rtc.take() == 0x38


def test_set_clears_the_update_interrupt_enable(rtc):
    write(rtc, 0x0B, 0x92)
    assert read(rtc, 0x0B) == 0x82


@pytest.mark.parametrize(
    "alarm, after",
    [
        ((0x23, 0x59, 0x55), 5),
        ((0x23, 0x59, 0x50), 86400),
        ((0x00, 0x00, 0x00), 10),
        ((0xC0, 0xFF, 0x05), 15),
        ((0xFF, 0x30, 0x00), 10 + 1800),
        ((0xC0, 0xC0, 0xC0), 1),
        ((0x07, 0xC0, 0xFF), 10 + 7 * 3600),
    ],
)
def test_alarm(rtc, alarm, after):
    for register, value in zip((5, 3, 1), alarm, strict=True):
        write(rtc, register, value)
    write(rtc, 0x0B, 0x02 | AIE)
    assert rtc.bus.next_deadline() == after * SECOND
    rtc.advance(after * SECOND - 1)
    assert not rtc.bus.intr
    rtc.advance(1)
    assert rtc.take() == 0x38
    assert read(rtc, 0x0C) & (IRQF | AF) == IRQF | AF


def test_impossible_alarm_never_comes(rtc):
    write(rtc, 5, 0x45)
    write(rtc, 0x0B, 0x02 | AIE)
    assert rtc.bus.next_deadline() is None


def test_alarm_with_pm(rtc):
    write(rtc, 0x0B, 0x80)
    write(rtc, 4, 0x91)  # 11 PM
    for register, value in ((5, 0x12), (3, 0), (1, 0)):  # 12 AM is midnight
        write(rtc, register, value)
    write(rtc, 0x0B, AIE)
    assert rtc.bus.next_deadline() == 10 * SECOND


def test_flags_are_set_without_their_interrupts(rtc):
    for register in (5, 3, 1):
        write(rtc, register, 0xFF)
    read(rtc, 0x0C)
    rtc.advance(2 * SECOND)
    assert read(rtc, 0x0C) == PF | AF | UF
    assert not rtc.bus.intr


@pytest.mark.parametrize(
    "rate, hertz", [(1, 256), (2, 128), (3, 8192), (6, 1024), (10, 64), (15, 2)]
)
def test_periodic_interrupt_rates(rtc, rate, hertz):
    write(rtc, 0x0A, 0x20 | rate)
    read(rtc, 0x0C)
    write(rtc, 0x0B, 0x02 | PIE)
    for beat in range(1, 2 * hertz + 1):
        due = rtc.bus.next_deadline()
        assert due == -(-beat * SECOND // hertz)  # no drift
        rtc.clock.time = due
        rtc.bus.run_due()
        assert rtc.take() == 0x38
        assert read(rtc, 0x0C) & (IRQF | PF) == IRQF | PF
    assert rtc.clock.time == 2 * SECOND


def test_rate_zero_has_no_periodic_interrupt(rtc):
    write(rtc, 0x0A, 0x20)
    write(rtc, 0x0B, 0x02 | PIE)
    assert rtc.bus.next_deadline() is None
    rtc.advance(10 * SECOND)
    assert read(rtc, 0x0C) & PF == 0


def test_c_and_d_are_read_only(rtc):
    write(rtc, 0x0C, 0xFF)
    write(rtc, 0x0D, 0)
    assert read(rtc, 0x0C) == 0
    assert read(rtc, 0x0D) == 0x80


def test_nmi_mask_and_index(rtc):
    rtc.outb(0x70, 0x8F)
    assert rtc.pc.rtc.nmi_masked
    rtc.outb(0x71, 0x0A)
    assert read(rtc, 0x0F) == 0x0A  # the shutdown byte is plain memory
    assert not rtc.pc.rtc.nmi_masked
    assert rtc.inb(0x70) == 0xFF


def test_memory_sizes(rtc, make_board):
    def word(board, register):
        return read(board, register) | read(board, register + 1) << 8

    assert word(rtc, 0x15) == 640
    assert word(rtc, 0x17) == word(rtc, 0x30) == 0xFFFF
    assert word(rtc, 0x34) == (128 - 16) * 16
    small = make_board(memory_bytes=8 << 20)
    assert word(small, 0x17) == word(small, 0x30) == 7 * 1024
    assert word(small, 0x34) == 0


def test_configured_bytes_and_checksum(make_board):
    board = make_board(cmos={0x14: 0x2D, 0x38: 0x30})
    assert read(board, 0x14) == 0x2D and read(board, 0x38) == 0x30
    total = sum(read(board, register) for register in range(0x10, 0x2E))
    assert read(board, 0x2E) << 8 | read(board, 0x2F) == total


def test_reset_keeps_time_and_memory(rtc):
    write(rtc, 0x0F, 0x55)
    write(rtc, 0x0B, 0x02 | UIE)
    rtc.pc.rtc.reset()
    assert rtc.bus.next_deadline() is None
    assert read(rtc, 0x0F) == 0x55 and read(rtc, 0x0B) == 0x02
    rtc.advance(SECOND)
    assert read(rtc, 0) == 0x51

"""8254, from the datasheet's mode diagrams, and the way Linux calibrates with it."""

import pytest

from devices.clock import ns_of_tick
from devices.i8254 import PIT_HZ, Counter

LOW_ONLY, HIGH_ONLY, BOTH = 1, 2, 3


def make(mode, count=None, gate=True, bcd=False, tick=0):
    counter = Counter(gate)
    counter.control(tick, LOW_ONLY, mode, bcd)
    if count is not None:
        counter.write(tick, count)
    return counter


def outs(counter, first, last):
    """OUT at each tick, as the diagrams draw it."""
    result = ""
    for tick in range(first, last + 1):
        counter.settle(tick)
        result += "1" if counter.out(tick) else "0"
    return result


def counts(counter, first, last):
    result = []
    for tick in range(first, last + 1):
        counter.settle(tick)
        result.append(counter.count(tick))
    return result


# Each count is written at tick 0, so it is in the counting element from tick 1 on.


def test_mode_0_interrupt_on_terminal_count():
    counter = make(0, 4)
    assert outs(counter, 0, 8) == "000001111"
    assert counts(counter, 1, 6) == [4, 3, 2, 1, 0, 0xFFFF]
    assert counter.next_rise(0) == 5
    assert counter.next_rise(5) is None


def test_mode_0_gate_pauses():
    counter = make(0, 4)
    counter.set_gate(3, False)  # the count is 2
    assert counts(counter, 3, 6) == [2, 2, 2, 2]
    assert counter.next_rise(3) is None
    counter.set_gate(10, True)
    assert counts(counter, 10, 12) == [2, 1, 0]
    assert outs(counter, 10, 12) == "001"


def test_mode_0_written_with_the_gate_low_needs_no_extra_pulse():
    counter = make(0, 4, gate=False)
    counter.set_gate(10, True)
    assert outs(counter, 10, 15) == "000011"


def test_mode_0_first_byte_stops_and_second_starts():
    counter = Counter(True)
    counter.control(0, BOTH, 0, False)
    counter.write(0, 3)
    counter.write(0, 0)
    assert outs(counter, 4, 5) == "11"
    counter.write(5, 4)
    assert outs(counter, 5, 50) == "0" * 46
    counter.write(50, 1)  # 0x104
    assert outs(counter, 50 + 0x104, 50 + 0x105) == "01"


def test_mode_1_one_shot():
    counter = make(1, 3)
    assert outs(counter, 0, 5) == "111111"  # waits for its trigger
    counter.set_gate(5, False)
    counter.set_gate(6, True)
    assert outs(counter, 6, 11) == "100011"
    assert counts(counter, 7, 10) == [3, 2, 1, 0]
    assert make(1, 3).next_rise(0) is None


def test_mode_1_retriggers_without_a_glitch():
    counter = make(1, 3, gate=False)
    counter.set_gate(0, True)
    assert outs(counter, 1, 2) == "00"
    counter.set_gate(2, False)
    counter.set_gate(2, True)
    assert outs(counter, 2, 7) == "000011"


def test_mode_1_new_count_waits_for_the_next_trigger():
    counter = make(1, 2, gate=False)
    counter.set_gate(0, True)
    counter.write(1, 4)
    assert outs(counter, 1, 4) == "0011"
    counter.set_gate(5, False)
    counter.set_gate(5, True)
    assert outs(counter, 6, 10) == "00001"


def test_mode_2_rate_generator():
    counter = make(2, 4)
    assert outs(counter, 0, 12) == "1111011101110"
    assert counts(counter, 1, 6) == [4, 3, 2, 1, 4, 3]
    assert [counter.next_rise(tick) for tick in (0, 1, 4, 5, 8)] == [5, 5, 5, 9, 9]


def test_mode_2_new_count_takes_over_at_the_end_of_the_cycle():
    counter = make(2, 4)
    counter.write(2, 3)
    assert counter.next_rise(2) == 5
    assert counts(counter, 2, 9) == [3, 2, 1, 3, 2, 1, 3, 2]


def test_mode_2_new_count_long_ago():
    counter = make(2, 4)
    counter.write(2, 3)
    counter.settle(5 + 3 * 1000 + 1)
    assert counter.count(5 + 3 * 1000 + 1) == 2


def test_mode_2_gate_stops_and_reloads():
    counter = make(2, 4)
    counter.set_gate(4, False)  # OUT was low
    assert outs(counter, 4, 9) == "111111"
    assert counts(counter, 4, 6) == [1, 1, 1]
    assert counter.next_rise(5) is None
    counter.set_gate(9, True)
    assert counts(counter, 10, 14) == [4, 3, 2, 1, 4]


@pytest.mark.parametrize(
    "count, wave, values",
    [
        (4, "11001100", [4, 2, 4, 2]),
        (5, "1110011100", [4, 2, 0, 4, 2, 4]),
    ],
)
def test_mode_3_square_wave(count, wave, values):
    counter = make(3, count)
    assert outs(counter, 1, len(wave)) == wave
    assert counts(counter, 1, len(values)) == values
    assert counter.next_rise(1) == 1 + count


def test_mode_3_new_count_takes_over_at_the_half():
    counter = make(3, 6)
    counter.write(2, 4)
    assert outs(counter, 1, 11) == "11100110011"
    fresh = make(3, 6)
    fresh.write(2, 4)
    assert fresh.next_rise(2) == 6
    in_low_half = make(3, 6)
    in_low_half.write(5, 4)
    assert in_low_half.next_rise(5) == 7
    assert outs(in_low_half, 5, 12) == "00110011"


def test_mode_4_software_strobe():
    counter = make(4, 3)
    assert outs(counter, 0, 6) == "1111011"
    assert counter.next_rise(0) == 5  # one CLK after the strobe began
    counter.write(2, 3)  # written again: from the start
    assert outs(counter, 2, 8) == "1111011"


def test_mode_5_hardware_strobe():
    counter = make(5, 3)
    assert outs(counter, 0, 9) == "1" * 10
    counter.set_gate(9, False)
    counter.set_gate(9, True)
    assert outs(counter, 9, 15) == "1111011"


def test_zero_counts_the_whole_range():
    assert make(0, 0).next_rise(0) == 1 + 0x10000
    counter = make(0, 0, bcd=True)
    assert counter.next_rise(0) == 1 + 10000
    assert counter._encoded(2) == 0x9999


def test_bcd_counts_decimal():
    counter = make(2, 0x20, bcd=True)
    assert [counter._encoded(tick) for tick in (1, 2, 12, 20, 21)] == [0x20, 0x19, 9, 1, 0x20]


def test_illegal_count_of_one_makes_no_edges():
    for mode in (2, 3):
        counter = make(mode, 1)
        assert outs(counter, 0, 5) == "111111"
        assert counter.next_rise(3) is None


def test_next_rise_agrees_with_out_tick_by_tick():
    """Against the definition: OUT low at a tick and high at the next."""
    for mode in (0, 2, 3, 4):
        for count in (2, 3, 7, 8):
            for rewritten_at in range(12):
                counter = make(mode, count)
                counter.settle(rewritten_at)
                counter.write(rewritten_at, 5)
                predicted = counter.next_rise(rewritten_at)
                wave = outs(counter, rewritten_at, rewritten_at + 20)
                assert predicted == rewritten_at + wave.index("01") + 1, (mode, count)


# The chip on its ports


def test_both_bytes_low_first(board):
    board.outb(0x43, 0x70)  # counter 1, both bytes, mode 0
    board.outb(0x41, 0x34, 0x12)
    board.advance(ns_of_tick(1, PIT_HZ) + 1)
    assert (board.inb(0x41), board.inb(0x41)) == (0x34, 0x12)


def test_high_byte_only(board):
    board.outb(0x43, 0x60)
    board.outb(0x41, 0x12)
    board.advance(900)
    assert board.inb(0x41) == 0x12


def test_latch_holds_the_count_until_it_is_read(board):
    board.outb(0x43, 0x74)
    board.outb(0x41, 0x00, 0x10)
    board.advance(10_000)
    board.outb(0x43, 0x40)
    board.advance(100_000)
    board.outb(0x43, 0x40)  # a second latch changes nothing
    first = board.inb(0x41) | board.inb(0x41) << 8
    assert first == 0x1000 - (10_000 * PIT_HZ // 10**9 - 1)
    later = board.inb(0x41) | board.inb(0x41) << 8
    assert later == 0x1000 - (110_000 * PIT_HZ // 10**9 - 1)


def test_read_back_status_then_count(board):
    board.outb(0x43, 0x34)
    board.outb(0x40, 0x00, 0x10)
    board.outb(0x43, 0xC2)  # both, counter 0, before the count is loaded
    assert board.inb(0x40) == 0xF4  # OUT, null count, both bytes, mode 2
    assert (board.inb(0x40), board.inb(0x40)) == (0, 0)
    board.advance(5_000)
    board.outb(0x43, 0xE2)  # status only
    assert board.inb(0x40) == 0xB4
    assert board.inb(0x40) | board.inb(0x40) << 8 == 0x1000 - 4


def test_read_back_several_counters_at_once(board):
    for control, port in ((0x34, 0x40), (0x70, 0x41)):
        board.outb(0x43, control)
        board.outb(port, 0, 0x80)
    board.advance(10_000)
    board.outb(0x43, 0xD6)  # counts of 0 and 1
    board.advance(50_000)
    values = [board.inb(port) | board.inb(port) << 8 for port in (0x40, 0x41)]
    assert values == [0x8000 - 10, 0x8000 - 10]


def test_modes_6_and_7_are_2_and_3(board):
    board.outb(0x43, 0x3C)
    assert board.pc.pit.counters[0].mode == 2
    board.outb(0x43, 0x3E)
    assert board.pc.pit.counters[0].mode == 3


def test_control_register_cannot_be_read(board):
    assert board.inb(0x43) == 0xFF


def test_no_timer_before_the_guest_starts_counter_0(board):
    for control in (0x74, 0xB6):
        board.outb(0x43, control)
    board.outb(0x41, 18, 0)
    board.outb(0x42, 0, 16)
    assert board.bus.next_deadline() is None


@pytest.mark.parametrize("control", [0x34, 0x36])
def test_periodic_interrupts_do_not_drift(board, control):
    board.init_pics()
    board.outb(0x43, control)
    board.outb(0x40, 11932 & 0xFF, 11932 >> 8)
    for beat in range(1, 2001):
        due = board.bus.next_deadline()
        assert due == ns_of_tick(1 + beat * 11932, PIT_HZ)
        board.clock.time = due
        board.bus.run_due()
        assert board.take() == 0x30
    assert not board.bus.intr


def test_edges_missed_by_a_late_machine_are_one(board):
    board.init_pics()
    board.outb(0x43, 0x34)
    board.outb(0x40, 100, 0)
    board.clock.time = ns_of_tick(1 + 100 * 50 + 7, PIT_HZ)
    board.bus.run_due()
    assert board.take() == 0x30
    assert not board.bus.intr
    assert board.bus.next_deadline() == ns_of_tick(1 + 100 * 51, PIT_HZ)


@pytest.mark.parametrize("control, ticks", [(0x30, 1001), (0x38, 1002)])
def test_one_shots_interrupt_once(board, control, ticks):
    board.init_pics()
    board.outb(0x43, control)
    board.outb(0x40, 1000 & 0xFF, 1000 >> 8)
    board.advance(ns_of_tick(ticks, PIT_HZ) - 1)
    assert not board.bus.intr
    board.advance(1)
    assert board.take() == 0x30
    assert board.bus.next_deadline() is None


def test_linux_shuts_the_timer_down(board):
    board.init_pics()
    board.outb(0x43, 0x34)
    board.outb(0x40, 0x9C, 0x2E)
    board.advance(20_000_000)
    board.outb(0x43, 0x30)
    board.outb(0x40, 0, 0)
    board.advance(100_000_000)
    assert board.bus.next_deadline() is None


def test_linux_calibrates_with_counter_2(board):
    """pit_calibrate_tsc: mode 0, 50 ms, gate through port 0x61, poll bit 5."""
    board.outb(0x61, board.inb(0x61) & ~2 | 1)
    board.outb(0x43, 0xB0)
    latch = PIT_HZ // 20
    board.outb(0x42, latch & 0xFF, latch >> 8)
    polls = 0
    while not board.inb(0x61) & 0x20:
        board.advance(1000)
        polls += 1
    assert board.clock.time == pytest.approx(50_000_000, abs=2_000)
    assert polls == pytest.approx(50_000, abs=2)


def test_linux_quick_calibration_sees_the_high_byte_step(board):
    """quick_pit_calibrate reads low and high byte pairs without a latch."""
    board.outb(0x61, 1)
    board.outb(0x43, 0xB0)
    board.outb(0x42, 0xFF, 0xFF)
    seen = []
    while len(seen) < 4:
        board.advance(2_000)
        board.inb(0x42)
        high = board.inb(0x42)
        if not seen or seen[-1] != high:
            seen.append(high)
    assert seen == [0xFF, 0xFE, 0xFD, 0xFC]
    assert board.clock.time == pytest.approx(ns_of_tick(3 * 256, PIT_HZ), abs=4_000)


def test_port_61(board):
    board.outb(0x61, 0xFF)
    assert board.inb(0x61) & 0xCF == 0x0F
    board.outb(0x61, 0)
    assert board.inb(0x61) & 0x0F == 0


def test_refresh_toggles_every_15_microseconds(board):
    toggles, last = 0, board.inb(0x61) & 0x10
    for _ in range(1_000_000 // 500):
        board.advance(500)
        now = board.inb(0x61) & 0x10
        toggles += now != last
        last = now
    assert toggles == pytest.approx(1_000_000 / 15_085, abs=1)

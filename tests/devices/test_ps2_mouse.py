"""The mouse behind the 8042: data reports, modes, scaling, IntelliMouse, drivers."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from ps2_driver import command, drain, keyboard, mouse, of

from devices.i8042 import BYTE_NS
from devices.ps2_mouse import FIFTH, FOURTH, LEFT, MIDDLE, RIGHT, packet

SECOND = 10**9


@pytest.fixture
def mousy(board: Any) -> Any:
    """A board with a mouse, and its port on."""
    board.init_pics()
    board.pc.kbc.plug_mouse()
    command(board, 0x60, 0x47)
    return board


def the_mouse(board: Any) -> Any:
    return board.pc.kbc.mouse


def sent(board: Any) -> str:
    return of("mouse", drain(board, SECOND // 5)).hex()


def streaming(board: Any, identity: int = 0) -> Any:
    if identity >= 3:
        assert mouse(board, 0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF2) == b"\xfa" * 7 + b"\x03"
    if identity >= 4:
        assert mouse(board, 0xF3, 200, 0xF3, 200, 0xF3, 80, 0xF2) == b"\xfa" * 7 + b"\x04"
    assert mouse(board, 0xF4) == b"\xfa"
    return the_mouse(board)


def test_a_drivers_probe(mousy: Any) -> None:
    assert mouse(mousy, 0xFF) == b"\xfa\xaa\x00"
    assert mouse(mousy, 0xF2) == b"\xfa\x00"
    assert mouse(mousy, 0xE9) == bytes((0xFA, 0x00, 2, 100))
    assert mouse(mousy, 0xE8, 3, 0xF3, 200, 0xE7, 0xF4, 0xE9) == b"\xfa" * 7 + b"\x30\x03\xc8"
    assert mouse(mousy, 0xF6, 0xE9) == b"\xfa\xfa\x00\x02\x64"


def test_a_report_interrupts(mousy: Any) -> None:
    streaming(mousy).move(5, -3)
    mousy.advance(BYTE_NS + 10)
    assert mousy.take() == 0x3C and mousy.inb(0x64) & 0x21 == 0x21
    assert mousy.inb(0x60) == 0x28 and not mousy.bus.intr
    mousy.advance(BYTE_NS)
    assert mousy.take() == 0x3C and mousy.inb(0x60) == 5
    mousy.advance(BYTE_NS)
    assert mousy.take() == 0x3C and mousy.inb(0x60) == 0xFD
    assert mousy.bus.next_deadline() is None


@pytest.mark.parametrize(
    ("x", "y", "buttons", "report"),
    [(0, 0, LEFT, "090000"), (0, 0, RIGHT, "0a0000"), (0, 0, MIDDLE, "0c0000"),
     (1, 1, 0, "080101"), (-1, 0, 0, "18ff00"), (0, -1, 0, "2800ff"), (255, -255, 0, "28ff01"),
     (256, 0, 0, "48ff00"), (0, -256, 7, "af0001")],
)  # fmt: skip
def test_packets(x: int, y: int, buttons: int, report: str) -> None:
    assert packet(buttons, x, y, 0, 0).hex() == report


def test_nothing_is_told_before_the_driver_asks(mousy: Any) -> None:
    mouse(mousy, 0xFF)
    the_mouse(mousy).move(30, 30, buttons=LEFT)
    assert sent(mousy) == "" and mousy.bus.next_deadline() is None
    assert streaming(mousy).held() == LEFT
    assert sent(mousy) == ""  # and not what was before
    the_mouse(mousy).move(buttons=0)
    assert sent(mousy) == "080000"


def test_far_is_more_than_one_report_and_a_click_is_two(mousy: Any) -> None:
    own = streaming(mousy)
    own.move(300)
    own.move(buttons=LEFT)
    own.move(buttons=0)
    assert sent(mousy) == "087f00087f00082e00090000080000"


def test_a_drag(mousy: Any) -> None:
    own = streaming(mousy)
    own.move(buttons=LEFT)
    own.move(4, 4)
    own.move(buttons=0)
    assert sent(mousy) == "090000090404080000"


def test_no_more_reports_than_the_rate(mousy: Any) -> None:
    mouse(mousy, 0xF3, 20)
    own = streaming(mousy)
    reports = 0
    for _ in range(1000):
        own.move(1)
        mousy.advance(SECOND // 1000)
        while mousy.inb(0x64) & 1:
            mousy.inb(0x60)
            reports += 1
            mousy.advance(BYTE_NS)
    assert 18 * 3 <= reports <= 23 * 3


def test_counters_overflow_when_shoved(mousy: Any) -> None:
    own = streaming(mousy)
    own.shove(200, -200)
    own.shove(200, -200)
    assert sent(mousy) == "e8ff01"
    own.shove(-100, 100)
    assert sent(mousy) == "189c64"


def test_scaling_is_for_stream_mode(mousy: Any) -> None:
    mouse(mousy, 0xE7)
    own = streaming(mousy)
    for count, doubled in ((1, 1), (2, 1), (3, 3), (4, 6), (5, 9), (6, 12), (50, 100)):
        own.move(count, -count)
        assert sent(mousy) == f"28{doubled:02x}{-doubled & 0xFF:02x}", count
    own.move(5, 0)
    mouse(mousy, 0xF0)
    own.move(5, 0)
    assert mouse(mousy, 0xEB) == b"\xfa\x08\x05\x00"


def test_remote_mode_reports_when_asked(mousy: Any) -> None:
    streaming(mousy)
    assert mouse(mousy, 0xF0) == b"\xfa"
    the_mouse(mousy).move(3, 4)
    assert sent(mousy) == ""
    assert mouse(mousy, 0xEB) == b"\xfa\x08\x03\x04"
    assert mouse(mousy, 0xEB) == b"\xfa\x08\x00\x00"
    assert mouse(mousy, 0xE9)[1] & 0x40
    assert mouse(mousy, 0xEA) == b"\xfa"
    the_mouse(mousy).move(1)
    assert sent(mousy) == "080100"


def test_wrap_mode_echoes_all_but_two(mousy: Any) -> None:
    streaming(mousy)
    assert mouse(mousy, 0xEE, 0xF2, 0xE9, 0x12, 0xEE) == b"\xfa\xf2\xe9\x12\xee"
    the_mouse(mousy).move(1)
    assert sent(mousy) == ""
    assert mouse(mousy, 0xEC, 0xF2) == b"\xfa\xfa\x00"
    assert mouse(mousy, 0xEE, 0xFF) == b"\xfa\xfa\xaa\x00"


def test_wheel_and_five_buttons(mousy: Any) -> None:
    own = streaming(mousy, 3)
    own.move(wheel=1)
    assert sent(mousy) == "08000001"
    own.move(wheel=-20)
    assert sent(mousy) == "080000f9080000f9080000fa"
    own = streaming(mousy, 4)
    own.move(wheel=-1, buttons=FOURTH)
    own.move(buttons=FIFTH | LEFT)
    own.move(buttons=0)
    assert sent(mousy) == "0800001f0900002008000000"
    assert mouse(mousy, 0xFF, 0xF2) == b"\xfa\xaa\x00\xfa\x00"


def test_five_buttons_need_the_wheel_first(mousy: Any) -> None:
    mouse(mousy, 0xF3, 200, 0xF3, 200, 0xF3, 80)
    assert mouse(mousy, 0xF2) == b"\xfa\x00"


def test_wrong_arguments_are_asked_for_again_once(mousy: Any) -> None:
    assert mouse(mousy, 0xF3, 33, 100) == b"\xfa\xfe\xfa"
    assert mouse(mousy, 0xE8, 4, 4) == b"\xfa\xfe\xfc"
    assert mouse(mousy, 0xE8, 4, 1, 0xE9) == b"\xfa\xfe\xfa\xfa\x00\x01\x64"
    assert mouse(mousy, 0x01) == b"\xfe"


def test_resend(mousy: Any) -> None:
    assert mouse(mousy, 0xE9, 0xFE) == b"\xfa\x00\x02\x64" * 2
    streaming(mousy).move(7)
    assert sent(mousy) == "080700"
    assert mouse(mousy, 0xFE) == b"\x08\x07\x00"


def test_a_command_amid_a_report_forgets_the_rest(mousy: Any) -> None:
    streaming(mousy).move(7)
    mousy.advance(BYTE_NS + 10)
    assert mousy.inb(0x60) == 0x08
    assert mouse(mousy, 0xF5) == b"\xfa"
    assert sent(mousy) == ""


def test_its_port_can_be_off(mousy: Any) -> None:
    streaming(mousy)
    command(mousy, 0xA7)
    the_mouse(mousy).move(7)
    assert sent(mousy) == ""
    command(mousy, 0xA8)
    assert sent(mousy) == "080700"


def test_both_devices_share_the_output_buffer(mousy: Any) -> None:
    own = streaming(mousy)
    own.move(1, 1)
    mousy.pc.kbc.keyboard.type("ab")
    received = drain(mousy)
    assert of("mouse", received).hex() == "080101" and of("keyboard", received).hex() == "1e9e30b0"
    assert [who for who, _ in received] != sorted(who for who, _ in received)  # they take turns
    assert keyboard(mousy, 0xEE) == b"\xee"


def test_a_call_for_the_driver_is_a_report_without_motion(mousy: Any) -> None:
    the_mouse(mousy).call_driver()
    assert sent(mousy) == ""
    streaming(mousy).call_driver()
    assert sent(mousy) == "080000" and sent(mousy) == ""


def test_a_halted_guest_may_be_woken_by_it(mousy: Any) -> None:
    own = streaming(mousy)
    assert not mousy.can_interrupt(False)
    own.move(1)
    assert mousy.can_interrupt(False)


def test_but_not_while_it_is_switched_off(mousy: Any) -> None:
    streaming(mousy).move(1)
    mousy.outb(0x64, 0xA7)
    assert not mousy.can_interrupt(False)
    mousy.outb(0x64, 0xA8)
    assert mousy.can_interrupt(False)


def test_without_a_mouse_there_is_none_in_the_snapshot(board: Any, mousy: Any) -> None:
    from devices.errors import SnapshotError

    state = mousy.snapshot()
    other = type(board)()
    with pytest.raises(SnapshotError, match="nothing plugged in"):
        other.restore(state)
    other.pc.kbc.plug_mouse()
    other.restore(state)
    assert other.snapshot() == state


@pytest.mark.parametrize("seed", range(6))
def test_any_bytes_in_any_order(make_board: Any, seed: int) -> None:
    """Nothing raises, nothing grows, and a copy that was made amid it all lives the same life."""
    dice = random.Random(seed)
    board, copy = make_board(), make_board()
    for each in (board, copy):
        each.pc.kbc.plug_mouse()
        command(each, 0x60, 0x47)
    copied = False
    for step in range(3000):
        if step == 1500:
            copied = True
            copy.clock.time = board.clock.time
            copy.restore(json.loads(json.dumps(board.snapshot())))
        what, value = dice.random(), dice.choice((0xF4, 0xEB, 200, 80, 0xF3, dice.getrandbits(8)))
        x, y, buttons = dice.randrange(-999, 999), dice.randrange(-99, 99), dice.getrandbits(5)
        passing = dice.choice((0, 1000, BYTE_NS, SECOND // 50))
        seen = []
        for each in (board, copy) if copied else (board,):
            if what < 0.3:
                command(each, 0xD4, value)
            elif what < 0.4:
                each.outb(0x60, value)
            elif what < 0.5:
                the_mouse(each).move(x, y, y, buttons)
            elif what < 0.55:
                the_mouse(each).shove(x, y)
            elif what < 0.6:
                each.pc.kbc.keyboard.strike("+a")
            each.advance(passing)
            seen.append((each.inb(0x64), each.inb(0x60), each.bus.next_deadline()))
        assert len(set(seen)) == 1
    assert len(json.dumps(board.snapshot()["kbc"])) < 12_000
    assert board.snapshot() == copy.snapshot()

"""Scan code sets, key types of set 3, overrun, Print Screen and Pause, as IBM has them."""

from __future__ import annotations

from typing import Any

import pytest
from ps2_driver import command, drain, keyboard, of

from devices.hands import STROKE_NS
from devices.scan_sets import DEFAULT_TYPES, INDEX, KEY_OF_SET_3, SET_3, scan_code
from devices.scancodes import MAKE

MS = 10**6


@pytest.fixture
def plain(board: Any) -> Any:
    """Nobody translates."""
    command(board, 0x60, 0x05)
    return board


def sent(board: Any) -> str:
    return of("keyboard", drain(board)).hex()


def keys(board: Any, *strokes: str) -> str:
    for stroke in strokes:
        board.pc.kbc.keyboard.stroke(stroke)
    return sent(board)


@pytest.mark.parametrize(
    ("number", "codes"),
    [(1, "1e9ee04be0cb"), (2, "1cf01ce06be0f06b"), (3, "1c61")],
)
def test_a_set_is_chosen_and_told(plain: Any, number: int, codes: str) -> None:
    assert keyboard(plain, 0xF0, number) == b"\xfa\xfa"
    assert keyboard(plain, 0xF0, 0) == bytes((0xFA, 0xFA, number))
    assert keys(plain, "+a", "-a", "+left", "-left") == codes
    assert keyboard(plain, 0xFF) == b"\xfa\xaa"
    assert keyboard(plain, 0xF0, 0) == b"\xfa\xfa\x02"


def test_a_set_that_there_is_not_is_asked_for_again(plain: Any) -> None:
    assert keyboard(plain, 0xF0, 4, 3) == b"\xfa\xfe\xfa"
    assert plain.pc.kbc.keyboard.scan_set == 3


def test_a_new_set_forgets_what_waits_in_the_old_one(plain: Any) -> None:
    assert keyboard(plain, 0xF0) == b"\xfa"
    plain.pc.kbc.keyboard.type("d")
    plain.outb(0x60, 1)
    assert sent(plain) == "fa"


PRINT = {
    (): ("e012e07c", "e0f07ce0f012"),
    ("ctrl",): ("e07c", "e0f07c"),
    ("rshift",): ("e07c", "e0f07c"),
    ("alt",): ("84", "f084"),
    ("ralt", "ctrl"): ("84", "f084"),
}


@pytest.mark.parametrize("held", PRINT)
def test_print_screen(plain: Any, held: tuple[str, ...]) -> None:
    keys(plain, *("+" + key for key in held))
    made, broken = PRINT[held]
    assert keys(plain, "+printscreen") == made
    for key in held:  # it goes up as it went down
        keys(plain, "-" + key)
    assert keys(plain, "-printscreen") == broken


def test_pause_is_break_with_ctrl(plain: Any) -> None:
    assert keys(plain, "+pause", "-pause") == "e11477e1f014f077"
    keys(plain, "+ctrl")
    assert keys(plain, "+pause", "-pause") == "e07ee0f07e"
    keys(plain, "-ctrl")
    assert keys(plain, "+pause") == "e11477e1f014f077"


def test_alt_print_screen_translated_is_sys_rq(board: Any) -> None:
    assert keys(board, "+alt", "+printscreen", "-printscreen", "-alt") == "3854d4b8"


def test_set_3_has_no_prefixes_and_a_code_for_every_key_of_the_101() -> None:
    without = {key for key in MAKE if key not in SET_3}
    media = "audiomute volumedown volumeup audioplay audiostop audioprev audionext power sleep "
    assert without == set((media + "wake mail calculator computer ac_home").split())
    assert len(set(SET_3.values())) == len(SET_3) == len(KEY_OF_SET_3) == 105
    assert scan_code(3, "power", True) == b""


def test_types_of_keys_at_power_on(plain: Any) -> None:
    """Letters repeat and do not say that they go up; shifts say it; function keys do neither."""
    keyboard(plain, 0xF0, 3)
    assert keys(plain, "+shift", "-shift", "+f1", "-f1", "+q", "-q") == "12f0120715"
    assert len(DEFAULT_TYPES) == len(MAKE)


def repeats(board: Any, key: str) -> bool:
    keys(board, "+" + key)
    board.advance(600 * MS)
    again = sent(board)
    keys(board, "-" + key)
    return bool(again)


@pytest.mark.parametrize(
    ("value", "again", "says"), [(0xF7, True, False), (0xF8, False, True),
                                 (0xF9, False, False), (0xFA, True, True)],
)  # fmt: skip
def test_types_of_all_keys(plain: Any, value: int, again: bool, says: bool) -> None:
    keyboard(plain, 0xF0, 3)
    assert keyboard(plain, value) == b"\xfa"
    for key in ("a", "f1", "shift"):
        assert (keys(plain, "+" + key, "-" + key) == f"{SET_3[key]:02x}f0{SET_3[key]:02x}") is says
        assert repeats(plain, key) is again
    keyboard(plain, 0xF6)
    assert bytes(plain.pc.kbc.keyboard.types) == DEFAULT_TYPES


def test_types_of_single_keys_until_a_command(plain: Any) -> None:
    keyboard(plain, 0xF0, 3)
    assert keyboard(plain, 0xFC, SET_3["a"], SET_3["b"], 0xF4) == b"\xfa" * 4
    assert keyboard(plain, 0xFB, SET_3["f1"], 0x01, 0xFD, SET_3["q"], 0xEE) == b"\xfa" * 5 + b"\xee"
    types = plain.pc.kbc.keyboard.types
    assert [types[INDEX[key]] for key in ("a", "b", "f1", "q", "c")] == [2, 2, 1, 0, 1]
    assert keys(plain, "+a", "-a") == "1cf01c"


def test_types_are_for_set_3_only(plain: Any) -> None:
    assert keyboard(plain, 0xF9) == b"\xfa"
    assert keys(plain, "+a", "-a") == "1cf01c"
    assert repeats(plain, "a")


@pytest.mark.parametrize(("number", "code"), [(1, "ff"), (2, "00"), (3, "00")])
def test_who_does_not_wait_overruns_the_buffer(plain: Any, number: int, code: str) -> None:
    keyboard(plain, 0xF0, number)
    for _ in range(40):
        plain.pc.kbc.keyboard.strike("+up")
    assert len(plain.pc.kbc.keyboard.buffer) <= 17
    whole = scan_code(number, "up", True).hex()
    assert sent(plain) == whole * (16 // (len(whole) // 2)) + code
    plain.pc.kbc.keyboard.strike("+esc")
    assert sent(plain) == scan_code(number, "esc", True).hex()


def test_a_keyboard_that_is_off_loses_what_is_struck(plain: Any) -> None:
    keyboard(plain, 0xF5)
    plain.pc.kbc.keyboard.strike("+a")
    assert keyboard(plain, 0xF4) == b"\xfa"
    assert sent(plain) == ""


def test_hands_press_a_key_after_the_other(board: Any) -> None:
    hands = board.pc.kbc.hands
    hands.give(["+a", "-a", "+b", "-b"])
    assert sent(board) == "1e"
    times = []
    while hands.strokes or hands.timer.live:
        board.advance(1 * MS)
        if board.inb(0x64) & 1:
            times.append((board.clock.now() // MS, board.inb(0x60)))
    assert [code for _, code in times] == [0x9E, 0x30, 0xB0]
    assert all(abs(when - STROKE_NS // MS * at) <= 1 for at, (when, _) in enumerate(times, 1))
    assert board.bus.next_deadline() is None


def test_hands_wait_for_a_keyboard_that_takes_nothing(board: Any) -> None:
    keyboard(board, 0xF5)
    board.pc.kbc.hands.give(["+a", "-a"])
    board.advance(10_000 * MS)
    assert board.bus.next_deadline() is None and list(board.pc.kbc.hands.strokes) == ["-a"]
    assert keyboard(board, 0xF4) == b"\xfa\x1e"
    board.advance(STROKE_NS)
    assert sent(board) == "9e"


def test_hands_go_on_in_a_restored_machine(board: Any, make_board: Any) -> None:
    other = make_board()
    board.pc.kbc.hands.give(["+a", "-a", "+b", "-b"])
    board.advance(STROKE_NS // 2)
    other.clock.time = board.clock.time
    other.restore(board.snapshot())
    for each in (board, other):
        while each.pc.kbc.hands.strokes or each.pc.kbc.hands.timer.live:
            each.advance(STROKE_NS // 4)
    assert sent(board) == sent(other) == "1e9e30b0"


def test_what_hands_are_about_may_still_interrupt(board: Any) -> None:
    board.init_pics()
    assert not board.can_interrupt(False)
    keyboard(board, 0xF3, 0x7F)
    board.pc.kbc.hands.give(["+a", "-a"])
    sent(board)
    assert board.can_interrupt(False)


def test_but_not_while_the_keyboard_is_switched_off(board: Any) -> None:
    """A key that is held down repeats for ever: a halted guest must not wait for it."""
    board.init_pics()
    board.pc.kbc.keyboard.press("a")
    sent(board)
    assert board.can_interrupt(False)
    command(board, 0xAD)
    assert not board.can_interrupt(False)
    command(board, 0xAE)
    assert board.can_interrupt(False)


def test_a_password_is_taken_and_forgotten(board: Any) -> None:
    command(board, 0xA4)
    assert board.inb(0x60) == 0xF1
    command(board, 0xA5, 0x1E, 0xF4, 0x00)
    assert board.pc.kbc.command == 0 and sent(board) == ""
    assert keyboard(board, 0xEE) == b"\xee"


def test_the_input_port_in_the_status(board: Any) -> None:
    """C1: bits 0 to 3 of the port in bits 4 to 7; C2: bits 4 to 7; until the next write."""
    command(board, 0xC2)
    assert board.inb(0x64) & 0xF0 == 0xB0
    command(board, 0xC1)
    assert board.inb(0x64) & 0xF0 == 0x00
    command(board, 0xAE)
    assert board.inb(0x64) & 0xF0 == 0x10

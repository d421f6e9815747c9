"""The pointer, and the absolute mouse as Linux' vmmouse.c drives it."""

from __future__ import annotations

import pytest
from calls import Bench

from monitor.vmware.call import MAGIC, UNSUPPORTED
from monitor.vmware.parts.pointer import QUEUE_WORDS
from monitor.vmware.restrictions import Restrictions

ENABLE, DISABLE = 0x45414552, 0xF5
RELATIVE, ABSOLUTE = 0x4C455252, 0x53424152
VERSION = 0x3442554A
ERROR = 0xFFFF0000
ANY, CPL0, IOPL = range(3)


def command(bench: Bench, what: int, **registers: int) -> int:
    return bench.call("ABSPOINTER_COMMAND", ebx=what, **registers).eax


def status(bench: Bench, **registers: int) -> int:
    return bench.call("ABSPOINTER_STATUS", ebx=0, **registers).eax


def packet(bench: Bench) -> tuple[int, int, int, int]:
    call = bench.call("ABSPOINTER_DATA", ebx=4)
    return call.eax, call.ebx, call.ecx, call.edx


@pytest.fixture
def driven() -> Bench:
    """A driver has switched the mouse on, step by step as Linux' vmmouse_enable does."""
    bench = Bench()
    assert command(bench, ENABLE) == MAGIC
    assert status(bench) == 1
    assert bench.call("ABSPOINTER_DATA", ebx=1).eax == VERSION
    assert bench.call("ABSPOINTER_RESTRICT", ebx=CPL0).eax == MAGIC
    assert command(bench, ABSOLUTE) == MAGIC
    assert status(bench) == 0
    return bench


def test_the_mouse_is_disabled_at_first() -> None:
    bench = Bench()
    assert status(bench) & ERROR == ERROR
    assert bench.call("ISMOUSEABSOLUTE").eax == 0
    assert not bench.backdoor.pointer.move(1, 2)
    assert status(bench) == ERROR


def test_a_driver_follows_the_hosts_pointer(driven: Bench) -> None:
    pointer = driven.backdoor.pointer
    assert driven.call("ISMOUSEABSOLUTE").eax == 1
    pointer.move(0x1234, 0xFFFF)
    pointer.press("left")
    pointer.move(0x20000, -5)  # the edges
    pointer.press("right")
    pointer.release("left")
    pointer.release("right")
    pointer.scroll(-1)
    assert status(driven) == 7 * 4
    assert [packet(driven) for _ in range(7)] == [
        (0x00, 0x1234, 0xFFFF, 0),
        (0x20, 0x1234, 0xFFFF, 0),
        (0x20, 0xFFFF, 0, 0),
        (0x30, 0xFFFF, 0, 0),
        (0x10, 0xFFFF, 0, 0),
        (0x00, 0xFFFF, 0, 0),
        (0x00, 0xFFFF, 0, 0xFFFFFFFF),
    ]
    assert status(driven) == 0


def test_a_click_is_two_packets(driven: Bench) -> None:
    assert driven.backdoor.pointer.click("middle")
    assert [packet(driven)[0], packet(driven)[0]] == [0x08, 0]
    with pytest.raises(ValueError, match="no button named 'side'; one of: left right middle"):
        driven.backdoor.pointer.press("side")


def test_relative_packets_are_marked(driven: Bench) -> None:
    command(driven, RELATIVE)
    driven.backdoor.pointer.move(-3, 4)
    driven.backdoor.pointer.press()
    assert packet(driven) == (0x10000, 0xFFFFFFFD, 4, 0)
    assert packet(driven) == (0x10020, 0, 0, 0)
    assert driven.call("ISMOUSEABSOLUTE").eax == 0


def test_the_board_is_told_of_every_packet() -> None:
    told: list[str] = []
    bench = Bench({"mouse_event": lambda: told.append("mouse"), "notice": lambda: told.append("!")})
    bench.backdoor.pointer.move(1, 1)
    assert told == []
    command(bench, ENABLE)
    bench.backdoor.pointer.move(1, 1)
    assert told == ["mouse", "!"]


def test_six_words_come_in_six_registers(driven: Bench) -> None:
    for place in (1, 3):
        driven.backdoor.pointer.move(place, place + 1)
    call = driven.call("ABSPOINTER_DATA", ebx=6)
    words = (call.eax, call.ebx, call.ecx, call.edx, call.esi, call.edi)
    assert words == (0, 1, 2, 0, 0, 3)
    assert status(driven) == 2


@pytest.mark.parametrize("words", [0, 5, 7, 0xFFFFFFFF])
def test_to_ask_for_too_much_is_an_error(driven: Bench, words: int) -> None:
    driven.backdoor.pointer.move(1, 2)
    call = driven.call("ABSPOINTER_DATA", ebx=words, edx=3)
    assert (call.eax, call.ebx, call.edx) == (MAGIC, words, 3)
    assert status(driven) == ERROR | 4
    assert not driven.backdoor.pointer.move(3, 4)
    command(driven, ENABLE)  # a driver starts again: its version comes first
    assert driven.call("ABSPOINTER_DATA", ebx=1).eax == VERSION
    assert status(driven) == 0


def test_disabling_ends_in_an_error_status(driven: Bench) -> None:
    driven.backdoor.pointer.press()
    command(driven, DISABLE)
    assert status(driven) == ERROR
    command(driven, ABSOLUTE)
    assert status(driven) == ERROR


def test_an_unknown_command_does_nothing(driven: Bench) -> None:
    assert command(driven, 0x12345678) == MAGIC
    assert status(driven) == 0


def test_the_queue_is_bounded(driven: Bench) -> None:
    taken = sum(driven.backdoor.pointer.move(place, 0) for place in range(1000))
    assert taken == QUEUE_WORDS // 4
    assert status(driven) == QUEUE_WORDS
    assert packet(driven)[1] == 0  # the oldest is kept
    assert driven.backdoor.pointer.move(5, 5)


# --- RESTRICT -------------------------------------------------------------------------------------


def test_a_driver_keeps_programs_out(driven: Bench) -> None:
    assert status(driven, cpl=3, iopl=3) == UNSUPPORTED
    assert command(driven, DISABLE, cpl=3) == UNSUPPORTED
    assert driven.call("ABSPOINTER_DATA", ebx=1, cpl=3).eax == UNSUPPORTED
    assert driven.call("ABSPOINTER_RESTRICT", ebx=ANY, cpl=3).eax == UNSUPPORTED
    assert status(driven) == 0


def test_restricted_to_iopl(driven: Bench) -> None:
    driven.call("ABSPOINTER_RESTRICT", ebx=IOPL)
    assert status(driven, cpl=3, iopl=2) == UNSUPPORTED
    assert status(driven, cpl=3, iopl=3) == 0
    driven.call("ABSPOINTER_RESTRICT", ebx=ANY)
    assert status(driven, cpl=3, iopl=0) == 0


def test_an_unknown_restriction_is_refused(driven: Bench) -> None:
    assert driven.call("ABSPOINTER_RESTRICT", ebx=3).eax == UNSUPPORTED
    assert status(driven, cpl=1) == UNSUPPORTED


# --- GETPTRLOCATION -------------------------------------------------------------------------------


def test_the_pointer_outside_of_the_window() -> None:
    bench = Bench()
    assert bench.call("GETPTRLOCATION").eax == 0xFF9CFF9C
    assert bench.call("SETPTRLOCATION", ebx=0x00010002).eax == 0
    assert bench.call("GETPTRLOCATION").eax == 0xFF9CFF9C


def test_the_pointer_inside_of_the_window() -> None:
    bench = Bench()
    bench.backdoor.pointer.grab(640, 480)
    assert bench.call("GETPTRLOCATION").eax == 640 << 16 | 480
    assert bench.call("SETPTRLOCATION", ebx=0x00010002).eax == 0
    assert bench.backdoor.pointer.location == (1, 2)
    bench.backdoor.pointer.ungrab()
    assert bench.call("GETPTRLOCATION").eax == 0xFF9CFF9C


def test_the_pointers_place_can_be_kept_from_the_guest() -> None:
    denied = Restrictions(get_pointer_disable=True, set_pointer_disable=True)
    bench = Bench({"restrictions": denied})
    assert bench.call("GETPTRLOCATION").eax == UNSUPPORTED
    assert bench.call("SETPTRLOCATION", ebx=5).eax == UNSUPPORTED

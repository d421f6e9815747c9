"""The window, removable devices, disks, debug output, injected input."""

from __future__ import annotations

from typing import Any

import pytest
from calls import Bench, changed

from devices.bus import Bus
from devices.clock import ManualClock
from devices.ps2_keyboard import Ps2Keyboard
from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.host import DiskGeometry, RemovableDevice
from monitor.vmware.parts.debug_output import CONSOLE_LIMIT, REPORT_LIMIT, TEXT_LIMIT
from monitor.vmware.parts.gui import DEFAULT_OPTIONS, GuiOption
from monitor.vmware.parts.input_injection import KEYS, TYPED_LIMIT
from monitor.vmware.restrictions import Restrictions

# --- the window -----------------------------------------------------------------------------------


def test_gui_options_are_kept() -> None:
    bench = Bench()
    assert bench.call("GETGUIOPTIONS").eax == DEFAULT_OPTIONS
    assert bench.call("SETGUIOPTIONS", ebx=GuiOption.SYNC_TIME).eax == 0
    assert bench.call("GETGUIOPTIONS").eax == GuiOption.SYNC_TIME | GuiOption.AUTO_RAISE_DISABLED
    bench.call("SETGUIOPTIONS", ebx=0)
    assert bench.call("GETGUIOPTIONS").eax == GuiOption.AUTO_RAISE_DISABLED


def test_full_screen_is_entered_and_left_by_two_bits() -> None:
    bench = Bench()
    bench.call("SETGUIOPTIONS", ebx=GuiOption.FULL_SCREEN)  # read only
    assert not bench.call("GETGUIOPTIONS").eax & GuiOption.FULL_SCREEN
    bench.call("SETGUIOPTIONS", ebx=GuiOption.TO_FULL_SCREEN)
    assert bench.call("GETGUIOPTIONS").eax & GuiOption.FULL_SCREEN
    assert not bench.call("GETGUIOPTIONS").eax & GuiOption.TO_FULL_SCREEN
    bench.call("SETGUIOPTIONS", ebx=GuiOption.TO_WINDOW)
    assert not bench.call("GETGUIOPTIONS").eax & GuiOption.FULL_SCREEN


def test_unknown_gui_options_do_not_stick() -> None:
    bench = Bench()
    bench.call("SETGUIOPTIONS", ebx=0xFFFFFFFF)
    assert bench.call("GETGUIOPTIONS").eax < 0x800


def test_gui_options_can_be_denied() -> None:
    bench = Bench({"restrictions": Restrictions(gui_options_enable=False)})
    assert bench.call("SETGUIOPTIONS", ebx=0).eax == UNSUPPORTED
    assert bench.call("GETGUIOPTIONS").eax == DEFAULT_OPTIONS


def test_denied_cut_and_paste_shows_in_the_options() -> None:
    denied = Restrictions(copy_disable=True, paste_disable=True)
    options = Bench({"restrictions": denied}).call("GETGUIOPTIONS").eax
    assert not options & GuiOption.EXCHANGE_SELECTIONS


@pytest.mark.parametrize(
    ("size", "eax"),
    [
        ((1024, 768), 0x04000300),
        ((0, 0), 0),
        ((0x7FFF, 1), 0x7FFF0001),
        ((0x8000, 1), 0),
        ((640, -1), 0),
    ],
)
def test_screen_size(size: tuple[int, int], eax: int) -> None:
    assert Bench({"screen_size": lambda: size}).call("GETSCREENSIZE").eax == eax


def test_no_screen_has_no_size() -> None:
    assert Bench().call("GETSCREENSIZE").eax == 0


def test_screenshots_are_taken_where_allowed() -> None:
    taken: list[int] = []
    allowed = {"allow": frozenset(("SCREENSHOT",))}

    def take() -> bool:
        taken.append(1)
        return True

    assert Bench({"screenshot": take}).call("SCREENSHOT").eax == UNSUPPORTED
    assert Bench(allowed).call("SCREENSHOT").eax == 0
    assert taken == []
    assert Bench({**allowed, "screenshot": take}).call("SCREENSHOT").eax == 1
    assert taken == [1]


# --- devices --------------------------------------------------------------------------------------


def record(bench: Bench, number: int) -> bytes | None:
    """RD_Info as the tools put it together."""
    data = b""
    for offset in range(0, 40, 4):
        call = bench.call("GETDEVICELISTELEMENT", ebx=number << 16 | offset)
        if call.eax != 1:
            return None
        data += call.ebx.to_bytes(4, "little")
    return data


def test_the_device_list() -> None:
    devices = [RemovableDevice("Floppy 1", 0x11), RemovableDevice("x" * 40, connected=False)]
    bench = Bench({"devices": devices})
    assert record(bench, 0) == b"Floppy 1".ljust(32, b"\0") + b"\x11\0\0\0" + b"\1\0\0\0"
    assert record(bench, 1) == b"x" * 31 + b"\0" + bytes(8)
    assert record(bench, 2) is None
    for offset in (37, 40, 0xFFFF):
        assert bench.call("GETDEVICELISTELEMENT", ebx=offset).eax == 0
    assert bench.call("GETDEVICELISTELEMENT", ebx=1).ebx == int.from_bytes(b"lopp", "little")


def test_no_devices_no_elements() -> None:
    bench = Bench()
    assert record(bench, 0) is None
    assert bench.call("TOGGLEDEVICE", ebx=0x80000000).eax == 0


def toggled(restrictions: Restrictions, works: bool = True) -> tuple[list[Any], RemovableDevice]:
    seen: list[Any] = []

    def connect(connected: bool) -> bool:
        seen.append(connected)
        return works

    device = RemovableDevice("CD", connect=connect)
    bench = Bench({"devices": [device], "restrictions": restrictions})
    seen.append(bench.call("TOGGLEDEVICE", ebx=0).eax)
    return seen, device


def test_a_device_is_disconnected_and_connected() -> None:
    seen, device = toggled(Restrictions())
    assert seen == [False, 1]
    assert not device.connected
    bench = Bench({"devices": [device]})
    assert bench.call("TOGGLEDEVICE", ebx=0x80000000).eax == 1
    assert bench.call("TOGGLEDEVICE", ebx=0x80000000).eax == 1  # it already is
    assert device.connected
    assert seen == [False, 1, True]


def test_a_device_may_refuse() -> None:
    seen, device = toggled(Restrictions(), works=False)
    assert seen == [False, 0]
    assert device.connected


def test_devices_can_be_kept_from_the_guest() -> None:
    seen, device = toggled(Restrictions(device_connectable_disable=True))
    assert seen == [0]
    assert device.connected


def test_disk_geometry() -> None:
    bench = Bench({"disks": [DiskGeometry(1023, 16, 63)]})
    call = bench.call("GETDISKGEO", ebx=0)
    assert (call.eax, call.ebx, call.ecx, call.edx) == (MAGIC, 1023, 16, 63)
    assert bench.call("GETDISKGEO", ebx=1).eax == UNSUPPORTED
    assert Bench().call("GETDISKGEO").eax == UNSUPPORTED


# --- debug output ---------------------------------------------------------------------------------


def test_characters_come_out() -> None:
    console = bytearray()
    settings = {"put_char": console.append, "allow": frozenset(("PUTCHR",))}
    bench = Bench(settings)
    for code in b"hello ":
        bench.call("PUTCHR", ebx=0xFFFFFF00 | code)
    words = [int.from_bytes(text, "little") for text in (b"worl", b"d\0\0\0", b"\0\0\0!")]
    call = bench.call("PUTCHR12", ebx=words[0], esi=words[1], edi=words[2])
    assert console == b"hello world!"
    assert bytes(bench.backdoor.debug_output.text) == console
    assert call.eax == MAGIC


def test_putchr_is_disabled_by_default() -> None:
    bench = Bench()
    assert bench.call("PUTCHR", ebx=65).eax == UNSUPPORTED
    assert not bench.backdoor.debug_output.text


def test_the_debug_text_is_bounded() -> None:
    console = bytearray()
    bench = Bench({"put_char": console.append})
    for number in range(CONSOLE_LIMIT // 12 + 10):
        bench.call("PUTCHR12", ebx=0x41414141, esi=0x41414141, edi=0x01010101 * (number % 255 + 1))
    assert len(bench.backdoor.debug_output.text) == TEXT_LIMIT
    assert len(console) == CONSOLE_LIMIT


def test_reports_are_told_and_bounded() -> None:
    lines: list[str] = []
    bench = Bench({"report": lines.append})
    assert changed(Call(ecx=53, ebx=9), bench.call("DEBUGEVENT", ebx=9)) == set()
    assert changed(Call(ecx=102), bench.call("REPORTGUESTCRASH")) == set()
    assert lines == ["the guest's debug event 0x9", "the guest reports that it crashed"]
    for _ in range(2 * REPORT_LIMIT):
        bench.call("REPORTGUESTCRASH", cpl=3)
    assert len(lines) == REPORT_LIMIT
    assert bench.backdoor.debug_output.crashes == 2 * REPORT_LIMIT + 1


def test_vmk_info_keeps_an_address() -> None:
    bench = Bench()
    assert bench.call("VMK_INFO", subcommand=0, ebx=1).eax == UNSUPPORTED
    assert bench.backdoor.debug_output.vmkernel_entry is None
    assert bench.call("VMK_INFO", subcommand=1, ebx=0x1234).eax == MAGIC
    assert bench.backdoor.debug_output.vmkernel_entry == 0x1234


# --- injected input -------------------------------------------------------------------------------


@pytest.fixture
def keyboard() -> Ps2Keyboard:
    return Ps2Keyboard(Bus(ManualClock()), lambda: None)


def injecting(**settings: object) -> Bench:
    return Bench({"allow": frozenset(("INJECT_KEY", "INJECT_MOUSE")), **settings})


def test_injected_keys_reach_the_keyboard(keyboard: Ps2Keyboard) -> None:
    noticed: list[int] = []
    bench = injecting(keyboard=keyboard, notice=lambda: noticed.append(1))
    for code in (0x1E, 0x8000001E, 0xE04B):  # A down, A up, left arrow down
        assert bench.call("INJECT_KEY", ebx=code).eax == 1
    sent = bytearray()
    while keyboard.has_data():
        sent.append(keyboard.take())
    assert sent.hex() == "1cf01ce06b"
    assert len(noticed) == 3


def test_every_key_has_a_scan_code() -> None:
    assert len(KEYS) > 90
    assert (KEYS[0x01], KEYS[0x1C], KEYS[0xE01C]) == ("esc", "enter", "kpenter")


def test_what_is_no_key_is_not_taken(keyboard: Ps2Keyboard) -> None:
    bench = injecting(keyboard=keyboard)
    for code in (0, 0x7F, 0xE000, 0x7FFFFFFF, 0xFFFFFFFF):
        assert bench.call("INJECT_KEY", ebx=code).eax == 0
    assert injecting().call("INJECT_KEY", ebx=0x1E).eax == 0  # no keyboard
    assert Bench({"keyboard": keyboard}).call("INJECT_KEY", ebx=0x1E).eax == UNSUPPORTED
    assert not keyboard.has_data()


def test_injected_keys_do_not_pile_up(keyboard: Ps2Keyboard) -> None:
    bench = injecting(keyboard=keyboard)
    taken = sum(bench.call("INJECT_KEY", ebx=0x1E).eax for _ in range(1000))
    assert TYPED_LIMIT <= taken < 2 * TYPED_LIMIT
    assert len(keyboard.typed) == TYPED_LIMIT


def test_injected_mouse_events_need_a_driver() -> None:
    bench = injecting()
    assert bench.call("INJECT_MOUSE", ebx=0x00010002).eax == 0
    bench.call("ABSPOINTER_COMMAND", ebx=0x45414552)
    bench.call("ABSPOINTER_DATA", ebx=1)
    bench.call("ABSPOINTER_COMMAND", ebx=0x53424152)
    assert bench.call("INJECT_MOUSE", ebx=0x11112222, subcommand=0x30).eax == 1
    call = bench.call("ABSPOINTER_DATA", ebx=4)
    assert (call.eax, call.ebx, call.ecx, call.edx) == (0x30, 0x1111, 0x2222, 0)
    assert Bench().call("INJECT_MOUSE").eax == UNSUPPORTED

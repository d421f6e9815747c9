"""Pixels, encodings and keys of the VNC server, each against its paragraph of RFC 6143."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pytest

from devices.scancodes import MAKE, TO_SET_1
from monitor.host.vnc.encodings import KNOWN, Encoder, tiles
from monitor.host.vnc.keysyms import NAMED, NUMBERED, chord_of
from monitor.host.vnc.messages import DESKTOP_SIZE, QEMU_POINTER, RAW, ZLIB, ZRLE, Area
from monitor.host.vnc.pixels import BGR233, SERVERS, BadFormat, PixelFormat, colour_map, format_of
from monitor.host.vnc.updates import Updates
from monitor.screen.rectangles import changes
from monitor.settings.vnc_config import VncConfig, parse_vnc
from monitor.vmm.errors import UserError

RGB565 = PixelFormat(16, True, (31, 63, 31), (11, 5, 0), 16)
HIGH = PixelFormat(32, False, (255, 255, 255), (24, 16, 8))
DEEP = PixelFormat(32, False, (1023, 1023, 1023), (20, 10, 0), 30)
Picture = npt.NDArray[np.uint8]


def picture(*lines: list[tuple[int, int, int]]) -> Picture:
    return np.array(lines, np.uint8)


def test_pixels_of_every_size() -> None:
    seen = picture([(255, 128, 0), (0, 255, 255)])
    assert SERVERS.pixels(seen).tobytes().hex() == "0080ff00" "ffff0000"
    assert HIGH.pixels(seen).tobytes().hex() == "000080ff" "00ffff00"
    assert RGB565.pixels(seen).tobytes().hex() == "fc00" "07ff"
    assert BGR233.pixels(seen).tobytes().hex() == "27" "f8"
    assert DEEP.pixels(seen).tolist() == [[1023 << 20 | 514 << 10, 1023 << 10 | 1023]]


def test_formats_that_clients_say() -> None:
    for form in (SERVERS, HIGH, DEEP, RGB565):
        assert format_of(form.pack()) == (form, False)
    assert format_of(bytes((8, 8, 0, 0)) + bytes(12)) == (BGR233, True)
    assert len(colour_map()) == 6 + 768 * 2
    assert colour_map()[6 + 7 * 6 : 6 + 7 * 6 + 6].hex() == "ffff00000000"


@pytest.mark.parametrize("bad", [
    "18180001" "00ff00ff00ff" "100800" "000000", "20180001" "ffff00ff00ff" "110800" "000000",
    "20180001" "00ff00ff00ff" "200800" "000000", "08080001" "000700ff0003" "000306" "000000",
    "10100000" "000000000000" "000000" "000000",
])  # fmt: skip
def test_pixels_that_cannot_be(bad: str) -> None:
    with pytest.raises(BadFormat):
        format_of(bytes.fromhex(bad))


def test_a_pixel_has_three_bytes_where_it_can() -> None:
    assert (SERVERS.short, HIGH.short) == (slice(0, 3), slice(1, 4))
    assert (DEEP.short, RGB565.short) == (None, None)
    big = PixelFormat(32, True, (255, 255, 255), (16, 8, 0))
    assert big.short == slice(1, 4)


def test_tiles_in_their_forms() -> None:
    one = np.full((2, 3), 0x112233, np.uint32)
    assert tiles(one, SERVERS).hex() == "01" "332211"
    two = one.copy()
    two[1, 2] = 0x445566
    assert tiles(two, SERVERS).hex() == "02" "332211" "665544" "00" "20"
    three = np.array([[0, 1, 2, 0, 1]], np.uint32)
    assert tiles(three, SERVERS).hex() == "03" "000000" "010000" "020000" "18" "40"
    sixteen = np.arange(16, dtype=np.uint32).reshape(1, 16)
    assert tiles(sixteen, SERVERS)[1 + 48 :].hex() == "0123456789abcdef"
    many = np.arange(17, dtype=np.uint32).reshape(1, 17)
    assert tiles(many, SERVERS).hex() == "00" + "".join(f"{i:02x}0000" for i in range(17))
    wide = np.zeros((65, 65), np.uint32)
    wide[64, 64] = 1
    assert tiles(wide, SERVERS).hex() == "01000000" * 3 + "01010000"


def test_a_stream_goes_on_and_the_client_s_order_counts() -> None:
    encoder, inflate = Encoder(), zlib.decompressobj()
    encoder.choose((5, ZLIB, ZRLE))
    for value in (1, 2):
        data = encoder.encode(np.full((4, 4), value, np.uint32), SERVERS)
        assert int.from_bytes(data[:4], "big") == len(data) - 4
        assert inflate.decompress(data[4:]) == bytes((value, 0, 0, 0)) * 16
    encoder.choose((5, 7))
    assert encoder.encoding == RAW and set(KNOWN) == {RAW, ZLIB, ZRLE}


def test_what_a_client_has_is_not_sent_twice() -> None:
    updates = Updates(8, 8, changes)
    black = np.zeros((8, 8, 3), np.uint8)
    assert updates.answer(black, False) == b""
    updates.ask(Area(0, 0, 8, 8), incremental=True)
    assert len(updates.answer(black, False)) == 4 + 12 + 8 * 8 * 4  # the first time, all of it
    updates.ask(Area(0, 0, 8, 8), incremental=True)
    assert updates.answer(black, False) == b"" and updates.asked
    dot = black.copy()
    dot[5, 6] = 255
    head, pixel = "00000001" "00060005" "00010001" "00000000", "ffffff00"
    assert updates.answer(dot, False).hex() == head + pixel
    updates.ask(Area(0, 0, 4, 4), incremental=True)
    assert updates.answer(black, False) == b"", "it changed elsewhere"
    updates.ask(Area(6, 5, 100, 1), incremental=False)
    assert len(updates.answer(dot, False)) == 4 + 12 + 2 * 4
    updates.ask(Area(9, 9, 5, 5), incremental=False)
    assert updates.answer(dot, False) == b"", "beside the screen"


def test_a_screen_that_grows() -> None:
    fixed, resized = Updates(4, 4, changes), Updates(4, 4, changes)
    resized.set_encodings((RAW, DESKTOP_SIZE))
    big = np.full((6, 5, 3), 9, np.uint8)
    for updates in (fixed, resized):
        updates.ask(Area(0, 0, 9, 9), incremental=False)
    assert len(fixed.answer(big, False)) == 4 + 12 + 4 * 4 * 4
    assert resized.answer(big, False).hex() == "00000001" "00000000" "00050006" "ffffff21"
    resized.ask(Area(0, 0, 9, 9), incremental=True)
    assert len(resized.answer(big, False)) == 4 + 12 + 5 * 6 * 4
    fixed.ask(Area(0, 0, 9, 9), incremental=False)
    assert fixed.answer(np.zeros((2, 2, 3), np.uint8), False)[16:] == bytes(4 * 4 * 4)


def test_a_client_learns_how_the_mouse_is_meant() -> None:
    updates = Updates(2, 2, changes)
    updates.set_encodings((QEMU_POINTER,))
    black = np.zeros((2, 2, 3), np.uint8)
    for follows, said in ((False, 0), (False, None), (True, 1)):
        updates.ask(Area(0, 0, 2, 2), incremental=True)
        sent = updates.answer(black, follows)
        if said is None:
            assert sent == b""
        else:
            assert sent[4:16].hex() == f"{said:04x}000000020002fffffeff"
        assert updates.by_motion is not follows


def test_every_key_has_its_number_and_most_a_name() -> None:
    for name, make in MAKE.items():
        if name in ("printscreen", "pause"):
            continue
        number = TO_SET_1[make[-1]] | (0x80 if len(make) == 2 else 0)
        if number in NUMBERED:
            assert NUMBERED[number] == name, name
    lacking = set(MAKE) - set(NUMBERED.values())
    media = ("audio", "volume", "ac_", "power", "sleep", "wake", "mail", "calculator", "computer")
    assert all(name.startswith(media) for name in lacking), lacking
    assert set(NAMED.values()) <= set(MAKE)
    for keysym in range(0x10000):
        chord = chord_of(keysym)
        assert chord is None or all(key in MAKE for key in chord)
    assert chord_of(ord("~")) == ("shift", "`") and chord_of(0xFFC9) == ("f12",)


@pytest.mark.parametrize(("text", "config"), [
    ("127.0.0.1:5900", VncConfig("127.0.0.1", 5900)), (":1", VncConfig("127.0.0.1", 5901)),
    ("localhost:0", VncConfig("localhost", 0)), ("[::1]:7", VncConfig("::1", 7)),
    ("0.0.0.0:1,password=word", VncConfig("0.0.0.0", 1, "word")),
])  # fmt: skip
def test_addresses(text: str, config: VncConfig) -> None:
    assert parse_vnc(text) == config


@pytest.mark.parametrize(("text", "message"), [
    ("", "give vnc=HOST:PORT, as in vnc=127.0.0.1:5900 or vnc=:1"),
    ("here", "give vnc=HOST:PORT"), ("h:x", "give vnc=HOST:PORT"), (":²", "give vnc=HOST:PORT"),
    ("127.0.0.1:65536", "a port goes up to 65535"), (":99999999999", "a port goes up to 65535"),
    ("0.0.0.0:1", "everybody could come in: add ,password=WORD, or listen on 127.0.0.1"),
    (":1,password=", "what may follow is ,password=WORD"), (":1,to=9", "what may follow is"),
    (":1,password=123456789", "have at most 8 characters"),
])  # fmt: skip
def test_addresses_that_are_none(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_vnc(text)
    assert message in str(caught.value)

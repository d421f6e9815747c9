"""8042, the keyboard behind it, and the way Linux probes and drives both."""

import pytest

from devices.i8042 import BYTE_NS
from devices.scancodes import MAKE, TO_SET_1, release_sequence

DATA, COMMAND = 0x60, 0x64
OBF, SYS, CMD, AUX, TIMEOUT = 0x01, 0x04, 0x08, 0x20, 0x40
MS = 10**6


@pytest.fixture
def kbc(board):
    board.init_pics()
    return board


def wait_data(board):
    """Poll as a driver does, and read."""
    for _ in range(10):
        if board.inb(COMMAND) & OBF:
            return board.inb(DATA)
        board.advance(BYTE_NS)
    raise AssertionError("the output buffer stays empty")


def drain(board):
    """Everything that arrives by itself."""
    received = bytearray()
    while True:
        board.advance(BYTE_NS)
        if not board.inb(COMMAND) & OBF:
            return bytes(received)
        received.append(board.inb(DATA))


def keyboard(board, *values):
    """Send bytes to the keyboard, return all that it answers."""
    answers = b""
    for value in values:
        board.outb(DATA, value)
        answers += drain(board)
    return answers


def command(board, value, argument=None):
    board.outb(COMMAND, value)
    if argument is not None:
        board.outb(DATA, argument)


def command_byte(board):
    command(board, 0x20)
    return wait_data(board)


# The controller


def test_power_on(kbc):
    assert kbc.inb(COMMAND) == 0x14
    assert command_byte(kbc) == 0x65


def test_linux_controller_probe(kbc):
    """i8042_controller_check, self test, i8042_controller_init."""
    assert kbc.inb(COMMAND) & OBF == 0  # flush
    command(kbc, 0xAA)
    assert wait_data(kbc) == 0x55
    ctr = command_byte(kbc)
    assert ctr & 0x40  # translated
    command(kbc, 0x60, (ctr | 0x10) & ~1)  # keyboard off, its interrupt too
    assert command_byte(kbc) == 0x74
    command(kbc, 0x60, ctr)
    assert command_byte(kbc) == ctr


def test_linux_aux_loop_and_toggle(kbc):
    """i8042_check_aux: loop a byte, then switch the port off and on and see it in the CTR."""
    command(kbc, 0xD3, 0x5A)
    assert kbc.inb(COMMAND) & (OBF | AUX) == OBF | AUX
    assert kbc.inb(DATA) == 0x5A
    command(kbc, 0xA9)
    assert wait_data(kbc) == 0x00
    command(kbc, 0xA7)
    assert command_byte(kbc) & 0x20
    command(kbc, 0xA8)
    assert not command_byte(kbc) & 0x20


def test_linux_aux_interrupt_test(kbc):
    command(kbc, 0x60, 0x47 & ~0x20)
    command(kbc, 0xD3, 0xA5)
    assert kbc.take() == 0x3C
    assert kbc.inb(DATA) == 0xA5
    assert not kbc.bus.intr


def test_no_mouse_in_the_socket(kbc):
    command(kbc, 0xD4, 0xF2)
    assert kbc.inb(COMMAND) & (AUX | TIMEOUT) == AUX | TIMEOUT
    assert kbc.inb(DATA) == 0xFE


def test_keyboard_interface_test_and_switches(kbc):
    command(kbc, 0xAB)
    assert wait_data(kbc) == 0
    command(kbc, 0xAD)
    assert command_byte(kbc) & 0x10
    kbc.pc.kbc.keyboard.press("a")
    assert drain(kbc) == b""
    command(kbc, 0xAE)
    assert drain(kbc) == b"\x1e"


def test_talking_to_the_keyboard_switches_it_on(kbc):
    command(kbc, 0xAD)
    assert keyboard(kbc, 0xEE) == b"\xee"


def test_controller_memory(kbc):
    for address in range(1, 32):
        command(kbc, 0x60 + address, address * 7 & 0xFF)
    for address in range(1, 32):
        command(kbc, 0x20 + address)
        assert wait_data(kbc) == address * 7 & 0xFF


def test_status_shows_what_was_written_last(kbc):
    command(kbc, 0xAE)
    assert kbc.inb(COMMAND) & CMD
    kbc.outb(DATA, 0xEE)
    assert not kbc.inb(COMMAND) & CMD


def test_system_flag_follows_the_command_byte(kbc):
    command(kbc, 0x60, 0x40)
    assert not kbc.inb(COMMAND) & SYS
    command(kbc, 0xAA)
    assert kbc.inb(COMMAND) & SYS


def test_a_new_command_drops_an_awaited_argument(kbc):
    kbc.outb(COMMAND, 0xD1)
    kbc.outb(COMMAND, 0xD3)
    kbc.outb(DATA, 0x00)  # not the output port: no reset
    assert kbc.resets == 0
    assert kbc.inb(DATA) == 0


def test_a20_through_the_output_port(kbc):
    assert kbc.pc.a20.enabled
    command(kbc, 0xD0)
    assert wait_data(kbc) & 0x03 == 0x03
    command(kbc, 0xD1, 0xDD)
    command(kbc, 0xD1, 0xDF)
    command(kbc, 0xDD)
    command(kbc, 0xD0)
    assert wait_data(kbc) & 0x03 == 0x01
    command(kbc, 0xDF)
    assert kbc.a20 == [False, True, False, True]


def test_output_port_shows_the_interrupt_pins(kbc):
    command(kbc, 0xD3, 1)
    command(kbc, 0xD0)
    kbc.inb(DATA)
    assert wait_data(kbc) & 0x30 == 0x20  # the looped byte was waiting when the port was read
    command(kbc, 0xD0)
    assert wait_data(kbc) & 0x30 == 0x00


@pytest.mark.parametrize("pulse, resets", [(0xFE, 1), (0xF0, 1), (0xFF, 0), (0xFD, 0)])
def test_pulses(kbc, pulse, resets):
    command(kbc, pulse)
    assert kbc.resets == resets


def test_reset_through_the_output_port(kbc):
    command(kbc, 0xD1, 0xDE)
    assert kbc.resets == 1


def test_write_keyboard_buffer_interrupts_untranslated(kbc):
    command(kbc, 0xD2, 0x1C)
    assert kbc.take() == 0x31
    assert kbc.inb(DATA) == 0x1C


# The keyboard


def test_key_with_translation(kbc):
    kbc.pc.kbc.keyboard.press("a")
    kbc.pc.kbc.keyboard.release("a")
    kbc.advance(BYTE_NS)
    assert kbc.take() == 0x31
    assert kbc.inb(DATA) == 0x1E
    assert not kbc.bus.intr
    assert kbc.inb(DATA) == 0x1E  # the buffer keeps its byte until the next one
    kbc.advance(BYTE_NS)
    assert kbc.take() == 0x31
    assert kbc.inb(DATA) == 0x9E


def test_key_without_translation(kbc):
    command(kbc, 0x60, 0x25)
    kbc.pc.kbc.keyboard.press("left")
    kbc.pc.kbc.keyboard.release("left")
    assert drain(kbc) == bytes.fromhex("e06b e0f06b")


def test_translation_of_extended_keys(kbc):
    for key in ("left", "kpenter", "printscreen"):
        kbc.pc.kbc.keyboard.press(key)
        kbc.pc.kbc.keyboard.release(key)
    kbc.pc.kbc.keyboard.press("pause")
    expected = "e04b e0cb  e01c e09c  e02ae037 e0b7e0aa  e11d45e19dc5"
    assert drain(kbc) == bytes.fromhex(expected)


def test_every_set_1_code_is_its_keys_own():
    """The familiar first row of an XT keyboard: scan codes count up."""
    row = "esc 1 2 3 4 5 6 7 8 9 0 - = backspace tab q w e r t y u i o p [ ] enter ctrl a s d"
    row += " f g h j k l ; ' ` shift \\ z x c v b n m , . / rshift kp* alt space capslock f1 f2"
    row += " f3 f4 f5 f6 f7 f8 f9 f10 numlock scrolllock kp7 kp8 kp9 kp- kp4 kp5 kp6 kp+ kp1 kp2"
    row += " kp3 kp0 kp."
    assert [TO_SET_1[MAKE[key][-1]] for key in row.split()] == list(range(1, 0x54))
    assert TO_SET_1[MAKE["f11"][0]] == 0x57 and TO_SET_1[MAKE["f12"][0]] == 0x58


def test_typing_a_text(kbc):
    kbc.pc.kbc.keyboard.type("Hi!\n")
    assert drain(kbc) == bytes.fromhex("2a23a3aa 1797 2a0282aa 1c9c")


def test_text_that_no_key_types():
    from devices.scancodes import keys_for

    with pytest.raises(ValueError, match="no key of a US keyboard types 'é'"):
        keys_for("é")


def test_unknown_key_is_named(kbc):
    with pytest.raises(ValueError, match="no key named 'hyper'"):
        kbc.pc.kbc.keyboard.press("hyper")


def test_long_text_waits_with_the_host(kbc):
    kbc.pc.kbc.keyboard.type("x" * 500)
    assert len(kbc.pc.kbc.keyboard.buffer) <= 16
    assert drain(kbc) == bytes.fromhex("2dad") * 500


def test_linux_atkbd_probe(kbc):
    """Reset, identify, LEDs, typematic, enable; translation shows in the identity."""
    assert keyboard(kbc, 0xFF) == b"\xfa\xaa"
    assert keyboard(kbc, 0xF2) == b"\xfa\xab\x41"
    assert keyboard(kbc, 0xED, 0x02) == b"\xfa\xfa"
    assert kbc.pc.kbc.keyboard.leds == 2
    assert keyboard(kbc, 0xF3, 0x00) == b"\xfa\xfa"
    assert keyboard(kbc, 0xF4) == b"\xfa"
    assert keyboard(kbc, 0xF0, 0x00) == b"\xfa\xfa\x41"  # set 2, translated
    command(kbc, 0x60, 0x25)
    assert keyboard(kbc, 0xF2) == b"\xfa\xab\x83"


def test_echo_resend_and_unknown_commands(kbc):
    assert keyboard(kbc, 0xEE) == b"\xee"
    assert keyboard(kbc, 0xFE) == b"\xee"
    assert keyboard(kbc, 0x00) == b"\xfe"
    assert keyboard(kbc, 0xFE) == b"\xee"  # not the resend request itself
    assert keyboard(kbc, 0xF7) == b"\xfa"


def test_a_command_in_place_of_an_argument(kbc):
    assert keyboard(kbc, 0xED, 0xF4) == b"\xfa\xfa"
    assert kbc.pc.kbc.keyboard.command == 0


def test_disabled_keyboard_leaves_keys_with_the_host(kbc):
    assert keyboard(kbc, 0xF5) == b"\xfa"
    kbc.pc.kbc.keyboard.type("a")
    assert drain(kbc) == b""
    assert keyboard(kbc, 0xF4) == b"\xfa\x1e\x9e"


def test_replies_come_before_keys_but_never_inside_one(kbc):
    command(kbc, 0x60, 0x25)
    kbc.pc.kbc.keyboard.press("up")
    kbc.pc.kbc.keyboard.press("down")
    kbc.advance(BYTE_NS)
    assert kbc.inb(DATA) == 0xE0
    kbc.outb(DATA, 0xEE)
    assert drain(kbc) == bytes.fromhex("75 ee e072")


def test_typematic(kbc):
    kbc.pc.kbc.keyboard.press("a")
    assert drain(kbc) == b"\x1e"
    kbc.advance(500 * MS)
    assert kbc.inb(DATA) == 0x1E
    repeats = 0
    for _ in range(100):
        kbc.advance(10 * MS)
        if kbc.inb(COMMAND) & OBF:
            repeats += 1
            assert kbc.inb(DATA) == 0x1E
    assert repeats == pytest.approx(10.9, abs=1)
    kbc.pc.kbc.keyboard.release("a")
    assert drain(kbc) == b"\x9e"
    assert kbc.bus.next_deadline() is None


def test_typematic_rate_and_delay(kbc):
    assert keyboard(kbc, 0xF3, 0x00) == b"\xfa\xfa"  # 30 a second after 250 ms
    kbc.pc.kbc.keyboard.press("a")
    assert drain(kbc) == b"\x1e"
    kbc.advance(250 * MS)
    assert drain(kbc) == b"\x1e"
    assert kbc.pc.kbc.keyboard.repeat_ns() == pytest.approx(10**9 / 30, rel=0.01)
    kbc.pc.kbc.keyboard.typematic = 0x7F
    assert kbc.pc.kbc.keyboard.repeat_ns() == pytest.approx(10**9 / 2, rel=0.01)


def test_a_held_key_nobody_reads_does_not_overflow(kbc):
    kbc.pc.kbc.keyboard.press("up")
    kbc.advance(10_000 * MS)
    assert len(kbc.pc.kbc.keyboard.buffer) <= 16
    kbc.pc.kbc.keyboard.release("up")
    received = drain(kbc)
    assert received.endswith(bytes.fromhex("e0c8"))
    assert received[:-2] == bytes.fromhex("e048") * (len(received) // 2 - 1)


def test_a_key_whose_release_waits_for_room_does_not_repeat(kbc):
    kbc.pc.kbc.keyboard.type("x" * 6)
    kbc.advance(BYTE_NS)
    assert list(kbc.pc.kbc.keyboard.typed) == ["-x"]
    assert kbc.bus.next_deadline() is None


def test_release_sequences():
    assert release_sequence("a") == bytes.fromhex("f01c")
    assert release_sequence("pause") == b""
    assert len(set(MAKE.values())) == len(MAKE)

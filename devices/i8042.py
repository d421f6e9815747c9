"""Intel 8042 keyboard controller of a PC/AT and PS/2, with a keyboard and a socket for a mouse.

Manual: IBM PS/2 Technical Reference, "Keyboard/auxiliary device controller"; Intel UPI-41/42
user's manual for the chip's two ports.

    0x60 read   output buffer           0x60 write  argument of a command, else to the keyboard
    0x64 read   status                  0x64 write  command

A command is done the moment it is written: IBF is never seen set. Replies of the controller appear
at once; bytes of keyboard and mouse need ``BYTE_NS`` on their wires, so that a guest may read the
same byte twice in a row, as the originals allow. (The real wire is slower; guests that poll would
only wait longer.) One byte is in the output buffer at a time, and status bit 5 says whose; the
other device keeps its own until that one is read.

Left out: the password (A4 says that there is none, A5 takes one and forgets it, A6 does nothing)
and AC, the diagnostic dump.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from devices.a20 import A20
from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import (
    BYTE,
    FLAG,
    LINE,
    PART,
    SOCKET,
    TIMER,
    WORD,
    choice,
    fields,
    number,
    sequence,
)
from devices.hands import Hands
from devices.ps2_keyboard import Ps2Keyboard
from devices.ps2_mouse import Ps2Mouse
from devices.scancodes import BREAK, TO_SET_1

BYTE_NS = 50_000
MOST_REPLIES = 16
RAM_BYTES = 32

STATUS_OBF, STATUS_SYS, STATUS_COMMAND, STATUS_UNLOCKED = 0x01, 0x04, 0x08, 0x10
STATUS_AUX, STATUS_TIMEOUT = 0x20, 0x40
CTR_KBD_INT, CTR_AUX_INT, CTR_SYS = 0x01, 0x02, 0x04
CTR_KBD_OFF, CTR_AUX_OFF, CTR_TRANSLATE = 0x10, 0x20, 0x40
# As firmware leaves it: the keyboard interrupts and is translated, the mouse is off.
CTR_DEFAULT = CTR_KBD_INT | CTR_SYS | CTR_AUX_OFF | CTR_TRANSLATE

READ_RAM, WRITE_RAM = range(0x20, 0x40), range(0x60, 0x80)
AUX_OFF, AUX_ON, AUX_TEST = 0xA7, 0xA8, 0xA9
SELF_TEST, KBD_TEST, KBD_OFF, KBD_ON = 0xAA, 0xAB, 0xAD, 0xAE
TEST_PASSWORD, LOAD_PASSWORD = 0xA4, 0xA5
READ_INPUT, READ_OUTPUT, WRITE_OUTPUT = 0xC0, 0xD0, 0xD1
POLL_LOW, POLL_HIGH = 0xC1, 0xC2
WRITE_KBD_BUFFER, WRITE_AUX_BUFFER, WRITE_AUX = 0xD2, 0xD3, 0xD4
A20_OFF, A20_ON, READ_TEST = 0xDD, 0xDF, 0xE0
PULSE = range(0xF0, 0x100)
WITH_ARGUMENT = frozenset(
    (LOAD_PASSWORD, WRITE_OUTPUT, WRITE_KBD_BUFFER, WRITE_AUX_BUFFER, WRITE_AUX, *WRITE_RAM)
)

TEST_PASSED, LINES_GOOD, NO_PASSWORD = 0x55, 0x00, 0xF1
INPUT_PORT = 0xB0  # not locked, colour display, no manufacturing jumper
OUT_RUN, OUT_A20, OUT_KBD_FULL, OUT_AUX_FULL = 0x01, 0x02, 0x10, 0x20
OUTPUT_PORT = 0xCD  # every other pin of P2 idles high
NO_MOUSE = 0xFE


class I8042(Chip):
    """The controller, its `keyboard`, the `hands` on that, and a `mouse` if there is one.

    `on_reset` is called when the guest pulls that line.
    """

    name = "i8042"
    state = fields(
        ram=sequence(BYTE, least=RAM_BYTES, most=RAM_BYTES),
        output=BYTE,
        output_flags=number(0, STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT),
        replies=sequence(WORD, most=MOST_REPLIES),
        command=choice((0, *WITH_ARGUMENT)),
        last_was_command=FLAG,
        break_next=FLAG,
        polling=choice((0, POLL_LOW, POLL_HIGH)),
        kbd_line=LINE,
        aux_line=LINE,
        timer=TIMER,
        aux_timer=TIMER,
        keyboard=PART,
        hands=PART,
        mouse=SOCKET,
    )
    wiring = ("_a20", "_bus", "_on_reset")

    def __init__(self, bus: Bus, a20: A20, on_reset: Callable[[], None] | None = None) -> None:
        self._bus = bus
        self._a20 = a20
        self._on_reset = on_reset
        self.kbd_line = bus.irq(1)
        self.aux_line = bus.irq(12)
        self.timer = bus.timer(self._keyboard_byte)  # the byte on the keyboard's wire is complete
        self.replies: deque[int] = deque()  # flags << 8 | byte
        self.ram = [0] * RAM_BYTES  # byte 0 is the command byte
        self.output = 0
        self.output_flags = 0
        self.keyboard = Ps2Keyboard(bus, self._fill)
        self.hands = Hands(bus, self.keyboard)
        self.keyboard.on_taken(self.hands.taken)
        self.mouse: Ps2Mouse | None = None
        self.aux_timer = bus.timer(self._mouse_byte)
        self.reset()
        bus.claim_ports(0x60, 1, PortHandlers("i8042", self._read_data, self._write_data))
        bus.claim_ports(0x64, 1, PortHandlers("i8042", self._read_status, self._write_command))

    def reset(self) -> None:
        self.ram = [CTR_DEFAULT] + [0] * (RAM_BYTES - 1)
        self.output = 0
        self.output_flags = 0  # STATUS_OBF with STATUS_AUX and STATUS_TIMEOUT, or nothing
        self.replies.clear()
        self.command = 0
        self.last_was_command = False
        self.break_next = False
        self.polling = 0
        self.timer.cancel()
        self.aux_timer.cancel()
        self._a20.set(True)
        self._update_irqs()
        self.keyboard.reset()
        if self.mouse is not None:
            self.mouse.reset()

    def plug_mouse(self) -> Ps2Mouse:
        """Put a mouse into the socket, where none is."""
        self.mouse = Ps2Mouse(self._bus, self._fill)
        return self.mouse

    def call_driver(self) -> None:
        """The mouse, if there is one, makes its driver look."""
        if self.mouse is not None:
            self.mouse.call_driver()

    @property
    def command_byte(self) -> int:
        """Byte 0 of its memory."""
        return self.ram[0]

    # Ports

    def _read_status(self, offset: int, size: int) -> int:
        status = STATUS_UNLOCKED | self.output_flags
        if self.command_byte & CTR_SYS:
            status |= STATUS_SYS
        if self.last_was_command:
            status |= STATUS_COMMAND
        if self.polling:  # half of the input port, in place of the upper four bits
            port = INPUT_PORT << 4 if self.polling == POLL_LOW else INPUT_PORT
            status = status & 0x0F | port & 0xF0
        return status

    def _read_data(self, offset: int, size: int) -> int:
        value = self.output
        if self.output_flags:
            self.output_flags = 0
            self._update_irqs()
            self._fill()
        return value

    def _write_data(self, offset: int, size: int, value: int) -> None:
        self.last_was_command = False
        self.polling = 0
        command, self.command = self.command, 0
        if command:
            self._argument(command, value)
        else:
            self.ram[0] &= ~CTR_KBD_OFF  # talking to the keyboard switches it on
            self.keyboard.write(value)
        self._fill()

    def _write_command(self, offset: int, size: int, value: int) -> None:
        self.last_was_command = True
        self.command = 0
        self.polling = value if value in (POLL_LOW, POLL_HIGH) else 0
        if value in WITH_ARGUMENT:
            self.command = value
        elif value in READ_RAM:
            self._reply(self.ram[value - READ_RAM.start])
        elif value in PULSE:
            self._pulse(value)
        else:
            self._simple_command(value)
        self._fill()

    # Commands

    def _simple_command(self, value: int) -> None:
        if value in (AUX_OFF, AUX_ON):
            self._switch(CTR_AUX_OFF, value == AUX_OFF)
        elif value in (KBD_OFF, KBD_ON):
            self._switch(CTR_KBD_OFF, value == KBD_OFF)
        elif value in (A20_OFF, A20_ON):
            self._a20.set(value == A20_ON)
        elif value == SELF_TEST:
            self.ram[0] |= CTR_SYS
            self._reply(TEST_PASSED)
        elif value in (AUX_TEST, KBD_TEST):
            self._reply(LINES_GOOD)
        elif value == TEST_PASSWORD:
            self._reply(NO_PASSWORD)
        elif value == READ_INPUT:
            self._reply(INPUT_PORT)
        elif value == READ_OUTPUT:
            self._reply(self._output_port())
        elif value == READ_TEST:
            self._reply(0)

    def _argument(self, command: int, value: int) -> None:
        if command in WRITE_RAM:
            self.ram[command - WRITE_RAM.start] = value
            self._update_irqs()
        elif command == WRITE_OUTPUT:
            self._a20.set(bool(value & OUT_A20))
            if not value & OUT_RUN:
                self._request_reset()
        elif command == WRITE_KBD_BUFFER:
            self._reply(value)
        elif command == WRITE_AUX_BUFFER:
            self._reply(value, STATUS_AUX)
        elif command == LOAD_PASSWORD:
            self.command = command if value else 0  # it ends with a zero
        elif self.mouse is not None:
            self.mouse.write(value)
        else:
            self._reply(NO_MOUSE, STATUS_AUX | STATUS_TIMEOUT)

    def _switch(self, bit: int, off: bool) -> None:
        self.ram[0] = self.ram[0] | bit if off else self.ram[0] & ~bit

    def _output_port(self) -> int:
        port = OUTPUT_PORT
        if self._a20.enabled:
            port |= OUT_A20
        if self.output_flags:
            port |= OUT_AUX_FULL if self.output_flags & STATUS_AUX else OUT_KBD_FULL
        return port

    def _pulse(self, value: int) -> None:
        """The low four bits of the output port go low for 6 us where the command has zeros."""
        if not value & OUT_RUN:
            self._request_reset()

    def _request_reset(self) -> None:
        if self._on_reset is not None:
            self._on_reset()

    # The output buffer

    def _reply(self, byte: int, flags: int = 0) -> None:
        """For the guest to read. One that never does has the first ones, and no more."""
        if len(self.replies) < MOST_REPLIES:
            self.replies.append(flags << 8 | byte)

    def _fill(self) -> None:
        """Put the next byte into the output buffer, or see that it comes."""
        if self.output_flags:
            return
        if self.replies:
            reply = self.replies.popleft()
            self._set_output(reply & 0xFF, reply >> 8)
            return
        if not self.timer.live and self._keyboard_may_send():
            self.timer.set(self._bus.clock.now() + BYTE_NS)
        if not self.aux_timer.live and self._mouse_to_send() is not None:
            self.aux_timer.set(self._bus.clock.now() + BYTE_NS)

    def _keyboard_may_send(self) -> bool:
        return self.keyboard.has_data() and not self.command_byte & CTR_KBD_OFF

    def _mouse_to_send(self) -> Ps2Mouse | None:
        if self.mouse is None or self.command_byte & CTR_AUX_OFF or not self.mouse.has_data():
            return None
        return self.mouse

    def _mouse_byte(self) -> None:
        """The same of the mouse, which nobody translates."""
        mouse = self._mouse_to_send()
        if mouse is not None and not self.output_flags:
            self._set_output(mouse.take(), STATUS_AUX)

    def _keyboard_byte(self) -> None:
        """A byte has crossed the wire, if it still may."""
        while not self.output_flags and self._keyboard_may_send():
            byte = self.keyboard.take()
            if not self.command_byte & CTR_TRANSLATE:
                self._set_output(byte)
            elif byte == BREAK:
                self.break_next = True
            else:
                release = 0x80 if self.break_next else 0
                self.break_next = False
                self._set_output(TO_SET_1[byte] | release)

    def _set_output(self, byte: int, flags: int = 0) -> None:
        self.output = byte
        self.output_flags = STATUS_OBF | flags
        self._update_irqs()

    def _update_irqs(self) -> None:
        aux = bool(self.output_flags & STATUS_AUX)
        full = bool(self.output_flags)
        kbd_level = full and not aux and bool(self.command_byte & CTR_KBD_INT)
        aux_level = full and aux and bool(self.command_byte & CTR_AUX_INT)
        if kbd_level != self.kbd_line.level:
            self.kbd_line.set(kbd_level)
        if aux_level != self.aux_line.level:
            self.aux_line.set(aux_level)

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """A byte on a wire, a key that is held down, a stroke or a report that is to come.

        (The host types on the serial line.) A device that is switched off keeps what it has.
        """
        if self.output_flags:
            return
        keys, reports = [self.timer], [self.aux_timer]
        if not self.command_byte & CTR_KBD_OFF:
            keys += [self.keyboard.timer, self.hands.timer]
        if self.mouse is not None and not self.command_byte & CTR_AUX_OFF:
            reports.append(self.mouse.timer)
        for bit, timers, line in (
            (CTR_KBD_INT, keys, self.kbd_line),
            (CTR_AUX_INT, reports, self.aux_line),
        ):
            if self.command_byte & bit and any(timer.live for timer in timers):
                yield line.number

    def typed_irqs(self) -> Iterator[int]:
        """Those of the lines that somebody at the keyboard or the mouse could raise."""
        if self.output_flags:
            return
        if self.command_byte & (CTR_KBD_INT | CTR_KBD_OFF) == CTR_KBD_INT:
            yield self.kbd_line.number
        if (
            self.command_byte & (CTR_AUX_INT | CTR_AUX_OFF) == CTR_AUX_INT
            and self.mouse is not None
        ):
            yield self.aux_line.number

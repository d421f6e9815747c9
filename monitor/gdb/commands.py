"""From a packet to its reply (Debugging with GDB, E.2 Packets and E.4 General Query Packets).

A packet that nobody knows gets the empty reply, as the protocol wants; one that cannot be done gets
E01. Packets that let the guest run have no reply at once: they come back as `Reply.resume`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from monitor.checkpoint.rewind import Rewind
from monitor.gdb.layout import GENERAL, target_description
from monitor.gdb.monitor_commands import View, run_command
from monitor.gdb.protocol import PACKET_SIZE
from monitor.gdb.stops import SIGTRAP, Stops
from monitor.gdb.target import Target
from monitor.machine import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

OK, ERROR, UNKNOWN = b"OK", b"E01", b""
CHUNK = PACKET_SIZE // 4  # bytes of text in one packet of output
FEATURES = (
    f"PacketSize={PACKET_SIZE:x};qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;"
    "vContSupported+"
)
BACKWARDS = ";ReverseStep+;ReverseContinue+"
EXPEDITED = ("eip", "esp", "ebp")  # registers that a stop reply brings along


class Resume(Enum):
    """What the debugger wants to happen to the guest."""

    CONTINUE = "continue"
    STEP = "step"
    DETACH = "detach"
    KILL = "kill"
    STEP_BACK = "step back"
    BACK = "back"


@dataclass(frozen=True)
class Reply:
    """Packets to send, and whether the guest shall go on; then its stop is the reply."""

    packets: tuple[bytes, ...] = ()
    resume: Resume | None = None


Handler = Callable[[bytes], Reply | bytes]


class Commands:
    """One machine's answers."""

    def __init__(self, machine: Machine, rewind: Rewind | None = None) -> None:
        self._machine = machine
        self._rewind = rewind
        self.target = Target(machine)
        self.stops = Stops(machine)
        self.stop_reply = b"S%02x" % SIGTRAP  # why the guest is stopped: the answer to ?
        self._description = target_description()
        self._handlers = self._table()

    def _table(self) -> dict[bytes, Handler]:
        """By the beginning of the packet. The longest that fits counts."""
        return {
            b"?": lambda _: self.stop_reply,
            b"g": lambda _: self.target.read_core().hex().encode(),
            b"G": self._write_core,
            b"p": lambda rest: self.target.read_register(_hex(rest)).hex().encode(),
            b"P": self._write_register,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"X": self._write_binary,
            b"Z": lambda rest: self._set_stop(rest, self.stops.insert),
            b"z": lambda rest: self._set_stop(rest, self.stops.remove),
            b"c": lambda rest: self._resume_at(rest, Resume.CONTINUE),
            b"C": lambda rest: self._resume_at(rest.partition(b";")[2], Resume.CONTINUE),
            b"s": lambda rest: self._resume_at(rest, Resume.STEP),
            b"S": lambda rest: self._resume_at(rest.partition(b";")[2], Resume.STEP),
            b"b": self._back,
            b"vCont?": lambda _: b"vCont;c;C;s;S",
            b"vCont;": self._v_cont,
            b"D": lambda _: Reply((OK,), Resume.DETACH),
            b"k": lambda _: Reply((), Resume.KILL),
            b"vKill": lambda _: Reply((OK,), Resume.KILL),
            b"H": lambda _: OK,
            b"T": lambda _: OK,
            b"qC": lambda _: b"QC1",
            b"qfThreadInfo": lambda _: b"m1",
            b"qsThreadInfo": lambda _: b"l",
            b"qThreadExtraInfo": lambda _: b"the virtual CPU".hex().encode(),
            b"qAttached": lambda _: b"1",  # so that gdb's end is no kill
            b"qSupported": self._features,
            b"qXfer:features:read:target.xml:": self._read_description,
            b"qRcmd,": self._monitor,
            b"qqemu.PhyMemMode": lambda _: b"1" if self.target.physical else b"0",
            b"Qqemu.PhyMemMode:": self._physical_mode,
        }

    def handle(self, packet: bytes) -> Reply:
        """What to do about a packet, whatever it is."""
        handler = self._handlers.get(self._name(packet))
        if handler is None:
            return Reply((UNKNOWN,))
        try:
            reply = handler(packet[len(self._name(packet)) :])
        except (UserError, ValueError):  # ValueError: digits that are none
            reply = ERROR
        return reply if isinstance(reply, Reply) else Reply((reply,))

    def _name(self, packet: bytes) -> bytes:
        """Of a long name (v, q, Q) all has to fit, of the others the letter."""
        if packet[:1] not in (b"v", b"q", b"Q"):
            return packet[:1]
        fitting = [name for name in self._handlers if len(name) > 1 and packet.startswith(name)]
        return max(fitting, key=len, default=packet)

    def stopped(self, signal: int, outcome: Outcome | None = None) -> bytes:
        """The stop reply for a guest that has just stopped; it is also the answer to ? now."""
        reason = self.stops.reason(outcome) if outcome is not None else ""
        values = self._machine.registers
        names = [register.name for register in GENERAL]
        registers = "".join(
            f"{names.index(name):02x}:{values[name].to_bytes(4, 'little').hex()};"
            for name in EXPEDITED
        )
        self.stop_reply = f"T{signal:02x}{reason}{registers}thread:1;".encode()
        return self.stop_reply

    # --- registers and memory -----------------------------------------------------------

    def _write_core(self, rest: bytes) -> bytes:
        self.target.write_core(_bytes(rest))
        return self._changed()

    def _write_register(self, rest: bytes) -> bytes:
        number, _, value = rest.partition(b"=")
        self.target.write_register(_hex(number), _bytes(value))
        return self._changed()

    def _read_memory(self, rest: bytes) -> bytes:
        address, size = _two(rest)
        if size == 0:
            return UNKNOWN
        return self.target.read_memory(address, min(size, PACKET_SIZE // 2)).hex().encode()

    def _write_memory(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._store(place, _bytes(data))

    def _write_binary(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._store(place, data)

    def _store(self, place: bytes, data: bytes) -> bytes:
        address, size = _two(place)
        if size != len(data):
            return ERROR
        self.target.write_memory(address, data)
        return self._changed()

    def _physical_mode(self, rest: bytes) -> bytes:
        self.target.physical = _hex(rest) != 0
        return OK

    # --- running ------------------------------------------------------------------------

    def _set_stop(self, rest: bytes, do: Callable[[int, int, int], None]) -> bytes:
        kind, address, size = rest.partition(b";")[0].split(b",")
        if _hex(kind) > 4:
            return UNKNOWN
        do(_hex(kind), _address(address), _hex(size))
        return OK

    def _resume_at(self, address: bytes, resume: Resume) -> Reply:
        if address:
            self._machine.set_register("eip", _address(address))
            self._changed()
        return Reply((), resume)

    def _v_cont(self, rest: bytes) -> Reply | bytes:
        """vCont;action[:thread]... There is one thread, so the first action is its."""
        action = rest[:1].lower()
        if action == b"c":
            return Reply((), Resume.CONTINUE)
        return Reply((), Resume.STEP) if action == b"s" else ERROR

    def _back(self, rest: bytes) -> Reply | bytes:
        """bs and bc: one instruction back, or to the last stop before."""
        how = {b"s": Resume.STEP_BACK, b"c": Resume.BACK}.get(rest)
        if self._rewind is None or how is None:
            return UNKNOWN
        return Reply((), how)

    def _changed(self) -> bytes:
        """The debugger changed the guest: if that is its past, it has another future now."""
        if self._rewind is not None:
            self._rewind.changed()
        return OK

    # --- queries ------------------------------------------------------------------------

    def _features(self, _rest: bytes) -> bytes:
        return (FEATURES + (BACKWARDS if self._rewind is not None else "")).encode()

    def _read_description(self, rest: bytes) -> bytes:
        offset, size = _two(rest)
        part = self._description[offset : offset + min(size, PACKET_SIZE // 2)]
        return (b"m" if offset + len(part) < len(self._description) else b"l") + part

    def _monitor(self, rest: bytes) -> Reply:
        line = _bytes(rest).decode(errors="replace")
        try:
            text = run_command(View(self._machine, self.target), line)
        except UserError as error:
            text = f"{error}\n"
        return Reply((*output_packets(text), OK))


def output_packets(text: str) -> tuple[bytes, ...]:
    """Text for gdb's user to read."""
    data = text.encode()
    return tuple(
        b"O" + data[at : at + CHUNK].hex().encode() for at in range(0, len(data), CHUNK)
    )


def _hex(digits: bytes) -> int:
    """A number as packets have it: hexadecimal digits and nothing else. ValueError."""
    if not digits or len(digits) > 16 or not all(c in b"0123456789abcdefABCDEF" for c in digits):
        raise ValueError(digits)
    return int(digits, 16)


def _address(digits: bytes) -> int:
    value = _hex(digits)
    if value >> 32:
        raise ValueError(digits)
    return value


def _two(text: bytes) -> tuple[int, int]:
    """address,length"""
    address, _, size = text.partition(b",")
    return _address(address), _hex(size)


def _bytes(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode("ascii", errors="replace"))

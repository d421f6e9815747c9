"""The server over a socket: what packets do, and debuggers that misbehave."""

from __future__ import annotations

import random
import socket
import time

import pytest
from debuggee import MAPPED, ORIGIN, address, load
from patience import PATIENCE
from raw_client import Client, running

from monitor import Machine
from monitor.gdb import connection
from monitor.gdb.protocol import MAX_PACKET, encode
from monitor.gdb.server import GdbServer
from monitor.vmm.errors import UserError

END = b"W07"


def machine(mode: str = "translate", entry: str = "start") -> Machine:
    made = Machine(memory_mb=8, mode=mode)
    load(made, entry)
    return made


def undisturbed() -> tuple[bytes, int]:
    alone = machine()
    alone.run(timeout=PATIENCE)
    return alone.console, alone.instructions


def lived_as_ever(disturbed: Machine) -> None:
    assert (disturbed.console, disturbed.instructions) == undisturbed()


def eip(client: Client) -> int:
    return int.from_bytes(bytes.fromhex(client.ask(b"p8").decode()), "little")


# --- packets --------------------------------------------------------------------------------------


def test_the_first_questions() -> None:
    with running(machine()) as run:
        client = run.connect()
        supported = client.ask(b"qSupported:multiprocess+;swbreak+;xmlRegisters=i386")
        assert b"PacketSize=4000" in supported and b"swbreak+" in supported
        assert client.ask(b"?").startswith(b"T05")
        assert client.ask(b"qAttached") == b"1"
        assert client.ask(b"qfThreadInfo") == b"m1"
        assert client.ask(b"qsThreadInfo") == b"l"
        assert client.ask(b"Hg0") == b"OK"
        assert client.ask(b"vCont?") == b"vCont;c;C;s;S"
        assert client.ask(b"vMustReplyEmpty") == b""
        assert client.ask(b"qTStatus") == b""
        assert client.ask(b"c") == END
        assert run.end().status == 7
        lived_as_ever(run.machine)


def test_without_acknowledgements() -> None:
    with running(machine()) as run:
        client = run.connect()
        assert client.ask(b"QStartNoAckMode") == b"OK"
        client.send(b"?")
        time.sleep(0.2)
        assert client.link.recv(100).startswith(b"+$T05") is False
        client.send(b"D")
        assert client.reply() == b"OK"
        assert run.end().status == 7


@pytest.mark.parametrize("asked", [b"-", b"$?#00"])
def test_nothing_is_sent_again_without_acknowledgements(asked: bytes) -> None:
    """gdb asks when it has waited for two seconds; a second answer would be the next command's."""
    with running(machine()) as run:
        client = run.connect()
        assert client.ask(b"QStartNoAckMode") == b"OK"
        current = client.ask(b"qC")
        client.link.sendall(asked)
        assert client.ask(b"?") not in (current, b"")
        assert client.ask(b"qC") == current


def test_a_packet_is_sent_again_when_asked_for() -> None:
    with running(machine()) as run:
        client = run.connect()
        first = client.ask(b"?")
        client.link.sendall(b"-")
        assert client.reply() == first
        client.link.sendall(b"$?#00")  # a wrong sum: it wants ours again
        assert b"-" in client.link.recv(10)
        assert client.ask(b"?") == first


def test_all_registers_at_once() -> None:
    with running(machine()) as run:
        client = run.connect()
        values = bytes.fromhex(client.ask(b"g").decode())
        assert len(values) == 16 * 4 + 8 * 10 + 8 * 4
        changed = (0xCAFE).to_bytes(4, "little") + values[4:]
        assert client.ask(b"G" + changed.hex().encode()) == b"OK"
        assert client.ask(b"g") == changed.hex().encode()
        assert run.machine.registers["eax"] == 0xCAFE


NUMBERS = (0, 8, 9, 12, 15, 16, 23, 24, 26, 31, 32, 39, 40, 41, 44, 45, 67, 99)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_register_alone(number: int) -> None:
    with running(machine()) as run:
        client = run.connect()
        value = client.ask(b"p%x" % number)
        assert len(value) in (8, 16, 20, 32)
        if number < 45:
            assert client.ask(b"P%x=" % number + value) == b"OK"
        assert client.ask(b"p%x" % number) == value


@pytest.mark.parametrize(
    "packet",
    [
        *(b"p100", b"pffffffff", b"p", b"pzz", b"P0=12", b"P0", b"P3a=00000000", b"Pc=00ff0000"),
        *(b"m", b"m0", b"m0,", b"m0,zz", b"mzz,4", b"m900000,4", b"m123456789,4", b"m-1,4"),
        *(b"M0,4:0", b"M0,2:000000", b"M900000,1:00", b"X0,5:abc", b"Mzz"),
        *(b"Z0", b"Z0,0", b"Zz,0,0", b"Z0,zz,1", b"Z2,0,0", b"Z2,ffffffff,4", b"Z2,0,ffffffff"),
        *(b"vCont;x", b"vCont;", b"czz", b"szz", b"Gzz", b"qRcmd,zz", b"qRcmd,0"),
        *(b"qXfer:features:read:target.xml:0", b"Qqemu.PhyMemMode:x"),
    ],
)
def test_bad_packets_are_errors(packet: bytes) -> None:
    with running(machine()) as run:
        client = run.connect()
        assert client.ask(packet).startswith(b"E")
        assert eip(client) == ORIGIN


@pytest.mark.parametrize("packet", [b"", b"\xff\xfe", b"Z9,0,0", b"q", b"QFoo", b"vFoo;1", b"R00"])
def test_unknown_packets_are_answered_empty(packet: bytes) -> None:
    with running(machine()) as run:
        assert run.connect().ask(packet) == b""


def test_reading_to_the_end_of_what_is_mapped() -> None:
    """A short answer where memory ends; see `m` in the protocol."""
    with running(machine()) as run:
        client = run.connect()
        last = (8 << 20) - 4
        assert len(client.ask(b"m%x,40" % last)) == 8
        assert client.ask(b"m%x,4" % (8 << 20)).startswith(b"E")
        assert client.ask(b"m100000,0") == b""


def test_a_write_that_does_not_fit_writes_nothing() -> None:
    with running(machine()) as run:
        client = run.connect()
        last = (8 << 20) - 2
        before = run.machine.read_physical(last, 2)
        assert client.ask(b"M%x,4:ffffffff" % last).startswith(b"E")
        assert run.machine.read_physical(last, 2) == before
        assert client.ask(b"X%x,2:#~" % last) == b"OK"
        assert run.machine.read_physical(last, 2) == b"#~"


def test_monitor_output_in_many_packets() -> None:
    with running(machine()) as run:
        client = run.connect()
        client.send(b"qRcmd," + b"statistics".hex().encode())
        text = b""
        while (packet := client.reply()) != b"OK":
            assert packet[:1] == b"O" and len(packet) < 0x4000
            text += bytes.fromhex(packet[1:].decode())
        assert text == run.machine.statistics().__repr__().encode() or b'"mode"' in text


def test_too_many_stops_are_an_error() -> None:
    with running(machine()) as run:
        client = run.connect()
        replies = [client.ask(b"Z0,%x,1" % (0x200000 + i)) for i in range(300)]
        assert replies.count(b"OK") == 255 and replies[-1].startswith(b"E")
        watches = [client.ask(b"Z2,%x,4" % (0x500000 + 4 * i)) for i in range(20)]
        assert watches.count(b"OK") == 16 and watches[-1].startswith(b"E")
        assert client.ask(b"c") == END
        lived_as_ever(run.machine)


def test_a_software_and_a_hardware_breakpoint_at_one_place() -> None:
    place = address("user_back")
    with running(machine()) as run:
        client = run.connect()
        for kind in (0, 1):
            assert client.ask(b"Z%d,%x,1" % (kind, place)) == b"OK"
        assert b"hwbreak:" in client.ask(b"c")
        assert client.ask(b"z1,%x,1" % place) == b"OK"
        assert b"swbreak:" in client.ask(b"c")
        assert client.ask(b"z0,%x,1" % place) == b"OK"
        assert client.ask(b"c") == END


def test_a_write_to_page_tables_holds() -> None:
    """What gdb stores in the guest's tables is what it then reads through."""
    with running(machine()) as run:
        client = run.connect()
        assert client.ask(b"Z0,%x,1" % address("user")) == b"OK"
        assert client.ask(b"c").startswith(b"T05")
        assert run.machine.translate(MAPPED) == MAPPED + 0x100000
        entry = (MAPPED | 3).to_bytes(4, "little").hex().encode()
        assert client.ask(b"M%x,4:" % (0x201000 + MAPPED // 1024) + entry) == b"OK"
        assert run.machine.translate(MAPPED) == MAPPED


# --- debuggers that misbehave ---------------------------------------------------------------------


def test_a_debugger_that_is_reset() -> None:
    with running(machine()) as run:
        client = run.connect()
        assert client.ask(b"Z0,%x,1" % address("user_back")) == b"OK"
        client.reset()
        assert run.end().status == 7
        lived_as_ever(run.machine)


def test_a_debugger_that_is_reset_while_the_guest_runs() -> None:
    with running(machine(entry="spin")) as run:
        client = run.connect()
        client.send(b"c")
        time.sleep(0.1)
        client.reset()
        again = run.connect()
        assert again.ask(b"?").startswith(b"T05")
        again.send(b"k")
        assert run.end().kind == "stopped"


def test_a_debugger_that_is_never_heard_of() -> None:
    """It connects and says nothing: the guest waits, and the time limit holds."""
    with running(machine(), wait=False, timeout=1.0) as run:
        run.connect()
        assert run.end().kind in ("timeout", "exit")
    with running(machine(entry="spin"), wait=True, timeout=2.0) as run:
        client = run.connect()
        assert run.end().kind == "timeout"
        with pytest.raises(ConnectionError):
            client.reply()


def test_one_that_asks_and_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.5)
    with running(machine()) as run:
        client = run.connect()
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = encode(b"m100000,2000") * 500
        with pytest.raises(OSError):
            for _ in range(10_000):
                client.link.sendall(asked)
        assert run.end().status == 7


def test_noise() -> None:
    rng = random.Random(6)
    with running(machine(entry="spin")) as run:
        for _ in range(5):
            client = run.connect()
            # No k, c, s or D: what this is about is that nothing else lets go of the guest.
            alphabet = b"$#+-}:;,=?gGpPmMXZzHTqQv0123456789abef\xff\x00"
            client.link.sendall(bytes(rng.choice(alphabet) for _ in range(20_000)))
            client.reset()
        last = run.connect()
        assert last.ask(b"?").startswith(b"T05")
        assert run.stop().kind == "stopped"


def test_well_formed_noise() -> None:
    rng = random.Random(7)
    names = (b"m", b"M", b"X", b"p", b"P", b"G", b"Z0", b"z0", b"Z2", b"z3", b"H", b"T", b"qRcmd,",
             b"qXfer:features:read:target.xml:", b"vCont?", b"Qqemu.PhyMemMode:")  # fmt: skip
    with running(machine()) as run:
        client = run.connect()
        for _ in range(2000):
            rest = bytes(rng.choice(b"0123456789abcdef,;:=") for _ in range(rng.randrange(12)))
            client.ask(rng.choice(names) + rest)
        client.send(b"k")
        assert run.end().kind == "stopped"


def test_a_giant_packet() -> None:
    with running(machine()) as run:
        client = run.connect()
        assert client.ask(b"M100000,1:" + b"0" * (4 * MAX_PACKET)).startswith(b"E")
        assert eip(client) == ORIGIN


def test_a_second_debugger_is_turned_away() -> None:
    with running(machine()) as run:
        first = run.connect()
        assert first.ask(b"?").startswith(b"T05")
        second = run.connect()
        with pytest.raises(ConnectionError):
            second.ask(b"?")
        assert eip(first) == ORIGIN


# --- the run around it ----------------------------------------------------------------------------


def test_limits_hold() -> None:
    with running(machine(entry="spin"), max_instructions=5000) as run:
        client = run.connect()
        assert client.ask(b"s").startswith(b"T05")
        assert client.ask(b"c") == b"W00"
        assert run.end().kind == "instructions"
        assert run.machine.instructions == 5000


def test_text_that_is_waited_for() -> None:
    with running(machine(), until="on the") as run:
        client = run.connect()
        assert client.ask(b"Z0,%x,1" % address("put_char")) == b"OK"
        stops = 0
        while (reply := client.ask(b"vCont;c")).startswith(b"T05"):
            stops += 1
            assert client.ask(b"s").startswith(b"T05")
        assert reply == b"W00"
        assert stops == len("gdb on the")
        assert run.end().kind == "until"


def test_ctrl_c_while_it_runs() -> None:
    with running(machine(entry="spin")) as run:
        client = run.connect()
        client.send(b"c")
        time.sleep(0.1)
        client.link.sendall(b"\x03")
        assert client.reply().startswith(b"T02")
        assert eip(client) - address("spin") in (0, 1)
        assert client.ask(b"D") == b"OK"
        assert run.stop().kind == "stopped"


def test_attaching_stops_a_guest_that_runs() -> None:
    with running(machine(entry="spin"), wait=False) as run:
        client = run.connect()
        assert client.ask(b"?").startswith(b"T05")
        count = run.machine.instructions
        time.sleep(0.1)
        assert run.machine.instructions == count


def test_a_halted_guest_without_interrupts_can_be_looked_at() -> None:
    halted = Machine(memory_mb=4)
    halted.load_flat(b"\xfa\xf4", ORIGIN)
    with running(halted) as run:
        client = run.connect()
        client.send(b"c")
        assert bytes.fromhex(client.reply()[1:].decode()).startswith(b"halted")
        assert client.reply().startswith(b"T06")
        assert eip(client) == ORIGIN + 2
        assert client.ask(b"c") == b"X06"
        assert run.end().kind == "stuck"


def test_a_port_that_is_taken() -> None:
    with GdbServer(machine()) as one, pytest.raises(UserError, match="cannot listen"):
        GdbServer(machine(), one.port)

"""The console keeps a tail, and is searched as it flows (monitor/host/console.py, run(since=))."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.host.console import LIMIT, Awaited, Console
from monitor.host.typist import TypedLine, Typist
from monitor.vmm.errors import UserError

modes = pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
PIECE = bytes(range(256)) * 256  # 64 KiB


# --- the stream -----------------------------------------------------------------------------------


def test_ten_megabytes_stay_two() -> None:
    console = Console()
    chain = b""
    waiting = b""
    tracemalloc.start()
    try:
        for number in range(160):
            piece = number.to_bytes(4, "little") + PIECE[4:]
            console.write(piece)
            waiting += piece
            if len(waiting) == 1 << 20:
                chain, waiting = hashlib.sha256(chain + waiting).digest(), b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert console.total == 160 * len(PIECE) == 10 << 20
    assert LIMIT <= len(console.tail) <= 2 * LIMIT
    assert peak < 8 * LIMIT  # a bytearray grows in steps
    assert not waiting and console.digest() == hashlib.sha256(chain).hexdigest()
    assert console.start + len(console.tail) == console.total
    assert console.tail.endswith(piece)


def test_byte_by_byte_is_the_same_stream() -> None:
    data = bytes(range(256)) * 3
    slow, fast = Console(limit=10), Console(limit=10)
    for byte in data:
        slow.write(bytes((byte,)))
    fast.write(data)
    assert slow.digest() == fast.digest() == hashlib.sha256(data).hexdigest()
    assert 10 <= len(slow.tail) <= 20 and data.endswith(slow.tail)
    assert len(fast.tail) == 10 and data.endswith(fast.tail)
    assert slow.last(5) == fast.last(5) == data[-5:] and slow.last(0) == b""


@pytest.mark.parametrize("most", [None, 1 << 18])
@pytest.mark.parametrize("pieces", [0, 1, 16, 40])
def test_one_goes_on_where_another_was(pieces: int, most: int | None) -> None:
    one, two = Console(), Console()
    for number in range(pieces):
        one.write(number.to_bytes(4, "little") + PIECE[4:])
    two.resume(one.state(most))
    for number in range(40):
        for console in (one, two):
            console.write(PIECE)
        assert (one.total, one.digest()) == (two.total, two.digest()), number
    assert one.last(1 << 18) == two.last(1 << 18)


def test_one_that_keeps_all() -> None:
    console = Console(limit=4)
    console.keep_all = True
    console.write(b"0123456789" * 10)
    assert console.tail == b"0123456789" * 10 and console.start == 0
    console.keep_all = False
    console.write(b"x")
    assert console.tail == b"789x" and console.start == 97 and console.total == 101


def test_positions() -> None:
    console = Console(limit=4)
    console.write(b"0123456789")
    assert console.since(7) == b"789" and console.since(10) == b""
    for position in (5, 11):
        with pytest.raises(UserError, match=r"choose one from 6 to 10, or set keep_all"):
            console.since(position)


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("at", range(0, 40))
def test_a_text_is_found_wherever_it_is_cut(at: int, size: int) -> None:
    """Also where the tail was trimmed in the middle of it, or is shorter than the text."""
    console = Console(limit=3)
    found: list[int] = []
    console.on_found = lambda: found.append(console.total)
    awaited = console.await_text(b"wanted")
    stream = b"." * at + b"wanted" + b"." * 20
    for start in range(0, len(stream), size):
        console.write(stream[start : start + size])
        assert awaited.found == (start + size >= at + 6)
    end = at + 6
    assert found[0] == min(len(stream), -(-end // size) * size)


def test_each_byte_is_looked_at_once() -> None:
    """What is kept of the stream for the next piece does not grow with it."""
    awaited = Awaited(b"never", b"")
    for _ in range(100):
        awaited.hear(b"neve" * 1000)
        assert len(awaited._before) < len(b"never")
    assert not awaited.found


def test_what_counts_as_come() -> None:
    console = Console(limit=8)
    console.write(b"login: / #")
    assert not console.await_text(b"login: ").found
    assert console.await_text(b"login: ", since=0).found
    assert console.await_text(b"login: ", since="all").found
    assert not console.await_text(b"login: ", since=1).found
    late = console.await_text(b"# ")
    console.write(b" ")
    assert late.found, "begun before, complete now"
    later = console.await_text(b"# ", since=console.total - 1)
    console.write(b"x")
    assert not later.found, "begun before the position"


# --- a machine ------------------------------------------------------------------------------------

PRINTS = """
    mov  dx, 0x3f8
    mov  esi, text
again:
    lodsb
    test al, al
    jz   done
    out  dx, al
    jmp  again
done:
    hlt
text:
"""
ORIGIN = 0x100000


def printing(text: bytes, mode: str = "translate") -> Machine:
    code = assemble(PRINTS.replace("text\n", f"{ORIGIN + TEXT:#x}\n", 1), ORIGIN)
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(code + text + b"\0", ORIGIN)
    return machine


TEXT = len(assemble(PRINTS.replace("text\n", "0x100000\n", 1), ORIGIN))


@modes
def test_until_waits_for_what_is_new(mode: str) -> None:
    machine = printing(b"one # two # end", mode)
    ends = []
    for _ in range(2):
        assert machine.run(until="# ", timeout=PATIENCE).kind == "until"
        ends.append(machine.console)
    assert ends == [b"one # ", b"one # two # "], "it stops at the very byte"
    assert machine.run(until="# ", timeout=PATIENCE).kind == "stuck"
    assert machine.console == b"one # two # end"


@modes
def test_until_with_a_position(mode: str) -> None:
    machine = printing(b"one # two # end", mode)
    assert machine.run(until="two", timeout=PATIENCE).kind == "until"
    count = machine.instructions
    assert machine.run(until="one", since="all", timeout=PATIENCE).kind == "until"
    assert machine.run(until="two", since=6, timeout=PATIENCE).kind == "until"
    assert machine.instructions == count, "it was there: nothing ran"
    assert machine.run(until="wo", since=8, timeout=PATIENCE).kind == "stuck"


def test_a_since_that_there_is_not() -> None:
    machine = printing(b"one")
    machine.run(timeout=PATIENCE)
    for since in (4, -1):
        with pytest.raises(UserError, match="choose one from 0 to 3"):
            machine.run(until="x", since=since)
    with pytest.raises(UserError, match='choose "new", "all" or a position'):
        machine.run(until="x", since="old")


@modes
def test_a_machine_keeps_a_tail(mode: str) -> None:
    machine = printing(b"0123456789" * 30 + b"the end", mode)
    machine.output.limit = 100
    assert machine.run(until="9012345", timeout=PATIENCE).kind == "until"
    machine.run(timeout=PATIENCE)
    whole = b"0123456789" * 30 + b"the end"
    assert machine.output.total == 307 and machine.output.start > 0
    assert whole.endswith(machine.console) and 100 <= len(machine.console) <= 200
    assert machine.output.digest() == hashlib.sha256(whole).hexdigest()


@modes
def test_the_debug_console_keeps_a_tail_too(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.debug_port.output.limit = 8
    machine.load_flat(assemble("mov ecx, 100; again: mov al, cl; out 0xe9, al; loop again; hlt"),
                      ORIGIN)  # fmt: skip
    machine.run(timeout=PATIENCE)
    assert machine.debug_port.output.total == 100
    assert 8 <= len(machine.debug_console) <= 16
    assert machine.debug_console.endswith(bytes((3, 2, 1)))


def test_a_typist_keeps_no_more_than_its_cue() -> None:
    typist = Typist([TypedLine(b"x", b"a cue of some length"), TypedLine(b"y")], lambda text: None)
    typist(b"z" * 100_000)
    assert len(typist._heard) == len(b"a cue of some length")

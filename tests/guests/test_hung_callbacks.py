"""A function that does not return ends the run when its time is over, and the guest stays whole.

Somebody's own device, listener or host application loops, sleeps or waits; the guest is in the
middle of an instruction. Nothing here measures time: a limit that does not hold is a test that does
not end.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from bt.interp.state import CS
from monitor import Machine, Outcome
from monitor.embedding import watchdog
from monitor.extensions import Extensions
from monitor.vmm.events import ExitEvent

MODES = ("bare", "trap", "translate")
AT = 0x10000
BUFFER = 0x20000
PORT = 0x300
LIMIT = 1_000_000  # seconds
pytestmark = pytest.mark.timeout(60)


def loops() -> None:
    while True:
        pass


def sleeps() -> None:
    time.sleep(1_000_000)


def waits() -> None:
    threading.Event().wait()


def reads_a_pipe() -> None:
    ends = os.pipe()
    try:
        os.read(ends[0], 1)
    finally:
        os.close(ends[0])
        os.close(ends[1])


def catches_errors() -> None:
    while True:
        with contextlib.suppress(Exception):
            loops()


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "EVERY", 0.02)


def time_is_over() -> None:
    """Now, for the machine that runs, the inner one of two: the host's speed does not matter."""
    patrol = watchdog._patrol
    with patrol._change:
        patrol._watches[-1].due = 0
        patrol._change.notify()


HANGS = (loops, sleeps, waits, reads_a_pipe, catches_errors)


class Device:
    """At PORT: answers accesses with their number, hangs at access `at`, or is not there at it."""

    name = "somebody's device"

    def __init__(self, hang: Callable[[], None] | None, at: int = 0) -> None:
        self.hang, self.at = hang, at
        self.count = 0
        self.taken: list[int] = []

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2, 4)

    def read_port(self, offset: int, size: int) -> int:
        return self.count if self.answers() else (1 << 8 * size) - 1

    def write_port(self, offset: int, size: int, value: int) -> None:
        if self.answers():
            self.taken.append(value)

    def answers(self) -> bool:
        self.count += 1
        if self.count - 1 != self.at:
            return True
        if self.hang is not None:
            time_is_over()
            self.hang()
        return False


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def machine_with(mode: str, source: str, device: Device | None = None) -> Machine:
    machine = Machine(memory_mb=1, mode=mode)
    machine.load_flat(assemble(source, AT), AT, esp=0x9000)
    if device is not None:
        machine.board.bus.claim_ports(PORT, 4, device)
    return machine


@pytest.mark.parametrize("hang", HANGS)
def test_the_limit_ends_a_device_that_hangs(mode: str, hang: Callable[[], None]) -> None:
    source = f"mov edx, {PORT}; mov ecx, 7; inc ecx; out dx, al; inc ecx; hlt"
    device = Device(hang)
    machine = machine_with(mode, source, device)
    outcome = machine.run(timeout=LIMIT)
    assert outcome == Outcome("timeout", detail="the time limit was reached in OUT to port 0x300 "
                                                "(somebody's device), which did not return")
    assert machine.registers["ecx"] == 8, "up to the instruction, and no further"
    assert machine.instructions == 4
    assert machine.run().kind == "stuck"
    assert (machine.registers["ecx"], device.taken, machine.instructions) == (9, [], 6)


INSTRUCTIONS = ("in al, dx", "in eax, dx", "out dx, eax", "insb", "outsd", "rep outsb", "rep insd")


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_the_guest_is_as_if_the_device_were_not_there(mode: str, instruction: str) -> None:
    """The same end, registers, memory and time as if nobody had answered that one access."""
    source = f"""mov edx, {PORT}; mov esi, {BUFFER}; mov edi, {BUFFER + 64}; mov ecx, 5; cld
                 mov eax, 0x11223344; stc; {instruction}; pushfd; hlt"""
    ends = []
    for hang in (None, loops):
        device = Device(hang, 2 if "rep" in instruction else 0)
        machine = machine_with(mode, source, device)
        machine.memory.write(BUFFER, bytes(range(64)))
        if hang is not None:
            assert machine.run(timeout=LIMIT).kind == "timeout"
        assert machine.run().kind == "stuck"
        memory = machine.memory.read(0, machine.memory.size)
        ends.append((device.taken, machine.instructions, machine.registers, memory))
    assert ends[0] == ends[1]


def test_a_thread_of_its_own(mode: str) -> None:
    """No signal reaches it; what loops in Python is ended all the same."""
    machine = machine_with(mode, f"mov edx, {PORT}; in al, dx; hlt", Device(loops))
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(machine.run(timeout=LIMIT)))
    thread.start()
    thread.join()
    assert outcomes[0].kind == "timeout" and "IN from port 0x300" in outcomes[0].detail


TRACED = f"""
import resource, sys, threading
from bt.assembler import assemble
from monitor import Machine
from monitor.embedding import watchdog

class Device:
    name = "loops"
    def port_widths(self, offset): return (1,)
    def read_port(self, offset, size):
        patrol = watchdog._patrol
        with patrol._change:
            patrol._watches[-1].due = 0
            patrol._change.notify()
        while True: pass
    def write_port(self, offset, size, value): pass

machine = Machine(memory_mb=1, mode="bare")
machine.load_flat(assemble("mov edx, {PORT}; in al, dx; hlt", {AT}), {AT})
machine.board.bus.claim_ports({PORT}, 1, Device())
watchdog.EVERY = 0.01
kinds = []
thread = threading.Thread(target=lambda: kinds.append(machine.run(timeout={LIMIT}).kind))
thread.start()
thread.join()
used = resource.getrusage(resource.RUSAGE_SELF)
last = int(used.ru_utime + used.ru_stime) + 10
resource.setrlimit(resource.RLIMIT_CPU, (last, last))
sys.settrace(lambda frame, event, arg: None)
print(kinds, (lambda: "goes on")())
"""


def test_a_tracer_works_after_a_thread_was_interrupted() -> None:
    """Nothing of the exception stays behind: with what did, CPython 3.11 spins in a traced call."""
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)  # fmt: skip
    assert (done.stdout, done.stderr) == ("['timeout'] goes on\n", "")


def test_a_thread_that_is_struck_as_its_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception comes while the watch is taken away: it is gone, and the lock is free."""
    patrol = watchdog._Patrol()
    monkeypatch.setattr(watchdog, "_patrol", patrol)
    machine = machine_with("bare", "hlt")
    over = type("TimeOver", (watchdog.TimeOver,), {})
    raised: list[bool] = []
    place = 0

    def runs() -> None:
        """Struck at the place-th line that runs as the limit is left."""
        left = place

        def trace(frame: FrameType, event: str, arg: object) -> object:
            nonlocal left
            if frame.f_code.co_filename != watchdog.__file__ or frame.f_code.co_name == "limit":
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    raise over
            return trace

        try:
            with watchdog.limit(math.inf, machine.board, machine.processor, machine.hooks):
                patrol._watches[-1]._over = over
                sys.settrace(trace)
        except watchdog.TimeOver:
            raised.append(True)
        else:
            raised.append(False)
        finally:
            sys.settrace(None)

    while not raised or raised[-1]:
        place += 1
        thread = threading.Thread(target=runs)
        thread.start()
        thread.join()
        assert not patrol._watches, place
        assert patrol._lock.acquire(timeout=PATIENCE), place
        patrol._lock.release()
    assert place > 4, "nothing was interrupted"


def test_many_calls_that_are_slow(mode: str) -> None:
    """None of them hangs, and a turn holds ten thousand."""
    device = Device(None, -1)
    device.answers = lambda: time.sleep(0.02) or True  # type: ignore[method-assign]
    machine = machine_with(mode, f"mov edx, {PORT}; l: out dx, al; jmp l", device)
    outcome = machine.run(timeout=0.01)
    assert (outcome.kind, outcome.detail) == ("timeout", "the time limit was reached")
    assert len(device.taken) < 1000


def test_a_device_that_goes_on_asking_the_board(mode: str) -> None:
    """Each of its own accesses comes back, and it does not."""

    def asks() -> None:
        while True:
            machine.board.read_port(0x80, 1)

    machine = machine_with(mode, f"mov edx, {PORT}; out dx, al; hlt", Device(asks))
    assert "in OUT to port 0x300" in machine.run(timeout=LIMIT).detail


def test_a_timer_that_arms_itself_in_the_past(mode: str) -> None:
    machine = machine_with(mode, "l: jmp l")
    bus = machine.board.bus

    def again() -> None:
        bus.schedule(0, again)

    bus.schedule(0, time_is_over)
    bus.schedule(0, again)
    outcome = machine.run(timeout=LIMIT)
    assert outcome.kind == "timeout" and "in a device's timer" in outcome.detail


def test_a_listener(mode: str) -> None:
    """Called between the acknowledgement of an interrupt and its delivery: it is not lost."""
    source = f"""mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al
                 mov al, 1; out 0x21, al; mov al, 0xfe; out 0x21, al
                 mov al, 0x34; out 0x43, al; mov al, 0; out 0x40, al; out 0x40, al
                 lidt [{BUFFER:#x}]; sti; l: jmp l"""
    machine = machine_with(mode, source)
    gate = (AT + 0x800).to_bytes(4, "little")
    selector = int(machine.processor.ideal.segment(CS)[0]).to_bytes(2, "little")
    machine.memory.write(BUFFER, (0x7FF).to_bytes(2, "little") + (BUFFER + 8).to_bytes(4, "little"))
    machine.memory.write(BUFFER + 8 + 8 * 0x20, gate[:2] + selector + b"\0\x8e" + gate[2:])
    machine.memory.write(AT + 0x800, assemble("mov ebx, 0x600d; hlt", AT + 0x800))

    def listen(event: ExitEvent) -> None:
        if event.reason == "interrupt 0x20":
            time_is_over()
            sleeps()

    machine.on_exit.append(listen)
    outcome = machine.run(timeout=LIMIT)
    assert outcome.kind == "timeout" and "a listener of 'interrupt 0x20'" in outcome.detail
    machine.on_exit.clear()
    assert machine.run().kind == "stuck" and machine.registers["ebx"] == 0x600D


def hangs_once(answer: object) -> Callable[..., Any]:
    asked: list[object] = []

    def extension(*args: object) -> object:
        asked.append(args)
        if len(asked) == 1:
            time_is_over()
            loops()
        return answer

    return extension


@pytest.mark.parametrize(("kind", "extensions"), [
    ("trap", Extensions(handler=hangs_once(False))),
    ("translate", Extensions(stubs={"cpuid": hangs_once("cpuid | done")})),
], ids=["handler", "stub"])  # fmt: skip
def test_an_extension(kind: str, extensions: Extensions) -> None:
    machine = Machine(memory_mb=1, mode=kind, extensions=extensions)
    machine.load_flat(assemble("xor eax, eax; cpuid; cli; inc ecx; hlt", AT), AT, esp=0x9000)
    outcome = machine.run(timeout=LIMIT)
    assert outcome.kind == "timeout" and "the extension extension" in outcome.detail
    assert machine.run().kind == "stuck" and machine.instructions == 5


def test_a_host_application_that_serves_a_guest_call(mode: str) -> None:
    """Its own limit is longer, and the run's holds."""
    machine = machine_with(mode, "mov ebx, 1; vmcall; hlt")
    machine.enable("X86_VMWARE_HYPERCALL")
    machine.vmware.on_hypercall = lambda exit_: (time_is_over(), sleeps())
    machine.vmware.callback_seconds = 1_000_000
    outcome = machine.run(timeout=LIMIT)
    assert outcome.kind == "timeout" and "a guest call" in outcome.detail
    machine.vmware.on_hypercall = lambda exit_: None
    assert machine.run().kind == "stuck" and machine.instructions == 3


def test_a_machine_within_a_machine(mode: str) -> None:
    """Each limit is its own machine's."""
    inner = machine_with(mode, f"mov edx, {PORT}; out dx, al; hlt", Device(loops))
    ends: list[Outcome] = []
    device = Device(None)
    device.answers = lambda: ends.append(inner.run(timeout=LIMIT)) or True  # type: ignore[method-assign,func-returns-value]
    outer = machine_with(mode, f"mov edx, {PORT}; out dx, al; hlt", device)
    assert outer.run(timeout=LIMIT).kind == "stuck"
    assert [end.kind for end in ends] == ["timeout"]


def test_a_machine_around_a_machine(mode: str) -> None:
    """It is the outer one's time that is over: the inner one does not take it for its own."""
    inner = machine_with(mode, f"mov edx, {PORT}; l: in al, dx; jmp l", Device(None, -1))
    ends: list[Outcome] = []
    device = Device(lambda: ends.append(inner.run(timeout=LIMIT)))
    outer = machine_with(mode, f"mov edx, {PORT}; out dx, al; hlt", device)
    assert "in OUT to port 0x300" in outer.run(timeout=LIMIT).detail
    assert ends == []


def test_the_watchdogs_own_work_is_not_interrupted(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a callback that runs machines within: nothing of theirs is left half done."""
    inner = machine_with("bare", "cli; hlt")
    told: list[str] = []

    class Slow:
        """A lock that, once it is taken in the main thread, is not given back for several looks."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.acquire, self.release = self._lock.acquire, self._lock.release

        def __exit__(self, *_: object) -> None:
            self.release()

        def __enter__(self) -> bool:
            taken = self.acquire()
            if threading.current_thread() is threading.main_thread() and told == ["now"]:
                told.append("looks")
                outer = watchdog._patrol._watches[0]
                for _ in range(watchdog.LOOKS + 2):
                    outer.look()  # as the thread does, from which this one seems to stand still
                told.append("unharmed")
            return taken

    def runs() -> None:
        told.append("now")
        while True:
            inner.run(timeout=LIMIT)

    machine = machine_with(mode, f"mov edx, {PORT}; out dx, al; l: jmp l", Device(runs))
    patrol = watchdog._Patrol()
    patrol._lock = Slow()  # type: ignore[assignment]
    patrol._change = threading.Condition(patrol._lock)
    monkeypatch.setattr(watchdog, "_patrol", patrol)  # its thread may not be exchanged: it runs
    outcome = machine.run(timeout=LIMIT)
    assert outcome.kind == "timeout"
    assert told == ["now", "looks", "unharmed"]


def test_many_short_runs(mode: str) -> None:
    """Each is over while the thread might just look."""
    machine = machine_with(mode, f"mov edx, {PORT}; l: out dx, al; jmp l", Device(None, -1))
    for _ in range(40):
        assert machine.run(timeout=0.0005).kind == "timeout"
    assert not watchdog._patrol._watches


def test_after_a_fork_there_is_a_watchdog_too() -> None:
    machine = machine_with("bare", f"mov edx, {PORT}; l: out dx, al; jmp l", Device(loops))
    assert machine.run(timeout=LIMIT).kind == "timeout"
    machine.board.bus.schedule(0, lambda: (time_is_over(), loops()))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(PATIENCE))  # ends it in any case
        os._exit(42 if "a device's timer" in machine.run(timeout=LIMIT).detail else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def test_a_fork_within_a_run() -> None:
    """The run goes on in both processes."""
    machine = machine_with("bare", "nop; cli; hlt")
    children: list[int] = []
    machine.hooks.on_address(AT + 1, lambda: children.append(os.fork()))
    kind = ""
    try:
        kind = machine.run(timeout=LIMIT).kind
    finally:
        if children == [0]:
            os._exit(42 if kind == "stuck" else 1)
    assert kind == "stuck"
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 42

"""stop(), a time limit, and typing reach a machine amid a turn, however long that is."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from monitor_lab import ORIGIN, STACK
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.guests import embedded_image
from monitor.vmm.outcome import Outcome

FOR_EVER = 1 << 40
KERNEL = "top: inc eax; jmp top"
MODES = {"bare": 32, "trap": 32, "translate": 32, "emulated": 16}
GUEST = embedded_image()


@pytest.fixture(params=MODES)
def endless(request: pytest.FixtureRequest) -> Machine:
    """It loops, and a turn of the machine has no end."""
    name = str(request.param)
    bits = MODES[name]
    machine = Machine(memory_mb=2, mode="translate" if name == "emulated" else name)
    code = assemble(KERNEL, 0x8000 if bits == 16 else ORIGIN, bits)
    machine.load_flat(code, 0x8000 if bits == 16 else ORIGIN, esp=STACK, real_mode=bits == 16)
    machine.loop.steady = True
    machine.loop.most = FOR_EVER
    return machine


def stopped_by(machine: Machine, seconds: float = 0.05) -> Outcome:
    timer = threading.Timer(seconds, machine.stop)
    timer.start()
    outcome = machine.run()
    timer.join()
    return outcome


def test_another_thread_stops_it(endless: Machine) -> None:
    for _ in range(3):
        before = endless.instructions
        assert stopped_by(endless).kind == "stopped"
        assert endless.instructions > before


def test_a_signals_handler_stops_it(endless: Machine) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: endless.stop())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert endless.run().kind == "stopped"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_stop_before_a_run_ends_that_run_and_no_other(endless: Machine) -> None:
    endless.stop()
    endless.stop()
    assert endless.run().kind == "stopped"
    assert endless.run(timeout=0.1).kind == "timeout"


def test_a_stop_after_a_run_ends_the_next(endless: Machine) -> None:
    assert endless.step(10).kind == "instructions"
    endless.stop()
    assert endless.step(10).kind == "stopped"
    before = endless.instructions
    assert endless.step(10).kind == "instructions"
    assert endless.instructions == before + 10


def test_a_time_limit_ends_it(endless: Machine) -> None:
    begun = time.monotonic()
    assert endless.run(timeout=0.2).kind == "timeout"
    assert time.monotonic() - begun < PATIENCE


def test_no_stop_is_lost(endless: Machine) -> None:
    """Whenever it comes: each ends a run."""
    for i in range(60):
        assert stopped_by(endless, 0.0002 * (i % 10)).kind == "stopped"


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_a_hook_at_a_port_stops_it_behind_the_instruction(mode: str) -> None:
    """In the machine's own thread a stop is exact."""
    machine = Machine(memory_mb=2, mode=mode)
    code = assemble("inc eax; out 0xf0, al; inc ebx; inc ebx; end: jmp end", ORIGIN)
    machine.load_flat(code, ORIGIN, esp=STACK)
    machine.hooks.on_port(range(0xF0, 0xF1), lambda *access: machine.stop())
    assert machine.run(timeout=PATIENCE).kind == "stopped"
    assert (machine.instructions, machine.registers["eip"]) == (2, ORIGIN + 3)
    assert machine.run(timeout=0.1).kind == "timeout", "that was it"


def test_a_hook_stops_it() -> None:
    machine = Machine(memory_mb=2)
    machine.load_flat(assemble("top: inc eax; inc ebx; jmp top", ORIGIN), ORIGIN, esp=STACK)
    machine.set_register("ebx", 0)

    def fifth() -> None:
        if machine.registers["ebx"] == 5:
            machine.stop()

    machine.hooks.on_address(ORIGIN + 1, fifth)
    assert machine.run(timeout=PATIENCE).kind == "stopped"
    assert machine.registers["ebx"] in (5, 6)


ECHO = """
    mov edx, 0x3fd
wait: in al, dx
    test al, 1
    jz wait
    mov edx, 0x3f8
    in al, dx
    out dx, al
end: jmp end
"""


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_what_is_typed_is_seen(mode: str) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    machine.load_flat(assemble(ECHO, ORIGIN), ORIGIN, esp=STACK)
    machine.loop.steady = True
    machine.loop.most = FOR_EVER
    threading.Timer(0.1, machine.send, ["x"]).start()
    assert machine.run(until="x", timeout=PATIENCE).kind == "until"


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_figures_do_not_depend_on_who_asked_and_when(mode: str) -> None:
    """A thread makes the processor leave as often as it can; only the real time differs."""
    figures = []
    for restless in (False, True):
        machine = Machine(memory_mb=4, mode=mode)
        machine.load_flat(GUEST.image, GUEST.load_address, eip=GUEST.entry)
        done = threading.Event()

        def ask(machine: Machine = machine, done: threading.Event = done) -> None:
            while not done.wait(0.0002):
                machine.processor.stop()

        thread = threading.Thread(target=ask)
        if restless:
            thread.start()
        outcome = machine.run(timeout=PATIENCE)
        done.set()
        if restless:
            thread.join()
        statistics = machine.statistics()
        for name in ("seconds", "mips", "decoder", "host_requests"):
            del statistics[name]
        figures.append((outcome, statistics, machine.console))
    assert figures[0] == figures[1]

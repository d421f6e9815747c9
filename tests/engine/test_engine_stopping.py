"""stop(): from another thread, or a signal's handler, a run that would go on for ever ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from engine_lab import CODE, DATA, Exit, Lab, assemble
from small_cache import CACHE, Cache

from bt.contract import (
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    EXIT_STOPPED,
    MARK_COUNTS,
    PERM_WRITE,
    SLICE,
)

FOR_EVER = 1 << 40
LOOP = "top: inc eax; jmp top"
SOON = 20.0  # seconds, on a host that has much else to do


@contextmanager
def stopped_after(lab: Lab, seconds: float = 0.05) -> Iterator[None]:
    """Another thread calls stop()."""
    timer = threading.Timer(seconds, lab.engine.stop)
    timer.start()
    begun = time.monotonic()
    try:
        yield
    finally:
        timer.join()
    assert time.monotonic() - begun < SOON


def still_runs(lab: Lab) -> None:
    """Nothing is left of a request."""
    lab.finish(f"mov ecx, {SLICE}; top: dec ecx; jnz top", budget=FOR_EVER)


@pytest.mark.parametrize(
    "code",
    [LOOP, "top: call next; next: pop eax; jmp top", "top: fld1; fstp st(0); jmp top",
     "mov esi, top; top: jmp esi", "top: pushfd; popfd; jmp top"],
)  # fmt: skip
def test_another_thread_stops_a_loop(lab: Lab, code: str) -> None:
    end = lab.program(code)
    with stopped_after(lab):
        exit_ = lab.run(FOR_EVER)
    assert exit_.reason == EXIT_STOPPED
    assert CODE <= exit_.eip < end
    assert lab.ideal.eip == exit_.eip
    assert lab.engine.icount() > 0
    still_runs(lab)


def test_it_goes_on_where_it_was_stopped(lab: Lab) -> None:
    lab.program("top: inc dword ptr [0x20000]; inc eax; jmp top")
    lab.set(eax=0)
    for _ in range(3):
        with stopped_after(lab):
            assert lab.run(FOR_EVER).reason == EXIT_STOPPED
        assert lab.dword(DATA) - lab.reg("eax") in (0, 1)
    assert lab.reg("eax") > 3


def test_a_signals_handler_stops_a_loop(lab: Lab) -> None:
    """Python calls it in the main thread only, which is the one that runs the engine."""
    seen = []

    def handler(*_: object) -> None:
        seen.append(True)
        lab.engine.stop()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        lab.program(LOOP)
        assert lab.run(FOR_EVER).reason == EXIT_STOPPED
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen
    still_runs(lab)


def test_what_a_signals_handler_raises_comes_out_and_the_state_is_whole(lab: Lab) -> None:
    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        lab.program("top: inc dword ptr [0x20000]; inc eax; jmp top")
        lab.set(eax=0)
        with pytest.raises(KeyboardInterrupt):
            lab.run(FOR_EVER)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert lab.dword(DATA) - lab.reg("eax") in (0, 1)
    assert lab.reg("eax")
    lab.count = lab.engine.icount()
    still_runs(lab)


def test_a_request_waits_for_a_run(lab: Lab) -> None:
    """Made before it begins, it is not lost; and it lets one instruction through."""
    lab.program(LOOP)
    lab.set(eax=0)
    lab.engine.stop()
    assert lab.run(FOR_EVER).reason == EXIT_STOPPED
    assert 0 < lab.reg("eax") <= SLICE
    still_runs(lab)


def test_somebody_who_always_asks_does_not_hold_the_guest_up(lab: Lab) -> None:
    end = lab.program("inc eax; inc eax; inc eax")
    lab.set(eax=0)
    for _ in range(10):
        lab.engine.stop()
        exit_ = lab.run(FOR_EVER)
        if exit_.reason == EXIT_SOFTINT:
            break
    assert (exit_.reason, exit_.eip, lab.reg("eax")) == (EXIT_SOFTINT, end, 3)


def test_many_requests_are_answered_once(lab: Lab) -> None:
    lab.program(LOOP)
    for _ in range(5):
        lab.engine.stop()
    assert lab.run(FOR_EVER).reason == EXIT_STOPPED
    still_runs(lab)


OTHERWISE: dict[str, tuple[Callable[[Lab], Exit], int]] = {
    "fault": (lambda lab: lab.fault("ud2"), EXIT_EXCEPTION),
    "interrupt": (lambda lab: lab.finish(""), EXIT_SOFTINT),
    "no budget": (lambda lab: lab.run(0), EXIT_BUDGET),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_run_that_ends_otherwise_leaves_the_request(lab: Lab, name: str) -> None:
    """As it does when somebody stops an engine that has just left."""
    run, reason = OTHERWISE[name]
    lab.engine.stop()
    assert run(lab).reason == reason
    lab.program(LOOP)
    assert lab.run(FOR_EVER).reason == EXIT_STOPPED
    still_runs(lab)


def test_a_request_that_comes_at_any_time_ends_one_run(lab: Lab) -> None:
    """Also while a run begins or ends: stop() as often as run() has to leave."""
    lab.program(LOOP)
    asked, answered = 0, 0
    go, done = threading.Event(), threading.Event()

    def ask() -> None:
        while True:
            go.wait()
            go.clear()
            if done.is_set():
                return
            lab.engine.stop()

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(200):
        asked += 1
        go.set()
        while lab.run(FOR_EVER).reason != EXIT_STOPPED:
            pass
        answered += 1
    done.set()
    go.set()
    thread.join()
    assert answered == asked
    still_runs(lab)


def test_a_long_rep_is_left(lab: Lab) -> None:
    """It leaves by itself now and then; or because of the request."""
    for page in range(0x100000, 0x300000, 0x1000):
        lab.map(page, 20, PERM_WRITE)
    lab.program(assemble("top: mov edi, 0x100000; mov ecx, 0x200000; .byte 0xf3, 0xaa; jmp top"))
    with stopped_after(lab):
        while (reason := lab.run(FOR_EVER).reason) == EXIT_IO:
            pass
    assert reason == EXIT_STOPPED


@pytest.mark.engine("exact_counts")
def test_it_is_soon(lab: Lab) -> None:
    """Within a slice, whatever the budget, with the count right."""
    lab.program(LOOP)
    lab.set(eax=0)
    lab.engine.stop()
    exit_ = lab.run(FOR_EVER)
    assert exit_.reason == EXIT_STOPPED
    assert exit_.count <= SLICE
    assert exit_.count == 2 * lab.reg("eax") - (exit_.eip != CODE)


@pytest.mark.engine("exact_counts")
@pytest.mark.parametrize("budget", [SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 17, 70 * SLICE + 5])
def test_budgets_of_several_slices_are_exact(lab: Lab, budget: int) -> None:
    lab.program("top: inc eax; inc ebx; jmp top")
    lab.set(eax=0)
    exit_ = lab.run(budget)
    assert (exit_.reason, exit_.count) == (EXIT_BUDGET, budget)
    assert lab.reg("eax") == -(-budget // 3)


# --- out of the cache ---------------------------------------------------------------------------


def test_in_the_cache_it_stops_behind_a_marked_instruction(lab: Lab) -> None:
    """Not amid a stub, however often it is asked."""
    cache = Cache(lab)
    code = "inc eax; lea edx, [edx + 1]; lea edx, [edx + 1]; lea edx, [edx - 2]; jmp 0xff800000"
    cache.put(code)
    sizes = [len(assemble(part, CACHE)) for part in code.split(";")[:-1]]
    marks = bytearray(64)
    for at in (0, sum(sizes[:3]), sum(sizes)):  # INC, the last LEA, the JMP
        marks[at] = MARK_COUNTS
    lab.engine.mark(CACHE, bytes(marks))
    lab.frames.written(0x20000, 64)
    ends = {CACHE + sizes[0], CACHE + sum(sizes), CACHE}
    at = CACHE
    lab.set(edx=0)
    for _ in range(20):
        with stopped_after(lab, 0.01):
            exit_ = cache.run(FOR_EVER, at)
        assert exit_.reason == EXIT_STOPPED
        assert exit_.eip in ends
        assert lab.reg("edx") == 0
        at = exit_.eip

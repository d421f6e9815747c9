"""The machine's loop (vmm/loop.py): with a processor and a board that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from monitor_lab import flat
from patience import PATIENCE

from bt.contract import EXIT_BREAKPOINT, EXIT_BUDGET
from bt.interp.state import EXIT_HALT, EXIT_SHUTDOWN, EXIT_VMWARE, EXIT_WATCHPOINT
from monitor.vmm import loop as module
from monitor.vmm.clock import HostClock, IcountClock
from monitor.vmm.errors import CallbackFailed
from monitor.vmm.loop import FIRST_SLICE, LONGEST_SLICE, Limits, Loop
from monitor.vmm.outcome import Outcome


class Processor:
    """Runs as many instructions as it may, and leaves for the reasons it was given."""

    def __init__(self) -> None:
        self.done = 0
        self.reasons: list[int] = []
        self.budgets: list[int] = []
        self.can_interrupt = True
        self.delivered: list[int] = []
        self.told: list[str] = []
        self.listeners: list[Any] = []
        self.noticed = 0
        self.stopped = 0
        self.ideal = SimpleNamespace(
            wp_hit=0, tsc_offset=0, eip=0x1234, nmi_pending=0, nmi_blocked=0, halted=0
        )
        self.on_interrupt = 0
        self.nmis = 0

    def run(self, budget: int) -> int:
        self.budgets.append(budget)
        self.done += budget
        return self.reasons.pop(0) if self.reasons else EXIT_BUDGET

    def count(self) -> int:
        return self.done

    def interruptible(self) -> bool:
        return self.can_interrupt

    def interrupt(self, vector: int) -> int:
        self.delivered.append(vector)
        return self.on_interrupt

    def nmi_ready(self) -> bool:
        return bool(self.ideal.nmi_pending) and self.can_interrupt

    def deliver_nmi(self) -> int:
        self.ideal.nmi_pending = 0
        self.nmis += 1
        return self.on_interrupt

    def tell(self, reason: str, eip: int) -> None:
        self.told.append(f"{reason} at {eip:#x}")

    def notice(self) -> None:
        self.noticed += 1

    def stop(self) -> None:
        self.stopped += 1


class Board:
    def __init__(self) -> None:
        self.ended: Outcome | None = None
        self.guest_calls: Any = None
        self.deadline: int | None = None
        self.inputs = 0
        self.due = 0
        self.waking = True
        self.bus = SimpleNamespace(intr=False, run_due=self._run_due)
        self.interrupts = SimpleNamespace(acknowledge=self._acknowledge)

    def _run_due(self) -> None:
        self.due += 1

    def _acknowledge(self) -> int:
        self.bus.intr = False
        return 0x20

    def take_input(self) -> None:
        self.inputs += 1

    def next_deadline(self) -> int | None:
        return self.deadline

    def can_interrupt(self) -> bool:
        return self.waking


class Bench:
    """A loop between the two."""

    def __init__(self, clock: Callable[[Callable[[], int]], Any] = IcountClock) -> None:
        self.cpu = Processor()
        self.board = Board()
        self.clock = clock(self.cpu.count)
        self.loop = Loop(self.board, self.cpu, self.clock)  # type: ignore[arg-type]

    def run(self, most: int = 1000, **limits: Any) -> Outcome:
        return self.loop.run(Limits(max_count=self.cpu.done + most, **limits))


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- how a run ends ---------------------------------------------------------------------------


def test_the_instruction_limit(bench: Bench) -> None:
    assert bench.run(1000).kind == "instructions"
    assert bench.cpu.budgets == [1000]
    assert bench.run(0).kind == "instructions"
    assert bench.cpu.budgets == [1000]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (EXIT_SHUTDOWN, "shutdown"),
        (EXIT_BREAKPOINT, "address"),
        (EXIT_WATCHPOINT, "watchpoint"),
    ],
)
def test_what_the_processor_says_ends_the_run(bench: Bench, reason: int, kind: str) -> None:
    bench.cpu.reasons = [reason]
    assert bench.run().kind == kind
    assert len(bench.cpu.budgets) == 1
    assert bench.run().kind == "instructions", "the next run goes on"


def test_a_watchpoint_of_a_delivery_ends_the_run_before_the_handler(bench: Bench) -> None:
    bench.cpu.ideal.wp_hit = 1
    assert bench.run().kind == "watchpoint"
    assert bench.cpu.budgets == []


def test_the_board_ends_the_run(bench: Bench) -> None:
    end = Outcome("exit", 3)
    bench.board.ended = end
    assert bench.run() is end
    assert bench.cpu.budgets == []


def test_the_board_ends_the_run_in_the_turn_that_ended_it(bench: Bench) -> None:
    end = Outcome("exit", 3)
    bench.loop.on_turn = lambda: setattr(bench.board, "ended", end)
    checks = []
    assert bench.run(most=10**6, check=lambda: checks.append(1)) is end
    assert (len(bench.cpu.budgets), len(checks), bench.board.due) == (1, 1, 1)


def test_a_check_ends_the_run(bench: Bench) -> None:
    found = [None, None, Outcome("until")]
    assert bench.run(most=10**6, check=lambda: found.pop(0)).kind == "until"
    assert len(bench.cpu.budgets) == 2
    assert bench.board.inputs == bench.board.due == 3, "input and timers come first, each turn"


def test_a_check_that_finds_nothing_lifts_no_limit(bench: Bench) -> None:
    assert bench.run(1000, check=lambda: None).kind == "instructions"
    assert bench.run(1000, check=lambda: None, deadline=0.0).kind == "timeout"
    bench.loop.stop()
    assert bench.run(1000, check=lambda: None).kind == "stopped"
    assert bench.cpu.budgets == [1000]


def test_a_deadline_that_is_over_ends_the_run(bench: Bench) -> None:
    assert bench.run(deadline=0.0).kind == "timeout"
    assert bench.cpu.budgets == []
    assert bench.run(deadline=1e18).kind == "instructions"


def test_the_deadline_itself_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 5.0)
    assert bench.run(deadline=5.0).kind == "timeout"


def test_stop_ends_this_run_and_not_the_next(bench: Bench) -> None:
    bench.loop.stop()
    assert (bench.cpu.noticed, bench.cpu.stopped) == (1, 1)
    assert bench.run().kind == "stopped"
    assert bench.run().kind == "instructions"


def test_news_of_another_thread_are_looked_at_soon_its_own_at_once(bench: Bench) -> None:
    bench.run()
    bench.loop.look_soon()
    assert (bench.cpu.noticed, bench.cpu.stopped) == (1, 0)
    other = threading.Thread(target=bench.loop.look_soon)
    other.start()
    other.join()
    assert (bench.cpu.noticed, bench.cpu.stopped) == (1, 1)


def test_a_callback_that_failed_ends_the_run(bench: Bench) -> None:
    def fail() -> None:
        raise CallbackFailed("it took too long")

    outcome = bench.run(check=fail)
    assert (outcome.kind, outcome.detail) == ("callback", "it took too long")


def test_a_guest_call_is_served(bench: Bench) -> None:
    served = []
    answers = [None, Outcome("vmware")]

    def serve() -> Outcome | None:
        served.append(bench.cpu.done)
        return answers.pop(0)

    bench.board.guest_calls = SimpleNamespace(serve=serve)
    bench.cpu.reasons = [EXIT_VMWARE, EXIT_VMWARE]
    assert bench.run(most=10**6).kind == "vmware"
    assert len(served) == len(bench.cpu.budgets) == 2


def test_a_guest_call_that_ends_the_machine(bench: Bench) -> None:
    end = Outcome("exit", 1)

    def serve() -> None:
        bench.board.ended = end

    bench.board.guest_calls = SimpleNamespace(serve=serve)
    bench.cpu.reasons = [EXIT_VMWARE]
    assert bench.run(most=10**6) is end
    assert (len(bench.cpu.budgets), bench.board.due) == (1, 1)


def test_every_turn_that_ran_code_is_told() -> None:
    bench = Bench()
    turns = []
    bench.loop.on_turn = lambda: turns.append(bench.cpu.done)
    bench.loop.steady, bench.loop.most = True, 100
    bench.run(250)
    assert turns == [100, 200, 250]


# --- interrupts and halts ----------------------------------------------------------------------


def test_an_interrupt_is_delivered_when_it_can_be(bench: Bench) -> None:
    bench.board.bus.intr = True
    bench.loop.halted = True
    assert bench.run().kind == "instructions"
    assert bench.cpu.delivered == [0x20]
    assert (bench.loop.interrupts, bench.loop.halted, bench.cpu.told) == (1, False, [])


def test_listeners_are_told_of_interrupts(bench: Bench) -> None:
    bench.board.bus.intr = True
    bench.cpu.listeners = [print]
    bench.run()
    assert bench.cpu.told == ["interrupt 0x20 at 0x1234"]


def test_an_interrupt_waits_for_a_processor_that_cannot_take_it(bench: Bench) -> None:
    bench.board.bus.intr = True
    bench.cpu.can_interrupt = False
    assert bench.run().kind == "instructions"
    assert (bench.cpu.delivered, bench.loop.interrupts) == ([], 0)


def test_an_nmi_comes_first_and_wakes_a_halted_guest(bench: Bench) -> None:
    bench.cpu.ideal.nmi_pending = 1
    bench.cpu.listeners = [print]
    bench.loop.halted = bench.board.bus.intr = True
    assert bench.run().kind == "instructions"
    assert (bench.cpu.nmis, bench.cpu.delivered, bench.loop.halted) == (1, [0x20], False)
    assert bench.cpu.told == ["NMI at 0x1234", "interrupt 0x20 at 0x1234"]
    assert bench.loop.interrupts == 2


def test_an_nmi_alone_wakes_a_halted_guest(bench: Bench) -> None:
    bench.cpu.ideal.nmi_pending = 1
    bench.loop.halted = True
    assert bench.run().kind == "instructions"
    assert (bench.cpu.nmis, bench.loop.halted, bench.loop.interrupts) == (1, False, 1)


def test_an_nmi_waits_for_the_end_of_a_shadow(bench: Bench) -> None:
    """...of MOV SS or STI, an instruction; while another is handled, nothing is held up."""
    bench.cpu.ideal.nmi_pending = 1
    bench.cpu.can_interrupt = False
    bench.run(2)
    assert (bench.cpu.nmis, bench.cpu.budgets) == (0, [1, 1])
    bench.cpu.ideal.nmi_blocked = 1
    bench.run(2)
    assert bench.cpu.budgets == [1, 1, 2]


def test_an_nmi_that_faults_thrice_ends_the_run(bench: Bench) -> None:
    bench.cpu.ideal.nmi_pending = 1
    bench.cpu.on_interrupt = EXIT_SHUTDOWN
    assert bench.run().kind == "shutdown"


def test_a_delivery_that_faults_thrice_ends_the_run(bench: Bench) -> None:
    bench.board.bus.intr = True
    bench.cpu.on_interrupt = EXIT_SHUTDOWN
    assert bench.run().kind == "shutdown"


def test_a_halted_guest_sleeps_until_its_timer(bench: Bench) -> None:
    """5 ns an instruction; the TSC goes on, the count of instructions does not."""
    bench.cpu.reasons = [EXIT_HALT]
    bench.board.deadline = 100_000
    bench.loop.steady, bench.loop.most = True, 10

    def due() -> None:
        if bench.board.deadline is not None and bench.clock.now() >= 100_000:
            bench.board.bus.intr = True
            bench.board.deadline = None

    bench.board.bus.run_due = due
    assert bench.run(20).kind == "instructions"
    assert bench.cpu.budgets == [10, 10]
    assert (bench.loop.idle, bench.cpu.delivered) == (1, [0x20])
    assert bench.cpu.ideal.tsc_offset == 20_000 - 10
    assert bench.clock.now() == 100_000 + 10 * 5


def test_the_tsc_wraps_in_sixty_four_bits(bench: Bench) -> None:
    bench.loop.halted = True
    bench.cpu.ideal.tsc_offset = (1 << 64) - 5
    bench.board.deadline = 50
    found = [None, Outcome("until")]
    bench.run(check=lambda: found.pop(0))
    assert bench.cpu.ideal.tsc_offset == 5
    bench.cpu.ideal.tsc_offset = -50 & (1 << 64) - 1
    bench.board.deadline = 100
    found = [None, Outcome("until")]
    bench.run(check=lambda: found.pop(0))
    assert bench.cpu.ideal.tsc_offset == (1 << 64) - 40, "all of its bits count"


@pytest.mark.parametrize(
    ("interruptible", "waking", "words"),
    [(False, True, "interrupts off"), (True, False, "no timer or input")],
)
def test_a_halted_guest_that_nothing_wakes_is_stuck(
    bench: Bench, interruptible: bool, waking: bool, words: str
) -> None:
    bench.loop.halted = True
    bench.cpu.can_interrupt, bench.board.waking = interruptible, waking
    outcome = bench.run()
    assert outcome.kind == "stuck" and words in outcome.detail
    assert (bench.cpu.budgets, bench.loop.idle) == ([], 1)


def test_a_halted_guest_without_a_timer_waits_for_input(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    bench.loop.halted = True
    found = [None, None, None, Outcome("until")]
    assert bench.run(check=lambda: found.pop(0)).kind == "until"
    assert pauses == [module.POLL] * 3
    assert bench.cpu.budgets == []


# --- how much a turn may run --------------------------------------------------------------------


def clock_of(monkeypatch: pytest.MonkeyPatch, *times: float) -> None:
    """time.monotonic() says these, one after the other; then the last one for ever."""
    left = list(times)
    monkeypatch.setattr(module.time, "monotonic", lambda: left.pop(0) if left[1:] else left[0])


@pytest.mark.parametrize(
    ("seconds", "after"),
    [
        (module.SHORT_TURN / 2, FIRST_SLICE * 2),
        (module.SHORT_TURN, FIRST_SLICE),
        (module.LONG_TURN, FIRST_SLICE),
        (module.LONG_TURN * 2, FIRST_SLICE // 4),
    ],
)
def test_a_turn_takes_neither_too_long_nor_too_short(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float, after: int
) -> None:
    clock_of(monkeypatch, 0.0, seconds)
    found = [None, Outcome("until")]
    bench.run(most=10**9, check=lambda: found.pop(0))
    assert bench.cpu.budgets == [FIRST_SLICE]
    clock_of(monkeypatch, 0.0)
    found = [None, Outcome("until")]
    bench.run(most=10**9, check=lambda: found.pop(0))
    assert bench.cpu.budgets[1] == after


def test_a_turn_that_was_cut_short_says_nothing_about_speed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_of(monkeypatch, 0.0)
    bench.run(FIRST_SLICE - 1)
    found = [None, Outcome("until")]
    bench.run(most=10**9, check=lambda: found.pop(0))
    assert bench.cpu.budgets == [FIRST_SLICE - 1, FIRST_SLICE]


def test_slices_have_bounds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock_of(monkeypatch, 0.0)
    bench.run(most=30 * LONGEST_SLICE)
    assert max(bench.cpu.budgets) == LONGEST_SLICE
    assert bench.cpu.budgets[:3] == [FIRST_SLICE, 2 * FIRST_SLICE, 4 * FIRST_SLICE]
    ticks = iter(range(10**6))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(ticks)))
    bench.run(most=3 * LONGEST_SLICE, check=lambda: Outcome("until") if bench.cpu.budgets[-1] == 1
              else None)  # fmt: skip
    assert bench.cpu.budgets[-1] == 1


@pytest.mark.parametrize("steady", [False, True])
def test_the_embedder_may_say_how_much_a_turn_is(bench: Bench, steady: bool) -> None:
    bench.loop.most, bench.loop.steady = FIRST_SLICE + 5 if steady else 7, steady
    found = [None, Outcome("until")]
    bench.run(most=10**9, check=lambda: found.pop(0))
    assert bench.cpu.budgets == [FIRST_SLICE + 5 if steady else 7]


@pytest.mark.parametrize(("deadline", "budget"), [(0, 1), (5, 1), (6, 2), (500, 100)])
def test_a_turn_ends_at_the_next_timer(bench: Bench, deadline: int, budget: int) -> None:
    bench.board.deadline = deadline
    bench.loop.steady, bench.loop.most = True, 1000
    found = [None, Outcome("until")]
    bench.run(most=10**9, check=lambda: found.pop(0))
    assert bench.cpu.budgets == [budget]


def test_the_hosts_clock_moves_the_guests() -> None:
    bench = Bench(HostClock)
    bench.clock.tsc_offset = lambda: -1
    bench.run(1)
    assert bench.cpu.ideal.tsc_offset == (1 << 64) - 1
    counted = Bench()
    counted.run(1)
    assert counted.cpu.ideal.tsc_offset == 0


def test_stop_reaches_a_machine_that_runs_for_ever() -> None:
    for mode in ("bare", "translate", "trap"):
        machine = flat("here: jmp here", mode=mode).machine
        thread = threading.Timer(0.0, machine.stop)
        thread.start()
        assert machine.run(timeout=PATIENCE).kind == "stopped"
        thread.join()

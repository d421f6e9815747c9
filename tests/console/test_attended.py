"""The console of a machine that runs: lines from another thread, standing, and going on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine, Outcome
from monitor.console.attended import Attended

BASE = 0x100000


class Subject:
    """A machine that spins, on a thread of its own, and somebody who asks."""

    def __init__(self, source: str = "again:\n inc eax\n jmp again", mode: str = "bare") -> None:
        self.machine = Machine(memory_mb=2, mode=mode)
        self.machine.load_flat(assemble(source, BASE), BASE, esp=0x8000)
        self.attended = Attended(self.machine, self.machine)
        self.answers: queue.Queue[str] = queue.Queue()
        self.outcome: Outcome | None = None

    def start(self, **limits: float) -> None:
        def run() -> None:
            self.outcome = self.attended.run(**limits)  # type: ignore[arg-type]

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def ask(self, line: str) -> str:
        self.attended.submit(line, self.answers.put)
        return self.answers.get(timeout=PATIENCE)

    def ends(self) -> Outcome:
        self.thread.join(timeout=PATIENCE)
        assert self.outcome is not None
        return self.outcome


@pytest.fixture(params=["bare", "translate"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    subject = Subject(mode=request.param)
    yield subject
    subject.attended.stop()


def test_lines_are_answered_while_it_runs(subject: Subject) -> None:
    subject.start()
    assert "running" in subject.ask("info status")
    assert "there is no command" in subject.ask("nonsense")
    assert subject.ask("quit") == ""
    assert subject.ends().kind == "stopped"


def test_it_stands_and_goes_on(subject: Subject) -> None:
    subject.start()
    subject.ask("stop")
    first = subject.ask("info status")
    assert "stopped" in first and first == subject.ask("info status")
    assert subject.ask("p $eax") == subject.ask("p $eax")
    subject.ask("cont")
    assert "running" in subject.ask("info status")
    while subject.ask("info status") == first:
        pass
    subject.attended.stop()
    assert subject.ends().kind == "stopped"


def test_stop_from_outside_ends_it_while_it_stands(subject: Subject) -> None:
    subject.start()
    subject.ask("stop")
    subject.attended.stop()
    assert subject.ends().kind == "stopped"


def test_the_limit_of_instructions_spans_the_stops(subject: Subject) -> None:
    subject.attended.submit("stop", subject.answers.put)  # the run might be over before it is asked
    subject.start(max_instructions=3_000_000)
    subject.answers.get(timeout=PATIENCE)
    subject.ask("cont")
    assert subject.ends().kind == "instructions"
    assert subject.machine.instructions == 3_000_000


def test_the_time_limit_holds_while_it_stands(subject: Subject) -> None:
    subject.start(timeout=0.3)
    subject.attended.submit("stop", subject.answers.put)
    assert subject.ends().kind == "timeout"


def test_lines_before_the_run_wait_for_it(subject: Subject) -> None:
    subject.attended.submit("info status", subject.answers.put)
    subject.attended.submit("quit", subject.answers.put)
    subject.start()
    assert "0 instructions" in subject.answers.get(timeout=PATIENCE)
    assert subject.answers.get(timeout=PATIENCE) == ""
    assert subject.ends().kind == "stopped"
    subject.start()  # what asked for the end is over
    assert "running" in subject.ask("info status")


def test_a_halted_guest_answers() -> None:
    subject = Subject()
    code = bytes.fromhex("fb f4 eb fd")  # again: sti, hlt, jmp again
    subject.machine.load_flat(code, 0x1000, real_mode=True, firmware_state="bios")
    subject.start()
    assert "running" in subject.ask("info status")
    subject.ask("quit")
    subject.ends()


def test_a_debuggers_machine_is_only_looked_at() -> None:
    subject = Subject()
    subject.attended = Attended(subject.machine, subject.machine, debugger=True)
    subject.start()
    assert "debugger" in subject.ask("stop")
    assert "running" in subject.ask("info status")
    subject.attended.stop()
    subject.ends()

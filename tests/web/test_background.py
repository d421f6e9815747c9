"""A machine in the background: start, stop, wait."""

from __future__ import annotations

import subprocess
import sys

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.vmm.errors import UserError

BASE = 0x100000


def counting() -> Machine:
    machine = Machine(memory_mb=2)
    machine.load_flat(assemble("again: inc eax\n jmp again", BASE), BASE, esp=0x8000)
    return machine


def test_it_runs_until_it_is_stopped() -> None:
    machine = counting()
    machine.start()
    assert machine.wait(0.05) is None
    machine.stop()
    outcome = machine.wait(PATIENCE)
    assert outcome is not None and outcome.kind == "stopped"
    before = machine.instructions
    machine.start(max_instructions=1000)
    outcome = machine.wait()
    assert outcome is not None and outcome.kind == "instructions"
    assert machine.instructions == before + 1000
    assert machine.run(max_instructions=5).kind == "instructions"


def test_it_belongs_to_one_thread() -> None:
    machine = counting()
    with pytest.raises(UserError, match=r"start\(\) comes first"):
        machine.wait()
    machine.start()
    try:
        with pytest.raises(UserError, match="in the background"):
            machine.run()
        with pytest.raises(UserError, match="already"):
            machine.start()
    finally:
        machine.stop()
        machine.wait(PATIENCE)


def test_what_the_run_raises_is_raised_by_wait() -> None:
    machine = counting()
    machine.start(since="nonsense", until="x")
    with pytest.raises(UserError, match="nonsense"):
        machine.wait()


def test_a_program_may_end_while_its_machine_runs() -> None:
    program = (
        "from monitor import Machine; m = Machine(memory_mb=2);"
        "m.load_flat(bytes.fromhex('40ebfd'), 0x100000); m.start(); print('ended')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")

"""Virtual Platform itself: machines in this process, or a whole run in one of its own.

Small guests that never end run here, in slices (alternate.py). What needs a process of its own,
for its memory or its warmth, goes through worker.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path

from benchmarks import images
from benchmarks.timing import BenchmarkError
from benchmarks.worker import Job, Result
from monitor import Machine
from monitor.bench import engine_count

BARE, TRANSLATE = "bare", "translate"
ROOT = Path(__file__).resolve().parent.parent
MEMORY_MB = 64
RIGHT = 1  # exit status of a guest that wrote 0 to the debug-exit port: (0 << 1) | 1
FOR_EVER = 0x7FFFFFFF  # rounds


def small(
    name: str, mode: str, rounds: int = FOR_EVER, paging: int = 1, **settings: int
) -> Machine:
    """A machine about to run a guest of benchmarks/guests/*.asm."""
    image = images.assembly(name, {"ROUNDS": rounds, "PAGING": paging, **settings})
    return loaded(mode, image)


def loaded(mode: str, image: Path | bytes) -> Machine:
    """A machine about to run a Multiboot image."""
    machine = Machine(memory_mb=MEMORY_MB, mode=mode)
    machine.load_multiboot(image, firmware_state="raw")
    return machine


def round_length(name: str, mode: str = BARE, paging: int = 1, **settings: int) -> float:
    """Instructions that the engine executes for one round of a guest; bare, they are the guest's.

    From whole runs that differ in the number of rounds, so what comes before the loop cancels out.
    """
    few, many = 1_000, 3_000
    lengths = [_length(name, mode, rounds, paging, **settings) for rounds in (few, many)]
    return (lengths[1] - lengths[0]) / (many - few)


def _length(name: str, mode: str, rounds: int, paging: int, **settings: int) -> int:
    with engine_count.everything_counts():
        machine = small(name, mode, rounds, paging, **settings)
    finish(machine, name)
    return machine.processor.count()


def finish(machine: Machine, name: str) -> None:
    """Run a guest to its own end; BenchmarkError for another one."""
    outcome = machine.run(timeout=60)
    if outcome.kind != "exit" or outcome.status != RIGHT:
        raise BenchmarkError(
            f"{name}, {machine.mode}: {outcome.kind} {outcome.detail}\n{machine.debug.where()}"
        )


@cache
def mix_round() -> int:
    """Guest instructions in a round of the integer mix, by our own count."""
    one, two = (perform(mix_job(rounds)).instructions for rounds in (1, 2))
    return two - one


def mix_job(rounds: int) -> Job:
    """The integer mix, bare, from start to end."""
    return Job(BARE, MEMORY_MB, multiboot=str(images.integer_mix(rounds).elf))


def perform(job: Job, limit: float = 900.0) -> Result:
    """Run a job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(asdict(job))]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{job} did not end within {limit:.0f} seconds") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{job} failed:\n{done.stderr}")
    return Result(**json.loads(done.stdout))

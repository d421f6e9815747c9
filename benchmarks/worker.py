"""One guest in one process: `python -m benchmarks.worker JOB`, both ways in JSON.

A process of its own, because peak memory is a process's, and because a boot must not inherit
another's warmth. What is timed is the run alone: importing, building the machine and loading the
guest are over before the clock starts.

Memory: `peak` is VmHWM, the most the process ever held. `guest` is how much of the memory file
with the guest's RAM is resident at the end, which is what the guest and the loader touched: the
host gives a page of it only when it is first touched, and takes none back. Their difference is
what the machine costs: Python, numpy, the interpreter, decoded blocks, translations.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import translation_time
from monitor import Machine
from monitor.bench import engine_count
from monitor.vmm.outcome import Outcome

RAM_FILE = "/memfd:guest-ram"


@dataclass(frozen=True)
class Job:
    """What to run. `kernel` is a bzImage, `multiboot` any of the small guests.

    `words` are options of `vp run` instead, `typing` what is typed then,
    and `most` so many instructions are enough.
    """

    mode: str
    memory: int
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    multiboot: str = ""
    until: str = ""
    words: tuple[str, ...] = ()
    typing: tuple[str, ...] = ()
    most: str = ""
    time_translation: bool = False
    count_engine: bool = False


@dataclass(frozen=True)
class Result:
    """What it took; seconds are CPU time of the run, memory is in kilobytes."""

    seconds: float
    instructions: int
    peak: int
    guest: int
    console: str
    ending: str
    stats: dict[str, Any]
    translation: dict[str, float] = field(default_factory=dict)


def perform(job: Job) -> Result:
    """Run the job in this process."""
    counting: AbstractContextManager[object]
    counting = engine_count.everything_counts() if job.count_engine else nullcontext()
    with counting:
        machine = _of_words(job) if job.words else Machine(memory_mb=job.memory, mode=job.mode)
    watch = translation_time.Watch(machine) if job.time_translation else None
    if job.kernel:
        machine.load_linux(job.kernel, initrd=job.initrd, cmdline=job.append)
    elif job.multiboot:
        machine.load_multiboot(job.multiboot, firmware_state="raw")
    if job.typing:
        _type(machine, job)
    before = time.process_time()
    outcome = machine.run(until=job.until or None, max_instructions=_most(job))
    seconds = time.process_time() - before
    return _result(machine, outcome, seconds, watch)


def _of_words(job: Job) -> Machine:
    from monitor.cli.run_machine import machine_of

    machine = machine_of(["--mode", job.mode, *job.words])
    return machine


def _most(job: Job) -> int | None:
    from monitor.cli.quantities import count

    return count(job.most) if job.most else None


def _type(machine: Machine, job: Job) -> None:
    from monitor.cli.run_machine import type_as

    type_as(machine, job.typing)


def _result(
    machine: Machine, outcome: Outcome, seconds: float, watch: translation_time.Watch | None
) -> Result:
    stats = machine.statistics()
    return Result(
        seconds,
        stats["instructions"],
        _peak_kilobytes(),
        _guest_kilobytes(machine.memory.size),
        machine.console.decode(errors="replace"),
        outcome.kind,
        stats,
        watch.figures() if watch is not None else {},
    )


def _peak_kilobytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _guest_kilobytes(size: int) -> int:
    """Resident kilobytes of the map of the memory file (proc_pid_smaps(5))."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            inside = RAM_FILE in line
        elif inside and first == "Rss:":
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    print(json.dumps(asdict(perform(Job(**json.loads(sys.argv[1]))))))

"""Does a machine that was put aside end as one that was not?  `python -m benchmarks.checkpoints`

A guest runs to its end in modes bare and translate: that is how it has to end. It runs again and is
put aside at random instructions; each file is restored in a new process, half of them in the other
mode, and runs to its end there. Everything a checkpoint holds is compared, RAM by its digest.

    --embedded N     so many places in the embedded guest (200)
    --linux N        so many of Linux (20): a third each in the decompressor, in the kernel, and in
                     the shell, to which a line was typed
    --times          how long it takes to put Linux aside at its prompt, and to go on with it
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from monitor import Machine
from monitor.checkpoint.state import gather
from monitor.guests import embedded_image
from monitor.guests.linux import INITRD, KERNEL, PROMPT, QUICK
from monitor.vmm.outcome import Outcome

MODES = ("bare", "translate")
BEHIND = 60_000_000  # instructions after Linux' prompt
TYPED = b"md5sum /bin/busybox; ls -l / | sort | head -3\n"
KERNEL_SPACE = 0xC0000000
SLICE = 5_000_000  # instructions; where a stage begins need not be known better


@dataclass(frozen=True)
class Trial:
    """A guest, and how it ends."""

    name: str
    memory_mb: int
    last: int | None  # instructions; None: the guest ends itself
    prompt: int | None = None  # instructions after which it gets a line
    stages: tuple[int, ...] = ()  # instructions after which its next stage begins

    def machine(self, mode: str) -> Machine:
        """A machine with the guest in it."""
        machine = Machine(memory_mb=self.memory_mb, mode=mode)
        if self.name == "embedded":
            guest = embedded_image()
            machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
        else:
            machine.load_linux(KERNEL, initrd=INITRD, cmdline=QUICK)
        return machine


def linux_trial() -> Trial:
    """Linux, and where its decompressor, kernel and shell begin."""
    machine = Trial("linux", 64, None).machine("bare")
    while machine.registers["eip"] < KERNEL_SPACE:
        machine.run(max_instructions=SLICE)
    kernel = machine.instructions
    machine.run(until=PROMPT, timeout=3600)
    prompt = machine.instructions
    return Trial("linux", 64, prompt + BEHIND, prompt, (kernel, prompt))


def run_to(machine: Machine, last: int | None, prompt: int | None) -> Outcome:
    """Run until so many instructions have completed, with a line typed on the way."""
    if prompt is not None and machine.instructions <= prompt and (last is None or prompt < last):
        machine.run(max_instructions=prompt - machine.instructions, timeout=3600)
        machine.serial.send(TYPED)
    limit = None if last is None else last - machine.instructions
    return machine.run(max_instructions=limit, timeout=3600)


def end_of(machine: Machine, last: int | None, prompt: int | None = None) -> dict[str, Any]:
    """Run to the end, and say all that there is to say then."""
    outcome = run_to(machine, last, prompt)
    state = json.dumps(gather(machine), sort_keys=True).encode()
    return {
        "outcome": [outcome.kind, outcome.status],
        "instructions": machine.instructions,
        "eip": machine.registers["eip"],
        "console": machine.output.digest(),
        "console bytes": machine.output.total,
        "ram": hashlib.sha256(machine.memory.map()).hexdigest(),  # type: ignore[arg-type]
        "state": hashlib.sha256(state).hexdigest(),
    }


def places(trial: Trial, count: int, total: int, folder: Path) -> Iterator[tuple[int, Path, str]]:
    """Put a running machine aside at random instructions, and say in which mode it ran."""
    chance = random.Random(trial.name)
    stages = list(pairwise((0, *trial.stages, total)))
    for mode in MODES:
        machine = trial.machine(mode)
        spans = [stages[number % len(stages)] for number in range(count // len(MODES))]
        for at in sorted(chance.randrange(first + 1, last) for first, last in spans):
            run_to(machine, at, trial.prompt)
            path = folder / f"{trial.name}-{mode}-{at}.vpcheck"
            machine.checkpoints.save(path)
            yield at, path, mode


def restored(path: Path, mode: str, trial: Trial) -> dict[str, Any]:
    """How a file ends in a process of its own."""
    job = json.dumps(
        {"path": str(path), "mode": mode, "last": trial.last, "prompt": trial.prompt}
    )
    done = subprocess.run([sys.executable, "-m", "benchmarks.checkpoints", "--job", job],
                          capture_output=True, text=True, check=False)  # fmt: skip
    path.unlink()
    if done.returncode:
        return {"error": done.stderr[-500:]}
    return dict(json.loads(done.stdout))


def compare(trial: Trial, count: int) -> int:
    """How many places ended differently, each with a line."""
    wanted = end_of(trial.machine("bare"), trial.last, trial.prompt)
    other = end_of(trial.machine("translate"), trial.last, trial.prompt)
    begin = ", ".join(f"{at:,}" for at in trial.stages)
    print(f"{trial.name}: {wanted['instructions']:,} instructions, {wanted['console bytes']:,} "
          f"bytes of console; bare and translate {'agree' if wanted == other else 'DIFFER'}"
          f"{'; stages begin at ' if begin else ''}{begin}", flush=True)  # fmt: skip
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        coming = []
        for number, (at, path, mode) in enumerate(
            places(trial, count, wanted["instructions"], Path(folder))
        ):
            turned = mode if number % 2 else MODES[1 - MODES.index(mode)]
            coming.append((at, mode, turned, pool.submit(restored, path, turned, trial)))
        for at, mode, turned, job in coming:
            found = job.result()
            if found != wanted:
                wrong += 1
                differ = [name for name in found if found.get(name) != wanted.get(name)]
                print(f"  {at:,} {mode} -> {turned}: {', '.join(differ)} {found.get('error', '')}")
    print(f"{trial.name}: {len(coming)} places, {wrong} ended differently", flush=True)
    return wrong + (wanted != other)


def times() -> None:
    """Linux at its prompt, 128 MiB."""
    machine = Trial("linux", 128, None).machine("translate")
    machine.run(until=PROMPT, timeout=3600)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "linux.vpcheck"
        begun = time.perf_counter()
        size = machine.checkpoints.save(path)
        saved = time.perf_counter()
        Machine.restore(path)
        done = time.perf_counter()
    print(f"Linux at its prompt, 128 MiB: written in {saved - begun:.2f} s, "
          f"{size / 1e6:.1f} MB, restored in {done - saved:.2f} s")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embedded", type=int, default=200)
    parser.add_argument("--linux", type=int, default=20)
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.job:
        job = json.loads(args.job)
        machine = Machine.restore(job["path"], mode=job["mode"])
        print(json.dumps(end_of(machine, job["last"], job.get("prompt"))))
        return 0
    wrong = compare(Trial("embedded", 4, None), args.embedded) if args.embedded else 0
    if args.linux:
        wrong += compare(linux_trial(), args.linux)
    if args.times:
        times()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

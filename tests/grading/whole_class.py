"""Grade a whole generated class on a real lab with one command, and see what it cost the host.

    python tests/grading/whole_class.py --count 200 --jobs 2 --lab 1

Right solutions, skeletons, and everything in hostile.py and generate.py. Prints each row that is
not what it has to be, and figures; exit status 1 if there is such a row or something was left.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from generate import Expected, Sources, generate
from test_class import tree

ROOT = Path(__file__).parents[2]
LABS = ROOT / "notebooks" / "labs"
SEED = 1999
POLL = 0.1


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="class-") as place:
        folder, out, scratch = (Path(place, name) for name in ("in", "out", "scratch"))
        for each in (folder, out, scratch):
            each.mkdir()
        right = (LABS / "solutions" / f"lab{options.lab}.py").read_text(encoding="utf-8")
        skeleton = (LABS / f"lab{options.lab}" / f"lab{options.lab}.py").read_text(encoding="utf-8")
        expected = generate(folder, out, lab=options.lab, sources=Sources(right, (skeleton,)),
                            count=options.count, seed=SEED)  # fmt: skip
        before = tree(folder)
        host = _host()
        begin = time.monotonic()
        status, peak = _grade(folder, out, scratch, options)
        seconds = time.monotonic() - begin
        wrong = _compare(out, expected)
        wrong += _left(before, tree(folder), out, scratch, set(expected))
        print(f"{len(expected)} submissions, --jobs {options.jobs}: {seconds:.0f} s, exit status "
              f"{status}; peak of all its processes {peak >> 20} MiB resident")  # fmt: skip
        for (name, was), now in zip(host.items(), _host().values(), strict=True):
            print(f"{name}: {was} before, {now} after")
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong or status else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--lab", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=10)
    parser.add_argument("--wall", type=int, default=40)
    return parser.parse_args()


def _grade(
    folder: Path, out: Path, scratch: Path, options: argparse.Namespace
) -> tuple[int, int]:
    """One command; its exit status and the most memory that it and its children had."""
    command = [sys.executable, "-m", "monitor", "lab", "grade", str(folder), "--out", str(out)]
    for name in ("jobs", "cpu", "wall"):
        command += [f"--{name}", str(getattr(options, name))]
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    grader = subprocess.Popen(command, env=environment)
    peak = 0
    while grader.poll() is None:
        peak = max(peak, _resident(grader.pid))
        time.sleep(POLL)
    return grader.returncode, peak


def _resident(process: int) -> int:
    """Bytes of the process and all below it."""
    parents: dict[int, list[int]] = {}
    sizes = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(place.name))
        sizes[int(place.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    total, below = 0, [process]
    while below:
        each = below.pop()
        total += sizes.get(each, 0)
        below += parents.get(each, [])
    return total


def _compare(out: Path, expected: dict[str, Expected]) -> list[str]:
    with (out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["student"]: row for row in csv.DictReader(stream)}
    wrong = [f"no row for {name}" for name in expected.keys() - rows.keys()]
    kinds: Counter[str] = Counter()
    for name, row in rows.items():
        want = expected[name]
        full = row["score"] == row["out_of"] != ""
        good = (row["status"], full) == (want.status, bool(want.full))
        good &= want.full is not False or row["score"] == "0"
        kinds["as it has to be" if good else "wrong"] += 1
        if not good or not want.flags <= set(row["flags"].split()):
            wrong.append(f"{want}: {row}")
    print(dict(kinds))
    return wrong


def _left(
    before: dict[str, str], after: dict[str, str], out: Path, scratch: Path, students: set[str]
) -> list[str]:
    wrong = [f"changed: {name}" for name in before.keys() | after.keys()
             if before.get(name) != after.get(name)]  # fmt: skip
    wrong += [f"stayed: {path}" for path in scratch.iterdir()]
    wrong += [f"in the gradebook: {path}" for path in out.glob("*/*") if path.stem not in students]
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(place).startswith(str(scratch)):
                wrong.append(f"still runs: {place}")
        except OSError:
            continue
    return wrong


def _host() -> dict[str, str]:
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return {
        "memory available": f"{int(memory['MemAvailable'].split()[0]) >> 10} MiB",
        "shared memory": f"{int(memory['Shmem'].split()[0]) >> 10} MiB",
        "disk free": f"{shutil.disk_usage(tempfile.gettempdir()).free >> 20} MiB",
        "processes": str(len(list(Path("/proc").glob("[0-9]*")))),
    }


if __name__ == "__main__":
    sys.exit(main())

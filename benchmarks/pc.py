"""A PC from its reset vector: FreeDOS boots and works, bare, translated, and in Bochs.

The floppy is the same but for its AUTOEXEC.BAT, which says on the serial line that it is done. Ours
is the CPU time of the run alone, Bochs' that of its whole process. Each has the firmware that comes
with it: SeaBIOS here, Bochs' own there. Nearly all of this is real mode, which is emulated, so that
the translating monitor has to be as fast as the interpreter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from benchmarks import images, ours, pc_guests
from benchmarks.pc_guests import BOCHS_LIMIT, TRANSLATE_LIMIT, against
from benchmarks.peers import bochs
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, seconds
from benchmarks.timing import BenchmarkError
from benchmarks.worker import Job, Result

FLOPPY = Path(__file__).resolve().parents[2] / "shared" / "guests" / "freedos722.img"
MEMORY = 16
DONE = "all done"
FILE = b"AUTOEXECBAT"
WORK = {
    "FreeDOS to its prompt": (),
    "FreeDOS: nasm, primes, pi": ("nasm hello.asm -o a.com", "primes", "pi"),
}


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table; with `quick` the boot alone, and no Bochs."""
    section = Section("A PC from its reset vector")
    if not FLOPPY.exists():
        section.note = f"no {FLOPPY.name}"
    else:
        for title, commands in list(WORK.items())[: 1 if plan.quick else None]:
            section.rows += _rows(title, prepared(commands), plan, section)
    yield section
    yield pc_guests.section(plan)


def prepared(commands: tuple[str, ...]) -> Path:
    """The floppy with these commands in its AUTOEXEC.BAT."""
    data = bytearray(FLOPPY.read_bytes())
    at, size = _place(bytes(data), FILE)
    lines = ("@echo off", "set PATH=A:\\FDOS", *commands, f"echo {DONE}>COM1")
    text = "".join(f"{line}\r\n" for line in lines).encode()
    if len(text) > size:
        raise BenchmarkError(f"AUTOEXEC.BAT has room for {size} bytes, not {len(text)}")
    data[at : at + size] = text.ljust(size)
    images.OUT.mkdir(parents=True, exist_ok=True)
    path = images.OUT / f"freedos-{len(commands)}.img"
    path.write_bytes(data)
    return path


def _place(disk: bytes, name: bytes) -> tuple[int, int]:
    """Where a file of one cluster lies in a FAT12 file system: its first byte, and its size."""
    sector, per_cluster, reserved, tables, entries = struct.unpack_from("<HBHBH", disk, 11)
    root = (reserved + tables * struct.unpack_from("<H", disk, 22)[0]) * sector
    for entry in range(root, root + 32 * entries, 32):
        if disk[entry : entry + 11] == name:
            cluster, size = struct.unpack_from("<HI", disk, entry + 26)
            return root + 32 * entries + (cluster - 2) * per_cluster * sector, size
    raise BenchmarkError(f"{FLOPPY.name} has no {name.decode()}")


def _rows(title: str, floppy: Path, plan: BenchmarkPlan, section: Section) -> Iterator[Row]:
    peer = None
    if not plan.quick:
        try:
            peer = bochs.floppy(floppy, MEMORY, DONE)
        except BenchmarkError as error:
            section.note += f"{title}: {error}\n"
    if plan.peers_only:
        if peer is not None:
            yield Row(title, seconds(peer.seconds), seconds(peer.seconds), 1.0)
        return
    runs = [[_run(floppy, mode) for mode in (ours.BARE, ours.TRANSLATE)]
            for _ in range(plan.long_repeats)]  # fmt: skip
    bare, translated = (min(each, key=lambda run: run.seconds) for each in zip(*runs, strict=True))
    if bare.instructions != translated.instructions:
        raise BenchmarkError(f"{title}: the two modes ran different numbers of instructions")
    if peer is not None:
        yield against(f"{title}: bare / Bochs", bare, peer, BOCHS_LIMIT)
    yield against(f"{title}: translate / bare", translated, bare, TRANSLATE_LIMIT)


def _run(floppy: Path, mode: str) -> Result:
    words = ("--fda", str(floppy), "--memory", str(MEMORY))
    result = ours.perform(Job(mode, MEMORY, words=words, until=DONE))
    if result.ending != "until":
        raise BenchmarkError(f"{floppy.name}, {mode}: {result.ending}")
    return result

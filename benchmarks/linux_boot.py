"""Debian's Linux from the first instruction to busybox's prompt: bare, translated, in its peers.

Ours is the CPU time of the run alone, the others' that of their whole process: a BIOS and, with
Bochs, a boot loader are in it, a few per cent.

Peak memory is what the process held at most, less what is resident of the file with the guest's
RAM: what the machine costs over what the guest touched (worker.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks import ours, translation
from benchmarks.crossings.operations import BOOT_LIMIT
from benchmarks.peers import bochs, qemu
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, megabytes, seconds
from benchmarks.timing import BenchmarkError, Measured
from benchmarks.worker import Job, Result
from monitor.guests.linux import INITRD, KERNEL, MEMORY_MB, PLAIN, PROMPT
from monitor.guests.linux import QUICK as SHORT

TRANSLATE_LIMIT = 1.5  # with the plain line; the short one has the crossings' limit
MACHINE_KILOBYTES = 120 * 1000 * 1000 // 1024


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table for each command line; the plain one only without `quick`."""
    lines = {"short command line": SHORT, "plain command line": PLAIN}
    for name, append in lines.items():
        if plan.quick and append == PLAIN:
            return
        section = Section(f"Linux 6.1 to its prompt, {MEMORY_MB} MiB, {name}", note=append)
        if not KERNEL.exists():
            section.note = "guests/ is empty: `make guests` fetches the kernel"
            yield section
            return
        _fill(section, plan, append)
        yield section


def _fill(section: Section, plan: BenchmarkPlan, append: str) -> None:
    peer = None
    if plan.quick:
        section.note += "\nBochs is left out of a quick run"
    else:
        try:
            peer = bochs.linux(KERNEL, INITRD, append, PROMPT)
        except BenchmarkError as error:
            section.note += f"\n{error}"
    if plan.peers_only:
        if peer is not None:
            section.rows.append(_against(bochs.NAME, peer, peer, None))
        return
    repeats = plan.long_repeats if append == SHORT else 1
    bare, translated = _alternate(append, repeats)
    if peer is not None:
        section.rows.append(_against(f"bare / {bochs.NAME}", bare, peer, 1.0))
    limit = BOOT_LIMIT if append == SHORT else TRANSLATE_LIMIT
    section.rows.append(_against("translate / bare", translated, bare, limit))
    section.rows += _beside_qemu(section, plan, translated, append)
    if append == SHORT:
        section.rows += _instructions(bare)
    section.rows += [_memory("bare", bare, 1.0), _memory("translate", translated, None)]
    if peer is not None:
        whole = "whole process, bare / Bochs"
        figures = megabytes(bare.peak), megabytes(peer.peak_kilobytes)
        section.rows.append(Row(whole, *figures, bare.peak / peer.peak_kilobytes))


def _beside_qemu(
    section: Section, plan: BenchmarkPlan, translated: Result, append: str
) -> Iterator[Row]:
    """A figure to look at; without QEMU, a note."""
    if plan.quick:
        return
    try:
        peer = qemu.boot_seconds(KERNEL, INITRD, append, MEMORY_MB, PROMPT)
    except BenchmarkError as error:
        section.note += f"\n{error}"
    else:
        figures = seconds(translated.seconds), seconds(peer)
        yield Row(f"translate / {qemu.NAME}", *figures, translated.seconds / peer)


def _alternate(append: str, repeats: int) -> tuple[Result, Result]:
    """The quicker of each mode's boots, taken in turn."""
    runs = [
        [_boot(Job(mode, MEMORY_MB, append=append)) for mode in (ours.BARE, ours.TRANSLATE)]
        for _ in range(repeats)
    ]
    bare, translated = (_quickest(results) for results in zip(*runs, strict=True))
    if bare.console != translated.console:
        raise BenchmarkError("the two modes printed different consoles")
    return bare, translated


def _quickest(results: Sequence[Result]) -> Result:
    return min(results, key=lambda result: result.seconds)


def _instructions(bare: Result) -> Iterator[Row]:
    """One more boot, that counts what the engine executes, and one that times the translator."""
    job = Job(ours.TRANSLATE, MEMORY_MB, append=SHORT)
    counted = _boot(replace(job, count_engine=True)).instructions
    figures = f"{counted / 1e6:,.0f} M", f"{bare.instructions / 1e6:,.0f} M"
    ratio = counted / bare.instructions
    yield Row("  engine instructions", *figures, ratio, TRANSLATE_LIMIT)
    timed = _boot(replace(job, time_translation=True)).translation
    yield translation.throughput("kernel", timed["instructions"], timed["seconds"])


def _boot(job: Job) -> Result:
    job = replace(job, kernel=str(KERNEL), initrd=str(INITRD), until=PROMPT)
    result = ours.perform(job)
    if result.ending != "until":
        raise BenchmarkError(f"Linux, {job.mode}: {result.ending}\n{result.console[-500:]}")
    return result


def _memory(mode: str, run: Result, limit: float | None) -> Row:
    cost = run.peak - run.guest
    name = f"memory over the {megabytes(run.guest)} the guest touched, {mode}"
    figures = megabytes(cost), megabytes(MACHINE_KILOBYTES)
    return Row(name, *figures, cost / MACHINE_KILOBYTES, limit)


def _against(
    name: str, run: Measured | Result, baseline: Measured | Result, limit: float | None
) -> Row:
    ratio = run.seconds / baseline.seconds
    return Row(name, seconds(run.seconds), seconds(baseline.seconds), ratio, limit)

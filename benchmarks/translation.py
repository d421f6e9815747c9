"""How fast the translator turns guest code into cached blocks.

Two measures. Straight code written here, that runs once: blocks of ordinary instructions, each
different from the one before, that jump to the next; translating is nearly all there is, and the
whole run is charged to it, exits and chaining included. And a real kernel: the time inside the
translator while Linux boots (linux_boot.py has that row).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import images, ours
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, seconds
from benchmarks.timing import BenchmarkError

BLOCKS = 60_000
LEAST = 100_000
HEADER_BYTES = 32
WARM = 600  # instructions before the clock starts: the first stubs are assembled there


def code_blocks(count: int) -> bytes:
    """So many blocks of six instructions, the last of them OUT 0xF4 with AL = 0."""
    parts = []
    for number in range(count):
        constant = (number * 2654435761 & 0xFFFFFFFF).to_bytes(4, "little")
        parts.append(
            b"\xb8" + constant  # mov eax, constant
            + b"\x01\xc3"  # add ebx, eax
            + b"\x8d\x4c\x83" + bytes([number & 0x7F])  # lea ecx, [ebx + eax * 4 + number]
            + b"\x31\xca"  # xor edx, ecx
            + b"\x81\xc6" + constant  # add esi, constant
            + b"\xeb\x00"  # jmp to the next block
        )
    return b"".join(parts) + b"\x31\xc0\xe6\xf4"  # xor eax, eax; out 0xf4, al


def image(count: int) -> bytes:
    """The blocks behind a Multiboot header (specification 3.1.1, with the address fields)."""
    code = code_blocks(count)
    start = images.LOAD_ADDRESS
    end = start + HEADER_BYTES + len(code)
    magic, flags = 0x1BADB002, 0x10000
    fields = (magic, flags, -(magic + flags) & 0xFFFFFFFF, start, start, end, end, start + 32)
    return b"".join(value.to_bytes(4, "little") for value in fields) + code


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    code = image(plan.scaled(BLOCKS))
    runs = [
        [_run_once(code, mode) for mode in (ours.TRANSLATE, ours.BARE)]
        for _ in range(1 if plan.quick else 3)
    ]
    translated, bare = (min(times) for times in zip(*runs, strict=True))
    instructions = 6 * plan.scaled(BLOCKS) - WARM
    whole = Row(
        "code that runs once, translate / bare",
        seconds(translated),
        seconds(bare),
        translated / bare,
    )
    section = Section("Translation", [throughput("straight code", instructions, translated), whole])
    section.note = f"{instructions:,} distinct instructions"
    yield section


def throughput(what: str, instructions: float, spent: float) -> Row:
    """Guest instructions translated per second, against the least."""
    speed = instructions / spent
    name = f"guest instructions translated per second, {what}"
    return Row(name, f"{speed:,.0f}/s", f"{LEAST:,}/s", speed / LEAST, 1.0, at_least=True)


def _run_once(code: bytes, mode: str) -> float:
    machine = ours.loaded(mode, code)
    machine.run(max_instructions=WARM)
    before = time.process_time()
    outcome = machine.run()
    if outcome.kind != "exit":
        raise BenchmarkError(f"straight code, {mode}: {outcome.kind}\n{machine.debug.where()}")
    return time.process_time() - before

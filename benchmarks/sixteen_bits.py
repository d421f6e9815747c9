"""Real mode and virtual-8086 mode, which the monitor emulates: at the interpreter's speed.

The same loop of 16-bit code, translated against bare, and how many exits a million instructions of
it cost: none for an instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import ours
from benchmarks.alternate import least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, per_second
from bt.assembler import assemble
from monitor import Machine

SLICE = 20_000_000
RATIO_LIMIT = 1.1
EXITS_LIMIT = 10.0  # a million instructions
PROGRAM, SUPERVISOR = 0x10000, 0x100000

# A string of bytes is copied and summed, with calls, pushes and a far segment.
LOOP = """
    cld
    mov ax, 0x2000; mov ds, ax
    mov ax, 0x3000; mov es, ax
again:
    xor si, si; xor di, di; xor dx, dx
    mov cx, 0x400
next:
    lodsb
    push ax
    call sum
    pop ax
    stosb
    dec cx; jnz next
    mov cx, 0x100; mov si, 0x1000
    rep movsw
    jmp again
sum:
    add dl, al; adc dh, 0; rol dx, 1
    test dl, 4; jz even
    xor dx, si
even:
    ret
"""

# IRETD with VM set; every vector stops the machine, since none is expected.
ENTER = f"""
    xor eax, eax
    push eax; push eax; push eax; push eax
    push 0x4000
    push 0x1000
    push 0x20002
    push {PROGRAM >> 4:#x}
    push eax
    iretd
"""


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("16-bit code, which is emulated, translate against bare")
    for name, make in (("real mode", _real), ("virtual-8086 mode", _virtual)):
        section.rows += list(_rows(plan, name, make))
    yield section


def _rows(plan: BenchmarkPlan, name: str, make: Callable[[str], Machine]) -> Iterator[Row]:
    translated, bare = least(plan, SLICE, partial(make, ours.TRANSLATE), partial(make, ours.BARE))
    figures = per_second(SLICE / translated), per_second(SLICE / bare)
    yield Row(name, *figures, translated / bare, RATIO_LIMIT)
    machine = make(ours.TRANSLATE)
    machine.run(max_instructions=SLICE)
    exits = sum(machine.statistics()["exits"].values()) * 1e6 / SLICE
    yield Row("  exits a million instructions", f"{exits:.1f}", "", exits, EXITS_LIMIT)


def _real(mode: str) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(assemble(LOOP, 0, bits=16), PROGRAM, real_mode=True,
                      registers={"cs": PROGRAM >> 4, "ss": 0x4000}, eip=0, esp=0x1000)  # fmt: skip
    return machine


def _virtual(mode: str) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(assemble(ENTER, SUPERVISOR), SUPERVISOR, esp=0x90000)
    machine.write_physical(PROGRAM, assemble(LOOP, 0, bits=16))
    return machine

"""Random accesses to a machine with everything plugged in: nothing is raised, hangs or grows.

    python whole_board.py SEED COUNT                        # COUNT accesses
    python whole_board.py SEED COUNT --state board.json     # the same, continued by the same line

The machine has both chipset and display adapter, all drives, mouse, four serial ports, a parallel
one and a speaker. Accesses are of 1, 2 and 4 bytes, to the ports that somebody answers, to any
port, to registers in memory, frame buffers and ROM; a part of them make sense
(whole_board_acts.py), so that drives move, DMA runs and windows open. Between them time passes, a
guest takes interrupts, somebody types, moves the mouse and changes disks.

Accesses come in chunks, and a chunk's dice know its number alone, so that a run goes on where it
was ended. At the end of each the machine is put aside, made anew in the other mode, and both live
on alike for a while: each value that is read is compared, and in the end chips, registers, RAM and
picture. Then the new one is used. What a machine remembers is counted (`Growth`), too.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from whole_board_acts import CD, Acts

from bt.assembler import assemble
from monitor import Machine
from monitor.settings.machine import PARTS

CHUNK = 20_000  # accesses
COMPARED = 400  # of them, by both machines
TURN = 250  # accesses between two runs of the guest
CODE, STACK = 0x100000, 0x90000
SIZES = {"fda": 1474560, "fdb": 737280, "hda": 1 << 20, "hdb": 1 << 20, "hdd": 1 << 20,
         "cdrom": len(CD)}  # fmt: skip
OTHER = {"bare": "translate", "translate": "bare"}
HANGS = 300.0  # seconds of processor time for a chunk; then Python says where it is, and ends
#: Objects and bytes that a machine may have more than after its first chunks: what is remembered of
#: decoded code, consoles' last MiB, the sectors that were written.
MORE_OBJECTS, MORE_BYTES = 60_000, 192 << 20
SETTLED = 10  # chunks

GUEST = """
    mov edi, 0x8000                             # an IDT: all gates lead to `handler`
    mov ecx, 256
gate:
    lea eax, [handler]
    mov [edi], ax
    mov word ptr [edi + 2], 0x10
    mov word ptr [edi + 4], 0x8e00
    shr eax, 16
    mov [edi + 6], ax
    add edi, 8
    loop gate
    lidt [limit]
forever:
    sti
    hlt
    inc dword ptr [0x9000]
    jmp forever
handler:
    push eax
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    inc dword ptr [0x9004]
    pop eax
    iretd
limit:
    .word 0x7ff
    .long 0x8000
"""


def drives(sizes: dict[str, int | None]) -> dict[str, bytes | None]:
    """What lies in the drives, by plug; None: nothing."""
    return {plug: size and (CD if plug == "cdrom" else bytes(size)) for plug, size in sizes.items()}


def sizes_in(machine: Machine) -> dict[str, int | None]:
    """The same, of a machine whose disks somebody has changed."""
    return {plug: drive.size for plug, drive in machine.storage.items()}


def make(mode: str) -> Machine:
    """The machine, before its first instruction."""
    machine = Machine(memory_mb=8, mode=mode, chipset="i440fx", vga="std", parts=PARTS,
                      drives=drives(SIZES))  # fmt: skip
    machine.load_flat(assemble(GUEST, CODE), CODE, esp=STACK)
    return machine


def begin_again(machine: Machine) -> None:
    """The guest has ended, by a reset, a power switch or DMA into its code."""
    machine.reset()
    machine.load_flat(assemble(GUEST, CODE), CODE, esp=STACK)


@dataclass
class Growth:
    """What there was after the chunks in which a machine settles, and what there is now."""

    objects: int = 0
    bytes: int = 0
    most_state: int = 0  # characters of the chips' snapshot
    now: tuple[int, int] = (0, 0)

    def look(self, machine: Machine, chunks: int) -> None:
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.now = len(gc.get_objects()), resident
        self.most_state = max(self.most_state, len(json.dumps(machine.board.snapshot())))
        if chunks <= SETTLED:
            self.objects, self.bytes = max(self.objects, self.now[0]), max(self.bytes, self.now[1])
            return
        objects, resident = self.now
        assert objects < self.objects + MORE_OBJECTS, f"{objects:,} objects: {self}"
        assert resident < self.bytes + MORE_BYTES, f"{resident >> 20} MiB: {self}"


@dataclass
class Summary:
    """What has been done."""

    seed: int
    chunks: int = 0
    accesses: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    interrupts: int = 0
    instructions: int = 0
    restored: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.kinds.items()))
        ends = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.ends.items()))
        return (f"seed {self.seed}: {self.accesses:,} accesses ({kinds}), {self.instructions:,} "
                f"guest instructions, {self.interrupts:,} interrupts, {self.restored:,} restored "
                f"and the same; runs ended: {ends}; {self.seconds:.0f} s")  # fmt: skip


def live(machine: Machine, dice: random.Random, count: int, summary: Summary | None) -> str:
    """So many accesses. A digest of all that was read."""
    acts = Acts(machine, dice)
    digest = hashlib.blake2b(digest_size=16)
    while acts.accesses < count:
        end = min(count, acts.accesses + TURN)
        while acts.accesses < end:
            digest.update(repr(acts.act()).encode())
        acts.host()
        outcome = machine.run(max_instructions=dice.choice((1, 10, 100, 600)))
        if outcome.kind not in ("instructions", "stuck"):
            begin_again(machine)
        digest.update(f"{outcome.kind} {machine.instructions} {machine.clock.now()}".encode())
        if summary is not None:
            summary.ends[outcome.kind] += 1
    if summary is not None:
        summary.kinds.update(acts.kinds)
        summary.accesses += acts.accesses
    return digest.hexdigest()


def state_of(machine: Machine) -> dict[str, object]:
    """All that has to be the same."""
    memory = hashlib.sha256(machine.memory.map()).hexdigest()
    picture = hashlib.sha256(machine.screen.array.tobytes()).hexdigest()
    return {"registers": machine.registers, "board": machine.board.snapshot(), "memory": memory,
            "picture": picture, "instructions": machine.instructions}  # fmt: skip


def both(machine: Machine, label: str) -> Machine:
    """The machine made anew from a snapshot, after both have lived on alike."""
    again = Machine.restore(machine.snapshot(), mode=OTHER[machine.mode],
                            drives=drives(sizes_in(machine)))  # fmt: skip
    read = [live(each, random.Random(label), COMPARED, None) for each in (machine, again)]
    states = [state_of(machine), state_of(again)]
    differ = [name for name in states[0] if states[0][name] != states[1][name]]
    assert not differ, f"{label}: {', '.join(differ)} differ after a snapshot"
    assert read[0] == read[1], f"{label}: something else was read after a snapshot"
    return again


def run(seed: int, count: int, state: Path | None = None, say: bool = True) -> Summary:
    """The accesses that are left to do."""
    summary, machine = begun(seed, state)
    growth = Growth()
    chunks = 0
    faulthandler.register(signal.SIGPROF, chain=True)
    while summary.accesses < count:
        signal.setitimer(signal.ITIMER_PROF, HANGS)
        begin = time.perf_counter()
        label = f"{seed}:{summary.chunks}"
        interrupts, instructions = machine.loop.interrupts, machine.instructions
        try:
            live(machine, random.Random(label), min(CHUNK, count - summary.accesses), summary)
            summary.interrupts += machine.loop.interrupts - interrupts
            summary.instructions += machine.instructions - instructions
            machine = both(machine, label + ":both")
        except BaseException:
            print(f"chunk {label}, in mode {machine.mode}", file=sys.stderr)
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        summary.restored += 1
        summary.chunks += 1
        chunks += 1
        summary.seconds += time.perf_counter() - begin
        growth.look(machine, chunks)
        keep(summary, machine, state)
        if say:
            print(summary, growth, flush=True)
    return summary


def begun(seed: int, state: Path | None) -> tuple[Summary, Machine]:
    """What a run before this one has done, and the machine that it left."""
    if state is None or not state.exists():
        return Summary(seed), make("bare")
    kept = json.loads(state.read_text())
    if kept["seed"] != seed:
        raise SystemExit(f"{state} is of seed {kept['seed']}, not {seed}")
    kept |= {name: Counter(kept[name]) for name in ("kinds", "ends")}
    mode, sizes = kept.pop("mode"), kept.pop("sizes")
    machine = Machine.restore(state.with_suffix(".vpcheck"), mode=mode, drives=drives(sizes))
    return Summary(**kept), machine


def keep(summary: Summary, machine: Machine, state: Path | None) -> None:
    if state is None:
        return
    machine.snapshot().save(state.with_suffix(".vpcheck"))
    partial = state.with_suffix(".part")
    more = {"mode": machine.mode, "sizes": sizes_in(machine)}
    partial.write_text(json.dumps(vars(summary) | more))
    os.replace(partial, state)


def main() -> None:
    parser = argparse.ArgumentParser(description="Random accesses to a whole board.")
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int, help="accesses")
    parser.add_argument("--state", type=Path, help="a file to go on from and to write")
    args = parser.parse_args()
    print(run(args.seed, args.count, args.state))


if __name__ == "__main__":
    main()

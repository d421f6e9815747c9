"""Guests that throw anything at the backdoor, through the processor, in every mode.

A guest pops all registers from a table of random records and makes a call with each: IN and OUT of
every width, REP INSB and OUTSB, RDPMC, VMCALL. Nothing of it may raise, grow, or hang; and it ends
in the same state bare, trapped and translated.
"""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from machine_lab import DATA3, GP, MachineLab
from patience import PATIENCE

from bt.interp.state import DS

BACKDOOR, HYPERCALL = "X86_VMWARE_BACKDOOR", "X86_VMWARE_HYPERCALL"
MAGIC = 0x564D5868
TABLE, TABLE_BYTES = 0x40000, 0x20000
RECORDS = TABLE_BYTES // 32
BUFFER = 0x80000
EDGES = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x10000, 0x5658, 0x5659, MAGIC)
CALLS = {
    "in eax": "in eax, dx",
    "in ax": "in ax, dx",
    "in al": "in al, dx",
    "out eax": "out dx, eax",
    "out al": "out dx, al",
    "rep insb": "rep insb",
    "rep outsb": "rep outsb",
    "insd": "insd",
    "rdpmc": "rdpmc",
    "vmcall": "vmcall",
}


def register(random_: random.Random) -> int:
    return random_.choice((random_.choice(EDGES), random_.getrandbits(32), random_.randrange(128)))


def record(random_: random.Random, call: str) -> bytes:
    """EDI ESI EBP - EBX EDX ECX EAX, as POPA takes them; mostly what reaches a command."""
    edi, esi, ebp, ebx = (register(random_) for _ in range(4))
    edx = register(random_) << 16 & 0xFFFF0000 | random_.choice((0x5658, 0x5659, 0x5658))
    ecx = register(random_) << 16 & 0xFFFF0000 | random_.randrange(110)
    eax = MAGIC if random_.random() < 0.9 else register(random_)
    if call == "rdpmc":
        ecx = 0x10000 + random_.randrange(4)
    if call in ("rep insb", "rep outsb", "insd"):  # where there is memory; how far, is their affair
        edi = esi = BUFFER + random_.randrange(0x1000)
        ecx = random_.randrange(200)
        edx = edx & 0xFFFF0000 & 0xF0000 | 0x5659
    return struct.pack("<8I", edi, esi, ebp, 0, ebx, edx, ecx, eax)


def guest(mode: str, call: str, seed: int) -> MachineLab:
    """A machine about to make RECORDS calls at ring 0."""
    lab = MachineLab(mode)
    machine = lab.machine
    machine.enable(BACKDOOR, allow=("PUTCHR", "INJECT_KEY", "INJECT_MOUSE", "SCREENSHOT"))
    machine.enable(HYPERCALL, "all", serve=True)
    random_ = random.Random(zlib.crc32(call.encode()) + seed)
    table = b"".join(record(random_, call) for _ in range(RECORDS))
    end = TABLE + TABLE_BYTES
    lab.load(f"cld; mov esp, {TABLE}; again: popad; {CALLS[call]}; cmp esp, {end}; jne again")
    machine.memory.write(TABLE, table)
    return lab


def final_state(lab: MachineLab) -> tuple[object, ...]:
    machine = lab.machine
    return (machine.registers, zlib.crc32(machine.memory.read(0, 0xA0000)),
            machine.statistics()["instructions"], dict(machine.vmware.backdoor.calls))  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_random_calls_are_survived_and_the_same_in_every_mode(call: str) -> None:
    states = []
    for mode in ("bare", "trap", "translate"):
        lab = guest(mode, call, seed=1)
        outcome = lab.machine.run(timeout=PATIENCE)
        assert outcome.kind in ("stuck", "poweroff", "reset"), outcome
        states.append(final_state(lab))
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("call", ["rep insb", "rep outsb"])
def test_four_thousand_million_bytes_do_not_hold_up_the_embedder(mode: str, call: str) -> None:
    lab = MachineLab(mode)
    lab.machine.enable(BACKDOOR)
    lab.load(
        f"cld; mov eax, {MAGIC}; mov ebx, 0; mov ecx, -1; mov edx, 0x5659; mov esi, 0x100000;"
        f"mov edi, 0x100000; {call}"
    )
    assert lab.machine.run(timeout=0.3).kind == "timeout"
    assert 0 < lab.reg("ecx") < 0xFFFFFFFF, "it has come some way, and can go on"


def test_a_fault_amid_a_transfer_is_the_guests(mode: str) -> None:
    """DS ends at 3FFFF: OUTSB faults there, and ECX and ESI tell how far it came."""
    lab = MachineLab(mode, 3)
    lab.machine.enable(BACKDOOR)
    source = "cld; mov eax, 0x564d5868; mov ecx, 100; mov edx, 0x5659; mov esi, 0x3fff0; rep outsb"
    lab.load(source)
    lab.machine.processor.ideal.set_segment(DS, DATA3, 0, 0x3FFFF, 0x40F3)
    end = lab.run()
    assert end.vector == GP
    assert (lab.reg("ecx"), lab.reg("esi")) == (84, 0x40000)

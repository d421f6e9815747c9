"""Guests to watch."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from bt.assembler import assemble
from monitor import Machine
from monitor.guests import embedded_image

ORIGIN = 0x100000
ROUNDS = 100
# One of each kind of translation, and a loop whose length is known.
SOURCE = f"""
    mov esi, {ROUNDS}
again:
    cli
    pushfd
    call near_by
    popfd
    mov ecx, 3
inner:
    inc ebx
    loop inner
    jecxz on
    nop
on: lea eax, [near_by]
    call eax
    sti
    mov edi, 7
    dec esi
    jnz again
    mov eax, cr0
    mov cr0, eax
    in al, 0x21
    xor eax, eax
    out 0xf4, al
near_by:
    inc ebp
    ret
"""


@functools.cache
def assembled(source: str = SOURCE) -> bytes:
    return assemble(source, ORIGIN)


def flat(mode: str = "translate", source: str = SOURCE, without: Sequence[str] = ()) -> Machine:
    """The program above, not yet run."""
    machine = Machine(memory_mb=4, mode=mode, without=without)
    machine.load_flat(assembled(source), ORIGIN, esp=0x90000)
    return machine


def embedded(mode: str = "translate", without: Sequence[str] = ()) -> Machine:
    """The embedded guest, not yet run."""
    guest = embedded_image()
    machine = Machine(memory_mb=4, mode=mode, without=without)
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    return machine

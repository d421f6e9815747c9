"""The APICs of `Machine(parts=["apic"])`, and what the processor has to know of its own one.

    machine.devices["local-apic"], machine.devices["io-apic"]     the chips
    machine.board.apics                                           how they are wired

CPUID announces it, and IA32_APIC_BASE (1Bh) moves it; without this part that register only keeps
what is written. Without an APIC nothing is in the way of what the board did before.
"""

from __future__ import annotations

from bt.models import MODELS
from devices.apic.board import Apics
from devices.apic.local_apic import BASE_RESET
from monitor.vmm.board import Board


def add_apics(board: Board, cpu: str) -> Apics:
    """Put them in."""
    processor = board.counter.processor
    assert processor is not None
    apics = Apics(board.bus, board.pc.pic, board.pulse_nmi, MODELS[cpu].family)
    board.devices.add("local-apic", apics.local)
    board.devices.add("io-apic", apics.io)
    board.apics = board.interrupts = apics
    processor.add_local_apic(MODELS[cpu], BASE_RESET)
    return apics

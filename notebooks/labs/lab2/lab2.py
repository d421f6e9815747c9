"""Lab 2: write a trap-and-emulate handler. Read handout.md; `vp lab check 2` grades this file."""

from __future__ import annotations

from monitor.extensions.handler import VirtualCpu


def handle(cpu: VirtualCpu) -> bool:
    """The guest raised #GP at cpu.eip. Emulate the instruction if it is one of ring 0's.

    True: it is emulated, and cpu.eip is behind it. False: it is none of ours, or the guest was not
    allowed to do it: the monitor raises the fault in the guest, if it is one.
    """
    return False

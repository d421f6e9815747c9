"""Guests to be compared, made in a mode, and how closely to look at them."""

from __future__ import annotations

from pathlib import Path

from monitor.extensions import Extensions
from monitor.guests.linux import QUICK
from monitor.lockstep.comparison import Stage
from monitor.lockstep.pair import MakeMachine
from monitor.machine import Machine
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR


def embedded_guest(mode: str, extensions: Extensions | None = None) -> Machine:
    """The embedded guest, at its first instruction."""
    from monitor.guests import embedded_image

    guest = embedded_image()
    machine = Machine(memory_mb=4, mode=mode, extensions=extensions)
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    return machine


def linux_guest(
    kernel: str | Path,
    initrd: str | Path | None,
    cmdline: str = QUICK,
    memory_mb: int = 128,
    vmware_backdoor: bool = False,
) -> MakeMachine:
    """A Linux kernel, at its 32-bit entry."""

    def make(mode: str) -> Machine:
        machine = Machine(memory_mb=memory_mb, mode=mode)
        machine.enable(X86_VMWARE_BACKDOOR, vmware_backdoor)
        machine.load_linux(kernel, initrd=initrd, cmdline=cmdline)
        return machine

    return make


# Its whole life, every instruction; RAM about as often as a basic block ends.
EMBEDDED_STAGES = (Stage(step=1, memory_every=16),)


def linux_stages(
    until: str | None = "/ # ", close: int = 100_000_000, stride: int = 101
) -> tuple[Stage, ...]:
    """A close look at the first instructions, then a digest every ten million up to the prompt.

    The close look takes a prime stride, so that it meets a loop at all of its instructions.
    """
    return (
        Stage(instructions=close, step=stride, memory_every=100_000),
        Stage(step=5000, memory_every=10_000_000, digests=True, until=until),
    )

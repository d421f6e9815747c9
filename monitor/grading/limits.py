"""What a submission may use: setrlimit(2) where the kernel counts, the keeper where it does not.

The kernel has no limit on the memory in use that a process could set for itself. RLIMIT_AS bounds
what is mapped, and a machine maps 350 MiB of which it uses ten; so it is wide, and the keeper looks
at what is in use (memory_use.py), LOOKS times a second.

RLIMIT_NPROC is not used: it does not hold for root, and counts the user's other processes. A
submission starts no processes or threads at all (seccomp.py).
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

from monitor.vmm.errors import UserError

MIB = 1 << 20
LOOKS = 20


@dataclass(frozen=True)
class Limits:
    """For one submission to one lab."""

    cpu: int = 50  # seconds of processor time
    wall: int = 200  # seconds that pass; more than `cpu`, since others use the processor too
    memory: int = 1024  # MiB in use
    mapped: int = 8192  # MiB of addresses
    file: int = 24  # MiB in one file, if the filter let one be written
    descriptors: int = 32
    output: int = 16 * MIB  # bytes printed, after which the run is ended
    reports: int = 4 * MIB  # bytes over the report's descriptor
    submission: int = MIB  # bytes of the file itself

    def __post_init__(self) -> None:
        for name, least in (("cpu", 1), ("wall", 1), ("memory", 256)):
            if getattr(self, name) < least:
                unit = "MiB" if name == "memory" else "seconds"
                raise UserError(f"--{name} {getattr(self, name)}: give at least {least} ({unit})")


def set_limits(limits: Limits) -> None:
    """For this process, soft and hard alike. The second of grace is SIGXCPU's, then SIGKILL."""
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu, limits.cpu + 1))
    for kind, value in (
        (resource.RLIMIT_AS, limits.mapped * MIB),
        (resource.RLIMIT_FSIZE, limits.file * MIB),
        (resource.RLIMIT_NOFILE, limits.descriptors),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))

"""A backdoor without a machine: its clock stands where the test puts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from monitor.vmware.backdoor import Backdoor
from monitor.vmware.call import Call
from monitor.vmware.commands import BY_NAME
from monitor.vmware.host import Host

REGISTERS = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp")
START = 1_700_000_000  # seconds since 1970


@dataclass
class Bench:
    """`bench.call("GETVERSION", ebx=1)` is one call; `settings` are fields of Host."""

    settings: dict[str, Any] = field(default_factory=dict)
    nanoseconds: int = 0

    def __post_init__(self) -> None:
        usual = {"memory_bytes": 128 << 20, "tsc_hz": 1_000_000_000, "start_time": START}
        self.host = Host(**{**usual, "now": lambda: self.nanoseconds, **self.settings})
        self.backdoor = Backdoor(self.host)

    def call(self, name: str, **registers: Any) -> Call:
        """The upper half of ECX is `subcommand`; the rest are the fields of Call."""
        ecx = registers.pop("subcommand", 0) << 16 | BY_NAME[name].number
        call = Call(**{"ecx": ecx, **registers})
        self.backdoor.low(call)
        return call


def changed(before: Call, after: Call) -> set[str]:
    """The registers that a call has changed."""
    return {name for name in REGISTERS if getattr(before, name) != getattr(after, name)}
